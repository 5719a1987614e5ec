//! The parser of `_headers`, a convention of static hosts: a path pattern, and below it, indented,
//! the fields of responses to matching paths.
//!
//! ```text
//! /*
//!   X-Frame-Options: DENY
//! /assets/*
//!   Cache-Control: public, max-age=31536000, immutable
//!   ! X-Frame-Options
//! ```
//!
//! If several patterns match, all their fields apply, in the order of the file. The values of a
//! repeated name are joined with a comma, except `Content-Type`, of which the last value counts.
//! `! name` removes a field set before it, including the server's defaults.

use super::fields::Repeated;
use super::problem::Problem;
use super::rule_files::{HEADERS, lines};
use crate::http::{added_field, media_type};
use crate::site::index::PatternIndex;
use crate::site::pattern::Pattern;
use crate::site::template::{Template, TemplateKind};
use std::collections::HashMap;

/// The blocks of the file.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    blocks: Vec<HeaderBlock>,
    index: PatternIndex,
}

/// The lines below a pattern: first the removed fields, then the added ones. A field that a later
/// line of the block removes is not among the added ones.
#[derive(Clone, Debug)]
pub(super) struct HeaderBlock {
    pub(super) pattern: Pattern,
    /// Names in lower case; each with the number of added fields above the last line of the block
    /// that removes it.
    pub(super) removed: HashMap<String, usize>,
    pub(super) added: Vec<Addition>,
    has_type: bool,
}

/// An added field.
#[derive(Clone, Debug)]
pub(super) struct Addition {
    pub(super) line: u32,
    pub(super) name: String,
    pub(super) value: Template,
}

impl Headers {
    /// Parses the text of the file.
    ///
    /// # Errors
    /// A problem for every malformed line.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let mut headers = Self::default();
        let mut problems = Vec::new();
        let mut last_pattern = None;
        for (number, line) in lines(text) {
            let outcome = if line.starts_with([' ', '\t']) {
                headers.field(number, line.trim())
            } else {
                last_pattern = Some(number);
                headers.pattern(line.trim())
            };
            if let Err(why) = outcome {
                problems.push(Problem::at(HEADERS, number, why));
            }
        }
        if headers.blocks.len() > BLOCKS_MAX {
            let why = format!(
                "it has {} patterns; at most {BLOCKS_MAX} are allowed",
                headers.blocks.len()
            );
            problems.push(Problem::of(HEADERS, why));
        }
        let last_is_empty = headers.blocks.last().is_some_and(HeaderBlock::is_empty);
        if let Some(number) = last_pattern.filter(|_| last_is_empty && problems.is_empty()) {
            problems.push(Problem::at(HEADERS, number, NO_FIELDS.to_owned()));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        headers.blocks.iter_mut().for_each(HeaderBlock::drop_removed);
        let patterns = headers.blocks.iter().map(|block| &block.pattern);
        headers.index = PatternIndex::new((0..).zip(patterns));
        Ok(headers)
    }

    fn pattern(&mut self, text: &str) -> Result<(), String> {
        if self.blocks.last().is_some_and(HeaderBlock::is_empty) {
            return Err(format!("the pattern above it: {NO_FIELDS}"));
        }
        if text.contains("://") {
            return Err(format!("{text}: a pattern is a path without a host"));
        }
        let pattern = Pattern::parse(text)
            .map_err(|why| format!("{text}: {why} (a line with a field is indented)"))?;
        let (removed, added) = (HashMap::new(), Vec::new());
        self.blocks.push(HeaderBlock { pattern, removed, added, has_type: false });
        Ok(())
    }

    fn field(&mut self, number: u32, text: &str) -> Result<(), String> {
        let Some(block) = self.blocks.last_mut() else {
            return Err("a field must stand below a pattern".to_owned());
        };
        if let Some(name) = text.strip_prefix('!') {
            let name = name.trim();
            // The name must be valid, as in a line that adds the field.
            added_field::field(&format!("{name}:"))?;
            check_name(name)?;
            block.removed.insert(name.to_ascii_lowercase(), block.added.len());
            return Ok(());
        }
        let (name, value) = added_field::field(text)?;
        check_name(&name)?;
        if Repeated::of(&name) == Repeated::Replaces {
            media_type::parse(&value).map_err(|why| format!("{value}: {why}"))?;
            if std::mem::replace(&mut block.has_type, true) {
                return Err(format!("the pattern has {name} twice"));
            }
        }
        let template = Template::parse(&value, &block.pattern, TemplateKind::Value);
        let value = template.map_err(|why| why.to_string())?;
        block.added.push(Addition { line: number, name, value });
        Ok(())
    }

    /// The blocks whose patterns match a decoded path, in the order of the file.
    pub(super) fn matching(&self, path: &[u8]) -> Vec<u32> {
        let mut numbers = Vec::new();
        self.index.candidates(path, &mut |number| {
            if self.block(number).pattern.matches(path).is_some() {
                numbers.push(number);
            }
        });
        numbers.sort_unstable();
        numbers
    }

    pub(super) fn block(&self, number: u32) -> &HeaderBlock {
        &self.blocks[number as usize]
    }
}

impl HeaderBlock {
    fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty()
    }

    /// Drops added fields that a later line of the block removes.
    fn drop_removed(&mut self) {
        let removed = &self.removed;
        let mut place = 0;
        self.added.retain(|added| {
            place += 1;
            removed.get(&added.name.to_ascii_lowercase()).is_none_or(|&end| end < place)
        });
    }
}

/// Refuses fields that the server sets itself.
fn check_name(name: &str) -> Result<(), String> {
    match added_field::reserved_reason(name) {
        // Content-Type: for files, its value is only a default.
        Some(_) if Repeated::of(name) == Repeated::Replaces => Ok(()),
        Some(why) => Err(format!("{name} can't be changed: {why}")),
        None => match OWN_OF_FILES.iter().find(|own| own.eq_ignore_ascii_case(name)) {
            Some(own) => Err(format!("{own} can't be changed: it is derived from the file")),
            None => Ok(()),
        },
    }
}

const OWN_OF_FILES: [&str; 2] = ["Content-Encoding", "Location"];
const NO_FIELDS: &str = "it has no fields; write them below it, indented";
/// Most patterns.
const BLOCKS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::super::fields::FieldList;
    use super::super::merge::Merged;
    use super::*;
    use crate::http::added_field::ADDED_FIELDS_BYTES_MAX;

    fn applied(text: &str, path: &str) -> Vec<(String, String)> {
        let headers = Headers::parse(text).expect("the rules are valid");
        let mut fields = FieldList::default();
        fields.set("Cache-Control", "no-cache");
        let merged = Merged::new(&headers, &headers.matching(path.as_bytes()), &fields);
        let fields = merged.fill(&headers, path.as_bytes()).expect("the fields are short");
        fields.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn fields_of_all_matching_patterns_apply_in_order() {
        let text = "# all\n/*\n  X-A: 1\n\tX-B:  two words \n\n/a/*\n  X-A: 2\n  ! X-B\n\
                    /a/:id/x\n  Link: </:id>; rel=\"a:b\"\n  cache-control: max-age=9\n";
        let fields = |path| {
            let applied = applied(text, path);
            applied.iter().map(|(n, v)| format!("{n}: {v}")).collect::<Vec<_>>()
        };
        assert_eq!(fields("/"), ["Cache-Control: no-cache", "X-A: 1", "X-B: two words"]);
        assert_eq!(fields("/a/b"), ["Cache-Control: no-cache", "X-A: 1, 2"]);
        assert_eq!(
            fields("/a/7 8/x"),
            ["X-A: 1, 2", "Link: </7%208>; rel=\"a:b\"", "cache-control: max-age=9"]
        );
    }

    #[test]
    fn exclamation_mark_removes_a_default_and_cookies_stay_apart() {
        assert_eq!(applied("/x\n  ! Cache-Control\n", "/x"), []);
        let joined = applied("/x\n  A: 1\n  A: 2\n  Set-Cookie: a\n  Set-Cookie: b\n", "/x");
        let values: Vec<_> = joined.iter().map(|(_, value)| &**value).collect();
        assert_eq!(values, ["no-cache", "1, 2", "a", "b"]);
    }

    #[test]
    fn last_content_type_counts() {
        let text = "/*\n  Content-Type: a/b\n/x\n  content-type: a/c\n";
        assert_eq!(applied(text, "/x")[1..], [("content-type".to_owned(), "a/c".to_owned())]);
    }

    #[test]
    fn fields_of_a_path_over_8_kib_are_an_error() {
        let half = "v".repeat(ADDED_FIELDS_BYTES_MAX / 2);
        let text = format!("/*\n  A: {half}\n/x\n  B: 1\n  A: {half}\n");
        let headers = Headers::parse(&text).expect("the rules are valid");
        let fill = |path: &[u8]| {
            let merged = Merged::new(&headers, &headers.matching(path), &FieldList::default());
            merged.fill(&headers, path)
        };
        assert!(fill(b"/y").is_ok());
        let problem = fill(b"/x").expect_err("too much");
        assert!(problem.to_string().starts_with("_headers:5: "), "{problem}");
    }

    #[test]
    fn problems_name_the_line_and_the_reason() {
        for (text, place, hint) in [
            ("  A: 1\n", ":1: ", "below a pattern"),
            ("x\n  A: 1\n", ":1: ", "begins with a slash"),
            ("/x\nA: 1\n", ":2: ", "indented"),
            ("/x\n  A 1\n", ":2: ", "a colon"),
            ("/x\n  A: \u{7}\n", ":2: ", "control"),
            ("/x\n  Content-Length: 1\n", ":2: ", "can't be changed"),
            ("/x\n  ! ETag\n", ":2: ", "can't be changed"),
            ("/x\n  content-encoding: br\n", ":2: ", "derived from the file"),
            ("/x\n  Content-Type: text\n", ":2: ", "as in text/html"),
            ("/x\n  Content-Type:\n", ":2: ", "as in text/html"),
            ("/x\n  Content-Type: a/b\n  content-type: a/c\n", ":3: ", "twice"),
            ("/x?y\n  A: 1\n", ":1: ", "no path has ?"),
            ("/x#y\n  A: 1\n", ":1: ", "no path has #"),
            ("/x\n\n", ":1: ", "no fields"),
            ("/x\n/y\n  A: 1\n", ":2: ", "no fields"),
            ("https://x.example/*\n  A: 1\n", ":1: ", "without a host"),
        ] {
            let problems = Headers::parse(text).expect_err(text);
            let message = problems[0].to_string();
            assert!(
                message.starts_with(&format!("_headers{place}")) && message.contains(hint),
                "{message}"
            );
        }
    }
}
