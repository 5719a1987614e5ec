//! The decoded paths of a site with their destinations.
//!
//! A record holds a path and, in front of it, everything that the choice of a response needs. So a
//! lookup in a large site costs one access to a distant cache line, besides that of the table.

use super::rows::{FieldsId, FileId, PackedCodings, RouteEntry, RouteTarget, SiteFile};
use crate::http::path;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// The records, one behind the other, and a hash table of their offsets.
#[derive(Debug, Default)]
pub(super) struct RouteTable {
    records: Vec<u8>,
    /// Offsets by the hash of the path; 6 to 12 bytes of table per path.
    offsets: HashTable<u32>,
    hasher: FixedState,
}

impl RouteTable {
    /// Adds a path; false if the path is in the table already, which then keeps its destination.
    pub(super) fn add(&mut self, path: &[u8], destination: RouteEntry) -> bool {
        if self.find(path).is_some() {
            return false;
        }
        let at = u32::try_from(self.records.len()).expect("paths take less than 4 GiB");
        self.write(path, destination);
        let Self { records, offsets, hasher } = self;
        offsets
            .insert_unique(hasher.hash_one(path), at, |&at| hasher.hash_one(path_at(records, at)));
        true
    }

    /// The destination of a path.
    pub(super) fn find(&self, path: &[u8]) -> Option<RouteEntry> {
        Some(self.destination(self.offset(path)?))
    }

    /// The destination of the path of a request target that is there as it is, which saves its
    /// decoding.
    pub(super) fn find_literal(&self, path: &[u8]) -> Option<RouteEntry> {
        let at = self.offset(path)?;
        let is_literal = head_at(&self.records, at)[FLAGS_AT] & LITERAL != 0;
        is_literal.then(|| self.destination(at))
    }

    /// The offset of the record of a path.
    pub(super) fn offset(&self, path: &[u8]) -> Option<u32> {
        let is_own = |&at: &u32| path_at(&self.records, at) == path;
        self.offsets.find(self.hasher.hash_one(path), is_own).copied()
    }

    /// The path of the record at an offset.
    pub(super) fn path(&self, offset: u32) -> &[u8] {
        path_at(&self.records, offset)
    }

    fn write(&mut self, path: &[u8], destination: RouteEntry) {
        let (file, fields) = match destination {
            RouteEntry::File(RouteTarget { file, fields }) => (file, fields),
            RouteEntry::Folder => (NO_FILE, FieldsId(0)),
        };
        for word in [file.id.0, file.first, fields.0] {
            self.records.extend_from_slice(&word.to_le_bytes());
        }
        let protected = if file.is_protected { PROTECTED } else { 0 };
        let is_literal = path::decode(path, &mut vec![0; path.len()]) == Ok(path);
        let literal = if is_literal { LITERAL } else { 0 };
        self.records.extend([file.codings.bits, file.codings.count | protected | literal]);
        let path_len = u16::try_from(path.len()).expect("a path has at most 4 KiB (PATH_MAX)");
        self.records.extend_from_slice(&path_len.to_le_bytes());
        self.records.extend_from_slice(path);
    }

    fn destination(&self, at: u32) -> RouteEntry {
        let head = head_at(&self.records, at);
        let word =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let count = head[FLAGS_AT] & !(PROTECTED | LITERAL);
        let codings = PackedCodings { bits: head[12], count };
        if codings.count == 0 {
            return RouteEntry::Folder;
        }
        let is_protected = head[FLAGS_AT] & PROTECTED != 0;
        let file = SiteFile { id: FileId(word(0)), first: word(4), codings, is_protected };
        RouteEntry::File(RouteTarget { file, fields: FieldsId(word(8)) })
    }

    /// Releases the memory reserved for more records.
    pub(super) fn shrunk(mut self) -> Self {
        self.records.shrink_to_fit();
        self
    }
}

fn path_at(records: &[u8], at: u32) -> &[u8] {
    let head = head_at(records, at);
    let len = u16::from_le_bytes([head[14], head[15]]) as usize;
    let start = at as usize + HEAD_BYTES;
    &records[start..start + len]
}

fn head_at(records: &[u8], at: u32) -> &[u8; HEAD_BYTES] {
    records[at as usize..].first_chunk().expect("the table holds offsets of records")
}

/// Marks a record of a folder: every file has at least one coding.
const NO_FILE: SiteFile = SiteFile {
    id: FileId(0),
    first: 0,
    codings: PackedCodings { bits: 0, count: 0 },
    is_protected: false,
};
/// Marks a protected file in the octet with the number of its codings, four at most.
const PROTECTED: u8 = 0x80;
/// Marks a path, in the same octet, that a request target names without percent-encoding: decoding
/// leaves it as it is. Not so `/a%20b`, a name with a percent sign: that target names `/a b`.
const LITERAL: u8 = 0x40;
/// Offset of that octet.
const FLAGS_AT: usize = 13;
/// Three words, the codings and the length of the path.
const HEAD_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::coding::Coding;
    use std::collections::HashMap;

    #[test]
    fn find_returns_every_added_path_and_no_other() {
        let mut route_table = RouteTable::default();
        let mut known = HashMap::new();
        for number in 0..5000u32 {
            let path = format!("/{}/{number}", number % 7);
            let codings = PackedCodings::new([Coding::Brotli, Coding::Identity].into_iter());
            let is_protected = number % 5 == 0;
            let file = SiteFile { id: FileId(number), first: number * 2, codings, is_protected };
            let target = RouteTarget { file, fields: FieldsId(number % 3) };
            assert!(route_table.add(path.as_bytes(), RouteEntry::File(target)));
            assert!(!route_table.add(path.as_bytes(), RouteEntry::Folder), "it was added before");
            known.insert(path, target);
        }
        assert!(route_table.add(b"/folder", RouteEntry::Folder));
        let route_table = route_table.shrunk();
        for (path, target) in &known {
            let Some(RouteEntry::File(found)) = route_table.find(path.as_bytes()) else {
                panic!("{path}")
            };
            assert_eq!(found, *target);
            assert!(found.file.codings.iter().eq([Coding::Brotli, Coding::Identity]));
            assert!(route_table.find(&path.as_bytes()[1..]).is_none());
        }
        assert!(matches!(route_table.find(b"/folder"), Some(RouteEntry::Folder)));
        assert!(matches!(route_table.find_literal(b"/folder"), Some(RouteEntry::Folder)));
        assert!(route_table.find(b"/6/5000").is_none() && route_table.find(b"").is_none());
        assert!(RouteTable::default().find(b"/").is_none());
    }

    #[test]
    fn paths_that_decoding_changes_are_not_literal() {
        for path in ["/", "/a b", "/.a/b", "/a..", "/\u{e4}", "//"] {
            let mut route_table = RouteTable::default();
            assert!(route_table.add(path.as_bytes(), RouteEntry::Folder));
            assert!(route_table.find_literal(path.as_bytes()).is_some(), "{path}");
        }
        for path in ["/a%20b", "/100%", "/.well-known/.", "/a/../b", "/..", ""] {
            let mut route_table = RouteTable::default();
            assert!(route_table.add(path.as_bytes(), RouteEntry::Folder));
            assert!(route_table.find(path.as_bytes()).is_some(), "{path}");
            assert!(route_table.find_literal(path.as_bytes()).is_none(), "{path}");
        }
    }
}
