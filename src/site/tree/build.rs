//! Putting a tree together at start: bodies that lie in the buffer already, and the paths by which
//! they are reached.

use super::heads::Heads;
use super::route_table::{Codings, Place, RouteTable};
use super::{FieldBlock, LOCATION_BYTES_MAX, Representation, Resource, Tree};
use crate::bytes::{PAGE_BYTES_MAX, Span};
use crate::http::coding::Coding;
use crate::http::request::TARGET_BYTES_MAX;
use crate::http::response::{DATE_BYTES, is_kept_by_not_modified, write_date};
use crate::site::layout::Layout;
use crate::site::redirects::Redirects;
use std::collections::HashMap;
use std::num::NonZeroU64;

/// A body that lies in the buffer, in one coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    /// How it is coded.
    pub coding: Coding,
    /// Where it lies.
    pub span: Span,
    /// From its content.
    pub tag: Tag,
}

/// A strong entity tag, quotes included: 32 hexadecimal digits of the content's hash.
pub type Tag = [u8; TAG_BYTES];

/// Bytes of a [`Tag`].
pub const TAG_BYTES: usize = 34;

/// A file that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    pub(super) id: FileId,
    /// The first of its representations.
    pub(super) first: u32,
    pub(super) codings: Codings,
}

/// A file's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId(pub(super) u32);

/// A set of fields that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldsId(pub(super) u32);

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteTarget {
    /// The file.
    pub file: File,
    /// The fields of responses, besides those that follow from the file.
    pub fields: FieldsId,
}

/// A tree that is being put together.
#[derive(Debug, Default)]
pub struct Builder {
    route_table: RouteTable,
    resources: Vec<Resource>,
    representations: Vec<Representation>,
    blocks: Vec<FieldBlock>,
    known_blocks: HashMap<Vec<(String, String)>, u32>,
    not_found: Option<RouteTarget>,
    fallback: Option<RouteTarget>,
    redirects: Redirects,
    health: Option<Box<[u8]>>,
}

impl Builder {
    /// Adds a file with its bodies, of which one is the identity; the smallest is preferred.
    ///
    /// # Panics
    /// If there is not exactly one identity, or it is not the largest.
    pub fn file(&mut self, mut bodies: Vec<Body>, modified: Option<u64>) -> File {
        bodies.sort_by_key(|body| (body.span.len, std::cmp::Reverse(body.coding)));
        let last = bodies.last().map(|body| body.coding);
        assert_eq!(last, Some(Coding::Identity), "the identity is the largest body");
        let file = FileId(count(self.resources.len()));
        let modified = modified.and_then(NonZeroU64::new);
        let mut modified_text = [0; DATE_BYTES];
        write_date(&mut modified_text, modified.map_or(0, NonZeroU64::get));
        let first = count(self.representations.len());
        let codings = Codings::new(bodies.iter().map(|body| body.coding));
        self.resources.push(Resource { modified, modified_text });
        self.representations.extend(bodies.iter().map(Representation::new));
        File { id: file, first, codings }
    }

    /// Adds a set of fields; equal ones are kept once.
    pub fn fields<'a>(&mut self, fields: impl Iterator<Item = (&'a str, &'a str)>) -> FieldsId {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut fields: Vec<_> = fields.map(owned).collect();
        // Those of a 304 come last, so that it has the end of the block.
        fields.sort_by_key(|(name, _)| is_kept_by_not_modified(name));
        if let Some(&known) = self.known_blocks.get(&fields) {
            return FieldsId(known);
        }
        let mut block = FieldBlock::default();
        for (name, value) in &fields {
            if !is_kept_by_not_modified(name) {
                block.kept_at += name.len() + ": \r\n".len() + value.len();
            }
            block.text.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        let id = count(self.blocks.len());
        self.blocks.push(block);
        self.known_blocks.insert(fields, id);
        FieldsId(id)
    }

    /// Adds a decoded path that leads to a file. Says whether it is new.
    pub fn path(&mut self, path: &[u8], leaf: RouteTarget) -> bool {
        self.route_table.add(path, Place::File(leaf))
    }

    /// Adds a decoded path without a slash at its end that redirects to the one with it.
    pub fn folder(&mut self, path: &[u8]) -> bool {
        self.route_table.add(path, Place::Folder)
    }

    /// What is served with 404 where there is nothing.
    pub fn not_found(&mut self, leaf: RouteTarget) {
        self.not_found = Some(leaf);
    }

    /// What a navigation gets where there is nothing: a page that finds its way by itself.
    pub fn fallback(&mut self, leaf: RouteTarget) {
        self.fallback = Some(leaf);
    }

    /// The rules that lead elsewhere.
    pub fn redirects(&mut self, redirects: Redirects) {
        self.redirects = redirects;
    }

    /// The path that says whether the server is well.
    pub fn health(&mut self, path: &[u8]) {
        self.health = Some(path.into());
    }

    /// The tree, for a buffer that has the bodies in its first `body_bytes` bytes; and the layout
    /// that the buffer is to have for this many connections.
    #[must_use]
    pub fn build(self, body_bytes: u64, slots: u32) -> (Tree, Layout) {
        let heads = Heads::new(self.fallback.is_some());
        let fields = self.blocks.iter().map(|block| block.text.len()).max().unwrap_or(0);
        let block_bytes = block_bytes(&heads, fields);
        let tail_bytes = tail_bytes();
        let blocks_at = Layout::new(body_bytes, 0).scratch().offset;
        let tails_at = blocks_at + u64::from(slots) * u64::from(block_bytes);
        let scratch_at = tails_at + u64::from(slots) * u64::from(tail_bytes);
        let layout = Layout::new(body_bytes, scratch_at - blocks_at + TARGET_BYTES_MAX as u64);
        let scratch_at = usize::try_from(scratch_at).expect("addresses have 64 bits");
        let tree = Tree {
            route_table: self.route_table.shrunk(),
            resources: self.resources.into(),
            representations: self.representations.into(),
            blocks: self.blocks.into(),
            not_found: self.not_found,
            fallback: self.fallback,
            redirects: self.redirects,
            health: self.health,
            heads,
            layout,
            blocks_at,
            block_bytes,
            tails_at,
            tail_bytes,
            scratch_at,
        };
        (tree, layout)
    }
}

/// How many bytes a buffer needs behind its bodies, if no path has more than so many bytes of
/// fields.
#[must_use]
pub fn room_for(fields_bytes_max: usize, slots: u32) -> u64 {
    room(&Heads::new(true), fields_bytes_max, slots)
}

fn room(heads: &Heads, fields_bytes_max: usize, slots: u32) -> u64 {
    let slot = block_bytes(heads, fields_bytes_max) + tail_bytes();
    PAGE_BYTES_MAX + u64::from(slots) * u64::from(slot) + TARGET_BYTES_MAX as u64
}

fn block_bytes(heads: &Heads, fields_bytes_max: usize) -> u32 {
    let head = heads.front_bytes_max() + fields_bytes_max + OWN_FIELDS_BYTES_MAX;
    count(head.max(heads.response_bytes_max())).next_multiple_of(ALIGNMENT)
}

fn tail_bytes() -> u32 {
    count(LOCATION_BYTES_MAX + TAIL_RESERVE).next_multiple_of(ALIGNMENT)
}

impl Representation {
    fn new(body: &Body) -> Self {
        let mut digits = [0; 12];
        let text = body.span.len.to_string();
        let mut digits_len = 0;
        if let Some(place) = digits.get_mut(..text.len()) {
            place.copy_from_slice(text.as_bytes());
            digits_len = u8::try_from(text.len()).expect("twelve digits at most");
        }
        Self { body: body.span, coding: body.coding, digits_len, digits, tag: body.tag }
    }
}

impl FileId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

impl FieldsId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

fn count(value: usize) -> u32 {
    u32::try_from(value).expect("a site's files and fields are counted by 32 bits")
}

/// What follows from the file: coding, length, range, tag, date.
const OWN_FIELDS_BYTES_MAX: usize = 320;
/// What comes behind a location.
const TAIL_RESERVE: usize = 64;
/// Blocks begin on a cache line.
const ALIGNMENT: u32 = 64;
