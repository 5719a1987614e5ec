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
//! ```
//!
//! The default status is 301. 301, 302, 303, 307 and 308 redirect; 200, 404, 410 and 451 serve the
//! file of the target's path with that status. A rule applies to paths without a file; with `!`
//! after the status, it applies to all paths.

use super::problem::Problem;
use super::rule_files::{REDIRECTS, lines};
use crate::site::pattern::Pattern;
use crate::site::redirects::{Effect, Redirect};
use crate::site::template::{Template, TemplateKind};

/// Parses the text of the file.
///
/// # Errors
/// A problem for every malformed line.
///
/// ```
/// use uringstatic::site::build::redirects::parse;
///
/// let rules = parse("/blog/* /archive/:splat 302\n").expect("one valid rule");
/// assert!(rules[0].from.matches(b"/blog/2010/a").is_some());
/// let problems = parse("/old /old").expect_err("a redirect to itself");
/// assert_eq!(problems[0].to_string(), "_redirects:1: /old leads to itself");
/// ```
pub fn parse(text: &str) -> Result<Vec<Redirect>, Vec<Problem>> {
    let mut rules = Vec::new();
    let mut problems = Vec::new();
    for (number, line) in lines(text) {
        match rule(line, number) {
            Ok(rule) => rules.push(rule),
            Err(why) => problems.push(Problem::at(REDIRECTS, number, why)),
        }
    }
    let patterns = rules.iter().filter(|rule| rule.from.exact().is_none()).count();
    if rules.len() > RULES_MAX || patterns > PATTERNS_MAX {
        problems.push(Problem::of(
            REDIRECTS,
            format!(
                "it has {} rules, {patterns} of them with placeholders; at most {RULES_MAX} and \
                 {PATTERNS_MAX} are allowed",
                rules.len()
            ),
        ));
    }
    if problems.is_empty() { Ok(rules) } else { Err(problems) }
}

fn rule(line: &str, number: u32) -> Result<Redirect, String> {
    let mut words = line.split_ascii_whitespace().take_while(|word| !word.starts_with('#'));
    let (Some(from_text), Some(to_text)) = (words.next(), words.next()) else {
        return Err("write a path, a target and a status".to_owned());
    };
    let (effect, forced) = match words.next() {
        None => (Effect::Redirect(STATUS_DEFAULT), false),
        Some(word) => effect(word).ok_or_else(|| explain_status(to_text, word))?,
    };
    if let Some(word) = words.next() {
        return Err(format!(
            "{word:?}: nothing may follow the status; conditions are not supported"
        ));
    }
    let from = Pattern::parse(from_text).map_err(|why| format!("{from_text}: {why}"))?;
    check_target(to_text, effect)?;
    // The path of a rewrite is looked up like that of a request; a Location is sent as it is.
    let purpose = match effect {
        Effect::Redirect(_) => TemplateKind::Location,
        Effect::Rewrite(_) => TemplateKind::Path,
    };
    let to = Template::parse(to_text, &from, purpose).map_err(|why| format!("{to_text}: {why}"))?;
    check_host(to_text).map_err(|why| format!("{to_text}: {why}"))?;
    if matches!(effect, Effect::Redirect(_)) && leads_to_itself(&from, to_text) {
        return Err(format!("{from_text} leads to itself"));
    }
    Ok(Redirect { from, to, effect, forced, line: number, text: line.trim().into() })
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

fn explain_status(to: &str, word: &str) -> String {
    if to.contains('=') && !to.starts_with('/') {
        return format!("{to:?}: rules that match the query are not supported");
    }
    format!(
        "{word:?} is no status of a rule; use 200, 301, 302, 303, 307, 308, 404, 410 or 451, with \
         or without ! after it"
    )
}

/// Refuses targets that are malformed as a `Location`, or as a path to be looked up.
fn check_target(to: &str, effect: Effect) -> Result<(), String> {
    if let Some(wrong) = to.chars().find(|c| !c.is_ascii_graphic() || "\"<>\\^`{|}".contains(*c)) {
        return Err(format!("{to}: {wrong:?} must be percent-encoded"));
    }
    let has_scheme = ["http://", "https://"].iter().any(|scheme| to.starts_with(scheme));
    match effect {
        Effect::Rewrite(_) if has_scheme => {
            Err(format!("{to}: serving another host's page needs a proxy; use a redirect"))
        }
        Effect::Rewrite(_) if to.contains(['?', '#']) => {
            Err(format!("{to}: the path of a file has no query and no fragment"))
        }
        // `//host` names another host (RFC 3986 4.2), which is seldom meant.
        _ if to.starts_with("//") => Err(format!("{to}: write the scheme, as in https:{to}")),
        _ if to.starts_with('/') || has_scheme => Ok(()),
        _ => Err(format!("{to}: a target must begin with a slash, http:// or https://")),
    }
}

/// Refuses URIs whose host is missing or ambiguous. Placeholders in it are refused before.
fn check_host(to: &str) -> Result<(), &'static str> {
    let Some((_, rest)) = to.split_once("://").filter(|_| !to.starts_with('/')) else {
        return Ok(());
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
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

/// Whether a path without placeholders leads to itself, whatever query or fragment follows it.
fn leads_to_itself(from: &Pattern, to: &str) -> bool {
    let path = to.split(['?', '#']).next().unwrap_or(to);
    let to = Pattern::parse(path);
    from.exact().is_some() && to.is_ok_and(|to| to.exact() == from.exact())
}

const STATUS_DEFAULT: u16 = 301;
/// Most rules.
const RULES_MAX: usize = 10_000;
/// Most rules with placeholders, which bounds the size of their index.
const PATTERNS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_a_line_a_status_and_a_target() {
        let text = "# all kinds\n\n/a /b\n  /c\t/d  302 \n/e/* https://x.example/:splat 308!\n\
                    /f /g.html 200 # why\n/h /i 404\r\n";
        let rules = parse(text).expect("the rules are valid");
        let seen: Vec<_> = rules.iter().map(|rule| (rule.line, rule.effect, rule.forced)).collect();
        assert_eq!(
            seen,
            [
                (3, Effect::Redirect(301), false),
                (4, Effect::Redirect(302), false),
                (5, Effect::Redirect(308), true),
                (6, Effect::Rewrite(200), false),
                (7, Effect::Rewrite(404), false),
            ]
        );
        assert_eq!(rules[0].to.fixed(), Some(&b"/b"[..]));
    }

    #[test]
    fn problems_name_the_line_and_the_reason() {
        for (line, hint) in [
            ("/a", "write a path"),
            ("a /b", "begins with a slash"),
            ("/a b", "begin with a slash"),
            ("/a /b 201", "is no status"),
            ("/a /b 301 Country=de", "conditions"),
            ("/a id=:id /b 301", "match the query"),
            ("/a /:x", "has no :x"),
            ("/a https://x.example/wiki/Special:Main", "write %3A"),
            ("/a?b=c /d", "no path has ?"),
            ("/a#b /d", "no path has #"),
            ("/a /b%2Fc 200", "an escape is malformed"),
            ("/*/* /b", "at most one *"),
            ("/a https://x.example/ 200", "proxy"),
            ("/a /b?c 200", "no query"),
            ("/a //x.example/", "https://x.example/"),
            ("/* https://x.example:splat", ":splat is part of the host"),
            ("/* https://:splat/", ":splat is part of the host"),
            ("/* https://a@:splat/", ":splat is part of the host"),
            ("/* https://:splat.x.example/", ":splat is part of the host"),
            ("/* https:///:splat", "host is missing"),
            ("/* https://:80/:splat", "host is missing"),
            ("/a https://b@x.example/", "RFC 9110"),
            ("/a https://x.example:99999/", "its port"),
            ("/a /ä", "percent-encoded"),
            ("/a /a", "leads to itself"),
            ("/a/ /a", "leads to itself"),
            ("/a%20b /a%20b?c", "leads to itself"),
        ] {
            let problems = parse(&format!("# one\n{line}\n")).expect_err(line);
            let message = problems[0].to_string();
            assert_eq!(problems.len(), 1, "{line}");
            assert!(
                message.starts_with("_redirects:2: ") && message.contains(hint),
                "{line}: {message}"
            );
        }
    }

    #[test]
    fn rules_with_placeholders_over_the_limit_are_an_error() {
        let many = "/* /x\n".repeat(PATTERNS_MAX + 1);
        assert!(parse(&many).is_err());
        assert!(parse(&many[6..]).is_ok());
    }
}
