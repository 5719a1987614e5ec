//! The kind of a file's octets, as far as its media type depends on it.

use serde::de::IgnoredAny;

/// The kind of a file's octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OctetsKind {
    /// Unknown, because the file wasn't read yet. Text in UTF-8 is presumed.
    #[default]
    Unread,
    /// An object or an array of JSON (RFC 8259).
    Json,
    /// Text in UTF-8, with a byte order mark or without; nothing at all is text, too.
    Text,
    /// Valid UTF-8 with control characters that text doesn't have.
    ControlledText,
    /// Text in another encoding.
    OtherText,
    /// Anything else.
    Binary,
}

impl OctetsKind {
    /// Whether `charset=utf-8` is true of the octets.
    #[must_use]
    pub const fn is_utf8(self) -> bool {
        !matches!(self, Self::OtherText | Self::Binary)
    }

    /// Whether the octets are text, in whatever encoding.
    pub(super) const fn is_text(self) -> bool {
        !matches!(self, Self::ControlledText | Self::Binary)
    }
}

/// A scan of octets that arrive in pieces.
///
/// # Examples
///
/// ```
/// use uringstatic::http::media_type::{OctetsKind, OctetsScan};
///
/// let mut scan = OctetsScan::default();
/// scan.push(b"caf\xc3");
/// scan.push(b"\xa9");
/// assert_eq!(scan.kind(), OctetsKind::Text);
/// scan.push(b"\xe9 in ISO 8859-1");
/// assert_eq!(scan.kind(), OctetsKind::OtherText);
/// ```
#[derive(Clone, Debug, Default)]
pub struct OctetsScan {
    length: u64,
    first: [u8; 2],
    last: u8,
    nuls: u64,
    /// Whether there is an octet other than zero that text doesn't have.
    has_binary: bool,
    /// Whether an escape sequence of ISO 2022 selects a set of two octets a character, as in
    /// ISO-2022-JP: such text is all ASCII and valid UTF-8 (RFC 1468).
    has_iso_2022: bool,
    is_invalid: bool,
    /// The beginning of a character whose rest hasn't arrived.
    cut: [u8; 4],
    cut_bytes: usize,
}

impl OctetsScan {
    /// Continues with the next octets.
    pub fn push(&mut self, octets: &[u8]) {
        octets.chunks(PIECE_BYTES).for_each(|piece| self.push_piece(piece));
    }

    fn push_piece(&mut self, octets: &[u8]) {
        let Some(&last) = octets.last() else { return };
        let seen = self.length.min(2) as usize;
        for (place, octet) in self.first[seen..].iter_mut().zip(octets) {
            *place = *octet;
        }
        self.length += octets.len() as u64;
        // Most text has no such octet, which this finds out for many octets at a time.
        if octets.iter().fold(false, |found, &octet| found | is_unlike_text(octet)) {
            self.nuls += memchr::memchr_iter(0, octets).count() as u64;
            self.has_binary |= octets.iter().any(|&octet| octet > 0 && is_unlike_text(octet));
        }
        self.has_iso_2022 |= self.last == ESCAPE && octets[0] == b'$';
        self.has_iso_2022 |= memchr::memmem::find(octets, b"\x1b$").is_some();
        self.last = last;
        self.validate(octets);
    }

    /// Checks that the octets continue UTF-8.
    fn validate(&mut self, mut octets: &[u8]) {
        while self.cut_bytes > 0 && !self.is_invalid {
            let Some((&next, rest)) = octets.split_first() else { return };
            octets = rest;
            self.cut[self.cut_bytes] = next;
            self.cut_bytes += 1;
            match std::str::from_utf8(&self.cut[..self.cut_bytes]) {
                Ok(_) => self.cut_bytes = 0,
                Err(error) => self.is_invalid = error.error_len().is_some(),
            }
        }
        if self.is_invalid {
            return;
        }
        if let Err(error) = std::str::from_utf8(octets) {
            let rest = &octets[error.valid_up_to()..];
            self.is_invalid = error.error_len().is_some();
            if !self.is_invalid {
                self.cut[..rest.len()].copy_from_slice(rest);
                self.cut_bytes = rest.len();
            }
        }
    }

    /// The kind of all octets so far. JSON isn't told from other text.
    #[must_use]
    pub fn kind(&self) -> OctetsKind {
        // Marks of UTF-16 (RFC 2781 3.2). Without one, about every other octet of text in a Latin
        // script is zero, which is valid UTF-8.
        let has_mark = matches!(self.first, [0xfe, 0xff] | [0xff, 0xfe]) && self.length > 1;
        let is_utf16 = !self.has_binary
            && (self.length / 4..=self.length / 4 * 3).contains(&self.nuls)
            && self.nuls > 0;
        let is_utf8 = !self.is_invalid && self.cut_bytes == 0;
        if has_mark || (is_utf8 && (is_utf16 || self.has_iso_2022)) {
            return OctetsKind::OtherText;
        }
        match (is_utf8, self.has_binary || self.nuls > 0) {
            (true, false) => OctetsKind::Text,
            (true, true) => OctetsKind::ControlledText,
            (false, false) => OctetsKind::OtherText,
            (false, true) => OctetsKind::Binary,
        }
    }
}

/// The kind of a whole file's octets; `may_be_json` if JSON is to be told from other text.
pub(super) fn kind_of(octets: &[u8], may_be_json: bool) -> OctetsKind {
    let mut scan = OctetsScan::default();
    scan.push(octets);
    match scan.kind() {
        OctetsKind::Text if may_be_json && is_json(octets) => OctetsKind::Json,
        kind => kind,
    }
}

/// Whether text is an object or an array. A number or a string alone is no document.
fn is_json(text: &[u8]) -> bool {
    let first = text.iter().find(|octet| !octet.is_ascii_whitespace());
    matches!(first, Some(b'{' | b'[')) && serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// Whether an octet is one that text doesn't have: zero, or another "binary data byte" of the
/// WHATWG's MIME Sniffing standard, section 3. Comparisons without branches are what a compiler
/// makes instructions for many octets of.
#[allow(clippy::needless_bitwise_bool, reason = "a lazy operator is a branch")]
const fn is_unlike_text(octet: u8) -> bool {
    (octet < b' ')
        & (octet != b'\t')
        & (octet != b'\n')
        & (octet != FORM_FEED)
        & (octet != b'\r')
        & (octet != ESCAPE)
}

/// The octets of a file are looked at several times, while they are in the processor's first cache.
const PIECE_BYTES: usize = 16 << 10;
const FORM_FEED: u8 = 0x0c;
const ESCAPE: u8 = 0x1b;

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts in encodings of the Encoding standard, as iconv(1) writes them, and files of other
    /// kinds.
    const KINDS: &[(&[u8], OctetsKind)] = &[
        (b"", OctetsKind::Text),
        (b"plain\r\n\ttext\x0c", OctetsKind::Text),
        (b"\x1b[1mbold\x1b[0m", OctetsKind::Text),
        ("\u{feff}mark".as_bytes(), OctetsKind::Text),
        ("日本語 ä €".as_bytes(), OctetsKind::Text),
        (b"{\"webcredentials\": {}}", OctetsKind::Json),
        (b" \n[1, 2]", OctetsKind::Json),
        (b"{\"a\": 1,}", OctetsKind::Text),
        (b"[section]\nname = value", OctetsKind::Text),
        (b"\"a string\"", OctetsKind::Text),
        (b"12", OctetsKind::Text),
        (b"control \x01", OctetsKind::ControlledText),
        // Shift_JIS, EUC-JP, GB 18030, windows-1251, ISO 8859-1.
        (b"<title>\x93\xfa\x96{\x8c\xea</title>", OctetsKind::OtherText),
        (b"\xc6\xfc\xcb\xdc\xb8\xec", OctetsKind::OtherText),
        (b"\xc4\xe3\xba\xc3", OctetsKind::OtherText),
        (b"\xcf\xf0\xe8\xe2\xe5\xf2", OctetsKind::OtherText),
        (b"caf\xe9", OctetsKind::OtherText),
        // ISO-2022-JP is valid UTF-8 by its octets.
        (b"\x1b$BF|K\\8l\x1b(B", OctetsKind::OtherText),
        // UTF-16 with a mark in either order, and without one.
        (b"\xff\xfeh\0i\0", OctetsKind::OtherText),
        (b"\xfe\xff\0h\0i", OctetsKind::OtherText),
        (b"h\0t\0m\0l\0", OctetsKind::OtherText),
        // Surrogates, overlong forms and a cut character are no UTF-8 (RFC 3629 3).
        (b"\xed\xa0\x80", OctetsKind::OtherText),
        (b"\xc0\xaf", OctetsKind::OtherText),
        (b"cut \xe2\x82", OctetsKind::OtherText),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", OctetsKind::Binary),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0\xff", OctetsKind::Binary),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0", OctetsKind::ControlledText),
        (&[0; 100], OctetsKind::ControlledText),
        (b"a text of some length with one zero\0", OctetsKind::ControlledText),
    ];

    #[test]
    fn encodings_are_distinguished_by_their_octets() {
        for (octets, expected) in KINDS {
            assert_eq!(kind_of(octets, true), *expected, "{}", octets.escape_ascii());
        }
    }

    #[test]
    fn kind_does_not_depend_on_the_pieces() {
        for (octets, expected) in KINDS.iter().filter(|(_, kind)| *kind != OctetsKind::Json) {
            for size in 1..=octets.len().max(1) {
                let mut scan = OctetsScan::default();
                octets.chunks(size).for_each(|piece| scan.push(piece));
                assert_eq!(scan.kind(), *expected, "{} by {size}", octets.escape_ascii());
            }
        }
    }
}
