//! Rows of a tree's tables and the numbers by which tables refer to each other.

use super::lines::BodyLines;
use crate::bytes::Span;
use crate::http::coding::Coding;
use crate::site::page::entity_tag;
use crate::site::tag::Tag;

/// A body in the buffer, in one content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodedBody {
    /// Its content coding.
    pub coding: Coding,
    /// Its position in the buffer.
    pub span: Span,
    /// The entity tag of these bytes: each coding has its own (RFC 9110 8.8.3.3).
    pub tag: Tag,
    /// Whether its [`BodyLines`] lie right before it in the buffer. Of two files that share a body,
    /// a precompressed file and the one beside it, only one has them there.
    pub has_lines: bool,
}

impl CodedBody {
    /// Adds a body with its lines to an image under construction. `modified` is that of its file.
    pub fn append(
        image: &mut Vec<u8>,
        coding: Coding,
        content: &[u8],
        modified: Option<u64>,
    ) -> Self {
        let tag = entity_tag(content);
        let lines = BodyLines { coding, len: content.len() as u64, modified };
        let at = image.len();
        image.resize(at + lines.bytes(), 0);
        lines.write(&tag, &mut image[at..]);
        let span = Span { offset: image.len() as u64, len: lines.len };
        image.extend_from_slice(content);
        Self { coding, span, tag, has_lines: true }
    }
}

/// A file that `Builder::file` added to a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteFile {
    pub(super) id: FileId,
    /// Index of the first of its representations.
    pub(super) first: u32,
    pub(super) codings: PackedCodings,
    /// Whether a block of `_headers` protects it, possibly for certain hosts.
    pub(super) is_protected: bool,
}

/// Index of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId(pub(super) u32);

impl FileId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A set of fields that `Builder::fields` added to a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldsId(pub(super) u32);

impl FieldsId {
    /// The fields of a path that depend on the host of the request, too, and are composed for it.
    pub const AT_REQUEST: Self = Self(u32::MAX);

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The file and the fields of a path's responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteTarget {
    /// The file.
    pub file: SiteFile,
    /// The fields other than those derived from the file, such as `Content-Type`.
    pub fields: FieldsId,
}

/// The destination of a path.
#[derive(Clone, Copy, Debug)]
pub(super) enum RouteEntry {
    File(RouteTarget),
    /// A redirect to the same path with a slash at its end.
    Folder,
}

/// The codings of a file's representations, in their order: two bits each, and their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PackedCodings {
    pub(super) bits: u8,
    pub(super) count: u8,
}

impl PackedCodings {
    pub(super) fn new(codings: impl Iterator<Item = Coding>) -> Self {
        let mut packed = Self { bits: 0, count: 0 };
        for coding in codings {
            packed.bits |= (coding as u8) << (2 * packed.count);
            packed.count += 1;
        }
        assert!(packed.count as usize <= Coding::ALL.len(), "each coding occurs once");
        packed
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Coding> {
        (0..self.len()).map(move |index| self.get(index))
    }

    pub(super) fn get(self, index: u32) -> Coding {
        Coding::ALL[(self.bits >> (2 * index) & 3) as usize]
    }

    pub(super) fn len(self) -> u32 {
        u32::from(self.count)
    }
}

/// A file in one coding. The representations of a file are adjacent, in order of preference;
/// identity is the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Representation {
    pub(super) body: Span,
    /// Length of the lines that lie before the body in the image; 0 if none do.
    pub(super) lines_bytes: u8,
}

/// Field lines that files share, formatted for a head.
#[derive(Debug, Default)]
pub(super) struct FieldBlock {
    pub(super) text: Vec<u8>,
    /// Offset of the field lines that a 304 response carries, too (RFC 9110 15.4.5); they are the
    /// last ones.
    pub(super) kept_at: usize,
}
