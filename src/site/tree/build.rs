//! The construction of a tree at start, from bodies that are in the buffer already and the paths
//! that lead to them.

use super::Tree;
use super::composer::{ComposedFile, Composer, DefaultsId};
use super::heads::Heads;
use super::lines::BodyLines;
use super::missing::NotFoundPages;
use super::route_table::RouteTable;
use super::rows::{
    CodedBody, FieldBlock, FieldsId, FileId, PackedCodings, Representation, RouteEntry,
    RouteTarget, SiteFile,
};
use super::sender::LOCATION_BYTES_MAX;
use crate::bytes::PAGE_BYTES_MAX;
use crate::http::coding::Coding;
use crate::http::request::TARGET_BYTES_MAX;
use crate::http::response::is_kept_by_not_modified;
use crate::site::field_rules::FieldRules;
use crate::site::layout::{Layout, RunLayout};
use crate::site::redirects::Redirects;
use crate::site::tag::Tag;
use std::collections::HashMap;
use std::num::NonZeroU64;

/// A tree under construction.
#[derive(Debug, Default)]
pub struct Builder {
    route_table: RouteTable,
    representations: Vec<Representation>,
    tags_apart: HashMap<u32, Tag, foldhash::fast::FixedState>,
    modified: Vec<Option<NonZeroU64>>,
    field_blocks: Vec<FieldBlock>,
    known_fields: HashMap<Vec<(String, String)>, u32>,
    not_found: NotFoundPages,
    fallback: Option<RouteTarget>,
    redirects: Redirects,
    health: Option<Box<[u8]>>,
    composer: Option<Composer>,
}

impl Builder {
    /// Adds a file with one body per coding; of the codings that a client accepts with equal
    /// weight, the smallest is sent. `modified` is in seconds since the Unix epoch, as in the lines
    /// of the bodies.
    ///
    /// # Panics
    /// If the largest body is not the identity.
    pub fn file(&mut self, mut bodies: Vec<CodedBody>, modified: Option<u64>) -> SiteFile {
        bodies.sort_by_key(|body| (body.span.len, std::cmp::Reverse(body.coding)));
        let last = bodies.last().map(|body| body.coding);
        assert_eq!(last, Some(Coding::Identity), "the identity is the largest body");
        let id = FileId(number(self.modified.len()));
        let first = number(self.representations.len());
        let codings = PackedCodings::new(bodies.iter().map(|body| body.coding));
        self.modified.push(modified.and_then(NonZeroU64::new));
        for &CodedBody { coding, span: body, tag, has_lines } in &bodies {
            let mut lines_bytes = 0;
            if has_lines {
                let lines = BodyLines { coding, len: body.len, modified };
                lines_bytes = u8::try_from(lines.bytes()).expect("they are far shorter");
            } else {
                self.tags_apart.insert(number(self.representations.len()), tag);
            }
            self.representations.push(Representation { body, lines_bytes });
        }
        SiteFile { id, first, codings, is_protected: false }
    }

    /// Adds a set of fields, as names and values; equal sets are stored once.
    pub fn fields<'a>(&mut self, fields: impl Iterator<Item = (&'a str, &'a str)>) -> FieldsId {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut fields: Vec<_> = fields.map(owned).collect();
        // The fields of a 304 come last, so that its head needs only the end of the block.
        fields.sort_by_key(|(name, _)| is_kept_by_not_modified(name));
        if let Some(&known) = self.known_fields.get(&fields) {
            return FieldsId(known);
        }
        let mut block = FieldBlock::default();
        for (name, value) in &fields {
            if !is_kept_by_not_modified(name) {
                block.kept_at += name.len() + ": \r\n".len() + value.len();
            }
            block.text.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        let id = number(self.field_blocks.len());
        self.field_blocks.push(block);
        self.known_fields.insert(fields, id);
        FieldsId(id)
    }

    /// Adds a decoded path that leads to a file; false if the path was added before.
    pub fn path(&mut self, path: &[u8], target: RouteTarget) -> bool {
        self.route_table.add(path, RouteEntry::File(target))
    }

    /// Adds a decoded path without a slash at its end that redirects to the path with one; false if
    /// the path was added before.
    pub fn folder(&mut self, path: &[u8]) -> bool {
        self.route_table.add(path, RouteEntry::Folder)
    }

    /// Sets the content of 404 responses below a folder, whose path has a slash at its end.
    pub fn not_found(&mut self, folder: &[u8], target: RouteTarget) {
        self.not_found.add(folder, target);
    }

    /// Sets the rules for fields, and the fields of responses without a file, for open and for
    /// protected paths. Without them, these responses have `X-Content-Type-Options` only.
    pub fn field_rules<'a>(
        &mut self,
        rules: FieldRules,
        built_in: [impl Iterator<Item = (&'a str, &'a str)>; 2],
    ) {
        self.composer = Some(Composer::new(rules, built_in));
    }

    /// Adds the fields of files before rules apply, for open and for protected paths.
    ///
    /// # Panics
    /// If there are no rules for fields.
    pub fn defaults<'a>(
        &mut self,
        fields: [impl Iterator<Item = (&'a str, &'a str)>; 2],
    ) -> DefaultsId {
        self.composer.as_mut().expect(HAS_RULES).add_defaults(fields)
    }

    /// Sets the canonical path and the defaults of a file; to be called for each file, in the
    /// order of [`Builder::file`], when all paths are added.
    ///
    /// # Panics
    /// If the tree lacks that path, or there are no rules for fields.
    pub fn composed_file(&mut self, canonical: &[u8], defaults: DefaultsId) {
        let canonical = self.route_table.offset(canonical).expect("a file has its path");
        let composer = self.composer.as_mut().expect(HAS_RULES);
        composer.files.push(ComposedFile { canonical, defaults });
    }

    /// Protects a file by blocks of the rules for fields; to be called before its paths are added.
    ///
    /// # Panics
    /// If there are no rules for fields.
    pub fn protect(&mut self, file: &mut SiteFile, blocks: &[u32]) {
        file.is_protected = true;
        let composer = self.composer.as_mut().expect(HAS_RULES);
        composer.protection.insert(file.id.0, blocks.into());
    }

    /// Sets the page that navigations to missing paths get with status 200; its script reads the
    /// path (single-page application).
    pub fn fallback(&mut self, target: RouteTarget) {
        self.fallback = Some(target);
    }

    /// Sets the redirects and rewrites.
    pub fn redirects(&mut self, redirects: Redirects) {
        self.redirects = redirects;
    }

    /// Sets the path of health checks, which takes precedence over files and rules.
    pub fn health(&mut self, path: &[u8]) {
        self.health = Some(path.into());
    }

    /// Builds the tree for a buffer whose first `image_bytes` bytes are the bodies with their
    /// lines, and the layout that the buffer needs for `slots` connections.
    #[must_use]
    pub fn build(self, image_bytes: u64, slots: u32) -> (Tree, Layout) {
        let heads = Heads::new();
        let stored = self.field_blocks.iter().map(|block| block.text.len()).max().unwrap_or(0);
        let composed_bytes = self.composer.as_ref().map_or(0, Composer::bytes_max);
        let block_bytes = block_bytes(&heads, stored.max(composed_bytes));
        let tail_bytes = tail_bytes();
        let blocks_at = Layout::new(image_bytes, 0).scratch().offset;
        let tails_at = blocks_at + u64::from(slots) * u64::from(block_bytes);
        let runs_at = tails_at + u64::from(slots) * u64::from(tail_bytes);
        let runs = RunLayout::new(runs_at, slots, block_bytes, tail_bytes);
        let decode_at = runs.end();
        let layout = Layout::new(image_bytes, decode_at - blocks_at + TARGET_BYTES_MAX as u64);
        let tree = Tree {
            route_table: self.route_table.shrunk(),
            representations: self.representations.into(),
            tags_apart: self.tags_apart,
            modified: self.modified.into(),
            field_blocks: self.field_blocks.into(),
            not_found: self.not_found,
            fallback: self.fallback,
            redirects: self.redirects,
            health: self.health,
            composer: self.composer.map(Box::new),
            composed_bytes,
            heads,
            layout,
            block_bytes,
            tails_at,
            tail_bytes,
            runs,
            decode_at,
        };
        (tree, layout)
    }
}

/// Most bytes that a buffer needs behind its image, padding included, if the fields of a response,
/// stored or composed, take at most `fields_bytes_max` bytes.
#[must_use]
pub fn room_for(fields_bytes_max: usize, slots: u32) -> u64 {
    let (block, tail) = (block_bytes(&Heads::new(), fields_bytes_max), tail_bytes());
    let runs_at = u64::from(slots) * u64::from(block + tail);
    let runs = RunLayout::new(runs_at, slots, block, tail);
    PAGE_BYTES_MAX + runs.end() + TARGET_BYTES_MAX as u64
}

fn block_bytes(heads: &Heads, fields_bytes_max: usize) -> u32 {
    let file_head = heads.front_bytes_max() + OWN_FIELDS_BYTES_MAX;
    let response = heads.response_bytes_max() + OWN_LINES_BYTES_MAX;
    number(file_head.max(response) + fields_bytes_max).next_multiple_of(ALIGNMENT)
}

fn tail_bytes() -> u32 {
    number(LOCATION_BYTES_MAX + TAIL_RESERVE).next_multiple_of(ALIGNMENT)
}

fn number(value: usize) -> u32 {
    u32::try_from(value).expect("a site has less than 2^32 files and sets of fields")
}

/// Most bytes of the fields derived from a file and its choice: ranges, coding, length, tag, date
/// and language.
const OWN_FIELDS_BYTES_MAX: usize = 352;
/// Most bytes that are added to a built-in response: its lines without rules, and `Content-Range`.
const OWN_LINES_BYTES_MAX: usize = 160;
/// Room for the end of a head behind a `Location`.
const TAIL_RESERVE: usize = 64;
const HAS_RULES: &str = "Builder::field_rules comes first";
/// Blocks and tails begin on a cache line.
const ALIGNMENT: u32 = 64;
