//! Compression of files at start. Precompressed files are verified in `beside`.

use super::options::Effort;
use crate::http::coding::Coding;
use std::io::Write;

impl Effort {
    /// The levels of gzip, zstd and brotli.
    fn levels(self) -> Option<(u32, i32, i32)> {
        match self {
            Self::Off => None,
            Self::Fast => Some((4, 3, 4)),
            Self::Good => Some((6, 9, 6)),
            Self::Best => Some((9, 19, 11)),
        }
    }
}

/// The codings that files are compressed with.
pub const MADE_AT_START: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

/// Whether a file of this media type and length is worth compressing: text and text-like formats
/// of more than 1 KiB.
#[must_use]
pub fn is_worth_while(media_type: &str, bytes: u64) -> bool {
    let essence = media_type.split(';').next().unwrap_or(media_type).trim();
    bytes > BYTES_MIN
        && (essence.starts_with("text/")
            || essence.ends_with("+json")
            || essence.ends_with("+xml")
            || TEXT_LIKE.contains(&essence))
}

/// Whether a coding of `bytes` saves at least 5 % of the identity.
#[must_use]
pub fn saves_enough(bytes: u64, identity_bytes: u64) -> bool {
    bytes * 20 <= identity_bytes * 19
}

/// Compresses `bytes`; `None` if the effort is off, the coding is identity, or the result saves
/// less than 5 %.
///
/// # Panics
/// If a compressor fails on memory.
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
    let coded = coded.expect("memory is readable and writable");
    saves_enough(coded.len() as u64, bytes.len() as u64).then_some(coded)
}

/// Media types other than `text/*` that are text or compress like it.
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
/// A file up to this length fits one packet as it is.
const BYTES_MIN: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::super::beside::{Verification, verify};
    use super::*;

    #[test]
    fn compressed_files_pass_verification() {
        let text = "RouteKind be, or not to be, that is the question. ".repeat(200);
        for effort in [Effort::Fast, Effort::Good, Effort::Best] {
            for coding in MADE_AT_START {
                let coded = compress(text.as_bytes(), coding, effort).expect("it saves enough");
                let verdict = verify(&coded, coding, text.as_bytes());
                assert_eq!(verdict, Verification::Same, "{coding:?} {effort:?}");
                assert_ne!(verify(&coded, coding, &text.as_bytes()[1..]), Verification::Same);
                let half = &coded[..coded.len() / 2];
                assert_ne!(verify(half, coding, text.as_bytes()), Verification::Same);
            }
        }
        assert_eq!(compress(text.as_bytes(), Coding::Gzip, Effort::Off), None);
    }

    #[test]
    fn coding_that_saves_less_than_5_percent_is_dropped() {
        let mut noise = Vec::new();
        let mut state = 1u32;
        for _ in 0..4096 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise.push((state >> 24) as u8);
        }
        assert!(
            MADE_AT_START.iter().all(|&coding| compress(&noise, coding, Effort::Good).is_none())
        );
        assert!(saves_enough(95, 100) && !saves_enough(96, 100));
    }

    #[test]
    fn text_like_types_over_1_kib_are_worth_compressing() {
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
