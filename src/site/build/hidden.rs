//! Which files the forced rules hide.
//!
//! A file has several paths (`/secret.html`, `/secret`; `/docs/`, `/docs`, `/docs/index`), and what
//! lies beside it as its coding (`/secret.html.br`) is the same content once more. A forced rule
//! that matches one of these paths applies to all of them, unless it leads to the file itself, as
//! `/about.html /about 301!` does: such a rule only chooses among the paths.

use super::plan::{Plan, To};
use super::walk::Listing;
use crate::http::coding::Coding;
use crate::http::path;
use crate::site::pattern::Captures;
use crate::site::redirects::{Effect, Hiding, Redirect};
use std::collections::HashMap;

/// Has forced rules apply to every path of the files that they hide; the rule of each hidden file,
/// by the file's number in the plan.
pub(super) fn hide(plan: &mut Plan, listing: &Listing) -> HashMap<usize, u32> {
    let is_open =
        |rule: &Redirect| matches!(rule.effect, Effect::Rewrite(_)) && rule.to.fixed().is_none();
    let rules = plan.redirects.rules();
    if !rules.iter().any(|rule| rule.forced) {
        return HashMap::new();
    }
    // The paths that a rule matches by itself matter where a placeholder can lead to them.
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

/// Whatever lies beside a hidden file under the name of a coding is hidden as the file is, even if
/// it is no coding of it: it may be an older one.
fn hide_codings(plan: &Plan, listing: &Listing, hidden: &mut HashMap<usize, Hiding>) {
    let name = |file: usize| &*listing.files[plan.files[file].listed].name;
    let numbers: HashMap<&[u8], usize> =
        (0..plan.files.len()).map(|file| (name(file), file)).collect();
    // A name comes before those that begin with it, so codings of codings are found, too.
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

/// The paths of a plan and their files.
struct Paths<'a>(HashMap<&'a [u8], &'a To>);

impl<'a> Paths<'a> {
    fn new(plan: &'a Plan) -> Self {
        Self(plan.routes.iter().map(|route| (&*route.path, &route.to)).collect())
    }

    /// The file of a path, by its number in the plan.
    fn file(&self, path: &[u8]) -> Option<usize> {
        match self.0.get(path)? {
            To::PlannedTarget(leaf) => Some(leaf.file),
            To::Folder => match self.0.get(&*[path, b"/"].concat())? {
                To::PlannedTarget(leaf) => Some(leaf.file),
                To::Folder => None,
            },
        }
    }

    /// The file that a rule leads to, if it is one of this site.
    fn target(&self, rule: &Redirect, captures: &Captures<'_>) -> Option<usize> {
        let mut target = vec![0; TARGET_BYTES_MAX];
        let len = rule.to.write(captures, &mut target)?;
        let target = &target[..len];
        match rule.effect {
            Effect::Rewrite(_) => self.file(target),
            Effect::Redirect(_) => {
                let is_end = |octet: &u8| matches!(octet, b'?' | b'#');
                let path = target.split(is_end).next().filter(|path| path.starts_with(b"/"))?;
                // More slashes than one are left out of a Location, too.
                let slashes = path.iter().take_while(|&&octet| octet == b'/').count();
                let path = &path[slashes - 1..];
                let mut scratch = vec![0; path.len()];
                self.file(path::decode(path, &mut scratch).ok()?)
            }
        }
    }
}

/// A longer target is none of a file's paths: a name that is put into it has 255 octets at most.
const TARGET_BYTES_MAX: usize = 16 * 1024;
