//! The files of a root and the entries that are left out of the site.

use super::escape::escaped;
use crate::http::media_type::OctetsKind;
use crate::os::beneath::Stamp;
use std::fmt;
use std::path::PathBuf;

/// The files of a root, sorted by name, and the entries that are left out.
#[derive(Debug, Default)]
pub struct Listing {
    /// The files, those with rules included.
    pub files: Vec<Listed>,
    /// The entries that are left out and reported.
    pub skipped: SkippedFiles,
    /// The targets of links out of the root that are to be followed but aren't open.
    pub outside: Vec<PathBuf>,
}

/// A listed file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Path from the root, such as `docs/index.html`; links are not resolved.
    pub name: Vec<u8>,
    /// Length in bytes.
    pub bytes: u64,
    /// Time of the last modification, in seconds since the Unix epoch; not later than the listing.
    pub modified: Option<u64>,
    /// Whether the file is an SVG in gzip, by its extension (`.svgz`) and its first octets.
    pub is_svg_in_gzip: bool,
    /// The kind of its octets, once it was read.
    pub octets: OctetsKind,
    /// Path from the root with all links resolved, if it differs from the name.
    pub path: Option<PathBuf>,
    /// Identity and version of the file; no other file is read in its place.
    pub stamp: Stamp,
}

/// The entries that are left out. The first thousand are named, so that a report is
/// bounded.
#[derive(Debug, Default)]
pub struct SkippedFiles {
    named: Vec<SkippedFile>,
    more: usize,
}

impl SkippedFiles {
    /// Adds an entry by its path from the root.
    pub fn add(&mut self, name: &[u8], why: &dyn fmt::Display) {
        if self.named.len() < NAMED_MAX {
            self.named.push(SkippedFile { name: name.to_vec(), why: why.to_string() });
        } else {
            self.more += 1;
        }
    }

    /// Whether no entry is left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// The named entries.
    #[must_use]
    pub fn named(&self) -> &[SkippedFile] {
        &self.named
    }

    /// Number of entries beyond the named ones.
    #[must_use]
    pub fn more(&self) -> usize {
        self.more
    }

    /// A line for each named entry, and one with the number of the others.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let more = (self.more > 0).then(|| format!("{} more", self.more));
        self.named.iter().map(ToString::to_string).chain(more)
    }
}

/// An entry that is left out. `Display` writes the escaped name and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedFile {
    /// Path from the root.
    pub name: Vec<u8>,
    /// The reason, as a clause: "it is neither a file nor a folder".
    pub why: String,
}

impl fmt::Display for SkippedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", escaped(&self.name), self.why)
    }
}

/// Most entries that are named.
const NAMED_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_entries_beyond_the_limit_are_counted() {
        let mut skipped = SkippedFiles::default();
        for _ in 0..NAMED_MAX + 7 {
            skipped.add(b"a\n", &"why");
        }
        let lines: Vec<_> = skipped.lines().collect();
        assert_eq!(lines.len(), NAMED_MAX + 1);
        assert_eq!((&*lines[0], &*lines[NAMED_MAX]), ("a\\n: why", "7 more"));
    }
}
