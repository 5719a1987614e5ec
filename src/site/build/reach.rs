//! The rules of `_redirects` that never apply, because a file or an earlier rule has their paths.

use super::escape::escaped;
use super::problem::Problem;
use super::rule_files::REDIRECTS;
use super::site_plan::SitePlan;
use crate::site::conditions::RequestConditions;
use crate::site::pattern::Captures;
use crate::site::redirects::Redirect;
use std::collections::HashSet;

/// Adds a warning for each rule that never applies.
pub(super) fn warn(plan: &mut SitePlan) {
    let paths: HashSet<&[u8]> = plan.routes.iter().map(|route| &*route.path).collect();
    let mut warnings = Vec::new();
    for (number, rule) in (0..).zip(plan.redirects.rules()) {
        let covering = covering(plan, number, rule);
        let literal = literal_path(rule).filter(|path| !rule.forced && paths.contains(&**path));
        let why = match (covering, literal) {
            (Some(line), _) => {
                let from = rule.text.split_ascii_whitespace().next().unwrap_or_default();
                format!("{from} never applies: line {line} covers its paths")
            }
            (None, Some(path)) => format!(
                "{} never applies: the root has that path, and only rules with ! after the status \
                 take precedence",
                escaped(&path)
            ),
            (None, None) => continue,
        };
        warnings.push(Problem::at(REDIRECTS, rule.line, why));
    }
    plan.warnings.extend(warnings);
}

/// The line of a rule without conditions that takes precedence over another on all of its paths,
/// as far as samples show: with a short and with a long text for the splat, and with none.
fn covering(plan: &SitePlan, number: u32, rule: &Redirect) -> Option<u32> {
    let request = RequestConditions::default();
    let mut covering = None;
    for splat in ["~s", "~s/~t/~u", ""] {
        let fill = |capture: usize| {
            let is_splat = rule.from.is_splat(capture);
            if is_splat { splat.as_bytes().to_vec() } else { format!("~{capture}").into_bytes() }
        };
        let path = rule.from.filled(&fill);
        let mut is_sent = |rule: &Redirect, _: &Captures<'_>| !rule.may_cycle;
        let mut find = |forced| plan.redirects.find(&path, forced, &request, &mut is_sent).rule;
        let earlier =
            |found: Option<(u32, _)>| found.map(|(found, _)| found).filter(|&found| found < number);
        let found = if rule.forced {
            earlier(find(true))
        } else {
            find(true).map(|(found, _)| found).or_else(|| earlier(find(false)))
        };
        let line = plan.redirects.rules()[found? as usize].line;
        covering.get_or_insert(line);
    }
    covering
}

/// The path of a rule without placeholders, with the slash at its end if the rule has one.
fn literal_path(rule: &Redirect) -> Option<Vec<u8>> {
    let mut path = rule.from.exact()?.to_vec();
    let written = rule.text.split_ascii_whitespace().next()?;
    if written.ends_with('/') && path.len() > 1 {
        path.push(b'/');
    }
    Some(path)
}
