//! The files that forced rules hide.
//!
//! A file has several paths (`/secret.html`, `/secret`; `/docs/`, `/docs`, `/docs/index`), and its
//! precompressed copies (`/secret.html.br`) have the same content. A forced rule that matches one
//! of these paths applies to all of them, unless it leads to the file itself, as
//! `/about.html /about 301!` does: such a rule only selects among the paths.

use super::listing::Listing;
use super::site_plan::{RouteKind, SitePlan};
use crate::http::coding::Coding;
use crate::http::path;
use crate::site::pattern::Captures;
use crate::site::redirects::{Effect, Hiding, Redirect};
use std::collections::HashMap;

/// Extends forced rules to every path of the files that they hide. Returns the rule of each hidden
/// file by the file's index in the plan.
pub(super) fn hide(plan: &mut SitePlan, listing: &Listing) -> HashMap<usize, u32> {
    let is_open =
        |rule: &Redirect| matches!(rule.effect, Effect::Rewrite(_)) && rule.to.fixed().is_none();
    let rules = plan.redirects.rules();
    if !rules.iter().any(|rule| rule.forced) {
        return HashMap::new();
    }
    // Paths that a rule matches by itself are only needed if a placeholder can lead to them.
    let keeps_all = rules.iter().any(is_open);
    let paths = Paths::new(plan);
    let mut hidden: HashMap<usize, Hiding> = HashMap::new();
    for route in &plan.routes {
        let Some(file) = paths.file(&route.path) else { continue };
        let Some((rule, captures)) = plan.redirects.find_number(&route.path, true) else {
            continue;
        };
        let is_first = hidden.get(&file).is_none_or(|known| rule < known.rule);
        if is_first && paths.target(&rules[rule as usize], &captures) != Some(file) {
            hidden.insert(file, Hiding { rule, matched: route.path.as_slice().into() });
        }
    }
    hide_codings(plan, listing, &mut hidden);
    let mut found = Vec::new();
    for route in &plan.routes {
        let Some(hiding) = paths.file(&route.path).and_then(|file| hidden.get(&file)) else {
            continue;
        };
        if keeps_all || plan.redirects.find_number(&route.path, true).is_none() {
            found.push((route.path.clone(), hiding.clone()));
        }
    }
    for (path, hiding) in found {
        plan.redirects.hide(&path, hiding);
    }
    hidden.into_iter().map(|(file, hiding)| (file, hiding.rule)).collect()
}

/// Hides the precompressed copies of hidden files, even if they don't decode to the file: they may
/// be copies of an older version.
fn hide_codings(plan: &SitePlan, listing: &Listing, hidden: &mut HashMap<usize, Hiding>) {
    let name = |file: usize| &*listing.files[plan.files[file].listed].name;
    let numbers: HashMap<&[u8], usize> =
        (0..plan.files.len()).map(|file| (name(file), file)).collect();
    // A name sorts before the names that it begins, so copies of copies are hidden, too.
    for file in 0..plan.files.len() {
        let original = Coding::ALL.into_iter().find_map(|coding| {
            name(file).strip_suffix(coding.extension()?.as_bytes())?.strip_suffix(b".")
        });
        let original = original.and_then(|original| numbers.get(original));
        if let Some(hiding) = original.and_then(|original| hidden.get(original)).cloned() {
            hidden.entry(file).or_insert(hiding);
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
