//! Lines of `_headers` without an effect on any response that is known at start.

use super::fields::FieldList;
use super::problem::Problem;
use super::rule_files::HEADERS;
use super::site_plan::SitePlan;
use crate::site::field_class::ResponseKind;
use crate::site::field_rules::{FieldRules, MatchedBlocks};
use std::collections::HashSet;

/// The blocks that apply to a path, and the lines that have an effect on one.
#[derive(Debug, Default)]
pub(super) struct Effects {
    known: HashSet<(usize, MatchedBlocks)>,
    blocks: HashSet<u32>,
    lines: HashSet<u32>,
}

impl Effects {
    /// Takes the blocks of a path into account; `number` stands for the defaults.
    pub(super) fn add(
        &mut self,
        rules: &FieldRules,
        matched: MatchedBlocks,
        number: usize,
        defaults: &FieldList,
    ) {
        if matched.is_empty() || !self.known.insert((number, matched)) {
            return;
        }
        self.blocks.extend(matched.numbers());
        if rules.excess(&matched, ResponseKind::File).is_none() {
            let has_default = |name: &str| defaults.value(name).is_some();
            self.lines.extend(rules.effective_lines(&matched, ResponseKind::File, has_default));
        }
    }

    /// A warning for each pattern that matches no path, and for each line without effect.
    pub(super) fn warnings(&self, rules: &FieldRules, plan: &SitePlan) -> Vec<Problem> {
        let mut warnings = Vec::new();
        for (number, block) in (0..).zip(rules.blocks()) {
            if !self.blocks.contains(&number) {
                if plan.fallback.is_none() && !may_be_requested(rules, number, plan) {
                    let why = "no path of the site matches this pattern".to_owned();
                    warnings.push(Problem::at(HEADERS, block.line, why));
                }
                continue;
            }
            for operation in rules.operations_of(number) {
                if self.lines.contains(&operation.line) {
                    continue;
                }
                let name = &operation.name;
                let why = match &operation.value {
                    Some(_) => format!("{name} is never sent: a later line removes or replaces it"),
                    None => format!("! {name} removes nothing: no line above it adds that field"),
                };
                warnings.push(Problem::at(HEADERS, operation.line, why));
            }
        }
        warnings
    }
}

/// Whether a rule of `_redirects` answers a path that the pattern matches, as far as a path made
/// from either of them shows it.
fn may_be_requested(rules: &FieldRules, block: u32, plan: &SitePlan) -> bool {
    let pattern = &rules.blocks()[block as usize].pattern;
    let fill = |_: usize| b"x".to_vec();
    let path = pattern.filled(&fill);
    plan.redirects.rules().iter().any(|rule| {
        rule.from.matches(&path).is_some() || pattern.matches(&rule.from.filled(&fill)).is_some()
    })
}
