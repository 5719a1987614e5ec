//! The rules of `_redirects` against the paths of a site: the targets of rewrites are resolved to
//! files, and rules without one are left out.

use super::escape::escaped;
use super::listing::Listing;
use super::problem::Problem;
use super::redirects::{self, LeftOutLine, ParsedRedirects};
use super::rule_files::REDIRECTS;
use super::site_plan::{RouteKind, SitePlan};
use crate::site::pattern::Pattern;
use crate::site::redirects::{Effect, Redirect, Redirects};
use crate::site::template::Template;
use std::collections::HashMap;

/// Adds the rules of a text to a plan that has all its paths. A line that is left out is a problem
/// if it is forced and hides a file: without it, the file would be open.
pub(super) fn add_redirects(plan: &mut SitePlan, listing: &Listing, text: Option<&str>) {
    let ParsedRedirects { rules, mut left_out, problems, warnings } =
        redirects::parse(text.unwrap_or_default());
    plan.problems.extend(problems);
    plan.warnings.extend(warnings);
    let paths: HashMap<&[u8], &RouteKind> =
        plan.routes.iter().map(|route| (&*route.path, &route.kind)).collect();
    let mut resolved = Vec::with_capacity(rules.len());
    for rule in rules {
        match resolve(rule, &paths, listing) {
            Ok(rule) => resolved.push(rule),
            Err(line) => left_out.push(*line),
        }
    }
    left_out.sort_by_key(|line| line.problem.line());
    let mut open = Vec::new();
    for LeftOutLine { problem, hides } in left_out {
        match hides.and_then(|pattern| hidden_path(plan, &pattern)) {
            Some(path) => open.push((problem, path)),
            None => plan.left_out.push(problem),
        }
    }
    plan.problems.extend(open.into_iter().map(|(problem, path)| {
        problem.and(&format!("the rule hides {path}, so it can't be left out"))
    }));
    plan.redirects = Redirects::new(resolved);
}

/// A path of a file that a pattern matches, escaped.
fn hidden_path(plan: &SitePlan, pattern: &Pattern) -> Option<String> {
    let mut files = plan.routes.iter().filter(|route| matches!(route.kind, RouteKind::File(_)));
    files.find(|route| pattern.matches(&route.path).is_some()).map(|route| escaped(&route.path))
}

/// Resolves the target of a rewrite: the path of a folder is that of its index. A target with
/// placeholders is looked up for each request.
fn resolve(
    mut rule: Redirect,
    paths: &HashMap<&[u8], &RouteKind>,
    listing: &Listing,
) -> Result<Redirect, Box<LeftOutLine>> {
    let Effect::Rewrite(_) = rule.effect else { return Ok(rule) };
    let Some(path) = rule.to.fixed() else { return Ok(rule) };
    match paths.get(path) {
        Some(RouteKind::File(_)) => return Ok(rule),
        Some(RouteKind::Folder) => {
            rule.to = Template::literal(&[path, b"/"].concat());
            return Ok(rule);
        }
        None => {}
    }
    let name = path.strip_prefix(b"/").unwrap_or(path);
    let skipped = listing.skipped.named().iter().find(|skipped| skipped.name == name);
    let why = match skipped {
        Some(skipped) => format!("{} is left out: {}", escaped(path), skipped.why),
        None => format!("{}: the root has no such file", escaped(path)),
    };
    let hides = rule.forced.then(|| rule.from.clone());
    Err(Box::new(LeftOutLine { problem: Problem::at(REDIRECTS, rule.line, why), hides }))
}
