//! Redirects and rewrites, and the choice among them.
//!
//! A hash table has the rules without placeholders, and an index of texts the others. If several
//! rules match a path, the first of the file applies whose conditions hold and that isn't skipped.

use super::conditions::{Conditions, Evaluation, RequestConditions};
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
    /// Host, parameters and languages that the request must have.
    pub conditions: Conditions,
    /// Whether redirects may lead from this one back to it: then it is sent only if the site has
    /// its target.
    pub may_cycle: bool,
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
/// use uringstatic::site::conditions::RequestConditions;
/// use uringstatic::site::redirects::Redirects;
///
/// let redirects = Redirects::new(parse("/a /b\n/a/* /c/:splat 302\n").rules);
/// let request = RequestConditions::default();
/// let found = redirects.find(b"/a/x", false, &request, &mut |_, _| true);
/// let (number, captures) = found.rule.expect("the second rule");
/// assert_eq!((number, captures.values()), (1, &[&b"x"[..]][..]));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Redirects {
    rules: Box<[Redirect]>,
    forced: Index,
    others: Index,
    /// Paths of hidden files with the forced rules that match another path of the file, in their
    /// order. The last one has no conditions, or all have some.
    hidden: HashMap<Box<[u8]>, Box<[Hiding]>, FixedState>,
    /// The next rule without placeholders for the same path, by the number of a rule; its own
    /// number if there is none.
    next: Box<[u32]>,
}

/// The rule that applies to a request, if there is one.
#[derive(Clone, Copy, Debug)]
pub struct RuleMatch<'p> {
    /// Index of the rule, and the captures of the path and of the query.
    pub rule: Option<(u32, Captures<'p>)>,
    /// Whether the preferred language of the request was compared for this.
    pub by_language: bool,
}

/// The forced rules or the others, by number.
#[derive(Clone, Debug, Default)]
struct Index {
    has_rules: bool,
    /// The first rule for each path without placeholders.
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

/// Decides whether a rule that matches is sent, by its captures.
pub type IsSent<'a> = &'a mut dyn FnMut(&Redirect, &Captures<'_>) -> bool;

impl Redirects {
    /// Indexes rules, which are in the order of their file.
    ///
    /// # Panics
    /// If there are 2^32 rules or more.
    #[must_use]
    pub fn new(rules: Vec<Redirect>) -> Self {
        let count = u32::try_from(rules.len()).expect("there are fewer than 2^32 rules");
        let mut next: Vec<u32> = (0..count).collect();
        let mut index = |forced| Index::new(&rules, forced, &mut next);
        let (forced, others) = (index(true), index(false));
        let hidden = HashMap::default();
        Self { forced, others, rules: rules.into(), hidden, next: next.into() }
    }

    /// Extends forced rules to another path of the file that they hide. A forced rule that matches
    /// the path by itself takes precedence.
    pub fn hide(&mut self, path: &[u8], by: Box<[Hiding]>) {
        self.hidden.insert(path.into(), by);
    }

    /// Marks rules from which redirects may lead back to them.
    pub fn mark_cycles(&mut self, numbers: impl Iterator<Item = u32>) {
        for number in numbers {
            self.rules[number as usize].may_cycle = true;
        }
    }

    /// Whether there are forced rules, or others.
    #[must_use]
    pub fn has(&self, forced: bool) -> bool {
        if forced { self.forced.has_rules } else { self.others.has_rules }
    }

    /// The first rule that applies to a request for a decoded path, of the forced rules or of the
    /// others. `is_sent` may skip a rule, as if it weren't there.
    #[must_use]
    pub fn find<'p>(
        &'p self,
        path: &'p [u8],
        forced: bool,
        request: &RequestConditions<'p>,
        is_sent: IsSent<'_>,
    ) -> RuleMatch<'p> {
        let index = if forced { &self.forced } else { &self.others };
        let mut search = RuleSearch {
            rules: &self.rules,
            evaluation: Evaluation::new(request),
            is_sent,
            found: None,
            by_language: None,
        };
        let mut number = index.exact(path);
        while let Some(exact) = number {
            search.consider(exact, path);
            let next = self.next[exact as usize];
            number = Some(next).filter(|&next| next != exact && search.found.is_none());
        }
        index.patterns.candidates(path, &mut |number| search.consider(number, path));
        if forced && search.found.is_none() && !self.hidden.is_empty() {
            for hiding in self.hidden.get(path).into_iter().flatten() {
                search.consider(hiding.rule, &hiding.matched);
            }
        }
        search.finished()
    }

    /// The forced rules that may apply to a path, in their order, up to the first one without
    /// conditions.
    #[must_use]
    pub fn forced_rules(&self, path: &[u8]) -> Vec<u32> {
        let mut numbers = Vec::new();
        let mut number = self.forced.exact(path);
        while let Some(exact) = number {
            numbers.push(exact);
            number = Some(self.next[exact as usize]).filter(|&next| next != exact);
        }
        self.forced.patterns.candidates(path, &mut |number| {
            if self.rules[number as usize].from.matches(path).is_some() {
                numbers.push(number);
            }
        });
        numbers.sort_unstable();
        let is_last = |number: &u32| self.rules[*number as usize].conditions.is_empty();
        let end = numbers.iter().position(is_last).map_or(numbers.len(), |last| last + 1);
        numbers.truncate(end);
        numbers
    }

    /// Whether a rule other than `from` hides the file of a path from a request.
    #[must_use]
    pub fn hides(&self, path: &[u8], from: u32, request: &RequestConditions<'_>) -> bool {
        if self.hidden.is_empty() {
            return false;
        }
        let hidings = self.hidden.get(path).into_iter().flatten();
        let mut evaluation = Evaluation::new(request);
        hidings.filter(|hiding| hiding.rule != from).any(|hiding| {
            let conditions = &self.rules[hiding.rule as usize].conditions;
            evaluation.holds_but_language(conditions, &mut Captures::default())
                && evaluation.holds_language(conditions)
        })
    }

    /// Whether a rule has a language as its condition.
    #[must_use]
    pub fn have_languages(&self) -> bool {
        self.rules.iter().any(|rule| !rule.conditions.languages.is_empty())
    }

    /// All rules, in the order of their file.
    #[must_use]
    pub fn rules(&self) -> &[Redirect] {
        &self.rules
    }
}

/// A search for the first rule that applies, among candidates in any order.
struct RuleSearch<'p, 's> {
    rules: &'p [Redirect],
    evaluation: Evaluation<'p>,
    is_sent: IsSent<'s>,
    found: Option<(u32, Captures<'p>)>,
    /// The first rule that compared the language.
    by_language: Option<u32>,
}

impl<'p> RuleSearch<'p, '_> {
    /// Tries a rule on a path, unless an earlier one was found.
    fn consider(&mut self, number: u32, path: &'p [u8]) {
        if self.found.is_some_and(|(found, _)| found <= number) {
            return;
        }
        let rule = &self.rules[number as usize];
        let Some(mut captures) = rule.from.matches(path) else { return };
        if !rule.conditions.is_empty() {
            if !self.evaluation.holds_but_language(&rule.conditions, &mut captures) {
                return;
            }
            if !rule.conditions.languages.is_empty() {
                self.by_language = Some(self.by_language.map_or(number, |by| by.min(number)));
                if !self.evaluation.holds_language(&rule.conditions) {
                    return;
                }
            }
        }
        if (self.is_sent)(rule, &captures) {
            self.found = Some((number, captures));
        }
    }

    fn finished(self) -> RuleMatch<'p> {
        let found = self.found.map_or(u32::MAX, |(found, _)| found);
        RuleMatch { rule: self.found, by_language: self.by_language.is_some_and(|by| by <= found) }
    }
}

impl Index {
    /// Indexes the forced rules, or the others. Rules for the same path are linked by `next`.
    fn new(rules: &[Redirect], forced: bool, next: &mut [u32]) -> Self {
        let mut exact: HashMap<Box<[u8]>, u32, FixedState> = HashMap::default();
        let mut last: HashMap<&[u8], u32> = HashMap::new();
        let mut exact_bytes_max = 0;
        let mut patterns = Vec::new();
        for (number, rule) in (0..).zip(rules).filter(|(_, rule)| rule.forced == forced) {
            match rule.from.exact() {
                Some(path) => {
                    exact_bytes_max = exact_bytes_max.max(path.len());
                    exact.entry(path.into()).or_insert(number);
                    if let Some(before) = last.insert(path, number) {
                        next[before as usize] = number;
                    }
                }
                None => patterns.push((number, &rule.from)),
            }
        }
        let has_rules = !exact.is_empty() || !patterns.is_empty();
        let patterns = PatternIndex::new(patterns.into_iter());
        Self { has_rules, exact, exact_bytes_max, patterns }
    }

    /// The first rule without placeholders for a path.
    fn exact(&self, path: &[u8]) -> Option<u32> {
        let exact = without_slash(path);
        if exact.len() > self.exact_bytes_max {
            return None;
        }
        self.exact.get(exact).copied()
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
            let (conditions, may_cycle) = (Conditions::default(), false);
            Redirect { from, to, effect, forced, conditions, may_cycle, line, text: text.into() }
        };
        Redirects::new(lines.iter().enumerate().map(rule).collect())
    }

    fn line(rules: &Redirects, path: &str, forced: bool) -> Option<u32> {
        let request = RequestConditions::default();
        let found = rules.find(path.as_bytes(), forced, &request, &mut |_, _| true).rule;
        found.map(|(number, _)| rules.rules()[number as usize].line)
    }

    #[test]
    fn first_rule_that_matches_applies() {
        let rules = rules(&["/a", "/a/*", "/b/*", "/b/c", "/b/c", "!/f", "!/:x/f", "/f"]);
        let line = |path: &str, forced| line(&rules, path, forced);
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
        assert_eq!(line(&rules, "/x/y", false), Some(0));
        assert_eq!(line(&rules, "/x/z", false), Some(1));
    }
}
