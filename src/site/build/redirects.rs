//! The parser of `_redirects`, a convention of static hosts: a line for each rule, with a path
//! pattern, a target and a status.
//!
//! ```text
//! # moved
//! /old              /new
//! /blog/:year/*     /archive/:year/:splat   302
//! /app/*            /app/index.html         200
//! /teapot           /sold-out.html          410
//! /secret.html      /login                  303!
//! /store id=:id     /articles/:id
//! /                 /de/                    302!  Language=de
//! https://old.example/*  https://new.example/:splat
//! ```
//!
//! The default status is 301. 301, 302, 303, 307 and 308 redirect; 200, 404, 410 and 451 serve the
//! file of the target's path with that status. A rule applies to paths without a file; with `!`
//! after the status, it applies to all paths.
//!
//! A line that can't be honoured is left out with a reason, and the others apply, as on the hosts
//! whose convention this is (Cloudflare Pages, "Redirects": a line of another format is ignored).

use super::problem::Problem;
use super::rule_files::{REDIRECTS, lines};
use crate::http::path::unescape_form;
use crate::site::conditions::{Conditions, ParameterValue, QueryParameter};
use crate::site::pattern::{
    CAPTURES_MAX, HostPattern, Pattern, PatternError, split_host, without_slash,
};
use crate::site::redirects::{Effect, Redirect};
use crate::site::template::{Template, TemplateKind};
use std::borrow::Cow;
use std::fmt::Write;

/// The rules of a file, and the lines that are none.
#[derive(Debug, Default)]
pub struct ParsedRedirects {
    /// The rules, in the order of the file.
    pub rules: Vec<Redirect>,
    /// Lines that can't be honoured.
    pub left_out: Vec<LeftOutLine>,
    /// Errors, each of which prevents the start.
    pub problems: Vec<Problem>,
    /// Parts of lines without effect.
    pub warnings: Vec<Problem>,
}

/// A line that can't be honoured.
#[derive(Debug)]
pub struct LeftOutLine {
    /// The place and the reason.
    pub problem: Problem,
    /// The paths that the line hides if it was meant to, by the pattern or a wider one: a forced
    /// rule takes files from the reach of requests.
    pub hides: Option<Pattern>,
}

/// Parses the text of the file.
///
/// ```
/// use uringstatic::site::build::redirects::parse;
///
/// let parsed = parse("/blog/* /archive/:splat 302\n/old /old\n");
/// assert!(parsed.rules[0].from.matches(b"/blog/2010/a").is_some());
/// let left_out = parsed.left_out[0].problem.to_string();
/// assert_eq!(left_out, "_redirects:2: /old leads to itself");
/// ```
#[must_use]
pub fn parse(text: &str) -> ParsedRedirects {
    let mut parsed = ParsedRedirects::default();
    for (number, line) in lines(text) {
        let words = Words::of(line);
        match rule(&words, line, number) {
            Ok((rule, warning)) => {
                parsed.rules.push(rule);
                parsed.warnings.extend(warning.map(|why| Problem::at(REDIRECTS, number, why)));
            }
            Err(LineError::Error(why)) => {
                parsed.problems.push(Problem::at(REDIRECTS, number, why));
            }
            Err(LineError::LeftOut { why, is_harmless }) => {
                let hides = words.hidden_paths().filter(|_| !is_harmless);
                let problem = Problem::at(REDIRECTS, number, why);
                parsed.left_out.push(LeftOutLine { problem, hides });
            }
        }
    }
    parsed.problems.extend(too_many(&parsed.rules));
    parsed
}

/// The problem of a file with more rules than are allowed.
fn too_many(rules: &[Redirect]) -> Option<Problem> {
    let patterns = rules.iter().filter(|rule| rule.from.exact().is_none()).count();
    let conditional = rules.iter().filter(|rule| !rule.conditions.is_empty()).count();
    if rules.len() <= RULES_MAX && patterns <= PATTERNS_MAX && conditional <= CONDITIONAL_MAX {
        return None;
    }
    let why = format!(
        "it has {} rules, {patterns} of them with placeholders and {conditional} with conditions; \
         at most {RULES_MAX}, {PATTERNS_MAX} and {CONDITIONAL_MAX} are allowed",
        rules.len()
    );
    Some(Problem::of(REDIRECTS, why))
}

/// The reason why a line is no rule.
enum LineError {
    /// The line prevents the start.
    Error(String),
    /// The line is left out; `is_harmless` if the line protects nothing even if it is forced.
    LeftOut { why: String, is_harmless: bool },
}

impl From<String> for LineError {
    fn from(why: String) -> Self {
        Self::LeftOut { why, is_harmless: false }
    }
}

/// The words of a line by their positions: `from [name=value ...] [to] [status] [condition ...]`.
struct Words<'a> {
    from: &'a str,
    parameters: Vec<&'a str>,
    to: Option<&'a str>,
    status: Option<&'a str>,
    conditions: Vec<&'a str>,
}

impl<'a> Words<'a> {
    fn of(line: &'a str) -> Self {
        let words = line.split_ascii_whitespace().take_while(|word| !word.starts_with('#'));
        let mut words = words.peekable();
        let from = words.next().unwrap_or_default();
        let mut parameters = Vec::new();
        while let Some(word) = words.next_if(|word| word.contains('=') && !is_target(word)) {
            parameters.push(word);
        }
        let to = words.next_if(|word| !is_status(word));
        let status = words.next_if(|word| !word.contains('='));
        Self { from, parameters, to, status, conditions: words.collect() }
    }

    fn is_forced(&self) -> bool {
        self.status.is_some_and(|status| status.ends_with('!'))
    }

    /// The paths that a forced line hides: those of its pattern, or of the part of it before what
    /// is malformed.
    fn hidden_paths(&self) -> Option<Pattern> {
        if !self.is_forced() {
            return None;
        }
        let path = split_host(self.from).map_or(self.from, |(_, path)| path);
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let path = format!("/{}", path.trim_start_matches('/'));
        let wider = || format!("{}*", path.split(['*', '%', ':']).next().unwrap_or_default());
        Pattern::parse(&path).or_else(|_| Pattern::parse(&wider())).ok()
    }
}

/// Whether a word is a path or a URI, as the target of a rule.
fn is_target(word: &str) -> bool {
    word.starts_with('/') || word.contains("://")
}

fn is_status(word: &str) -> bool {
    let digits = word.strip_suffix('!').unwrap_or(word);
    digits.len() == 3 && digits.bytes().all(|digit| digit.is_ascii_digit())
}

/// The rule of a line, and what has no effect in it.
fn rule(
    words: &Words<'_>,
    line: &str,
    number: u32,
) -> Result<(Redirect, Option<String>), LineError> {
    // Its absence would let everyone in.
    if words.conditions.iter().any(|word| is_condition(word, "Role")) {
        return Err(LineError::Error(format!(
            "{}: access by role is not supported; remove the line only if everyone may read the \
             paths, or protect them with Basic-Auth in _headers",
            words.from
        )));
    }
    let Some(to_text) = words.to else { return Err(no_target(words).into()) };
    let (effect, forced) = match words.status {
        None => (Effect::Redirect(STATUS_DEFAULT), false),
        Some(word) => effect(word).ok_or_else(|| explain_status(word))?,
    };
    let (host, path) = split_host(words.from).map_err(|why| format!("{}: {why}", words.from))?;
    let from = Pattern::parse(path).map_err(|why| explain_pattern(words.from, &why))?;
    let mut conditions = Conditions { host, query: parameters(words)?, ..Conditions::default() };
    conditions.languages = languages(words, effect)?;
    let names = conditions.host_names().chain(conditions.names()).chain(from.names()).count();
    if names > CAPTURES_MAX {
        return Err(explain_pattern(words.from, &PatternError::TooManyNames).into());
    }
    if let Some(name) = conditions.names().find(|name| from.names().any(|own| own == *name)) {
        let why = PatternError::SameName(name.to_owned());
        return Err(explain_pattern(words.from, &why).into());
    }
    let (to, warning) = target(to_text, effect)?;
    // The path of a rewrite is looked up like that of a request; a Location is sent as it is.
    let purpose = match effect {
        Effect::Redirect(_) => TemplateKind::Location,
        Effect::Rewrite(_) => TemplateKind::Path,
    };
    let host_names: Vec<&str> = conditions.host_names().collect();
    let query_names: Vec<&str> = conditions.names().collect();
    let template = Template::parse_with(&to, &from, &host_names, &query_names, purpose);
    let template = template.map_err(|why| format!("{to_text}: {why}"))?;
    check_host(&to).map_err(|why| format!("{to_text}: {why}"))?;
    if matches!(effect, Effect::Redirect(_)) {
        check_loop(words.from, &from, &conditions, &to)?;
    }
    let text = line.trim().into();
    let rule = Redirect {
        from,
        to: template,
        effect,
        forced,
        conditions,
        may_cycle: false,
        line: number,
        text,
    };
    Ok((rule, warning))
}

fn no_target(words: &Words<'_>) -> String {
    match words.status {
        None => "write a path, a target and a status".to_owned(),
        Some(status) => format!(
            "the target before {status} is missing; paths that no rule matches have their file as \
             it is"
        ),
    }
}

fn explain_pattern(from: &str, why: &PatternError) -> String {
    match why {
        PatternError::NotOfPath('?') => {
            let (path, query) = from.split_once('?').unwrap_or((from, ""));
            format!("{from}: {why}; parameters stand behind the path: {path} {query}")
        }
        _ => format!("{from}: {why}"),
    }
}

/// The parameters between the path and the target of a rule.
fn parameters(words: &Words<'_>) -> Result<Box<[QueryParameter]>, String> {
    let mut parameters: Vec<QueryParameter> = Vec::new();
    for word in &words.parameters {
        let Some((name, value)) = word.split_once('=') else { continue };
        let name: Box<[u8]> = unescape_form(name.as_bytes()).collect();
        let capture = value.strip_prefix(':').filter(|name| is_name(name));
        let value = match capture {
            Some(name) => ParameterValue::Capture(name.into()),
            None => ParameterValue::Literal(unescape_form(value.as_bytes()).collect()),
        };
        if name.is_empty() || parameters.iter().any(|known| known.name == name) {
            return Err(format!("{word}: a parameter needs a name that no other has"));
        }
        if let ParameterValue::Capture(own) = &value
            && parameters.iter().any(|known| known.value == value)
        {
            return Err(format!("{word}: there are two placeholders :{own}"));
        }
        parameters.push(QueryParameter { name, value });
    }
    Ok(parameters.into())
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_')
}

/// The languages among the conditions behind the status; other conditions can't be honoured.
fn languages(words: &Words<'_>, effect: Effect) -> Result<Box<[Box<str>]>, LineError> {
    let mut languages = Vec::new();
    for word in &words.conditions {
        if is_condition(word, "Language") {
            let ranges = word.split_once('=').map_or("", |(_, ranges)| ranges);
            languages.extend(ranges.split(',').map(Box::from));
            continue;
        }
        let why = if is_condition(word, "Country") {
            "the server doesn't know the country of a client"
        } else if is_condition(word, "Cookie") {
            "conditions on cookies are not supported"
        } else if word.contains('=') {
            "only the condition Language= is supported"
        } else {
            "only conditions may follow the status"
        };
        // A redirect for some clients protects nothing: the others see the file.
        let is_harmless = word.contains('=') && matches!(effect, Effect::Redirect(_));
        return Err(LineError::LeftOut { why: format!("{word}: {why}"), is_harmless });
    }
    let is_range = |range: &str| {
        !range.is_empty()
            && range.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
    };
    match languages.iter().find(|range| !is_range(range)) {
        Some(range) => Err(format!("Language={range}: write tags such as de or pt-BR").into()),
        None => Ok(languages.into()),
    }
}

fn is_condition(word: &str, name: &str) -> bool {
    word.split_once('=').is_some_and(|(own, _)| own.eq_ignore_ascii_case(name))
}

fn effect(word: &str) -> Option<(Effect, bool)> {
    let (digits, forced) = match word.strip_suffix('!') {
        Some(digits) => (digits, true),
        None => (word, false),
    };
    let effect = match digits {
        "200" => Effect::Rewrite(200),
        "404" => Effect::Rewrite(404),
        "410" => Effect::Rewrite(410),
        "451" => Effect::Rewrite(451),
        "301" => Effect::Redirect(301),
        "302" => Effect::Redirect(302),
        "303" => Effect::Redirect(303),
        "307" => Effect::Redirect(307),
        "308" => Effect::Redirect(308),
        _ => return None,
    };
    Some((effect, forced))
}

fn explain_status(word: &str) -> String {
    format!(
        "{word:?} is no status of a rule; use 200, 301, 302, 303, 307, 308, 404, 410 or 451, with \
         or without ! after it"
    )
}

/// The text of a target, with characters percent-encoded that a URI can't have, and what has no
/// effect in it.
fn target(to: &str, effect: Effect) -> Result<(Cow<'_, str>, Option<String>), String> {
    if let Some(wrong) = to.chars().find(|c| c.is_control() || *c == '\\') {
        return Err(format!("{to}: {wrong:?} must be percent-encoded"));
    }
    let has_scheme = ["http://", "https://"].iter().any(|scheme| to.starts_with(scheme));
    // `//host` names another host (RFC 3986 4.2), which is seldom meant.
    if to.starts_with("//") {
        return Err(format!("{to}: write the scheme, as in https:{to}"));
    }
    if !to.starts_with('/') && !has_scheme {
        return Err(format!("{to}: a target must begin with a slash, http:// or https://"));
    }
    let encoded = encoded(to);
    match effect {
        Effect::Rewrite(_) if has_scheme => {
            Err(format!("{to}: serving another host's page needs a proxy; use a redirect"))
        }
        Effect::Rewrite(_) => match to.find(['?', '#']) {
            Some(end) => {
                let why = format!("{}: a file has no query and no fragment", &to[end..]);
                Ok((
                    Cow::Owned(encoded[..encoded.find(['?', '#']).unwrap_or(end)].into()),
                    Some(why),
                ))
            }
            None => Ok((encoded, None)),
        },
        Effect::Redirect(_) => Ok((encoded, None)),
    }
}

/// Percent-encodes the characters that browsers encode, too (URL standard, path percent-encode
/// set).
fn encoded(to: &str) -> Cow<'_, str> {
    let is_kept = |c: char| c.is_ascii_graphic() && !"\"<>^`{|}".contains(c);
    if to.chars().all(is_kept) {
        return Cow::Borrowed(to);
    }
    let mut text = String::new();
    for c in to.chars() {
        if is_kept(c) {
            text.push(c);
            continue;
        }
        for octet in c.encode_utf8(&mut [0; 4]).bytes() {
            write!(text, "%{octet:02X}").expect("writing to a string doesn't fail");
        }
    }
    Cow::Owned(text)
}

/// Refuses URIs whose host is missing or ambiguous. Placeholders in it are refused before.
fn check_host(to: &str) -> Result<(), &'static str> {
    let Some(authority) = authority(to) else { return Ok(()) };
    if authority.contains('@') {
        return Err("a Location must not have userinfo before its host (RFC 9110 4.2.4)");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    // Browsers skip any number of slashes (WHATWG URL, "special authority ignore slashes state"),
    // so the first segment of the path would become the host.
    if host.is_empty() {
        return Err("the host is missing after the slashes");
    }
    if !port.is_empty() && port.parse::<u16>().is_err() {
        return Err("its port is not a number up to 65535");
    }
    Ok(())
}

/// Refuses a redirect from each of its paths to itself, whatever slash, query or fragment follows
/// it, and one to the same path of the same host with another scheme.
fn check_loop(
    from_text: &str,
    from: &Pattern,
    conditions: &Conditions,
    to: &str,
) -> Result<(), LineError> {
    // Without its parameters, the rule doesn't apply again.
    if !conditions.query.is_empty() {
        return Ok(());
    }
    let path = match (authority(to), &conditions.host) {
        (None, _) => to,
        (Some(authority), Some(host)) if is_host(host, authority) => {
            let start = to.find("://").map_or(0, |at| at + 3) + authority.len();
            if to[start..].starts_with('/') { &to[start..] } else { "/" }
        }
        (Some(_), _) => return Ok(()),
    };
    let path = path.split(['?', '#']).next().unwrap_or(path);
    if !is_identity(from, path) {
        return Ok(());
    }
    let why = if authority(to).is_none() {
        format!("{from_text} leads to itself")
    } else {
        format!(
            "{from_text} leads to itself with another scheme, which the server doesn't see; \
             redirect in the proxy that has the certificate"
        )
    };
    Err(LineError::LeftOut { why, is_harmless: true })
}

/// Whether a rule is for the host of a target, and for no other.
fn is_host(host: &HostPattern, authority: &str) -> bool {
    host.is_exact() && host.matches(Some(authority.as_bytes()))
}

/// The authority of a URI with a scheme.
fn authority(to: &str) -> Option<&str> {
    let (_, rest) = to.split_once("://").filter(|_| !to.starts_with('/'))?;
    rest.split(['/', '?', '#']).next()
}

/// Whether a target is the path of its pattern, as `/x/:splat` is for `/x/*`. A slash at the end
/// makes no difference: with it, a rule applies, too.
fn is_identity(from: &Pattern, to: &str) -> bool {
    let Ok(template) = Template::parse(to, from, TemplateKind::Path) else { return false };
    let path = from.filled(&|capture| format!("~{capture}").into_bytes());
    let Some(captures) = from.matches(&path) else { return false };
    let mut written = vec![0; path.len() * (CAPTURES_MAX + 1) + to.len()];
    let len = template.write(&captures, &mut written);
    len.is_some_and(|len| without_slash(&written[..len]) == without_slash(&path))
}

const STATUS_DEFAULT: u16 = 301;
/// Most rules.
const RULES_MAX: usize = 10_000;
/// Most rules with placeholders, which bounds the size of their index.
const PATTERNS_MAX: usize = 200;
/// Most rules with conditions, each of which a request may be compared with.
const CONDITIONAL_MAX: usize = 1_000;

#[cfg(test)]
mod tests;
