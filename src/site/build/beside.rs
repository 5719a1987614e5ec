//! Whether a file that lies beside another (`app.js.br` beside `app.js`) is that file in a coding,
//! and one that every browser decodes. A file that only some decode would reach the others as
//! damage.
//!
//! Decoding is bounded: it ends with the first octet that differs from the file, or follows its
//! end, so a few kilobytes that decode to gigabytes cost one chunk; and windows are at most 16 MiB
//! (brotli) and 8 MB (zstd).

use crate::http::coding::Coding;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState, HeapAlloc, HuffmanCode};
use std::io::{self, Read};
use zstd::zstd_safe;

/// What a file beside another is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It decodes to the file.
    Same,
    /// It doesn't.
    Other,
    /// Browsers don't decode it, and why.
    Refused(&'static str),
}

/// Whether `coded` is `identity` in this coding.
pub(super) fn judge(coded: &[u8], coding: Coding, identity: &[u8]) -> Verdict {
    match coding {
        Coding::Identity if coded == identity => return Verdict::Same,
        Coding::Identity => return Verdict::Other,
        Coding::Brotli if has_large_window(coded) => return Verdict::Refused(LARGE_WINDOW),
        Coding::Zstd if !has_small_windows(coded) => return Verdict::Refused(OVER_8_MB),
        Coding::Gzip | Coding::Brotli | Coding::Zstd => {}
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
        Ok(End::Whole([])) if rest.is_empty() => Verdict::Same,
        Ok(End::Whole(_)) if rest.is_empty() || coding == Coding::Gzip => {
            // RFC 1952 2.2 allows several members, but browsers decode the first one only, and
            // curl fails (https://github.com/curl/curl/issues/22156).
            Verdict::Refused(if coding == Coding::Gzip { MEMBERS } else { TRAILING })
        }
        Ok(End::Whole(_) | End::Stopped) | Err(_) => Verdict::Other,
    }
}

/// How decoding ended.
#[derive(Debug)]
enum End<'a> {
    /// The coded data ended; these octets follow it.
    Whole(&'a [u8]),
    /// `sink` wanted no more.
    Stopped,
}

/// Decodes into `sink`, chunk by chunk, for as long as it returns true.
fn decode<'a>(
    coded: &'a [u8],
    coding: Coding,
    sink: &mut dyn FnMut(&[u8]) -> bool,
) -> io::Result<End<'a>> {
    match coding {
        Coding::Identity => Ok(if sink(coded) { End::Whole(&[]) } else { End::Stopped }),
        Coding::Gzip => {
            let mut decoder = flate2::bufread::GzDecoder::new(coded);
            let whole = copy(&mut decoder, sink)?;
            Ok(if whole { End::Whole(decoder.into_inner()) } else { End::Stopped })
        }
        Coding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(coded)?;
            decoder.window_log_max(WINDOW_LOG_MAX)?;
            let whole = copy(&mut decoder, sink)?;
            // A stream is one frame or more (RFC 8878 3.1), up to the end of the file.
            Ok(if whole { End::Whole(&[]) } else { End::Stopped })
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

/// The crate's own reader takes large windows, too; only a strict state refuses them.
fn decode_brotli<'a>(coded: &'a [u8], sink: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<End<'a>> {
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
            return Ok(End::Stopped);
        }
        match result {
            BrotliResult::ResultSuccess => return Ok(End::Whole(&coded[at..])),
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::NeedsMoreInput | BrotliResult::ResultFailure => {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}

/// Whether a brotli stream begins with the pattern that RFC 7932 9.1 leaves invalid and encoders
/// use for windows over 16 MiB.
fn has_large_window(coded: &[u8]) -> bool {
    coded.first().is_some_and(|octet| octet & 0x7f == 0x11)
}

/// Whether no frame has a window over 8 MB, which is as much as browsers take (RFC 9659 3). The
/// decoder's own limit isn't enough: it ignores the window of a frame whose content fits the room
/// for its output.
fn has_small_windows(coded: &[u8]) -> bool {
    let mut rest = coded;
    while !rest.is_empty() {
        if window_bytes(rest).is_some_and(|bytes| bytes > WINDOW_BYTES_MAX) {
            return false;
        }
        // What can't be measured isn't right, and fails when it is decoded.
        let Ok(len) = zstd_safe::find_frame_compressed_size(rest) else { return true };
        rest = rest.get(len.max(1)..).unwrap_or_default();
    }
    true
}

/// The window of the frame that this begins with (RFC 8878 3.1.1.1); none for a skippable frame, or
/// what isn't a frame.
fn window_bytes(frame: &[u8]) -> Option<u64> {
    let header = frame.strip_prefix(&ZSTD_MAGIC)?;
    let (&descriptor, fields) = header.split_first()?;
    let is_single_segment = descriptor & 0x20 != 0;
    if !is_single_segment {
        let window = u64::from(*fields.first()?);
        let base = 1 << (10 + (window >> 3));
        return Some(base + base / 8 * (window & 7));
    }
    // The window is the content, whose size stands behind the dictionary's number.
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
        encoder.write_all(bytes).expect("it codes");
        encoder.finish().expect("it codes")
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
        ::brotli::BrotliCompress(&mut &*bytes, &mut coded, &parameters).expect("it codes");
        coded
    }

    /// With a window, or with the content for one.
    fn zstd(bytes: &[u8], window_log: Option<u32>) -> Vec<u8> {
        let mut encoder = ::zstd::stream::Encoder::new(Vec::new(), 3).expect("a level");
        match window_log {
            Some(log) => encoder.window_log(log).expect("a window"),
            None => encoder.set_pledged_src_size(Some(bytes.len() as u64)).expect("a size"),
        }
        encoder.write_all(bytes).expect("it codes");
        encoder.finish().expect("it codes")
    }

    /// A frame of `a`, by blocks of one octet each that is to be repeated, whose window is its
    /// content.
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
    fn windows_are_as_browsers_take_them() {
        let text = "the same again and ".repeat(400);
        let text = text.as_bytes();
        let large = Verdict::Refused(LARGE_WINDOW);
        let over = Verdict::Refused(OVER_8_MB);
        for (coded, coding, expected) in [
            (brotli(text, 24), Coding::Brotli, Verdict::Same),
            (brotli(text, 25), Coding::Brotli, large),
            (brotli(text, 28), Coding::Brotli, large),
            (zstd(text, None), Coding::Zstd, Verdict::Same),
            (zstd(text, Some(23)), Coding::Zstd, Verdict::Same),
            (zstd(text, Some(24)), Coding::Zstd, over),
            (zstd(text, Some(27)), Coding::Zstd, over),
            ([zstd(text, None), zstd(text, Some(24))].concat(), Coding::Zstd, over),
            (
                [zstd(&text[..9], None), zstd(&text[9..], Some(23))].concat(),
                Coding::Zstd,
                Verdict::Same,
            ),
        ] {
            assert_eq!(judge(&coded, coding, text), expected, "{coding:?}");
        }
        // Its window is 16 MiB, its content 300 octets in one block as they are.
        let header = [&ZSTD_MAGIC[..], &[0x40, 0x70, 44, 0], &[0x61, 0x09, 0]].concat();
        let small = [&header[..], &text[..300]].concat();
        assert_eq!(::zstd::bulk::decompress(&small, 300).expect("it is right"), text[..300]);
        assert_eq!(judge(&small, Coding::Zstd, &text[..300]), over);
    }

    #[test]
    fn the_window_of_a_single_segment_is_its_content() {
        for (bytes, expected) in
            [(8 << 20, Verdict::Same), ((8 << 20) + 1, Verdict::Refused(OVER_8_MB))]
        {
            let identity = vec![b'a'; usize::try_from(bytes).expect("it is small")];
            let verdict = judge(&single_segment(bytes), Coding::Zstd, &identity);
            assert_eq!(verdict, expected, "{bytes}");
        }
    }

    #[test]
    fn nothing_follows_the_data() {
        let text = "the same again and ".repeat(400);
        let text = text.as_bytes();
        let (gz, br, zst) = (gzip(text), brotli(text, 22), zstd(text, None));
        for (coded, coding, expected) in [
            (gz.clone(), Coding::Gzip, Verdict::Same),
            ([&*gz, b"\0"].concat(), Coding::Gzip, Verdict::Refused(MEMBERS)),
            (
                [gzip(&text[..9]), gzip(&text[9..])].concat(),
                Coding::Gzip,
                Verdict::Refused(MEMBERS),
            ),
            ([&*gz, &gzip(b"")].concat(), Coding::Gzip, Verdict::Refused(MEMBERS)),
            ([&*br, b"\0"].concat(), Coding::Brotli, Verdict::Refused(TRAILING)),
            ([&*zst, b"\0"].concat(), Coding::Zstd, Verdict::Other),
            (gz[..gz.len() - 1].to_vec(), Coding::Gzip, Verdict::Other),
            (gzip(&text[1..]), Coding::Gzip, Verdict::Other),
            (brotli(&text[1..], 22), Coding::Brotli, Verdict::Other),
            (zstd(&text[1..], None), Coding::Zstd, Verdict::Other),
        ] {
            assert_eq!(judge(&coded, coding, text), expected, "{coding:?}");
        }
    }

    /// However much a few bytes decode to, no more is decoded than shows that it is too much.
    #[test]
    fn a_bomb_is_left_after_one_chunk() {
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
                assert!(matches!(end, Ok(End::Stopped)), "{coding:?}");
                assert_eq!(chunks, 1, "{coding:?}");
                assert_eq!(judge(&bomb, coding, identity), Verdict::Other);
            }
        }
    }
}
