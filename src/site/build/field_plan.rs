//! The fields of a plan's paths: defaults by file, and the rules of `_headers`, as far as they are
//! decided at start.

use super::caching::Caching;
use super::effects::Effects;
use super::encoded;
use super::fields::FieldList;
use super::listing::Listing;
use super::merge::FieldsOf;
use super::options::SiteOptions;
use super::problem::Problem;
use super::protection;
use super::site_plan::{
    DefaultFieldLists, FileFields, Planned, PlannedTarget, RouteKind, RouteReason, SitePlan,
};
use crate::http::coding::Coding;
use crate::site::field_rules::{FieldRules, HostScope, ResponsePaths};
use std::collections::HashMap;
use std::sync::Arc;

/// Sets the fields of all paths of a plan, and adds problems and warnings about the rules for
/// fields. Everything else of the plan is decided.
pub(super) fn plan_fields(plan: &mut SitePlan, listing: &Listing, options: &SiteOptions) {
    plan.built_in_fields = lists(default_fields(options));
    let rules = std::mem::take(&mut plan.field_rules);
    let canonical = canonical_paths(plan);
    encoded::mark(plan, listing, &rules, &canonical);
    let mut defaults = FileDefaults { caching: Caching::of(listing), ..FileDefaults::default() };
    let own = |file| defaults.of(file, listing, options);
    let own: Vec<_> = plan.files.iter().map(own).collect();
    let file_fields = canonical.into_iter().zip(&own).map(|(canonical, &own)| {
        let defaults = defaults.lists[own].clone();
        FileFields { canonical, defaults, protected_by: Vec::new() }
    });
    plan.file_fields = file_fields.collect();
    protection::plan_protection(plan, &rules, listing);
    let mut planner = FieldPlanner {
        rules: &rules,
        file_fields: &plan.file_fields,
        defaults: &own,
        fields: FieldsOf::new(&rules),
        effects: Effects::default(),
        problems: Vec::new(),
    };
    for route in &mut plan.routes {
        if let RouteKind::File(target) = &mut route.kind {
            planner.set(target, Some(&route.path));
        }
    }
    let pages = plan.not_found.iter_mut().map(|page| &mut page.target);
    for target in pages.chain(&mut plan.fallback) {
        planner.set(target, None);
    }
    let FieldPlanner { effects, problems, .. } = planner;
    plan.problems.extend(problems);
    plan.warnings.extend(effects.warnings(&rules, plan));
    if rules.is_empty() {
        plan.file_fields = Vec::new();
    }
    plan.field_rules = rules;
}

/// Sets the fields of targets.
struct FieldPlanner<'a> {
    rules: &'a FieldRules,
    file_fields: &'a [FileFields],
    /// The number of each file's defaults.
    defaults: &'a [usize],
    /// Keyed by the number of the defaults, and whether the path is protected.
    fields: FieldsOf<'a, (usize, bool)>,
    effects: Effects,
    problems: Vec<Problem>,
}

impl FieldPlanner<'_> {
    fn set(&mut self, target: &mut PlannedTarget, requested: Option<&[u8]>) {
        let own = &self.file_fields[target.file];
        let paths = ResponsePaths { requested, canonical: Some(&own.canonical) };
        let matched = self.rules.matched(paths, HostScope::Unconditional);
        let is_unconditional = |&block: &u32| HostScope::Unconditional.has(self.rules, block);
        let is_protected = own.protected_by.iter().any(is_unconditional);
        let DefaultFieldLists { open, protected } = &own.defaults;
        let defaults = if is_protected { protected } else { open };
        let key = (self.defaults[target.file], is_protected);
        if self.rules.has_hosts() {
            let all = self.rules.matched(paths, HostScope::All);
            target.is_composed = all != matched || !own.protected_by.iter().all(is_unconditional);
            self.effects.add(self.rules, all, key.0, defaults);
        } else {
            self.effects.add(self.rules, matched, key.0, defaults);
        }
        target.fields = self.fields.of(paths, matched, key, defaults).unwrap_or_else(|problem| {
            if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
            Arc::default()
        });
    }
}

/// The defaults of files; equal ones have one number.
#[derive(Default)]
struct FileDefaults {
    caching: Caching,
    /// By media type, caching, and whether the file is an SVG in gzip.
    numbers: HashMap<(String, Option<&'static str>, bool), usize>,
    lists: Vec<DefaultFieldLists>,
}

impl FileDefaults {
    fn of(&mut self, file: &Planned, listing: &Listing, options: &SiteOptions) -> usize {
        let media_type = &file.media_type;
        let is_svg_in_gzip = listing.files[file.listed].is_svg_in_gzip;
        let caching = self.caching.value(&listing.files[file.listed].name, media_type);
        let key = (media_type.clone(), caching, is_svg_in_gzip);
        *self.numbers.entry(key).or_insert_with(|| {
            self.lists.push(lists(file_fields(options, media_type, caching, is_svg_in_gzip)));
            self.lists.len() - 1
        })
    }
}

/// The fields of every response for the site before `_headers` applies.
fn default_fields(options: &SiteOptions) -> FieldList {
    let mut fields = FieldList::default();
    fields.set("X-Content-Type-Options", "nosniff");
    add_fields(&mut fields, options);
    fields
}

/// The fields of a file before `_headers` applies.
fn file_fields(
    options: &SiteOptions,
    media_type: &str,
    caching: Option<&str>,
    is_svg_in_gzip: bool,
) -> FieldList {
    let mut fields = FieldList::default();
    fields.set("X-Content-Type-Options", "nosniff");
    fields.set("Content-Type", media_type);
    if let Some(caching) = caching {
        fields.set("Cache-Control", caching);
    }
    add_fields(&mut fields, options);
    if is_svg_in_gzip {
        fields.set("Content-Encoding", Coding::Gzip.name());
    }
    fields
}

/// Adds the fields of `--header`.
fn add_fields(fields: &mut FieldList, options: &SiteOptions) {
    for (name, _) in &options.fields {
        fields.remove(name);
    }
    for (name, value) in &options.fields {
        // A response has at most one line of `Vary`, to which the server's own members are added.
        if name.eq_ignore_ascii_case("Vary") {
            fields.add(name, value);
        } else {
            fields.append(name, value);
        }
    }
}

fn lists(open: FieldList) -> DefaultFieldLists {
    let mut protected = open.clone();
    let values = open.iter().filter(|(name, _)| name.eq_ignore_ascii_case(CACHE_CONTROL));
    let values: Vec<_> = values.map(|(_, value)| value).collect();
    protected.set(CACHE_CONTROL, &private(&values.join(",")));
    DefaultFieldLists { open: Arc::new(open), protected: Arc::new(protected) }
}

/// The value of `Cache-Control` of a protected response. Shared caches keep a response to a request
/// with `Authorization` only by `public`, `s-maxage` or `must-revalidate` (RFC 9111 3.5), which a
/// site may have for all its files; `private` keeps it from them in any case.
fn private(value: &str) -> String {
    let members = value.split(',').map(str::trim).filter(|member| !member.is_empty());
    let kept = members.filter(|member| {
        let name = member.split('=').next().unwrap_or_default().trim();
        !["public", "private", "s-maxage"].iter().any(|other| name.eq_ignore_ascii_case(other))
    });
    std::iter::once("private").chain(kept).collect::<Vec<_>>().join(", ")
}

/// The canonical path of each file: of its folder if it is an index, without `.html` if it has such
/// a path, or that of its name.
fn canonical_paths(plan: &SitePlan) -> Vec<Vec<u8>> {
    let mut best: Vec<(u8, &[u8])> = vec![(0, b""); plan.files.len()];
    for route in &plan.routes {
        let RouteKind::File(target) = &route.kind else { continue };
        let rank = match route.reason {
            RouteReason::Index => 3,
            RouteReason::CleanUrl => 2,
            RouteReason::Name | RouteReason::Folder => 1,
        };
        if rank > best[target.file].0 {
            best[target.file] = (rank, &route.path);
        }
    }
    best.into_iter().map(|(_, path)| path.to_vec()).collect()
}

const CACHE_CONTROL: &str = "Cache-Control";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_shared_cache_keeps_a_protected_response() {
        // RFC 9111 3.5 and 5.2.2.7.
        for (before, after) in [
            ("", "private"),
            ("no-cache", "private, no-cache"),
            ("public, max-age=31536000, immutable", "private, max-age=31536000, immutable"),
            ("Public , s-maxage=5,no-store", "private, no-store"),
            ("private", "private"),
        ] {
            assert_eq!(private(before), after);
        }
    }
}
