//! `_headers`, as static hosts have made it a convention: a path pattern, and below it, indented,
//! the fields that replies to such paths have.
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
use crate::cli::{header, media};
use crate::site::pattern::{Captures, Pattern};
use crate::site::template::{Purpose, Template};

/// The name of the file, in the root.
pub const NAME: &str = "_headers";

/// What the file says.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    blocks: Vec<Block>,
}

#[derive(Clone, Debug)]
struct Block {
    pattern: Pattern,
    /// Each with its line.
    changes: Vec<(u32, Change)>,
}

#[derive(Clone, Debug)]
enum Change {
    Add(String, Template),
    Remove(String),
}

/// The fields of a reply while they are put together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldList(Vec<(String, String)>);

impl FieldList {
    /// Sets a field, in place of what it was.
    pub fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// Adds to a field; joined with a comma if it is there, unless it has one value.
    pub fn add(&mut self, name: &str, value: &str) {
        if name.eq_ignore_ascii_case(CONTENT_TYPE) {
            return self.set(name, value);
        }
        // Each cookie has a field of its own (RFC 6265 3).
        let joins = !name.eq_ignore_ascii_case("Set-Cookie");
        match self.0.iter_mut().find(|(known, _)| joins && known.eq_ignore_ascii_case(name)) {
            Some((_, known)) => {
                known.push_str(", ");
                known.push_str(value);
            }
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    /// Adds a field of its own, whatever others there are of its name.
    pub fn append(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// Says that replies depend on a field of the request, unless that is said already.
    pub fn vary_by(&mut self, name: &str) {
        let known = self.iter().filter(|(own, _)| own.eq_ignore_ascii_case("Vary"));
        let is_said = known.flat_map(|(_, value)| value.split(',')).any(|said| {
            let said = said.trim();
            said == "*" || said.eq_ignore_ascii_case(name)
        });
        if !is_said {
            self.add("Vary", name);
        }
    }

    /// Takes a field away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    /// The value of a field.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    /// Names and values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How many bytes they take in a head.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.iter().map(|(name, value)| name.len() + ": \r\n".len() + value.len()).sum()
    }
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
        let last_is_empty = headers.blocks.last().is_some_and(|block| block.changes.is_empty());
        if let Some(number) = last_pattern.filter(|_| last_is_empty && problems.is_empty()) {
            problems.push(Problem::at(NAME, number, NO_FIELDS.to_owned()));
        }
        if problems.is_empty() { Ok(headers) } else { Err(problems) }
    }

    fn pattern(&mut self, text: &str) -> Result<(), String> {
        if self.blocks.last().is_some_and(|block| block.changes.is_empty()) {
            return Err(format!("the pattern before it: {NO_FIELDS}"));
        }
        if text.contains("://") {
            return Err(format!("{text}: patterns are paths here, without a host"));
        }
        let pattern = Pattern::parse(text)
            .map_err(|why| format!("{text}: {why} (fields of a pattern are indented)"))?;
        self.blocks.push(Block { pattern, changes: Vec::new() });
        Ok(())
    }

    fn field(&mut self, number: u32, text: &str) -> Result<(), String> {
        let Some(block) = self.blocks.last_mut() else {
            return Err("a field comes below a pattern".to_owned());
        };
        let change = if let Some(name) = text.strip_prefix('!') {
            let name = name.trim();
            // Checked as a field with that name would be.
            header::field(&format!("{name}:"))?;
            check_name(name)?;
            Change::Remove(name.to_owned())
        } else {
            let (name, value) = header::field(text)?;
            check_name(&name)?;
            if name.eq_ignore_ascii_case(CONTENT_TYPE) {
                media::parse(&value).map_err(|why| format!("{value}: {why}"))?;
                let is_type = |change: &(u32, Change)| match &change.1 {
                    Change::Add(known, _) => known.eq_ignore_ascii_case(CONTENT_TYPE),
                    Change::Remove(_) => false,
                };
                if block.changes.iter().any(is_type) {
                    return Err(format!("{name} is there twice for this pattern"));
                }
            }
            let template = Template::parse(&value, &block.pattern, Purpose::Value);
            Change::Add(name, template.map_err(|why| why.to_string())?)
        };
        block.changes.push((number, change));
        Ok(())
    }

    /// Applies all that matches a decoded path.
    ///
    /// # Errors
    /// Where it becomes too much for the head of a reply.
    pub fn apply(&self, path: &[u8], fields: &mut FieldList) -> Result<(), Problem> {
        let bytes_max = fields.bytes() + PATH_BYTES_MAX;
        // The first pattern that sets a field replaces the server's default.
        let mut added: Vec<String> = Vec::new();
        for block in &self.blocks {
            let Some(captures) = block.pattern.matches(path) else { continue };
            for (line, change) in &block.changes {
                match change {
                    Change::Remove(name) => fields.remove(name),
                    Change::Add(name, template) => {
                        let value = filled_in(template, &captures);
                        let again = added.iter().any(|known| known.eq_ignore_ascii_case(name));
                        if !again {
                            fields.remove(name);
                            added.push(name.clone());
                        }
                        fields.add(name, &value);
                        if fields.bytes() > bytes_max {
                            return Err(Problem::at(NAME, *line, too_much()));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

fn too_much() -> String {
    format!("here the fields of one path come to more than {PATH_BYTES_MAX} bytes")
}

/// What is captured goes into a value percent-encoded: a path may have any octet.
fn filled_in(template: &Template, captures: &Captures<'_>) -> String {
    let mut value = vec![0; VALUE_BYTES_FIRST];
    loop {
        if let Some(len) = template.write(captures, &mut value) {
            value.truncate(len);
            return String::from_utf8_lossy(&value).into_owned();
        }
        value.resize(value.len() * 2, 0);
    }
}

/// Refuses what the server says itself.
fn check_name(name: &str) -> Result<(), String> {
    match header::servers_own(name) {
        // It has a default here, to be changed.
        Some(_) if name.eq_ignore_ascii_case(CONTENT_TYPE) => Ok(()),
        Some(why) => Err(format!("{name} can't be changed: {why}")),
        None => match OWN_OF_FILES.iter().find(|own| own.eq_ignore_ascii_case(name)) {
            Some(own) => Err(format!("{own} can't be changed: it follows from the file")),
            None => Ok(()),
        },
    }
}

const CONTENT_TYPE: &str = "Content-Type";
const OWN_OF_FILES: [&str; 2] = ["Content-Encoding", "Location"];
const NO_FIELDS: &str = "it has no fields: they follow it, indented";
/// The most patterns: each file's path is matched with each at start.
const BLOCKS_MAX: usize = 1_000;
/// The most bytes of fields that a path has from here: as many as `--header` can have.
const PATH_BYTES_MAX: usize = 8 * 1024;
const VALUE_BYTES_FIRST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(text: &str, path: &str) -> Vec<(String, String)> {
        let headers = Headers::parse(text).expect("right");
        let mut fields = FieldList::default();
        fields.set("Cache-Control", "no-cache");
        headers.apply(path.as_bytes(), &mut fields).expect("it is little");
        fields.0
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
    fn what_replies_depend_on_is_said_once() {
        for (before, after) in [
            ("", "Accept-Encoding"),
            ("Origin", "Origin, Accept-Encoding"),
            ("Origin,accept-encoding", "Origin,accept-encoding"),
            ("*", "*"),
            ("X-Accept-Encoding", "X-Accept-Encoding, Accept-Encoding"),
        ] {
            let mut fields = FieldList::default();
            if !before.is_empty() {
                fields.add("vary", before);
            }
            fields.vary_by("Accept-Encoding");
            assert_eq!(fields.value("Vary"), Some(after));
        }
    }

    #[test]
    fn a_type_has_one_value() {
        let text = "/*\n  Content-Type: a/b\n/x\n  content-type: a/c\n";
        assert_eq!(applied(text, "/x")[1..], [("content-type".to_owned(), "a/c".to_owned())]);
    }

    #[test]
    fn a_path_has_so_many_bytes_of_fields() {
        let half = "v".repeat(PATH_BYTES_MAX / 2);
        let text = format!("/*\n  A: {half}\n/x\n  B: 1\n  A: {half}\n");
        let headers = Headers::parse(&text).expect("right");
        assert_eq!(headers.apply(b"/y", &mut FieldList::default()), Ok(()));
        let problem = headers.apply(b"/x", &mut FieldList::default()).expect_err("too much");
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
