//! The fields of a path: defaults, changed by the blocks of `_headers` that apply.
//!
//! Few sets of blocks apply to many files, so the result of a set on equal defaults is computed
//! once, unless it depends on captures. The cost of a file of rules is proportional to its length
//! and not to its length times the number of files.

use super::fields::FieldList;
use super::problem::Problem;
use super::rule_files::HEADERS;
use crate::http::added_field::ADDED_FIELDS_BYTES_MAX;
use crate::site::field_class::{JOIN, ResponseKind};
use crate::site::field_rules::{FieldRules, MatchedBlocks, OPERATIONS_MAX, ResponsePaths};
use crate::site::pattern::Captures;
use crate::site::template::Template;
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;

/// Applies blocks to defaults.
///
/// # Errors
/// If the fields exceed a limit; the problem names the first line beyond it.
pub(super) fn merge(
    rules: &FieldRules,
    matched: &MatchedBlocks,
    paths: ResponsePaths<'_>,
    defaults: &FieldList,
) -> Result<FieldList, Problem> {
    const KIND: ResponseKind = ResponseKind::File;
    if let Some(beyond) = rules.excess(matched, KIND) {
        let why = format!("with this line, more than {OPERATIONS_MAX} lines apply to a path");
        return Err(Problem::at(HEADERS, beyond.line, why));
    }
    let mut list = FieldList::default();
    for (name, value) in defaults.iter() {
        let id = rules.name_id(name);
        if !id.is_some_and(|id| rules.is_overridden(id, matched, KIND)) {
            list.append(name, value);
        }
    }
    let mut scratch = vec![0; VALUE_BYTES_FIRST];
    // Lines and bytes, to name the first line beyond the limit.
    let mut added: Vec<(u32, usize)> = Vec::new();
    for first in rules.field_lines(matched, KIND) {
        let mut text = String::new();
        for (index, part) in rules.values(first, matched, KIND).enumerate() {
            let begin = text.len();
            text.push_str(if index > 0 { JOIN } else { "" });
            let Some(value) = &part.operation.value else { continue };
            if let Some(fixed) = value.fixed() {
                text.push_str(&String::from_utf8_lossy(fixed));
            } else {
                let captures = rules.captures(part.block, matched, paths, None);
                text.push_str(&filled_in(value, &captures, &mut scratch));
            }
            let own = if index == 0 { first.operation.name.len() + ": \r\n".len() } else { 0 };
            added.push((part.operation.line, text.len() - begin + own));
        }
        list.append(&first.operation.name, &text);
    }
    let bytes_max = defaults.bytes() + ADDED_FIELDS_BYTES_MAX;
    if list.bytes() <= bytes_max {
        return Ok(list);
    }
    added.sort_by_key(|(line, _)| *line);
    let mut left = bytes_max;
    let beyond = added.iter().find(|(_, bytes)| match left.checked_sub(*bytes) {
        Some(rest) => {
            left = rest;
            false
        }
        None => true,
    });
    let line = beyond.or(added.last()).map_or(0, |(line, _)| *line);
    let why = format!("with this line, the fields of a path exceed {ADDED_FIELDS_BYTES_MAX} bytes");
    Err(Problem::at(HEADERS, line, why))
}

/// Fills a template; captures are percent-encoded, since a path may have any octet.
fn filled_in<'s>(
    template: &Template,
    captures: &Captures<'_>,
    scratch: &'s mut Vec<u8>,
) -> Cow<'s, str> {
    loop {
        if let Some(len) = template.write(captures, scratch) {
            return String::from_utf8_lossy(&scratch[..len]);
        }
        scratch.resize(scratch.len() * 2, 0);
    }
}

/// The fields of paths; equal fields are shared.
#[derive(Debug)]
pub(super) struct FieldsOf<'a, Key> {
    rules: &'a FieldRules,
    known: HashMap<(Key, MatchedBlocks), CachedFields>,
}

#[derive(Debug)]
enum CachedFields {
    Shared(Arc<FieldList>),
    /// A value has captures.
    Open(Arc<FieldList>),
    Wrong(Problem),
}

impl<'a, Key: Eq + Hash> FieldsOf<'a, Key> {
    pub(super) fn new(rules: &'a FieldRules) -> Self {
        Self { rules, known: HashMap::new() }
    }

    /// The fields of a response with a file to which these blocks apply. Equal keys have equal
    /// `defaults`.
    ///
    /// # Errors
    /// If the fields exceed a limit.
    pub(super) fn of(
        &mut self,
        paths: ResponsePaths<'_>,
        matched: MatchedBlocks,
        key: Key,
        defaults: &Arc<FieldList>,
    ) -> Result<Arc<FieldList>, Problem> {
        if matched.is_empty() {
            return Ok(Arc::clone(defaults));
        }
        let rules = self.rules;
        let known = match self.known.entry((key, matched)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(if has_captures(rules, &matched) {
                CachedFields::Open(Arc::clone(defaults))
            } else {
                match merge(rules, &matched, paths, defaults) {
                    Ok(fields) => CachedFields::Shared(Arc::new(fields)),
                    Err(problem) => CachedFields::Wrong(problem),
                }
            }),
        };
        match known {
            CachedFields::Shared(fields) => Ok(Arc::clone(fields)),
            CachedFields::Open(defaults) => merge(rules, &matched, paths, defaults).map(Arc::new),
            CachedFields::Wrong(problem) => Err(problem.clone()),
        }
    }
}

/// Whether a value depends on the path.
fn has_captures(rules: &FieldRules, matched: &MatchedBlocks) -> bool {
    let mut operations = matched.numbers().flat_map(|block| rules.operations_of(block));
    operations
        .any(|operation| operation.value.as_ref().is_some_and(|value| value.fixed().is_none()))
}

const VALUE_BYTES_FIRST: usize = 1024;

#[cfg(test)]
mod tests;
