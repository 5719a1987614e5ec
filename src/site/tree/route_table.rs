//! The paths with what they lead to, one behind the other: what is needed to choose a response lies
//! beside the name that was compared, so that finding a path among many costs one look at memory
//! far away, besides the table's own.

use super::build::{FieldsId, File, FileId, RouteTarget};
use crate::http::coding::Coding;
use std::hash::BuildHasher;

/// The route table, and a table of where they begin.
///
/// The table is half empty at least, and a path is looked for from its hash on until it or an empty
/// place is found. Each place has the half of the hash that didn't lead there, so that a record is
/// looked at only if it's nearly certainly the right one.
#[derive(Debug, Default)]
pub(super) struct RouteTable {
    bytes: Vec<u8>,
    /// Half a hash, and the record's beginning plus one; 0 is empty. As many as a power of two.
    table: Vec<u64>,
    count: usize,
    hasher: foldhash::fast::FixedState,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// A file.
    File(RouteTarget),
    /// The same path with a slash.
    Folder,
}

/// The codings of a file's representations, in their order: two bits each, and how many they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Codings {
    bits: u8,
    count: u8,
}

impl Codings {
    pub(super) fn new(codings: impl Iterator<Item = Coding>) -> Self {
        let mut packed = Self { bits: 0, count: 0 };
        for coding in codings {
            packed.bits |= (coding as u8) << (2 * packed.count);
            packed.count += 1;
        }
        assert!(packed.count as usize <= Coding::ALL.len(), "each coding is there once");
        packed
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Coding> {
        (0..self.count).map(move |index| Coding::ALL[(self.bits >> (2 * index) & 3) as usize])
    }

    pub(super) fn len(self) -> u32 {
        u32::from(self.count)
    }
}

impl RouteTable {
    /// Adds a path. Says whether it is new.
    pub(super) fn add(&mut self, name: &[u8], place: Place) -> bool {
        if self.find(name).is_some() {
            return false;
        }
        let at = u32::try_from(self.bytes.len()).expect("paths take less than 4 GiB");
        self.write(name, place);
        self.count += 1;
        if self.count * 2 > self.table.len() {
            self.grow();
        } else {
            self.enter(at);
        }
        true
    }

    /// What a path leads to.
    pub(super) fn find(&self, name: &[u8]) -> Option<Place> {
        if self.table.is_empty() {
            return None;
        }
        let hash = self.hasher.hash_one(name);
        let mut index = self.index(hash);
        loop {
            let entry = self.table[index];
            if entry == 0 {
                return None;
            }
            let at = (entry & LOW_HALF) as u32 - 1;
            if entry >> 32 == hash >> 32 && self.name(at) == name {
                return Some(self.place(at));
            }
            index = (index + 1) & (self.table.len() - 1);
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "the low half leads to a place")]
    fn index(&self, hash: u64) -> usize {
        (hash & LOW_HALF) as usize & (self.table.len() - 1)
    }

    /// Enters a record into the table, which has room.
    fn enter(&mut self, at: u32) {
        let hash = self.hasher.hash_one(self.name(at));
        let mut index = self.index(hash);
        while self.table[index] != 0 {
            index = (index + 1) & (self.table.len() - 1);
        }
        self.table[index] = hash & !LOW_HALF | u64::from(at + 1);
    }

    /// Makes the table twice as large and enters all route table again.
    fn grow(&mut self) {
        self.table = vec![0; (self.table.len() * 2).max(TABLE_FIRST)];
        let mut at = 0;
        for _ in 0..self.count {
            self.enter(at);
            let bytes = HEAD_BYTES + self.name(at).len();
            at += u32::try_from(bytes).expect("a record is small");
        }
    }

    fn write(&mut self, name: &[u8], place: Place) {
        let (file, fields) = match place {
            Place::File(RouteTarget { file, fields }) => (file, fields),
            Place::Folder => (NO_FILE, FieldsId(0)),
        };
        for word in [file.id.0, file.first, fields.0] {
            self.bytes.extend_from_slice(&word.to_le_bytes());
        }
        self.bytes.extend([file.codings.bits, file.codings.count]);
        let name_len = u16::try_from(name.len()).expect("a path has at most 4 KiB (PATH_MAX)");
        self.bytes.extend_from_slice(&name_len.to_le_bytes());
        self.bytes.extend_from_slice(name);
    }

    /// The path of a record.
    fn name(&self, at: u32) -> &[u8] {
        let head = self.head(at);
        let len = u16::from_le_bytes([head[14], head[15]]) as usize;
        let start = at as usize + HEAD_BYTES;
        &self.bytes[start..start + len]
    }

    /// What the path leads to.
    fn place(&self, at: u32) -> Place {
        let head = self.head(at);
        let word =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let codings = Codings { bits: head[12], count: head[13] };
        if codings.count == 0 {
            return Place::Folder;
        }
        let file = File { id: FileId(word(0)), first: word(4), codings };
        Place::File(RouteTarget { file, fields: FieldsId(word(8)) })
    }

    /// Without room for more.
    pub(super) fn shrunk(mut self) -> Self {
        self.bytes.shrink_to_fit();
        self
    }

    fn head(&self, at: u32) -> &[u8; HEAD_BYTES] {
        let head = self.bytes[at as usize..].first_chunk();
        head.expect("a record was added where the table says")
    }
}

/// A file has one coding at least.
const NO_FILE: File = File { id: FileId(0), first: 0, codings: Codings { bits: 0, count: 0 } };
const LOW_HALF: u64 = 0xffff_ffff;
const TABLE_FIRST: usize = 16;
/// Three words, the codings and the length of the name.
const HEAD_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn every_path_is_found_and_no_other() {
        let mut route_table = RouteTable::default();
        let mut known = HashMap::new();
        for number in 0..5000u32 {
            let name = format!("/{}/{number}", number % 7);
            let codings = Codings::new([Coding::Brotli, Coding::Identity].into_iter());
            let file = File { id: FileId(number), first: number * 2, codings };
            let leaf = RouteTarget { file, fields: FieldsId(number % 3) };
            assert!(route_table.add(name.as_bytes(), Place::File(leaf)));
            assert!(!route_table.add(name.as_bytes(), Place::Folder), "it is there");
            known.insert(name, leaf);
        }
        assert!(route_table.add(b"/folder", Place::Folder));
        let route_table = route_table.shrunk();
        for (name, leaf) in &known {
            let Some(Place::File(found)) = route_table.find(name.as_bytes()) else {
                panic!("{name}")
            };
            assert_eq!(found, *leaf);
            assert!(found.file.codings.iter().eq([Coding::Brotli, Coding::Identity]));
            assert!(route_table.find(&name.as_bytes()[1..]).is_none());
        }
        assert!(matches!(route_table.find(b"/folder"), Some(Place::Folder)));
        assert!(route_table.find(b"/6/5000").is_none() && route_table.find(b"").is_none());
        assert!(RouteTable::default().find(b"/").is_none());
    }
}
