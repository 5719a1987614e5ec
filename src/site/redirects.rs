//! The rules that send a path elsewhere: which one applies, and where to.
//!
//! Rules without placeholders are found at once, however many they are; the others are tried in
//! their order. Where several apply, the first one of the file counts.

use super::pattern::{Captures, Pattern, without_slash};
use super::template::Template;
use std::collections::HashMap;

/// One rule.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// Where it applies.
    pub from: Pattern,
    /// Where it leads.
    pub to: Template,
    /// What it makes of a request.
    pub effect: Effect,
    /// It applies even where there is a file.
    pub forced: bool,
    /// Its line in the file.
    pub line: u32,
    /// That line.
    pub text: Box<str>,
}

/// What a rule makes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// `Location` with this status, 3xx.
    Redirect(u16),
    /// What the other path has, with this status.
    Rewrite(u16),
}

/// All rules, in the order of their file.
#[derive(Clone, Debug, Default)]
pub struct Redirects {
    rules: Box<[Redirect]>,
    forced: Index,
    others: Index,
}

/// The rules of one kind, by number.
#[derive(Clone, Debug, Default)]
struct Index {
    exact: HashMap<Box<[u8]>, u32>,
    patterns: Box<[u32]>,
}

impl Redirects {
    /// Rules in the order of their file.
    ///
    /// # Panics
    /// If there are 2^32 or more.
    #[must_use]
    pub fn new(rules: Vec<Redirect>) -> Self {
        let index = |forced| Index::new(&rules, forced);
        Self { forced: index(true), others: index(false), rules: rules.into() }
    }

    /// The first rule that applies to a decoded path: of those that apply even where there is a
    /// file, or of the others.
    #[must_use]
    pub fn find<'p>(&self, path: &'p [u8], forced: bool) -> Option<(&Redirect, Captures<'p>)> {
        let index = if forced { &self.forced } else { &self.others };
        let exact = index.exact.get(without_slash(path)).copied();
        for &number in &index.patterns {
            if exact.is_some_and(|exact| exact < number) {
                break;
            }
            let rule = &self.rules[number as usize];
            if let Some(captures) = rule.from.matches(path) {
                return Some((rule, captures));
            }
        }
        Some((&self.rules[exact? as usize], Captures::default()))
    }

    /// All of them.
    #[must_use]
    pub fn rules(&self) -> &[Redirect] {
        &self.rules
    }
}

impl Index {
    fn new(rules: &[Redirect], forced: bool) -> Self {
        let mut exact = HashMap::new();
        let mut patterns = Vec::new();
        for (number, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.forced == forced) {
            let number = u32::try_from(number).expect("rules are few");
            match rule.from.exact() {
                Some(path) => {
                    exact.entry(path.into()).or_insert(number);
                }
                None => patterns.push(number),
            }
        }
        Self { exact, patterns: patterns.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::template::Purpose;
    use super::*;

    fn rules(lines: &[&str]) -> Redirects {
        let rule = |(line, text): (usize, &&str)| {
            let (forced, text) = match text.strip_prefix('!') {
                Some(text) => (true, text),
                None => (false, *text),
            };
            let from = Pattern::parse(text).expect("a pattern");
            let to = Template::parse("/to", &from, Purpose::Location).expect("a template");
            let line = u32::try_from(line).expect("few");
            let effect = Effect::Redirect(301);
            Redirect { from, to, effect, forced, line, text: text.into() }
        };
        Redirects::new(lines.iter().enumerate().map(rule).collect())
    }

    #[test]
    fn the_first_rule_that_applies_counts() {
        let rules = rules(&["/a", "/a/*", "/b/*", "/b/c", "/b/c", "!/f", "!/:x/f", "/f"]);
        let line =
            |path: &str, forced| rules.find(path.as_bytes(), forced).map(|(rule, _)| rule.line);
        for (path, forced, expected) in [
            ("/a", false, Some(0)),
            ("/a/", false, Some(0)),
            ("/a/b", false, Some(1)),
            ("/b/c", false, Some(2)),
            ("/c", false, None),
            ("/f", false, Some(7)),
            ("/f", true, Some(5)),
            ("/y/f", true, Some(6)),
            ("/y/f", false, None),
            ("/a", true, None),
        ] {
            assert_eq!(line(path, forced), expected, "{path} {forced}");
        }
    }

    #[test]
    fn an_exact_rule_comes_before_later_patterns() {
        let rules = rules(&["/x/y", "/x/*"]);
        assert_eq!(rules.find(b"/x/y", false).map(|(rule, _)| rule.line), Some(0));
        assert_eq!(rules.find(b"/x/z", false).map(|(rule, _)| rule.line), Some(1));
    }
}
