//! A model of the chunked coding (RFC 9112 7.1) over complete input.

use crate::http::body::{
    BodyProgress, CHUNK_SIZE_DIGITS_MAX, EXTENSION_BYTES_MAX, TRAILER_BYTES_MAX,
};

/// Decodes a chunked body. Returns its length in bytes and the outcome.
pub(super) fn chunks(
    bytes: &[u8],
    content_bytes_max: u64,
    content: &mut Vec<u8>,
) -> (usize, BodyProgress) {
    let mut rest = bytes;
    let mut content_left = content_bytes_max;
    let mut extensions = 0;
    let progress = loop {
        match chunk(rest, &mut content_left, content, &mut extensions) {
            Ok((0, after)) => break trailers(after, &mut rest),
            Ok((_, after)) => rest = after,
            Err((progress, after)) => {
                rest = after;
                break progress;
            }
        }
    };
    (bytes.len() - rest.len(), progress)
}

type ChunkEnd<'b> = (BodyProgress, &'b [u8]);

/// Decodes one chunk. Returns its size and the bytes after it; the offset of an error isn't exact.
fn chunk<'b>(
    bytes: &'b [u8],
    content_left: &mut u64,
    content: &mut Vec<u8>,
    extensions: &mut usize,
) -> Result<(u64, &'b [u8]), ChunkEnd<'b>> {
    let malformed = Err((BodyProgress::Malformed, bytes));
    let digits = bytes.iter().take_while(|octet| octet.is_ascii_hexdigit()).count();
    let number = String::from_utf8_lossy(&bytes[..digits]).into_owned();
    let size = match (digits, u64::from_str_radix(&number, 16)) {
        (0, _) if bytes.is_empty() => return Err((BodyProgress::More, &[])),
        (0, _) | (_, Err(_)) => return malformed,
        (digits, _) if digits > CHUNK_SIZE_DIGITS_MAX as usize => return malformed,
        (_, Ok(size)) => size,
    };
    let rest = &bytes[digits..];
    let length = rest.iter().take_while(|&&octet| is_text(octet)).count();
    *extensions += length;
    let extension = String::from_utf8_lossy(&rest[..length]).into_owned();
    let opening = extension.trim_start_matches([' ', '\t']);
    if *extensions > EXTENSION_BYTES_MAX as usize
        || !(opening.is_empty() || opening.starts_with(';'))
    {
        return malformed;
    }
    let space_only = opening.is_empty() && !extension.is_empty();
    let rest = match &rest[length..] {
        [] => return Err((BodyProgress::More, &[])),
        _ if space_only => return malformed,
        [b'\r'] => return Err((BodyProgress::More, &[])),
        [b'\r', b'\n', rest @ ..] => rest,
        _ => return malformed,
    };
    if size == 0 {
        return Ok((0, rest));
    }
    if size > *content_left {
        return Err((BodyProgress::TooLong, rest));
    }
    *content_left -= size;
    let size = usize::try_from(size).expect("as wide as a length");
    content.extend_from_slice(&rest[..size.min(rest.len())]);
    match rest.get(size..) {
        None | Some([] | [b'\r']) => Err((BodyProgress::More, &[])),
        Some([b'\r', b'\n', rest @ ..]) => Ok((size as u64, rest)),
        Some(_) => malformed,
    }
}

/// Skips trailer fields and sets `rest` to the bytes after the empty line.
fn trailers<'b>(bytes: &'b [u8], rest: &mut &'b [u8]) -> BodyProgress {
    let mut left = bytes;
    // Every octet counts but line feeds, which only follow a CR.
    let mut counted = 0;
    loop {
        let length = left.iter().take_while(|&&octet| is_text(octet)).count();
        let has_return = left.get(length) == Some(&b'\r');
        counted += length + usize::from(has_return);
        if counted > TRAILER_BYTES_MAX as usize {
            return BodyProgress::Malformed;
        }
        match &left[length..] {
            [] | [b'\r'] => {
                *rest = &[];
                return BodyProgress::More;
            }
            [b'\r', b'\n', after @ ..] if length == 0 => {
                *rest = after;
                return BodyProgress::Done;
            }
            [b'\r', b'\n', after @ ..] => left = after,
            _ => return BodyProgress::Malformed,
        }
    }
}

fn is_text(octet: u8) -> bool {
    octet == b'\t' || !octet.is_ascii_control()
}
