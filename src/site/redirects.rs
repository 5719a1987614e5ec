//! Redirects and rewrites, and the choice among them.
//!
//! A hash table has the rules without placeholders, and an index of texts the others. If several
//! rules match a path, the first of the file applies.

use super::index::PatternIndex;
use super::pattern::{Captures, Pattern, without_slash};
use super::template::Template;
use foldhash::fast::FixedState;
use std::collections::HashMap;

/// A rule: a redirect or a rewrite.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// Pattern of the request's path.
    pub from: Pattern,
    /// Target: a `Location`, or the path of a file.
    pub to: Template,
    /// Kind of the rule, with its status.
    pub effect: Effect,
    /// Whether the rule applies to paths with a file, too (`!`).
    pub forced: bool,
    /// Number of its line in `_redirects`, from 1.
    pub line: u32,
    /// Text of that line.
    pub text: Box<str>,
}

/// The kind of a rule, with its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A response with `Location` and this status, 3xx.
    Redirect(u16),
    /// The file of the target with this status.
    Rewrite(u16),
}

/// The rules of a site.
///
/// ```
/// use uringstatic::site::build::redirects::parse;
/// use uringstatic::site::redirects::Redirects;
///
/// let rules = parse("/a /b\n/a/* /c/:splat 302\n").expect("two valid rules");
/// let redirects = Redirects::new(rules);
/// let (rule, captures) = redirects.find(b"/a/x", false).expect("the second rule");
/// assert_eq!((rule.line, captures.values()), (2, &[&b"x"[..]][..]));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Redirects {
    rules: Box<[Redirect]>,
    forced: Index,
    others: Index,
    /// Paths of hidden files that no forced rule matches by itself.
    hidden: HashMap<Box<[u8]>, Hiding, FixedState>,
}

/// The forced rules or the others, by number.
#[derive(Clone, Debug, Default)]
struct Index {
    has_rules: bool,
    exact: HashMap<Box<[u8]>, u32, FixedState>,
    /// Length of the longest path in `exact`; longer paths are not looked up.
    exact_bytes_max: usize,
    patterns: PatternIndex,
}

/// The forced rule that hides a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hiding {
    /// Index of the rule.
    pub rule: u32,
    /// The path of the file that the rule matches.
    pub matched: Box<[u8]>,
}

impl Redirects {
    /// Indexes rules, which are in the order of their file.
    ///
    /// # Panics
    /// If there are 2^32 rules or more.
    #[must_use]
    pub fn new(rules: Vec<Redirect>) -> Self {
        let index = |forced| Index::new(&rules, forced);
        let (forced, others) = (index(true), index(false));
        Self { forced, others, rules: rules.into(), hidden: HashMap::default() }
    }

    /// Extends a forced rule to another path of the file that it hides. A forced rule that matches
    /// the path by itself takes precedence.
    pub fn hide(&mut self, path: &[u8], by: Hiding) {
        self.hidden.insert(path.into(), by);
    }

    /// Whether there are forced rules, or others.
    #[must_use]
    pub fn has(&self, forced: bool) -> bool {
        if forced { self.forced.has_rules } else { self.others.has_rules }
    }

    /// The first rule that applies to a decoded path, of the forced rules or of the others.
    #[must_use]
    pub fn find<'p>(
        &'p self,
        path: &'p [u8],
        forced: bool,
    ) -> Option<(&'p Redirect, Captures<'p>)> {
        let (number, captures) = self.find_number(path, forced)?;
        Some((&self.rules[number as usize], captures))
    }

    /// The same, with the index of the rule.
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

    /// Whether a rule other than `from` hides the file of a path.
    #[must_use]
    pub fn hides(&self, path: &[u8], from: u32) -> bool {
        !self.hidden.is_empty() && self.hidden.get(path).is_some_and(|by| by.rule != from)
    }

    /// All rules, in the order of their file.
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
            let number = u32::try_from(number).expect("there are fewer than 2^32 rules");
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

    /// The first rule that matches a path. The caller matches that rule again for its captures,
    /// since most paths have no rule.
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
    use super::super::template::TemplateKind;
    use super::*;

    fn rules(lines: &[&str]) -> Redirects {
        let rule = |(line, text): (usize, &&str)| {
            let (forced, text) = match text.strip_prefix('!') {
                Some(text) => (true, text),
                None => (false, *text),
            };
            let from = Pattern::parse(text).expect("a pattern");
            let to = Template::parse("/to", &from, TemplateKind::Location).expect("a template");
            let line = u32::try_from(line).expect("there are fewer than 2^32 rules");
            let effect = Effect::Redirect(301);
            Redirect { from, to, effect, forced, line, text: text.into() }
        };
        Redirects::new(lines.iter().enumerate().map(rule).collect())
    }

    #[test]
    fn first_rule_that_matches_applies() {
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
    fn rule_without_placeholders_keeps_its_place_among_patterns() {
        let rules = rules(&["/x/y", "/x/*"]);
        assert_eq!(rules.find(b"/x/y", false).map(|(rule, _)| rule.line), Some(0));
        assert_eq!(rules.find(b"/x/z", false).map(|(rule, _)| rule.line), Some(1));
    }
}
