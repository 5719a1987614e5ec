//! Rows of a tree's tables and the numbers by which tables refer to each other.

use crate::bytes::Span;
use crate::http::coding::Coding;
use crate::http::response::DATE_BYTES;
use crate::site::tag::Tag;
use std::num::NonZeroU64;

/// A body in the buffer, in one content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodedBody {
    /// Its content coding.
    pub coding: Coding,
    /// Its position in the buffer.
    pub span: Span,
    /// The entity tag of these bytes: each coding has its own (RFC 9110 8.8.3.3).
    pub tag: Tag,
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

/// Index of a file's [`Resource`].
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
        (0..self.count).map(move |index| Coding::ALL[(self.bits >> (2 * index) & 3) as usize])
    }

    pub(super) fn len(self) -> u32 {
        u32::from(self.count)
    }
}

/// The values that all representations of a file share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resource {
    /// In seconds since the Unix epoch.
    pub(super) modified: Option<NonZeroU64>,
    pub(super) modified_text: [u8; DATE_BYTES],
}

/// A file in one coding, with the values of its fields. The representations of a file are adjacent,
/// in order of preference; identity is the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Representation {
    pub(super) body: Span,
    pub(super) coding: Coding,
    /// 0 if the length has more digits than `digits` holds.
    pub(super) digits_len: u8,
    /// The length in decimal. Lengths of more digits, terabytes, are formatted for each response:
    /// room for them would make this larger than 64 bytes, and a site has millions of these.
    pub(super) digits: [u8; 12],
    pub(super) tag: Tag,
}

impl Representation {
    pub(super) fn new(body: &CodedBody) -> Self {
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

/// Field lines that files share, formatted for a head.
#[derive(Debug, Default)]
pub(super) struct FieldBlock {
    pub(super) text: Vec<u8>,
    /// Offset of the field lines that a 304 response carries, too (RFC 9110 15.4.5); they are the
    /// last ones.
    pub(super) kept_at: usize,
}
