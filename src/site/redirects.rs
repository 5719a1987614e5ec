//! The rules that send a path elsewhere: which one applies, and where to.
//!
//! Rules without placeholders are found at once, however many they are, and the others by an index
//! of their texts. Where several apply, the first one of the file counts.

use super::index::PatternIndex;
use super::pattern::{Captures, Pattern, without_slash};
use super::template::Template;
use foldhash::fast::FixedState;
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
    /// Paths of files that a forced rule hides.
    hidden: HashMap<Box<[u8]>, Hiding, FixedState>,
}

/// The rules of one kind, by number.
#[derive(Clone, Debug, Default)]
struct Index {
    has_rules: bool,
    exact: HashMap<Box<[u8]>, u32, FixedState>,
    /// No longer path is looked for among them.
    exact_bytes_max: usize,
    patterns: PatternIndex,
}

/// A forced rule that hides a file, and the path of the file that the rule matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hiding {
    /// The rule's number.
    pub rule: u32,
    /// The path.
    pub matched: Box<[u8]>,
}

impl Redirects {
    /// Rules in the order of their file.
    ///
    /// # Panics
    /// If there are 2^32 or more.
    #[must_use]
    pub fn new(rules: Vec<Redirect>) -> Self {
        let index = |forced| Index::new(&rules, forced);
        let (forced, others) = (index(true), index(false));
        Self { forced, others, rules: rules.into(), hidden: HashMap::default() }
    }

    /// Has a forced rule apply to a path of a file that it hides, if none does by itself.
    pub fn hide(&mut self, path: &[u8], by: Hiding) {
        self.hidden.insert(path.into(), by);
    }

    /// Whether there are rules that apply even where there is a file, or others.
    #[must_use]
    pub fn has(&self, forced: bool) -> bool {
        if forced { self.forced.has_rules } else { self.others.has_rules }
    }

    /// The first rule that applies to a decoded path: of those that apply even where there is a
    /// file, or of the others.
    #[must_use]
    pub fn find<'p>(
        &'p self,
        path: &'p [u8],
        forced: bool,
    ) -> Option<(&'p Redirect, Captures<'p>)> {
        let (number, captures) = self.find_number(path, forced)?;
        Some((&self.rules[number as usize], captures))
    }

    /// The same, with the rule's number.
    #[must_use]
    pub fn find_number<'p>(&'p self, path: &'p [u8], forced: bool) -> Option<(u32, Captures<'p>)> {
        let index = if forced { &self.forced } else { &self.others };
        let (number, matched) = match index.find(path, &self.rules) {
            Some(number) => (number, path),
            None if !forced || self.hidden.is_empty() => return None,
            None => {
                let Hiding { rule, matched } = self.hidden.get(path)?;
                (*rule, &**matched)
            }
        };
        Some((number, self.rules[number as usize].from.matches(matched)?))
    }

    /// Whether a path is one of a file that another rule than this one hides.
    #[must_use]
    pub fn hides(&self, path: &[u8], from: u32) -> bool {
        !self.hidden.is_empty() && self.hidden.get(path).is_some_and(|by| by.rule != from)
    }

    /// All of them.
    #[must_use]
    pub fn rules(&self) -> &[Redirect] {
        &self.rules
    }
}

impl Index {
    fn new(rules: &[Redirect], forced: bool) -> Self {
        let mut exact = HashMap::default();
        let mut exact_bytes_max = 0;
        let mut patterns = Vec::new();
        for (number, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.forced == forced) {
            let number = u32::try_from(number).expect("rules are few");
            match rule.from.exact() {
                Some(path) => {
                    exact_bytes_max = exact_bytes_max.max(path.len());
                    exact.entry(path.into()).or_insert(number);
                }
                None => patterns.push((number, &rule.from)),
            }
        }
        let has_rules = !exact.is_empty() || !patterns.is_empty();
        let patterns = PatternIndex::new(patterns.into_iter());
        Self { has_rules, exact, exact_bytes_max, patterns }
    }

    /// The first rule that matches a path. What it captures is found again for the one that counts:
    /// most paths have none.
    fn find(&self, path: &[u8], rules: &[Redirect]) -> Option<u32> {
        let exact = without_slash(path);
        let is_short = exact.len() <= self.exact_bytes_max;
        let mut first = if is_short { self.exact.get(exact).copied() } else { None };
        self.patterns.candidates(path, &mut |number| {
            let is_earlier = first.is_none_or(|first| number < first);
            if is_earlier && rules[number as usize].from.matches(path).is_some() {
                first = Some(number);
            }
        });
        first
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
