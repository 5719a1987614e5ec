//! The fields of a path: defaults, changed by the blocks of `_headers` that match it.
//!
//! Few sets of blocks match many files, so the result of a set on equal defaults is computed once,
//! with gaps for captures. The cost of a file of rules is proportional to its length and not to its
//! length times the number of files.

use super::fields::{FieldList, JOIN, Repeated, field_bytes};
use super::headers::Headers;
use super::problem::Problem;
use super::rule_files::HEADERS;
use crate::http::added_field::ADDED_FIELDS_BYTES_MAX;
use crate::site::pattern::Captures;
use crate::site::template::Template;
use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

/// The fields of all paths with the same matching blocks and the same defaults.
#[derive(Clone, Debug)]
pub(super) struct Merged {
    fields: Vec<Field>,
    bytes_max: usize,
    blocks: Box<[u32]>,
}

#[derive(Clone, Debug)]
struct Field {
    name: String,
    /// The parts of the value, which are joined with commas.
    values: Vec<Value>,
}

#[derive(Clone, Debug)]
enum Value {
    /// A default.
    Default(String),
    /// The value of a line without placeholders, and the line's number.
    Fixed(String, u32),
    /// The value of a line with placeholders, the line's number, and the index of its block among
    /// the matching ones, whose captures fill it.
    Open(Template, u32, usize),
}

impl Merged {
    /// Applies the blocks to the defaults.
    pub(super) fn new(headers: &Headers, blocks: &[u32], defaults: &FieldList) -> Self {
        let mut builder = FieldsBuilder::default();
        for (name, value) in defaults.iter() {
            builder.append(name, Value::Default(value.to_owned()));
        }
        for (place, &number) in blocks.iter().enumerate() {
            let block = headers.block(number);
            let is_removed = |name: &String| block.removed.contains_key(name);
            let removed: Vec<_> =
                builder.places.keys().filter(|name| is_removed(name)).cloned().collect();
            for name in &removed {
                builder.remove(name);
            }
            for added in &block.added {
                let value = match added.value.fixed() {
                    Some(text) => {
                        Value::Fixed(String::from_utf8_lossy(text).into_owned(), added.line)
                    }
                    None => Value::Open(added.value.clone(), added.line, place),
                };
                builder.add(&added.name, value);
            }
        }
        let fields = builder.fields.into_iter().flatten().collect();
        Self { fields, bytes_max: defaults.bytes() + ADDED_FIELDS_BYTES_MAX, blocks: blocks.into() }
    }

    /// Whether no value depends on the path.
    pub(super) fn is_fixed(&self) -> bool {
        let mut values = self.fields.iter().flat_map(|field| &field.values);
        !values.any(|value| matches!(value, Value::Open(..)))
    }

    /// Whether the fields exceed the limit whatever is captured: each value takes at least two
    /// bytes (`, `).
    fn is_too_much(&self) -> bool {
        let values: usize = self.fields.iter().map(|field| field.values.len()).sum();
        values * JOIN.len() > self.bytes_max
    }

    /// The fields of a path that the blocks match.
    ///
    /// # Errors
    /// If they exceed the limit; the problem names the first line beyond it.
    pub(super) fn fill(&self, headers: &Headers, path: &[u8]) -> Result<FieldList, Problem> {
        let mut captures: Vec<Option<Captures<'_>>> = vec![None; self.blocks.len()];
        let mut list = FieldList::default();
        let mut scratch = vec![0; VALUE_BYTES_FIRST];
        // Lines and bytes, to name the first line beyond the limit.
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
            format!("with this line, the fields of a path exceed {ADDED_FIELDS_BYTES_MAX} bytes");
        Err(Problem::at(HEADERS, line.map_or(0, |(line, _)| *line), why))
    }
}

/// Fields while blocks are applied to them.
#[derive(Default)]
struct FieldsBuilder {
    /// Removed fields are `None`.
    fields: Vec<Option<Field>>,
    /// Indices in `fields` by name in lower case.
    places: HashMap<String, Vec<usize>>,
    /// Names that a block has added: the first addition replaces the default.
    added: HashSet<String>,
}

impl FieldsBuilder {
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
                let field = self.fields[place].as_mut().expect("places only has fields that exist");
                field.values.push(value);
            }
            None => self.append(name, value),
        }
    }
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
    headers: &'a Headers,
    known: HashMap<(Key, Vec<u32>), CachedFields>,
}

#[derive(Debug)]
enum CachedFields {
    Shared(Arc<FieldList>),
    Open(Merged),
    Wrong(Problem),
}

impl<'a, Key: Eq + Hash> FieldsOf<'a, Key> {
    pub(super) fn new(headers: &'a Headers) -> Self {
        Self { headers, known: HashMap::new() }
    }

    /// The fields of a path. Paths with equal keys have equal `defaults`.
    ///
    /// # Errors
    /// If the fields exceed the limit.
    pub(super) fn of(
        &mut self,
        path: &[u8],
        key: Key,
        defaults: impl FnOnce() -> FieldList,
    ) -> Result<Arc<FieldList>, Problem> {
        let headers = self.headers;
        let finished = |mut fields: FieldList| {
            // Every response has this field already.
            fields.remove("X-Content-Type-Options");
            Arc::new(fields)
        };
        let blocks = headers.matching(path);
        let known = match self.known.entry((key, blocks)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let merged = Merged::new(headers, &entry.key().1, &defaults());
                let known = match merged.fill(headers, path) {
                    Ok(fields) if merged.is_fixed() => CachedFields::Shared(finished(fields)),
                    Err(problem) if merged.is_fixed() || merged.is_too_much() => {
                        CachedFields::Wrong(problem)
                    }
                    Ok(_) | Err(_) => CachedFields::Open(merged),
                };
                entry.insert(known)
            }
        };
        match known {
            CachedFields::Shared(fields) => Ok(Arc::clone(fields)),
            CachedFields::Open(merged) => merged.fill(headers, path).map(finished),
            CachedFields::Wrong(problem) => Err(problem.clone()),
        }
    }
}

const VALUE_BYTES_FIRST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::pattern::Pattern;
    use crate::site::template::TemplateKind;
    use proptest::prelude::*;

    /// Blocks as (pattern, lines); a line without a value removes the field.
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

    /// Applies the blocks line by line.
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
                let template =
                    Template::parse(value, &pattern, TemplateKind::Value).expect("a template");
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
        /// Merged blocks and blocks applied line by line make equal fields.
        #[test]
        fn merged_blocks_agree_with_line_by_line_application(
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
            let headers = Headers::parse(&text(&blocks)).expect("the blocks are valid");
            let mut fields_of = FieldsOf::new(&headers);
            for path in paths.iter().chain(&paths) {
                let path = path.as_bytes();
                let found = fields_of.of(path, (), defaults).expect("the fields are short");
                prop_assert_eq!(&*found, &slow(&blocks, path, &defaults()), "{}", text(&blocks));
            }
        }
    }

    #[test]
    fn paths_with_equal_blocks_share_their_fields() {
        let rules = "/*\n  X-A: 1\n/a/*\n  X-B: 2\n/b/:id\n  X-C: :id\n";
        let headers = Headers::parse(rules).expect("the blocks are valid");
        let mut fields_of = FieldsOf::new(&headers);
        let mut of = |path: &[u8]| fields_of.of(path, (), defaults).expect("the fields are short");
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
            fields_of.of(path.as_bytes(), (), counted).expect("the fields are short");
        }
        assert_eq!(count, 0, "the fields of these blocks are cached");
    }

    /// The limit is not checked again for each path.
    #[test]
    fn excess_fields_are_detected_once_for_all_paths() {
        for line in ["  A: 1\n", "  A: :splat\n"] {
            let rules = format!("/*\n{}", line.repeat(10_000));
            let headers = Headers::parse(&rules).expect("the blocks are valid");
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
