//! Files that are stored in a content coding alone: `game.wasm.br` without `game.wasm`, with a rule
//! `Content-Encoding: br`. Such a file is sent as it is, with that coding and the media type of
//! what it decodes to. A browser that can't decode it shows nothing, so the rule has to be true.

use super::beside;
use super::escape::escaped;
use super::listing::Listing;
use super::problem::Problem;
use super::rule_files::HEADERS;
use super::site_plan::SitePlan;
use crate::http::coding::Coding;
use crate::http::media_type::{OctetsKind, of_file};
use crate::site::field_rules::{FieldRules, HostScope, ResponsePaths};
use std::collections::BTreeMap;

/// A rule that states the coding of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct StatedCoding {
    coding: Coding,
    /// Number of the rule's line.
    line: u32,
}

/// Marks the files for which a rule states a coding; `canonical` has the canonical path of each
/// file.
pub(super) fn mark(
    plan: &mut SitePlan,
    listing: &Listing,
    rules: &FieldRules,
    canonical: &[Vec<u8>],
) {
    for (file, path) in plan.files.iter_mut().zip(canonical) {
        if stated(rules, path).is_empty() {
            continue;
        }
        let name = &listing.files[file.listed].name;
        file.is_coded = true;
        file.beside.clear();
        // The decoded content isn't known to be UTF-8.
        file.media_type = of_file(without_coding(name), OctetsKind::Binary);
    }
}

/// Adds a problem for each rule that states a coding in which a file isn't. `bodies` has the octets
/// of each file; a file may decode to at most `decoded_bytes_max`.
pub(super) fn verify(
    plan: &mut SitePlan,
    listing: &Listing,
    bodies: &[&[u8]],
    decoded_bytes_max: u64,
) {
    let mut wrong: BTreeMap<u32, (String, usize)> = BTreeMap::new();
    let files = plan.files.iter().zip(&plan.file_fields).zip(bodies);
    for ((file, fields), body) in files.filter(|((file, _), _)| file.is_coded) {
        for StatedCoding { coding, line } in stated(&plan.field_rules, &fields.canonical) {
            let Err(why) = beside::decodes(body, coding, decoded_bytes_max) else { continue };
            let name = escaped(&listing.files[file.listed].name);
            let first = || format!("{name} is not in the coding {}: {why}", coding.name());
            wrong.entry(line).or_insert_with(|| (first(), 0)).1 += 1;
        }
    }
    for (line, (first, count)) in wrong {
        let more = match count {
            1 => String::new(),
            _ => format!("; {} more like it", count - 1),
        };
        plan.problems.push(Problem::at(HEADERS, line, first + &more));
    }
}

/// The codings that rules state for the file of a canonical path: that of the last rule, and those
/// of rules for a host.
fn stated(rules: &FieldRules, canonical: &[u8]) -> Vec<StatedCoding> {
    let Some(id) = rules.name_id("Content-Encoding") else { return Vec::new() };
    let paths = ResponsePaths { requested: None, canonical: Some(canonical) };
    let mut last = None;
    let mut of_hosts = Vec::new();
    for block in rules.matched(paths, HostScope::All).numbers() {
        for operation in rules.operations_of(block).iter().filter(|it| it.id() == id) {
            let value = operation.value.as_ref().and_then(|value| value.fixed());
            let is = |coding: &Coding| {
                value.is_some_and(|value| value.eq_ignore_ascii_case(coding.name().as_bytes()))
            };
            let Some(coding) = Coding::ALL.into_iter().find(is) else { continue };
            let stated = StatedCoding { coding, line: operation.line };
            if HostScope::Unconditional.has(rules, block) {
                last = Some(stated);
            } else {
                of_hosts.push(stated);
            }
        }
    }
    last.into_iter().chain(of_hosts).collect()
}

/// The name of what a file decodes to: `game.wasm` of `game.wasm.br`.
fn without_coding(name: &[u8]) -> &[u8] {
    let extensions = Coding::ALL.into_iter().filter_map(Coding::extension);
    let mut stems = extensions.filter_map(|extension| {
        name.strip_suffix(extension.as_bytes())?.strip_suffix(b".").filter(|stem| !stem.is_empty())
    });
    stems.next().unwrap_or(name)
}
