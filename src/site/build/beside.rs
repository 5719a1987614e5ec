//! The verification of precompressed files: whether `app.js.br` decodes to the `app.js` beside it,
//! in every browser. A file that only some browsers decode would be corrupt in the others.
//!
//! Decoding is bounded: it stops at the first octet that differs from the file or follows its end,
//! so a few kilobytes that decode to gigabytes cost one chunk; and windows are at most 16 MiB
//! (brotli) and 8 MB (zstd).

use crate::http::coding::Coding;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, HeapAlloc, HuffmanCode};
use std::io::{self, Read};
use zstd::zstd_safe;

/// The outcome of a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verification {
    /// The coded file decodes to the identity.
    Same,
    /// The coded file decodes to something else, or not at all.
    Other,
    /// Browsers don't decode the coded file, for this reason.
    Refused(&'static str),
}

/// Compares the decoded content of `coded` with `identity`.
pub(super) fn verify(coded: &[u8], coding: Coding, identity: &[u8]) -> Verification {
    match coding {
        Coding::Identity if coded == identity => return Verification::Same,
        Coding::Identity => return Verification::Other,
        Coding::Gzip | Coding::Brotli | Coding::Zstd => {}
    }
    if let Some(why) = refused_window(coded, coding) {
        return Verification::Refused(why);
    }
    let mut rest = identity;
    let end = decode(coded, coding, &mut |decoded| match rest.strip_prefix(decoded) {
        Some(left) => {
            rest = left;
            true
        }
        None => false,
    });
    match end {
        Ok(DecodeEnd::Complete([])) if rest.is_empty() => Verification::Same,
        Ok(DecodeEnd::Complete(_)) if rest.is_empty() || coding == Coding::Gzip => {
            // RFC 1952 2.2 allows several members, but browsers decode only the first one, and curl
            // fails (https://github.com/curl/curl/issues/22156).
            Verification::Refused(if coding == Coding::Gzip { MEMBERS } else { TRAILING })
        }
        Ok(DecodeEnd::Complete(_) | DecodeEnd::Stopped) | Err(_) => Verification::Other,
    }
}

/// Checks that every browser decodes `coded` as a whole, to at most `decoded_bytes_max`.
///
/// # Errors
/// The reason why not.
pub(super) fn decodes(
    coded: &[u8],
    coding: Coding,
    decoded_bytes_max: u64,
) -> Result<(), &'static str> {
    refused_window(coded, coding).map_or(Ok(()), Err)?;
    let mut left = decoded_bytes_max;
    let end = decode(coded, coding, &mut |decoded| {
        let rest = left.checked_sub(decoded.len() as u64);
        left = rest.unwrap_or_default();
        rest.is_some()
    });
    match end {
        // Zstandard has no end but that of the file.
        Ok(DecodeEnd::Complete([])) if !(coding == Coding::Zstd && coded.is_empty()) => Ok(()),
        Ok(DecodeEnd::Complete(_)) if coding == Coding::Gzip => Err(MEMBERS),
        Ok(DecodeEnd::Complete(_)) if !coded.is_empty() => Err(TRAILING),
        Ok(DecodeEnd::Complete(_)) | Err(_) => Err("it doesn't decode"),
        Ok(DecodeEnd::Stopped) => Err("it decodes to more than --site-bytes permits"),
    }
}

/// The reason why browsers refuse the window of a coded file.
fn refused_window(coded: &[u8], coding: Coding) -> Option<&'static str> {
    match coding {
        Coding::Brotli if has_large_window(coded) => Some(LARGE_WINDOW),
        Coding::Zstd if !has_small_windows(coded) => Some(OVER_8_MB),
        Coding::Identity | Coding::Gzip | Coding::Brotli | Coding::Zstd => None,
    }
}

/// How decoding ended.
#[derive(Debug)]
enum DecodeEnd<'a> {
    /// The coded data ended; these octets follow it.
    Complete(&'a [u8]),
    /// `sink` returned false.
    Stopped,
}

/// Decodes into `sink`, chunk by chunk, while `sink` returns true.
fn decode<'a>(
    coded: &'a [u8],
    coding: Coding,
    sink: &mut dyn FnMut(&[u8]) -> bool,
) -> io::Result<DecodeEnd<'a>> {
    match coding {
        Coding::Identity => {
            Ok(if sink(coded) { DecodeEnd::Complete(&[]) } else { DecodeEnd::Stopped })
        }
        Coding::Gzip => {
            let mut decoder = flate2::bufread::GzDecoder::new(coded);
            let is_complete = copy(&mut decoder, sink)?;
            Ok(if is_complete {
                DecodeEnd::Complete(decoder.into_inner())
            } else {
                DecodeEnd::Stopped
            })
        }
        Coding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(coded)?;
            decoder.window_log_max(WINDOW_LOG_MAX)?;
            let is_complete = copy(&mut decoder, sink)?;
            // A stream has one or more frames (RFC 8878 3.1), up to the end of the file.
            Ok(if is_complete { DecodeEnd::Complete(&[]) } else { DecodeEnd::Stopped })
        }
        Coding::Brotli => decode_brotli(coded, sink),
    }
}

fn copy(reader: &mut impl Read, sink: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<bool> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match reader.read(&mut chunk)? {
            0 => return Ok(true),
            count if sink(&chunk[..count]) => {}
            _ => return Ok(false),
        }
    }
}

/// The crate's `Decompressor` accepts large windows; only a strict state refuses them.
fn decode_brotli<'a>(
    coded: &'a [u8],
    sink: &mut dyn FnMut(&[u8]) -> bool,
) -> io::Result<DecodeEnd<'a>> {
    let mut state = BrotliState::new_strict(
        HeapAlloc::<u8>::new(0),
        HeapAlloc::<u32>::new(0),
        HeapAlloc::<HuffmanCode>::new(HuffmanCode::default()),
    );
    let mut chunk = vec![0; CHUNK_BYTES];
    let (mut left, mut at, mut total) = (coded.len(), 0, 0);
    loop {
        let (mut room, mut written) = (chunk.len(), 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut at,
            coded,
            &mut room,
            &mut written,
            &mut chunk,
            &mut total,
            &mut state,
        );
        if !sink(&chunk[..written]) {
            return Ok(DecodeEnd::Stopped);
        }
        match result {
            BrotliResult::ResultSuccess => return Ok(DecodeEnd::Complete(&coded[at..])),
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::NeedsMoreInput | BrotliResult::ResultFailure => {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}

/// Whether a brotli stream begins with the pattern that is invalid in RFC 7932 9.1 and that
/// encoders use for windows over 16 MiB.
fn has_large_window(coded: &[u8]) -> bool {
    coded.first().is_some_and(|octet| octet & 0x7f == 0x11)
}

/// Whether no frame has a window over 8 MB, the maximum of browsers (RFC 9659 3). The decoder's own
/// limit isn't enough: it ignores the window of a frame whose content fits the output buffer.
fn has_small_windows(coded: &[u8]) -> bool {
    let mut rest = coded;
    while !rest.is_empty() {
        if window_bytes(rest).is_some_and(|bytes| bytes > WINDOW_BYTES_MAX) {
            return false;
        }
        // A frame without a length is malformed, and decoding it fails.
        let Ok(len) = zstd_safe::find_frame_compressed_size(rest) else { return true };
        rest = rest.get(len.max(1)..).unwrap_or_default();
    }
    true
}

/// The window of the first frame (RFC 8878 3.1.1.1); none for a skippable or malformed frame.
fn window_bytes(frame: &[u8]) -> Option<u64> {
    let header = frame.strip_prefix(&ZSTD_MAGIC)?;
    let (&descriptor, fields) = header.split_first()?;
    let is_single_segment = descriptor & 0x20 != 0;
    if !is_single_segment {
        let window = u64::from(*fields.first()?);
        let base = 1 << (10 + (window >> 3));
        return Some(base + base / 8 * (window & 7));
    }
    // The window is the content, whose size follows the dictionary ID.
    let dictionary_len = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size_len = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let size = fields.get(dictionary_len..dictionary_len + size_len)?;
    let size = size.iter().rev().fold(0, |value, &octet| value << 8 | u64::from(octet));
    Some(if size_len == 2 { size + 256 } else { size })
}

const LARGE_WINDOW: &str = "its window is larger than RFC 7932 allows, and browsers refuse it";
const OVER_8_MB: &str = "its window is over 8 MB, and browsers refuse it (RFC 9659); use zstd \
                         without --ultra and --long";
const MEMBERS: &str = "bytes follow its first gzip member, and browsers decode only that one";
const TRAILING: &str = "bytes follow the end of its data";
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const WINDOW_LOG_MAX: u32 = 23;
const WINDOW_BYTES_MAX: u64 = 1 << WINDOW_LOG_MAX;
const CHUNK_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(9));
        encoder.write_all(bytes).expect("memory is writable");
        encoder.finish().expect("memory is writable")
    }

    fn brotli(bytes: &[u8], lgwin: i32) -> Vec<u8> {
        let large_window = lgwin > 24;
        let parameters = ::brotli::enc::BrotliEncoderParams {
            lgwin,
            large_window,
            quality: 5,
            ..Default::default()
        };
        let mut coded = Vec::new();
        ::brotli::BrotliCompress(&mut &*bytes, &mut coded, &parameters)
            .expect("memory is writable");
        coded
    }

    /// Compresses with a window, or with the content as the window.
    fn zstd(bytes: &[u8], window_log: Option<u32>) -> Vec<u8> {
        let mut encoder = ::zstd::stream::Encoder::new(Vec::new(), 3).expect("a level");
        match window_log {
            Some(log) => encoder.window_log(log).expect("a window"),
            None => encoder.set_pledged_src_size(Some(bytes.len() as u64)).expect("a size"),
        }
        encoder.write_all(bytes).expect("memory is writable");
        encoder.finish().expect("memory is writable")
    }

    /// A frame whose window is its content: the octet `a`, in run-length blocks.
    fn single_segment(bytes: u32) -> Vec<u8> {
        let mut frame = [&ZSTD_MAGIC[..], &[0xa0], &bytes.to_le_bytes()].concat();
        let mut left = bytes;
        while left > 0 {
            let block = left.min(128 << 10);
            left -= block;
            let header = block << 3 | 1 << 1 | u32::from(left == 0);
            frame.extend_from_slice(&header.to_le_bytes()[..3]);
            frame.push(b'a');
        }
        frame
    }

    #[test]
    fn windows_over_the_limits_of_browsers_are_refused() {
        let text = "the same again and ".repeat(400);
        let text = text.as_bytes();
        let large = Verification::Refused(LARGE_WINDOW);
        let over = Verification::Refused(OVER_8_MB);
        for (coded, coding, expected) in [
            (brotli(text, 24), Coding::Brotli, Verification::Same),
            (brotli(text, 25), Coding::Brotli, large),
            (brotli(text, 28), Coding::Brotli, large),
            (zstd(text, None), Coding::Zstd, Verification::Same),
            (zstd(text, Some(23)), Coding::Zstd, Verification::Same),
            (zstd(text, Some(24)), Coding::Zstd, over),
            (zstd(text, Some(27)), Coding::Zstd, over),
            ([zstd(text, None), zstd(text, Some(24))].concat(), Coding::Zstd, over),
            (
                [zstd(&text[..9], None), zstd(&text[9..], Some(23))].concat(),
                Coding::Zstd,
                Verification::Same,
            ),
        ] {
            assert_eq!(verify(&coded, coding, text), expected, "{coding:?}");
        }
        // A window of 16 MiB and 300 octets of content in one raw block.
        let header = [&ZSTD_MAGIC[..], &[0x40, 0x70, 44, 0], &[0x61, 0x09, 0]].concat();
        let small = [&header[..], &text[..300]].concat();
        assert_eq!(::zstd::bulk::decompress(&small, 300).expect("the frame is valid"), text[..300]);
        assert_eq!(verify(&small, Coding::Zstd, &text[..300]), over);
    }

    #[test]
    fn window_of_a_single_segment_frame_is_its_content() {
        for (bytes, expected) in
            [(8 << 20, Verification::Same), ((8 << 20) + 1, Verification::Refused(OVER_8_MB))]
        {
            let identity = vec![b'a'; usize::try_from(bytes).expect("64 bits")];
            let verdict = verify(&single_segment(bytes), Coding::Zstd, &identity);
            assert_eq!(verdict, expected, "{bytes}");
        }
    }

    #[test]
    fn bytes_after_the_coded_data_are_refused() {
        let text = "the same again and ".repeat(400);
        let text = text.as_bytes();
        let (gz, br, zst) = (gzip(text), brotli(text, 22), zstd(text, None));
        for (coded, coding, expected) in [
            (gz.clone(), Coding::Gzip, Verification::Same),
            ([&*gz, b"\0"].concat(), Coding::Gzip, Verification::Refused(MEMBERS)),
            (
                [gzip(&text[..9]), gzip(&text[9..])].concat(),
                Coding::Gzip,
                Verification::Refused(MEMBERS),
            ),
            ([&*gz, &gzip(b"")].concat(), Coding::Gzip, Verification::Refused(MEMBERS)),
            ([&*br, b"\0"].concat(), Coding::Brotli, Verification::Refused(TRAILING)),
            ([&*zst, b"\0"].concat(), Coding::Zstd, Verification::Other),
            (gz[..gz.len() - 1].to_vec(), Coding::Gzip, Verification::Other),
            (gzip(&text[1..]), Coding::Gzip, Verification::Other),
            (brotli(&text[1..], 22), Coding::Brotli, Verification::Other),
            (zstd(&text[1..], None), Coding::Zstd, Verification::Other),
        ] {
            assert_eq!(verify(&coded, coding, text), expected, "{coding:?}");
        }
    }

    #[test]
    fn coded_file_has_to_decode_as_a_whole() {
        let text = "the same again and ".repeat(400);
        let text = text.as_bytes();
        let bytes = text.len() as u64;
        let (gz, br, zst) = (gzip(text), brotli(text, 22), zstd(text, None));
        for (coded, coding) in [(&gz, Coding::Gzip), (&br, Coding::Brotli), (&zst, Coding::Zstd)] {
            assert_eq!(decodes(coded, coding, bytes), Ok(()), "{coding:?}");
            let more = "it decodes to more than --site-bytes permits";
            assert_eq!(decodes(coded, coding, bytes - 1), Err(more), "{coding:?}");
            assert!(decodes(&coded[..coded.len() - 1], coding, bytes).is_err(), "{coding:?}");
            assert!(decodes(&[&coded[..], b"\0"].concat(), coding, bytes).is_err(), "{coding:?}");
            assert!(decodes(b"plain text", coding, bytes).is_err(), "{coding:?}");
            assert!(decodes(b"", coding, bytes).is_err(), "{coding:?}");
        }
        assert_eq!(decodes(&[&*gz, &gz].concat(), Coding::Gzip, 2 * bytes), Err(MEMBERS));
        assert_eq!(decodes(&brotli(text, 25), Coding::Brotli, bytes), Err(LARGE_WINDOW));
        assert_eq!(decodes(&zstd(text, Some(24)), Coding::Zstd, bytes), Err(OVER_8_MB));
    }

    #[test]
    fn decompression_bomb_costs_one_chunk() {
        let zeros = vec![0; 16 << 20];
        let bombs = [
            (Coding::Gzip, gzip(&zeros)),
            (Coding::Brotli, brotli(&zeros, 24)),
            (Coding::Zstd, zstd(&zeros, Some(23))),
        ];
        for (coding, bomb) in bombs {
            for identity in [&zeros[..10], b"other", b""] {
                let (mut chunks, mut rest) = (0, identity);
                let end = decode(&bomb, coding, &mut |decoded| {
                    chunks += usize::from(!decoded.is_empty());
                    assert!(decoded.len() <= CHUNK_BYTES);
                    rest.strip_prefix(decoded).map(|left| rest = left).is_some()
                });
                assert!(matches!(end, Ok(DecodeEnd::Stopped)), "{coding:?}");
                assert_eq!(chunks, 1, "{coding:?}");
                assert_eq!(verify(&bomb, coding, identity), Verification::Other);
            }
        }
    }
}
