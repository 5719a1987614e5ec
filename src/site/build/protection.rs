//! The blocks of `_headers` that protect each file.
//!
//! A file is protected by the blocks that match any of its paths (`/secret.html`, `/secret`;
//! `/docs/`, `/docs`, `/docs/index`), and a precompressed copy (`/secret.html.br`) by those of the
//! file beside it, too, even if it is a copy of an older version.

use super::copies::{PrecompressedCopy, copies};
use super::escape::escaped;
use super::listing::Listing;
use super::problem::Problem;
use super::rule_files::HEADERS;
use super::site_plan::{RouteKind, SitePlan};
use crate::site::credentials::{CredentialDigest, CredentialList};
use crate::site::field_rules::{FieldRules, HostScope};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Sets the blocks that protect each file, and adds a problem for paths that nothing can open.
pub(super) fn plan_protection(plan: &mut SitePlan, rules: &FieldRules, listing: &Listing) {
    if !rules.has_protection() {
        return;
    }
    let files: HashMap<&[u8], usize> = plan
        .routes
        .iter()
        .filter_map(|route| match &route.kind {
            RouteKind::File(target) => Some((&*route.path, target.file)),
            RouteKind::Folder => None,
        })
        .collect();
    let mut blocks: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); plan.files.len()];
    for route in &plan.routes {
        let file = match &route.kind {
            RouteKind::File(target) => Some(target.file),
            RouteKind::Folder => files.get(&*[&*route.path, b"/"].concat()).copied(),
        };
        let Some(file) = file else { continue };
        rules.protecting(&route.path, HostScope::All, &mut |block| {
            blocks[file].insert(block);
        });
    }
    for PrecompressedCopy { file, original } in copies(plan, listing) {
        let inherited = blocks[original].clone();
        blocks[file].extend(inherited);
    }
    let name = |file: usize| &*listing.files[plan.files[file].listed].name;
    let mut known = HashSet::new();
    for (file, blocks) in blocks.iter().enumerate() {
        if !blocks.is_empty() && known.insert(blocks) && !can_be_opened(rules, blocks) {
            let lines: Vec<_> = blocks.iter().map(|&block| line(rules, block)).collect();
            let why = format!(
                "{}: the patterns of lines {} protect it, and no credentials are in the lists of \
                 all of them",
                escaped(name(file)),
                lines.join(" and ")
            );
            plan.problems.push(Problem::of(HEADERS, why));
        }
    }
    for (fields, blocks) in plan.file_fields.iter_mut().zip(blocks) {
        fields.protected_by = blocks.into_iter().collect();
    }
}

fn line(rules: &FieldRules, block: u32) -> String {
    rules.blocks()[block as usize].line.to_string()
}

/// Whether some credentials open all of these blocks; of blocks for certain hosts, each with those
/// for all hosts.
fn can_be_opened(rules: &FieldRules, blocks: &BTreeSet<u32>) -> bool {
    let (always, by_host): (Vec<u32>, Vec<u32>) =
        blocks.iter().partition(|&&block| HostScope::Unconditional.has(rules, block));
    let list = |block: u32| rules.blocks()[block as usize].credentials.as_ref();
    let opens = |digest: &CredentialDigest, blocks: &[u32]| {
        blocks.iter().all(|&block| list(block).is_some_and(|list| list.has(digest)))
    };
    let digests = |block: u32| list(block).into_iter().flat_map(CredentialList::iter);
    let is_open = |extra: Option<u32>| {
        let first = extra.or(always.first().copied());
        first.is_none_or(|first| digests(first).any(|digest| opens(digest, &always)))
    };
    is_open(None) && by_host.iter().all(|&block| is_open(Some(block)))
}
