//! `_redirects`, as static hosts have made it a convention: a line for each rule, with the path it
//! applies to, where it leads, and a status.
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
//! Without a status it is 301. 200, 404, 410 and 451 serve the other path's file with this status;
//! 301, 302, 303, 307 and 308 redirect. A rule applies only where there is no file, unless its
//! status ends in `!`.

use super::Problem;
use crate::site::pattern::Pattern;
use crate::site::redirects::{Effect, Redirect};
use crate::site::template::{Purpose, Template};

/// The name of the file, in the root.
pub const NAME: &str = "_redirects";

/// Reads the file.
///
/// # Errors
/// Every line that is wrong, with the reason.
pub fn parse(text: &str) -> Result<Vec<Redirect>, Vec<Problem>> {
    let mut rules = Vec::new();
    let mut problems = Vec::new();
    for (number, line) in super::lines(text) {
        match rule(line, number) {
            Ok(rule) => rules.push(rule),
            Err(why) => problems.push(Problem::at(NAME, number, why)),
        }
    }
    let patterns = rules.iter().filter(|rule| rule.from.exact().is_none()).count();
    if rules.len() > RULES_MAX || patterns > PATTERNS_MAX {
        problems.push(Problem::of(
            NAME,
            format!(
                "it has {} rules, {patterns} of them with placeholders; {RULES_MAX} and \
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
        return Err("write a path, where it leads, and a status".to_owned());
    };
    let (effect, forced) = match words.next() {
        None => (Effect::Redirect(STATUS_DEFAULT), false),
        Some(word) => effect(word).ok_or_else(|| explain_status(to_text, word))?,
    };
    if let Some(word) = words.next() {
        return Err(format!(
            "{word:?}: nothing may follow the status; conditions aren't known here"
        ));
    }
    let from = Pattern::parse(from_text).map_err(|why| format!("{from_text}: {why}"))?;
    check_target(to_text, effect)?;
    // A rewrite's path is looked up as a request's is, a redirect's is sent as it is.
    let purpose = match effect {
        Effect::Redirect(_) => Purpose::Location,
        Effect::Rewrite(_) => Purpose::Path,
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
        return format!("{to:?}: rules that look at the query aren't known here");
    }
    format!(
        "{word:?} is no status of a rule: 200, 301, 302, 303, 307, 308, 404, 410 and 451 are, with \
         or without ! behind them"
    )
}

/// What may stand in a `Location`, and for a rewrite what may be looked up.
fn check_target(to: &str, effect: Effect) -> Result<(), String> {
    if let Some(wrong) = to.chars().find(|c| !c.is_ascii_graphic() || "\"<>\\^`{|}".contains(*c)) {
        return Err(format!("{to}: {wrong:?} must be percent-encoded"));
    }
    let has_scheme = ["http://", "https://"].iter().any(|scheme| to.starts_with(scheme));
    match effect {
        Effect::Rewrite(_) if has_scheme => {
            Err(format!("{to}: another server's page would need a proxy; only redirect to it"))
        }
        Effect::Rewrite(_) if to.contains(['?', '#']) => {
            Err(format!("{to}: a file is named without a query or a fragment"))
        }
        // `//host` leads to another host, which is seldom meant.
        _ if to.starts_with("//") => Err(format!("{to}: write the scheme, as in https:{to}")),
        _ if to.starts_with('/') || has_scheme => Ok(()),
        _ => Err(format!("{to}: begin with a slash, http:// or https://")),
    }
}

/// Whether a target without a placeholder in its host has a host that it may name.
fn check_host(to: &str) -> Result<(), &'static str> {
    let Some((_, rest)) = to.split_once("://").filter(|_| !to.starts_with('/')) else {
        return Ok(());
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("a Location has no user before its host (RFC 9110 4.2.4)");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    // Browsers skip any number of slashes (WHATWG URL, "special authority ignore slashes state"),
    // so that what is meant for the path would be the host.
    if host.is_empty() {
        return Err("there is no host behind the slashes");
    }
    if !port.is_empty() && port.parse::<u16>().is_err() {
        return Err("its port isn't a number up to 65535");
    }
    Ok(())
}

/// Whether one path leads to itself, whatever query or fragment is put behind it.
fn leads_to_itself(from: &Pattern, to: &str) -> bool {
    let path = to.split(['?', '#']).next().unwrap_or(to);
    let to = Pattern::parse(path);
    from.exact().is_some() && to.is_ok_and(|to| to.exact() == from.exact())
}

const STATUS_DEFAULT: u16 = 301;
/// The most rules.
const RULES_MAX: usize = 10_000;
/// The most rules with placeholders: they are tried one by one.
const PATTERNS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read() {
        let text = "# all kinds\n\n/a /b\n  /c\t/d  302 \n/e/* https://x.example/:splat 308!\n\
                    /f /g.html 200 # why\n/h /i 404\r\n";
        let rules = parse(text).expect("right");
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
    fn what_is_wrong_is_said_with_its_line() {
        for (line, hint) in [
            ("/a", "write a path"),
            ("a /b", "begins with a slash"),
            ("/a b", "begin with a slash"),
            ("/a /b 201", "is no status"),
            ("/a /b 301 Country=de", "conditions"),
            ("/a id=:id /b 301", "the query"),
            ("/a /:x", "has no :x"),
            ("/a https://x.example/wiki/Special:Main", "write %3A"),
            ("/a?b=c /d", "no path has ?"),
            ("/a#b /d", "no path has #"),
            ("/a /b%2Fc 200", "escapes are not right"),
            ("/*/* /b", "one * only"),
            ("/a https://x.example/ 200", "proxy"),
            ("/a /b?c 200", "without a query"),
            ("/a //x.example/", "https://x.example/"),
            ("/* https://x.example:splat", ":splat is a part of the host"),
            ("/* https://:splat/", ":splat is a part of the host"),
            ("/* https://a@:splat/", ":splat is a part of the host"),
            ("/* https://:splat.x.example/", ":splat is a part of the host"),
            ("/* https:///:splat", "no host"),
            ("/* https://:80/:splat", "no host"),
            ("/a https://b@x.example/", "RFC 9110"),
            ("/a https://x.example:99999/", "its port"),
            ("/a /ä", "percent-encoded"),
            ("/a /a", "leads to itself"),
            ("/a/ /a", "leads to itself"),
            ("/a%20b /a%20b?c", "leads to itself"),
        ] {
            let problems = parse(&format!("# one\n{line}\n")).expect_err(line);
            let said = problems[0].to_string();
            assert_eq!(problems.len(), 1, "{line}");
            assert!(said.starts_with("_redirects:2: ") && said.contains(hint), "{line}: {said}");
        }
    }

    #[test]
    fn there_is_a_limit() {
        let many = "/* /x\n".repeat(PATTERNS_MAX + 1);
        assert!(parse(&many).is_err());
        assert!(parse(&many[6..]).is_ok());
    }
}
