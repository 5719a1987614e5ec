//! The files that forced rules hide.
//!
//! A file has several paths (`/secret.html`, `/secret`; `/docs/`, `/docs`, `/docs/index`), and its
//! precompressed copies (`/secret.html.br`) have the same content. A forced rule that matches one
//! of these paths applies to all of them, unless it leads to the file itself, as
//! `/about.html /about 301!` does: such a rule only selects among the paths.

use super::copies::{PrecompressedCopy, copies};
use super::listing::Listing;
use super::site_plan::{RouteKind, SitePlan};
use crate::http::path;
use crate::site::pattern::Captures;
use crate::site::redirects::{Effect, Hiding, Redirect};
use std::collections::HashMap;

/// Extends forced rules to every path of the files that they hide. Returns the first rule of each
/// file that is hidden whatever the request is, by the file's index in the plan.
pub(super) fn hide(plan: &mut SitePlan, listing: &Listing) -> HashMap<usize, u32> {
    let is_open =
        |rule: &Redirect| matches!(rule.effect, Effect::Rewrite(_)) && rule.to.fixed().is_none();
    let rules = plan.redirects.rules();
    if !rules.iter().any(|rule| rule.forced) {
        return HashMap::new();
    }
    // Paths that a rule matches by itself are only needed if a placeholder can lead to them.
    let keeps_all = rules.iter().any(is_open);
    let is_always = |rule: &u32| rules[*rule as usize].conditions.is_empty();
    let mut hidden = hidings(plan);
    hide_codings(plan, listing, &mut hidden);
    let paths = Paths::new(plan);
    let mut found = Vec::new();
    for route in &plan.routes {
        let Some(hidings) = paths.file(&route.path).and_then(|file| hidden.get(&file)) else {
            continue;
        };
        if keeps_all || !plan.redirects.forced_rules(&route.path).iter().any(is_always) {
            found.push((&*route.path, hidings.clone().into_boxed_slice()));
        }
    }
    let always = hidden.iter().filter_map(|(&file, hidings)| {
        let mut rules = hidings.iter().map(|hiding| hiding.rule);
        Some((file, rules.find(is_always)?))
    });
    let always = always.collect();
    for (path, hidings) in found {
        plan.redirects.hide(path, hidings);
    }
    always
}

/// The forced rules that hide each file, by the file's index in the plan: in the order of the
/// rules, up to the first one without conditions.
fn hidings(plan: &SitePlan) -> HashMap<usize, Vec<Hiding>> {
    let rules = plan.redirects.rules();
    let paths = Paths::new(plan);
    let mut hidden: HashMap<usize, Vec<Hiding>> = HashMap::new();
    for route in &plan.routes {
        let Some(file) = paths.file(&route.path) else { continue };
        for number in plan.redirects.forced_rules(&route.path) {
            let rule = &rules[number as usize];
            let Some(captures) = rule.from.matches(&route.path) else { continue };
            // The values of a host and a query are not known: such a rule may lead anywhere.
            let mut unknown = rule.conditions.host_names().chain(rule.conditions.names());
            let is_known = unknown.next().is_none();
            if is_known && paths.target(rule, &captures) == Some(file) {
                continue;
            }
            hidden
                .entry(file)
                .or_default()
                .push(Hiding { rule: number, matched: route.path.as_slice().into() });
        }
    }
    for hidings in hidden.values_mut() {
        hidings.sort_by_key(|hiding| hiding.rule);
        hidings.dedup_by_key(|hiding| hiding.rule);
        let is_last = |hiding: &Hiding| rules[hiding.rule as usize].conditions.is_empty();
        let end = hidings.iter().position(is_last).map_or(hidings.len(), |last| last + 1);
        hidings.truncate(end);
    }
    hidden
}

/// Hides the precompressed copies of hidden files.
fn hide_codings(plan: &SitePlan, listing: &Listing, hidden: &mut HashMap<usize, Vec<Hiding>>) {
    for PrecompressedCopy { file, original } in copies(plan, listing) {
        if let Some(hidings) = hidden.get(&original).cloned() {
            hidden.entry(file).or_insert(hidings);
        }
    }
}

/// The destinations of a plan by path.
struct Paths<'a>(HashMap<&'a [u8], &'a RouteKind>);

impl<'a> Paths<'a> {
    fn new(plan: &'a SitePlan) -> Self {
        Self(plan.routes.iter().map(|route| (&*route.path, &route.kind)).collect())
    }

    /// The file of a path, by its index in the plan.
    fn file(&self, path: &[u8]) -> Option<usize> {
        match self.0.get(path)? {
            RouteKind::File(target) => Some(target.file),
            RouteKind::Folder => match self.0.get(&*[path, b"/"].concat())? {
                RouteKind::File(target) => Some(target.file),
                RouteKind::Folder => None,
            },
        }
    }

    /// The file that a rule leads to, unless it leads to another host.
    fn target(&self, rule: &Redirect, captures: &Captures<'_>) -> Option<usize> {
        let mut target = vec![0; TARGET_BYTES_MAX];
        let len = rule.to.write(captures, &mut target)?;
        let target = &target[..len];
        match rule.effect {
            Effect::Rewrite(_) => self.file(target),
            Effect::Redirect(_) => {
                let is_end = |octet: &u8| matches!(octet, b'?' | b'#');
                let path = target.split(is_end).next().filter(|path| path.starts_with(b"/"))?;
                // A Location begins with one slash, too, whatever the rule has.
                let slashes = path.iter().take_while(|&&octet| octet == b'/').count();
                let path = &path[slashes - 1..];
                let mut scratch = vec![0; path.len()];
                self.file(path::decode(path, &mut scratch).ok()?)
            }
        }
    }
}

/// A longer target is no path of a file: a captured name has 255 octets at most (`NAME_MAX`).
const TARGET_BYTES_MAX: usize = 16 * 1024;
