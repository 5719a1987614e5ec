//! `_headers`, as static hosts have made it a convention: a path pattern, and below it, indented,
//! the fields that responses to such paths have.
//!
//! ```text
//! /*
//!   X-Frame-Options: DENY
//! /assets/*
//!   Cache-Control: public, max-age=31536000, immutable
//!   ! X-Frame-Options
//! ```
//!
//! Where several patterns match, all their fields apply, in the order of the file: a name that
//! comes again joins its values with a comma, and `! name` takes a field away that came before,
//! the server's own defaults among them. Of `Content-Type`, which has one value, the last counts.

use super::Problem;
use super::fields::Repeated;
use crate::http::{added_field, media_type};
use crate::site::index::PatternIndex;
use crate::site::pattern::Pattern;
use crate::site::template::{Purpose, Template};
use std::collections::HashMap;

/// The name of the file, in the root.
pub const NAME: &str = "_headers";

/// What the file says.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    blocks: Vec<Block>,
    index: PatternIndex,
}

/// What stands below a pattern: first the fields that it takes away, then those that it adds. One
/// that is added above a line that takes it away isn't here.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) pattern: Pattern,
    /// Names in lower case, so that a field is looked for among many at once; each with how many of
    /// the lines below the pattern that add one come before the last that takes it away.
    pub(super) removed: HashMap<String, usize>,
    pub(super) added: Vec<Addition>,
    has_type: bool,
}

/// A field that is added.
#[derive(Clone, Debug)]
pub(super) struct Addition {
    pub(super) line: u32,
    pub(super) name: String,
    pub(super) value: Template,
}

impl Headers {
    /// Reads the file.
    ///
    /// # Errors
    /// Every line that is wrong, with the reason.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let mut headers = Self::default();
        let mut problems = Vec::new();
        let mut last_pattern = None;
        for (number, line) in super::lines(text) {
            let outcome = if line.starts_with([' ', '\t']) {
                headers.field(number, line.trim())
            } else {
                last_pattern = Some(number);
                headers.pattern(line.trim())
            };
            if let Err(why) = outcome {
                problems.push(Problem::at(NAME, number, why));
            }
        }
        if headers.blocks.len() > BLOCKS_MAX {
            let why =
                format!("it has {} patterns, and {BLOCKS_MAX} are allowed", headers.blocks.len());
            problems.push(Problem::of(NAME, why));
        }
        let last_is_empty = headers.blocks.last().is_some_and(Block::is_empty);
        if let Some(number) = last_pattern.filter(|_| last_is_empty && problems.is_empty()) {
            problems.push(Problem::at(NAME, number, NO_FIELDS.to_owned()));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        headers.blocks.iter_mut().for_each(Block::settle);
        let patterns = headers.blocks.iter().map(|block| &block.pattern);
        headers.index = PatternIndex::new((0..).zip(patterns));
        Ok(headers)
    }

    fn pattern(&mut self, text: &str) -> Result<(), String> {
        if self.blocks.last().is_some_and(Block::is_empty) {
            return Err(format!("the pattern before it: {NO_FIELDS}"));
        }
        if text.contains("://") {
            return Err(format!("{text}: patterns are paths here, without a host"));
        }
        let pattern = Pattern::parse(text)
            .map_err(|why| format!("{text}: {why} (fields of a pattern are indented)"))?;
        let (removed, added) = (HashMap::new(), Vec::new());
        self.blocks.push(Block { pattern, removed, added, has_type: false });
        Ok(())
    }

    fn field(&mut self, number: u32, text: &str) -> Result<(), String> {
        let Some(block) = self.blocks.last_mut() else {
            return Err("a field comes below a pattern".to_owned());
        };
        if let Some(name) = text.strip_prefix('!') {
            let name = name.trim();
            // Checked as a field with that name would be.
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
                return Err(format!("{name} is there twice for this pattern"));
            }
        }
        let template = Template::parse(&value, &block.pattern, Purpose::Value);
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

    pub(super) fn block(&self, number: u32) -> &Block {
        &self.blocks[number as usize]
    }
}

impl Block {
    fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty()
    }

    /// Leaves out what is added above a line that takes it away.
    fn settle(&mut self) {
        let removed = &self.removed;
        let mut place = 0;
        self.added.retain(|added| {
            place += 1;
            removed.get(&added.name.to_ascii_lowercase()).is_none_or(|&end| end < place)
        });
    }
}

/// Refuses what the server says itself.
fn check_name(name: &str) -> Result<(), String> {
    match added_field::reserved_reason(name) {
        // It has a default here, to be changed.
        Some(_) if Repeated::of(name) == Repeated::Replaces => Ok(()),
        Some(why) => Err(format!("{name} can't be changed: {why}")),
        None => match OWN_OF_FILES.iter().find(|own| own.eq_ignore_ascii_case(name)) {
            Some(own) => Err(format!("{own} can't be changed: it follows from the file")),
            None => Ok(()),
        },
    }
}

const OWN_OF_FILES: [&str; 2] = ["Content-Encoding", "Location"];
const NO_FIELDS: &str = "it has no fields: they follow it, indented";
/// The most patterns: each file's path is matched with each at start.
const BLOCKS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::super::fields::FieldList;
    use super::super::merge::Merged;
    use super::*;
    use crate::http::added_field::ADDED_FIELDS_BYTES_MAX;

    fn applied(text: &str, path: &str) -> Vec<(String, String)> {
        let headers = Headers::parse(text).expect("right");
        let mut fields = FieldList::default();
        fields.set("Cache-Control", "no-cache");
        let merged = Merged::new(&headers, &headers.matching(path.as_bytes()), &fields);
        let fields = merged.fill(&headers, path.as_bytes()).expect("it is little");
        fields.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn fields_apply_where_patterns_match() {
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
    fn defaults_can_be_taken_away() {
        assert_eq!(applied("/x\n  ! Cache-Control\n", "/x"), []);
        let joined = applied("/x\n  A: 1\n  A: 2\n  Set-Cookie: a\n  Set-Cookie: b\n", "/x");
        let values: Vec<_> = joined.iter().map(|(_, value)| &**value).collect();
        assert_eq!(values, ["no-cache", "1, 2", "a", "b"]);
    }

    #[test]
    fn a_type_has_one_value() {
        let text = "/*\n  Content-Type: a/b\n/x\n  content-type: a/c\n";
        assert_eq!(applied(text, "/x")[1..], [("content-type".to_owned(), "a/c".to_owned())]);
    }

    #[test]
    fn a_path_has_so_many_bytes_of_fields() {
        let half = "v".repeat(ADDED_FIELDS_BYTES_MAX / 2);
        let text = format!("/*\n  A: {half}\n/x\n  B: 1\n  A: {half}\n");
        let headers = Headers::parse(&text).expect("right");
        let fill = |path: &[u8]| {
            let merged = Merged::new(&headers, &headers.matching(path), &FieldList::default());
            merged.fill(&headers, path)
        };
        assert!(fill(b"/y").is_ok());
        let problem = fill(b"/x").expect_err("too much");
        assert!(problem.to_string().starts_with("_headers:5: "), "{problem}");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, place, hint) in [
            ("  A: 1\n", ":1: ", "below a pattern"),
            ("x\n  A: 1\n", ":1: ", "begins with a slash"),
            ("/x\nA: 1\n", ":2: ", "indented"),
            ("/x\n  A 1\n", ":2: ", "a colon"),
            ("/x\n  A: \u{7}\n", ":2: ", "control"),
            ("/x\n  Content-Length: 1\n", ":2: ", "can't be changed"),
            ("/x\n  ! ETag\n", ":2: ", "can't be changed"),
            ("/x\n  content-encoding: br\n", ":2: ", "follows from the file"),
            ("/x\n  Content-Type: text\n", ":2: ", "as in text/html"),
            ("/x\n  Content-Type:\n", ":2: ", "as in text/html"),
            ("/x\n  Content-Type: a/b\n  content-type: a/c\n", ":3: ", "there twice"),
            ("/x?y\n  A: 1\n", ":1: ", "no path has ?"),
            ("/x#y\n  A: 1\n", ":1: ", "no path has #"),
            ("/x\n\n", ":1: ", "no fields"),
            ("/x\n/y\n  A: 1\n", ":2: ", "no fields"),
            ("https://x.example/*\n  A: 1\n", ":1: ", "without a host"),
        ] {
            let problems = Headers::parse(text).expect_err(text);
            let said = problems[0].to_string();
            assert!(said.starts_with(&format!("_headers{place}")) && said.contains(hint), "{said}");
        }
    }
}
