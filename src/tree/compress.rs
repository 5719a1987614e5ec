//! Content codings of files: made at start where that pays, and checked where somebody made them
//! before.

use crate::http::coding::Coding;
use std::io::{self, Read, Write};

/// How hard to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Not at all; what lies beside a file is used all the same.
    Off,
    /// Quickly.
    Fast,
    /// Well enough, and quick enough for a start.
    Good,
    /// As small as can be, however long it takes.
    Best,
}

impl Effort {
    /// The levels, as each coding counts them: gzip, zstd, brotli.
    fn levels(self) -> Option<(u32, i32, i32)> {
        match self {
            Self::Off => None,
            Self::Fast => Some((4, 3, 4)),
            Self::Good => Some((6, 9, 6)),
            Self::Best => Some((9, 19, 11)),
        }
    }
}

/// The codings that are made.
pub const MADE: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

/// Whether a file of this type and length is worth a try: text, and what is written like it.
#[must_use]
pub fn is_worth_while(media_type: &str, bytes: u64) -> bool {
    let essence = media_type.split(';').next().unwrap_or(media_type).trim();
    bytes > BYTES_MIN
        && (essence.starts_with("text/")
            || essence.ends_with("+json")
            || essence.ends_with("+xml")
            || TEXT_LIKE.contains(&essence))
}

/// Whether a coding of so many bytes saves enough of the identity's to be kept.
#[must_use]
pub fn saves_enough(bytes: u64, identity_bytes: u64) -> bool {
    // 5 %.
    bytes * 20 <= identity_bytes * 19
}

/// Codes `bytes`; `None` if that isn't to be tried, or doesn't save enough.
///
/// # Panics
/// If a library fails on bytes in memory.
#[must_use]
pub fn compress(bytes: &[u8], coding: Coding, effort: Effort) -> Option<Vec<u8>> {
    let (gzip, zstd, brotli) = effort.levels()?;
    let coded = match coding {
        Coding::Identity => return None,
        Coding::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(gzip));
            encoder.write_all(bytes).and_then(|()| encoder.finish())
        }
        Coding::Zstd => zstd::bulk::compress(bytes, zstd),
        Coding::Brotli => {
            let parameters = ::brotli::enc::BrotliEncoderParams {
                quality: brotli,
                size_hint: bytes.len(),
                ..Default::default()
            };
            let mut out = Vec::new();
            ::brotli::BrotliCompress(&mut &*bytes, &mut out, &parameters).map(|_| out)
        }
    };
    let coded = coded.expect("memory can be read and written");
    saves_enough(coded.len() as u64, bytes.len() as u64).then_some(coded)
}

/// Whether `coded` is `identity` in this coding: what lies beside a file may be older than it, or
/// have only its name in common.
#[must_use]
pub fn is_coding_of(coded: &[u8], coding: Coding, identity: &[u8]) -> bool {
    let same = match coding {
        Coding::Identity => Ok(coded == identity),
        Coding::Gzip => reads_as(flate2::bufread::MultiGzDecoder::new(coded), identity),
        Coding::Zstd => zstd::stream::read::Decoder::with_buffer(coded)
            .and_then(|decoder| reads_as(decoder, identity)),
        Coding::Brotli => reads_as(::brotli::Decompressor::new(coded, CHUNK_BYTES), identity),
    };
    same.unwrap_or(false)
}

/// Compares piece by piece, so that a few bytes that decode to many cost nothing.
fn reads_as(mut reader: impl Read, expected: &[u8]) -> io::Result<bool> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut rest = expected;
    loop {
        let count = reader.read(&mut chunk)?;
        if count == 0 {
            return Ok(rest.is_empty());
        }
        match rest.strip_prefix(&chunk[..count]) {
            Some(left) => rest = left,
            None => return Ok(false),
        }
    }
}

/// Types that are text though they aren't called so, or that compress like it.
const TEXT_LIKE: [&str; 15] = [
    "application/javascript",
    "application/json",
    "application/manifest+json",
    "application/rtf",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-javascript",
    "application/x-ndjson",
    "application/xml",
    "application/x-sh",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/vnd.microsoft.icon",
    "image/x-icon",
];
/// What is smaller fits a packet or two as it is.
const BYTES_MIN: u64 = 1024;
const CHUNK_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_can_be_read_again() {
        let text = "To be, or not to be, that is the question. ".repeat(200);
        for effort in [Effort::Fast, Effort::Good, Effort::Best] {
            for coding in MADE {
                let coded = compress(text.as_bytes(), coding, effort).expect("it pays");
                assert!(is_coding_of(&coded, coding, text.as_bytes()), "{coding:?} {effort:?}");
                assert!(!is_coding_of(&coded, coding, &text.as_bytes()[1..]));
                assert!(!is_coding_of(&coded[..coded.len() / 2], coding, text.as_bytes()));
            }
        }
        assert_eq!(compress(text.as_bytes(), Coding::Gzip, Effort::Off), None);
    }

    #[test]
    fn what_saves_too_little_is_dropped() {
        let mut noise = Vec::new();
        let mut state = 1u32;
        for _ in 0..4096 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise.push((state >> 24) as u8);
        }
        assert!(MADE.iter().all(|&coding| compress(&noise, coding, Effort::Good).is_none()));
        assert!(saves_enough(95, 100) && !saves_enough(96, 100));
    }

    #[test]
    fn text_is_worth_while() {
        for (media_type, bytes, expected) in [
            ("text/html; charset=utf-8", 1025, true),
            ("text/html; charset=utf-8", 1024, false),
            ("image/svg+xml; charset=utf-8", 5000, true),
            ("application/ld+json", 5000, true),
            ("application/wasm", 5000, true),
            ("font/otf", 5000, true),
            ("application/x-ndjson", 5000, true),
            ("image/png", 5000, false),
            ("application/octet-stream", 5000, false),
        ] {
            assert_eq!(is_worth_while(media_type, bytes), expected, "{media_type} {bytes}");
        }
    }
}
