//! Writes tar archives: the ustar format of POSIX.1-2017 (pax, "ustar Interchange Format"), and an
//! extended header of the pax format for what its fields have no room for, such as a long path.
//!
//! The archive depends on the entries alone: owners are 0, and all entries have one time. A crate
//! would bring file systems, links and owners by name along, and has to be told all of this, too.

use std::io::{self, Write};

/// Writes entries to `out`, in the order in which they are added.
pub(super) struct TarWriter<W> {
    out: W,
    /// Time of all entries, in seconds since the Unix epoch.
    seconds: u64,
}

/// The kind of an entry; the mode bits grant reading to every user, and writing to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    /// A folder, with mode 0555.
    Folder,
    /// A file, with mode 0444.
    File,
    /// A file with mode 0555.
    Program,
}

impl EntryKind {
    fn mode(self) -> u64 {
        match self {
            Self::File => 0o444,
            Self::Folder | Self::Program => 0o555,
        }
    }
}

impl<W: Write> TarWriter<W> {
    /// A writer of entries with this time, at most [`SECONDS_MAX`].
    pub(super) fn new(out: W, seconds: u64) -> Self {
        assert!(seconds <= SECONDS_MAX, "the time has its room in a header");
        Self { out, seconds }
    }

    /// Adds an entry. The path has no slash in front or at the end; folders have no octets.
    pub(super) fn add(&mut self, path: &[u8], kind: EntryKind, octets: &[u8]) -> io::Result<()> {
        let path = &match kind {
            EntryKind::Folder => [path, b"/"].concat(),
            EntryKind::File | EntryKind::Program => path.to_vec(),
        };
        let bytes = octets.len() as u64;
        let records = extended_records(path, bytes);
        if !records.is_empty() {
            // The name serves programs that don't know the pax format.
            let header = Header { path: b"PaxHeader", kind: b'x', mode: 0o444, bytes: 0 };
            self.header(&Header { bytes: records.len() as u64, ..header })?;
            self.padded(&records)?;
        }
        let flag = if kind == EntryKind::Folder { b'5' } else { b'0' };
        self.header(&Header { path, kind: flag, mode: kind.mode(), bytes })?;
        self.padded(octets)
    }

    /// Ends the archive with two empty blocks, and returns what it was written to.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK_BYTES])?;
        Ok(self.out)
    }

    fn header(&mut self, header: &Header<'_>) -> io::Result<()> {
        self.out.write_all(&header.block(self.seconds))
    }

    /// Writes octets, and zeros up to the end of the block.
    fn padded(&mut self, octets: &[u8]) -> io::Result<()> {
        self.out.write_all(octets)?;
        let rest = octets.len().next_multiple_of(BLOCK_BYTES) - octets.len();
        self.out.write_all(&[0; BLOCK_BYTES][..rest])
    }
}

/// What differs between headers.
struct Header<'a> {
    path: &'a [u8],
    kind: u8,
    mode: u64,
    bytes: u64,
}

impl Header<'_> {
    fn block(&self, seconds: u64) -> [u8; BLOCK_BYTES] {
        // What has no room is in the records of an extended header, and cut here.
        let cut = &self.path[..self.path.len().min(NAME_BYTES)];
        let (prefix, name) = split(self.path).unwrap_or((b"", cut));
        let mut block = [0; BLOCK_BYTES];
        let mut put =
            |at: usize, octets: &[u8]| block[at..at + octets.len()].copy_from_slice(octets);
        put(0, name);
        put(100, &octal::<8>(self.mode));
        put(108, &octal::<8>(0));
        put(116, &octal::<8>(0));
        put(124, &octal::<12>(self.bytes.min(BYTES_MAX)));
        put(136, &octal::<12>(seconds));
        // The checksum is that of the header with spaces in its place.
        put(148, b"        ");
        put(156, &[self.kind]);
        put(257, b"ustar\x0000");
        put(345, prefix);
        let sum: u64 = block.iter().map(|&octet| u64::from(octet)).sum();
        block[148..155].copy_from_slice(&octal::<7>(sum));
        block
    }
}

/// The two parts of a path that the fields of a header have room for, with a slash between them.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= NAME_BYTES {
        return Some((b"", path));
    }
    let slashes = memchr::memchr_iter(b'/', path);
    let mut parts = slashes.map(|slash| (&path[..slash], &path[slash + 1..]));
    parts.find(|(prefix, name)| {
        (1..=PREFIX_BYTES).contains(&prefix.len()) && (1..=NAME_BYTES).contains(&name.len())
    })
}

/// The records of an extended header: those that the fields of a header have no room for.
fn extended_records(path: &[u8], bytes: u64) -> Vec<u8> {
    let mut records = Vec::new();
    if split(path).is_none() {
        if std::str::from_utf8(path).is_err() {
            // Values are UTF-8 unless this says otherwise.
            records.extend(record("hdrcharset", b"BINARY"));
        }
        records.extend(record("path", path));
    }
    if bytes > BYTES_MAX {
        records.extend(record("size", bytes.to_string().as_bytes()));
    }
    records
}

/// `LENGTH KEY=VALUE` and a line end; the length counts its own digits, too.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
    let mut length = rest.len();
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    [length.to_string().as_bytes(), &rest].concat()
}

/// A number in octal digits, with a zero byte behind them.
fn octal<const N: usize>(number: u64) -> [u8; N] {
    let mut field = [0; N];
    let digits = format!("{number:0width$o}", width = N - 1);
    field[..N - 1].copy_from_slice(digits.as_bytes());
    field
}

const BLOCK_BYTES: usize = 512;
/// Room for the last part of a path.
const NAME_BYTES: usize = 100;
/// Room for the part before it.
const PREFIX_BYTES: usize = 155;
/// The largest length of a file that a header has room for: 11 octal digits.
const BYTES_MAX: u64 = (1 << 33) - 1;
/// The latest time that a header has room for, in the year 2242.
pub(super) const SECONDS_MAX: u64 = (1 << 33) - 1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Paths and octets by the standard's rules for readers, written from its text.
    fn entries(mut archive: &[u8]) -> Vec<(Vec<u8>, u8, Vec<u8>)> {
        let mut entries = Vec::new();
        let mut long = None;
        loop {
            let (header, rest) = archive.split_at(512);
            if header.iter().all(|&octet| octet == 0) {
                assert_eq!(rest, [0; 512], "the archive ends with two empty blocks");
                return entries;
            }
            let text = |from: usize, len: usize| {
                let field = &header[from..from + len];
                field[..field.iter().position(|&octet| octet == 0).unwrap_or(len)].to_vec()
            };
            let octal = |from: usize, len: usize| {
                let digits = String::from_utf8(text(from, len)).unwrap();
                usize::from_str_radix(digits.trim_end(), 8).unwrap()
            };
            let sum = |(at, &octet): (usize, &u8)| {
                usize::from(if (148..156).contains(&at) { b' ' } else { octet })
            };
            assert_eq!(
                octal(148, 8),
                header.iter().enumerate().map(sum).sum::<usize>(),
                "the checksum"
            );
            assert_eq!(&header[257..265], b"ustar\x0000");
            let bytes = octal(124, 12);
            let octets = rest[..bytes].to_vec();
            let padding = &rest[bytes..bytes.next_multiple_of(512)];
            assert!(padding.iter().all(|&octet| octet == 0), "the padding is empty");
            archive = &rest[bytes.next_multiple_of(512)..];
            let kind = header[156];
            if kind == b'x' {
                long = Some(path_of(&octets));
                continue;
            }
            let (prefix, name) = (text(345, 155), text(0, 100));
            let short = if prefix.is_empty() { name } else { [&prefix[..], b"/", &name].concat() };
            entries.push((long.take().unwrap_or(short), kind, octets));
        }
    }

    /// The record `path` among the records of an extended header.
    fn path_of(mut records: &[u8]) -> Vec<u8> {
        let mut path = None;
        while !records.is_empty() {
            let space = records.iter().position(|&octet| octet == b' ').unwrap();
            let length: usize = std::str::from_utf8(&records[..space]).unwrap().parse().unwrap();
            let (record, rest) = records.split_at(length);
            let record = record[space + 1..].strip_suffix(b"\n").unwrap();
            if let Some(value) = record.strip_prefix(b"path=") {
                path = Some(value.to_vec());
            }
            records = rest;
        }
        path.expect("a long path is the only reason for an extended header here")
    }

    fn archive_of(files: &[(Vec<u8>, EntryKind, Vec<u8>)]) -> Vec<u8> {
        let mut archive = TarWriter::new(Vec::new(), 0);
        for (path, kind, octets) in files {
            archive.add(path, *kind, octets).expect("a Vec takes everything");
        }
        archive.finish().expect("a Vec takes everything")
    }

    /// Paths of one to six parts, some of which have no room in a header.
    fn path() -> impl Strategy<Value = Vec<u8>> {
        let octet = prop_oneof![8 => any::<u8>(), 1 => Just(b'=') , 1 => Just(b'\n')];
        let octet = octet.prop_filter("neither a slash nor a zero", |o| ![b'/', 0].contains(o));
        let part = proptest::collection::vec(octet, 1..180);
        proptest::collection::vec(part, 1..6).prop_map(|parts| parts.join(&b'/'))
    }

    proptest! {
        #[test]
        fn every_path_and_every_octet_come_back(
            files in proptest::collection::vec(
                (path(), proptest::collection::vec(any::<u8>(), 0..1500)), 0..6
            )
        ) {
            let files: Vec<_> =
                files.into_iter().map(|(path, octets)| (path, EntryKind::File, octets)).collect();
            let expected: Vec<_> = files
                .iter()
                .map(|(path, _, octets)| (path.clone(), b'0', octets.clone()))
                .collect();
            prop_assert_eq!(entries(&archive_of(&files)), expected);
        }
    }

    #[test]
    fn paths_at_the_bounds_of_the_fields_come_back() {
        for (prefix, name) in [(0, 99), (0, 100), (0, 101), (155, 100), (156, 100), (155, 101)] {
            let mut path = vec![b'p'; prefix];
            path.extend((prefix > 0).then_some(b'/'));
            path.extend(vec![b'n'; name]);
            let archive = archive_of(&[(path.clone(), EntryKind::File, Vec::new())]);
            assert_eq!(entries(&archive), [(path, b'0', Vec::new())], "{prefix}, {name}");
        }
        let folder = vec![b'f'; 100];
        let archive = archive_of(&[(folder.clone(), EntryKind::Folder, Vec::new())]);
        assert_eq!(entries(&archive), [([&folder[..], b"/"].concat(), b'5', Vec::new())]);
    }

    #[test]
    fn the_length_of_a_record_counts_its_own_digits() {
        assert_eq!(record("path", &[b'a'; 3]), b"12 path=aaa\n");
        for bytes in 0..1100 {
            let record = record("path", &vec![b'a'; bytes]);
            let length = record.iter().take_while(|octet| octet.is_ascii_digit()).count();
            let length: usize = std::str::from_utf8(&record[..length]).unwrap().parse().unwrap();
            assert_eq!(length, record.len());
        }
    }

    #[test]
    fn a_length_without_room_is_a_record() {
        assert_eq!(extended_records(b"a", BYTES_MAX), b"");
        assert_eq!(extended_records(b"a", BYTES_MAX + 1), b"19 size=8589934592\n");
    }
}
