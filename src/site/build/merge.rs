//! What the blocks of `_headers` that match a path make of its fields.
//!
//! Few sets of blocks match many files, so what a set makes of the same fields is found once, with
//! places for what the patterns capture; a file of rules costs what its length says, and not that
//! for each file of the root.

use super::Problem;
use super::fields::{FieldList, JOIN, Repeated, field_bytes};
use super::headers::{Headers, NAME};
use crate::http::added_field::ADDED_FIELDS_BYTES_MAX;
use crate::site::pattern::Captures;
use crate::site::template::Template;
use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

/// The fields of all paths that the same blocks match and that had the same fields before.
#[derive(Clone, Debug)]
pub(super) struct Merged {
    fields: Vec<Field>,
    bytes_max: usize,
    blocks: Box<[u32]>,
}

#[derive(Clone, Debug)]
struct Field {
    name: String,
    /// They are joined.
    values: Vec<Value>,
}

#[derive(Clone, Debug)]
enum Value {
    /// It was there before.
    Default(String),
    /// A line has it, without placeholders.
    Fixed(String, u32),
    /// A line has it; its captures are those of a block, by its place among those that match.
    Open(Template, u32, usize),
}

impl Merged {
    /// The fields, from those that there are without the blocks.
    pub(super) fn new(headers: &Headers, blocks: &[u32], before: &FieldList) -> Self {
        let mut growing = Growing::default();
        for (name, value) in before.iter() {
            growing.append(name, Value::Default(value.to_owned()));
        }
        for (place, &number) in blocks.iter().enumerate() {
            let block = headers.block(number);
            let is_removed = |name: &String| block.removed.contains_key(name);
            let removed: Vec<_> =
                growing.places.keys().filter(|name| is_removed(name)).cloned().collect();
            for name in &removed {
                growing.remove(name);
            }
            for added in &block.added {
                let value = match added.value.fixed() {
                    Some(text) => {
                        Value::Fixed(String::from_utf8_lossy(text).into_owned(), added.line)
                    }
                    None => Value::Open(added.value.clone(), added.line, place),
                };
                growing.add(&added.name, value);
            }
        }
        let fields = growing.fields.into_iter().flatten().collect();
        Self { fields, bytes_max: before.bytes() + ADDED_FIELDS_BYTES_MAX, blocks: blocks.into() }
    }

    /// Whether all paths have the same fields.
    pub(super) fn is_fixed(&self) -> bool {
        let mut values = self.fields.iter().flat_map(|field| &field.values);
        !values.any(|value| matches!(value, Value::Open(..)))
    }

    /// Whether it is too much whatever is captured: each value takes two bytes at least.
    fn is_too_much(&self) -> bool {
        let values: usize = self.fields.iter().map(|field| field.values.len()).sum();
        values * JOIN.len() > self.bytes_max
    }

    /// The fields of a path that the blocks match.
    ///
    /// # Errors
    /// If it is too much for the head of a response.
    pub(super) fn fill(&self, headers: &Headers, path: &[u8]) -> Result<FieldList, Problem> {
        let mut captures: Vec<Option<Captures<'_>>> = vec![None; self.blocks.len()];
        let mut list = FieldList::default();
        let mut scratch = vec![0; VALUE_BYTES_FIRST];
        // By their lines, to name the one from which it is too much.
        let mut added: Vec<(u32, usize)> = Vec::new();
        for Field { name, values } in &self.fields {
            let mut text = String::new();
            for (index, value) in values.iter().enumerate() {
                let begin = text.len();
                text.push_str(if index > 0 { JOIN } else { "" });
                let line = match value {
                    Value::Default(value) => {
                        text.push_str(value);
                        None
                    }
                    Value::Fixed(value, line) => {
                        text.push_str(value);
                        Some(*line)
                    }
                    Value::Open(template, line, place) => {
                        let pattern = &headers.block(self.blocks[*place]).pattern;
                        let captures = captures[*place].get_or_insert_with(|| {
                            pattern.matches(path).expect("the block matches the path")
                        });
                        text.push_str(&filled_in(template, captures, &mut scratch));
                        Some(*line)
                    }
                };
                let own = if index == 0 { field_bytes(name, "") } else { 0 };
                added.push((line.unwrap_or(0), text.len() - begin + own));
            }
            list.append(name, &text);
        }
        if list.bytes() <= self.bytes_max {
            return Ok(list);
        }
        added.sort_by_key(|(line, _)| *line);
        let mut bytes = 0;
        let line = added.iter().find(|(_, more)| {
            bytes += more;
            bytes > self.bytes_max
        });
        let why =
            format!("here the fields of one path come to more than {ADDED_FIELDS_BYTES_MAX} bytes");
        Err(Problem::at(NAME, line.map_or(0, |(line, _)| *line), why))
    }
}

/// Fields while blocks change them.
#[derive(Default)]
struct Growing {
    /// Those that were taken away are empty.
    fields: Vec<Option<Field>>,
    /// By their names in lower case.
    places: HashMap<String, Vec<usize>>,
    /// Names that a block has added to: the first that does replaces the server's default.
    added: HashSet<String>,
}

impl Growing {
    fn append(&mut self, name: &str, value: Value) {
        self.places.entry(name.to_ascii_lowercase()).or_default().push(self.fields.len());
        self.fields.push(Some(Field { name: name.to_owned(), values: vec![value] }));
    }

    fn remove(&mut self, lower_name: &str) {
        for place in self.places.remove(lower_name).unwrap_or_default() {
            self.fields[place] = None;
        }
    }

    fn add(&mut self, name: &str, value: Value) {
        let lower_name = name.to_ascii_lowercase();
        let repeated = Repeated::of(name);
        let is_first = self.added.insert(lower_name.clone());
        if is_first || repeated == Repeated::Replaces {
            self.remove(&lower_name);
        }
        let known = self.places.get(&lower_name).and_then(|places| places.first());
        match known.filter(|_| repeated == Repeated::Joins) {
            Some(&place) => {
                let field = self.fields[place].as_mut().expect("its place is known");
                field.values.push(value);
            }
            None => self.append(name, value),
        }
    }
}

/// What is captured goes into a value percent-encoded: a path may have any octet.
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

/// The fields of paths, of which those with the same fields share them.
#[derive(Debug)]
pub(super) struct FieldsOf<'a, Key> {
    headers: &'a Headers,
    known: HashMap<(Key, Vec<u32>), Known>,
}

#[derive(Debug)]
enum Known {
    Shared(Arc<FieldList>),
    Open(Merged),
    Wrong(Problem),
}

impl<'a, Key: Eq + Hash> FieldsOf<'a, Key> {
    pub(super) fn new(headers: &'a Headers) -> Self {
        Self { headers, known: HashMap::new() }
    }

    /// The fields of a path. Those with the same key have had the same fields `before`.
    ///
    /// # Errors
    /// If it is too much for the head of a response.
    pub(super) fn of(
        &mut self,
        path: &[u8],
        key: Key,
        before: impl FnOnce() -> FieldList,
    ) -> Result<Arc<FieldList>, Problem> {
        let headers = self.headers;
        let finished = |mut fields: FieldList| {
            // Every response has it as it is.
            fields.remove("X-Content-Type-Options");
            Arc::new(fields)
        };
        let blocks = headers.matching(path);
        let known = match self.known.entry((key, blocks)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let merged = Merged::new(headers, &entry.key().1, &before());
                let known = match merged.fill(headers, path) {
                    Ok(fields) if merged.is_fixed() => Known::Shared(finished(fields)),
                    Err(problem) if merged.is_fixed() || merged.is_too_much() => {
                        Known::Wrong(problem)
                    }
                    Ok(_) | Err(_) => Known::Open(merged),
                };
                entry.insert(known)
            }
        };
        match known {
            Known::Shared(fields) => Ok(Arc::clone(fields)),
            Known::Open(merged) => merged.fill(headers, path).map(finished),
            Known::Wrong(problem) => Err(problem.clone()),
        }
    }
}

const VALUE_BYTES_FIRST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::pattern::Pattern;
    use crate::site::template::Purpose;
    use proptest::prelude::*;

    /// Blocks as (pattern, lines); a line without a value takes its name away.
    type Blocks = Vec<(String, Vec<(String, Option<String>)>)>;

    fn text(blocks: &Blocks) -> String {
        let line = |(name, value): &(String, Option<String>)| match value {
            Some(value) => format!("  {name}: {value}\n"),
            None => format!("  ! {name}\n"),
        };
        let block = |(pattern, lines): &(String, Vec<_>)| {
            format!("{pattern}\n{}", lines.iter().map(line).collect::<Vec<_>>().concat())
        };
        blocks.iter().map(block).collect::<Vec<_>>().concat()
    }

    /// Line by line.
    fn slow(blocks: &Blocks, path: &[u8], before: &FieldList) -> FieldList {
        let mut fields = before.clone();
        let mut added: Vec<String> = Vec::new();
        for (pattern, lines) in blocks {
            let pattern = Pattern::parse(pattern).expect("a pattern");
            let Some(captures) = pattern.matches(path) else { continue };
            for (name, value) in lines {
                let Some(value) = value else {
                    fields.remove(name);
                    continue;
                };
                let template = Template::parse(value, &pattern, Purpose::Value).expect("it is");
                if !added.contains(&name.to_lowercase()) {
                    fields.remove(name);
                    added.push(name.to_lowercase());
                }
                fields.add(name, &filled_in(&template, &captures, &mut vec![0; 64]));
            }
        }
        fields
    }

    fn defaults() -> FieldList {
        let mut before = FieldList::default();
        before.set("Content-Type", "text/html");
        before.append("X-A", "first");
        before.append("x-a", "second");
        before.append("Vary", "Origin");
        before
    }

    proptest! {
        /// Sets of blocks make the same of the fields as line after line does.
        #[test]
        fn merging_is_applying_line_by_line(
            blocks in prop::collection::vec(
                (
                    "(/\\*|/:x|/a|/a\\*|/\\*b|/:x/\\*)",
                    prop::collection::vec(
                        (
                            "(X-A|x-a|X-B|Set-Cookie|Vary)",
                            prop::option::of("[a-c]{1,3}|:x;|:splat;a"),
                        ),
                        1..6,
                    ),
                ),
                1..6,
            ),
            paths in prop::collection::vec("/[ab]{0,2}(/[ab]{0,2})?", 1..6),
        ) {
            let headers = Headers::parse(&text(&blocks)).expect("it is right");
            let mut fields_of = FieldsOf::new(&headers);
            for path in paths.iter().chain(&paths) {
                let path = path.as_bytes();
                let found = fields_of.of(path, (), defaults).expect("it is little");
                prop_assert_eq!(&*found, &slow(&blocks, path, &defaults()), "{}", text(&blocks));
            }
        }
    }

    #[test]
    fn paths_with_the_same_blocks_share_their_fields() {
        let rules = "/*\n  X-A: 1\n/a/*\n  X-B: 2\n/b/:id\n  X-C: :id\n";
        let headers = Headers::parse(rules).expect("it is right");
        let mut fields_of = FieldsOf::new(&headers);
        let mut of = |path: &[u8]| fields_of.of(path, (), defaults).expect("it is little");
        assert!(Arc::ptr_eq(&of(b"/x"), &of(b"/y")));
        assert!(Arc::ptr_eq(&of(b"/a/x"), &of(b"/a/y")));
        assert_eq!(of(b"/b/x").value("X-C"), Some("x"));
        assert_eq!(of(b"/b/y").value("X-C"), Some("y"));
        let mut count = 0;
        for number in 0..100 {
            let path = format!("/{number}");
            let counted = || {
                count += 1;
                defaults()
            };
            fields_of.of(path.as_bytes(), (), counted).expect("it is little");
        }
        assert_eq!(count, 0, "the fields of these blocks are known");
    }

    /// Rules that are too much for one path are found to be that once.
    #[test]
    fn too_much_is_found_once() {
        for line in ["  A: 1\n", "  A: :splat\n"] {
            let rules = format!("/*\n{}", line.repeat(10_000));
            let headers = Headers::parse(&rules).expect("it is right");
            let mut fields_of = FieldsOf::new(&headers);
            let mut count = 0;
            for number in 0..100 {
                let path = format!("/{number}");
                let counted = || {
                    count += 1;
                    defaults()
                };
                let problem = fields_of.of(path.as_bytes(), (), counted).expect_err("too much");
                assert!(problem.to_string().starts_with("_headers:"), "{problem}");
            }
            assert_eq!(count, 1);
        }
    }
}
