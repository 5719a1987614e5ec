//! Heads, chunks and responses against models of the grammar. The models are written from the RFCs
//! alone, simple and slow, and share no rule with the code, so that an error would have to be made
//! twice to go unnoticed.

mod chunks;
mod heads;
mod responses;

use super::body::{
    BODY_BYTES_MAX, BodyProgress, CHUNK_SIZE_DIGITS_MAX, EXTENSION_BYTES_MAX, RequestBody,
    TRAILER_BYTES_MAX,
};
use super::framing::Framing;
use super::properties::{one_pass, other_target};
use super::request::{FieldBuffer, Parsed, Scan, parse};
use super::response_parser::properties::StreamTranscript;
use super::response_parser::{MalformedResponse, RequestKind};
use heads::{Meaning, ModelOutcome};
use proptest::prelude::*;

/// The outcome of the code for a head; `None` if it is incomplete.
fn parsed(bytes: &[u8]) -> Option<ModelOutcome> {
    match parse(bytes, &mut Scan::default(), 16 * 1024, &mut FieldBuffer::new()) {
        Parsed::Partial => None,
        Parsed::Reject(reject) => Some(Err(reject.status)),
        Parsed::Request(request) => Some(Ok(Meaning {
            head_len: request.head_len,
            persistence: request.persistence,
            framing: request.framing,
            expects_continue: request.expects_continue,
        })),
    }
}

fn any_of(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(texts).prop_map(str::to_owned)
}

fn any_target() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => Just("/".to_owned()),
        4 => any_of(&["/", "*", "/a?b=c", "host:80", "[::1]:80", "http://a/b", "a", "//", ":80"]),
        1 => "/[!-~]{0,4}(%[0-9A-Ga-g]{2})?[!-~]?",
        2 => "/[a\\[\\]|{}^`\\\\]{0,2}(\\?[a\\[\\]|{}^`\\\\<\"%1]{0,3})?",
        1 => "(http|a\\+b|1x)://[a:@0-9%.]{0,4}[/?]?[a%/?]{0,4}",
    ]
}

fn any_host() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any_of(&["a", "a.example:80", "127.0.0.1", "", "[::1]", "[v1.a]:8", ":80", "a@b"]),
        1 => "[a0-9:.%@/ ]{0,6}",
        2 => "\\[[0-9a-fv:.]{0,12}\\](:[0-9]{0,3})?",
        2 => "\\[([0-9a-f]{0,4}:){0,8}[0-9a-f]{0,4}\\]",
        1 => "\\[([0-9a-f]{0,2}:){1,7}[0-9]{1,3}\\.[0-9]{1,3}\\.0\\.1\\]",
    ]
}

fn any_field() -> impl Strategy<Value = String> {
    prop_oneof![
        any_host().prop_map(|host| format!("Host: {host}")),
        any_of(&[
            "X: y",
            "X:",
            "X :y",
            " X: y",
            "X",
            ":",
            "X: \t y \t",
            "Host: b",
            "hOST:b",
            "Content-Length: 3",
            "content-length:0",
            "Content-Length: 3, 3",
            "Content-Length: +3",
            "Content-Length: 9223372036854775807",
            "Content-Length: 9223372036854775808",
            "Content-Length: 18446744073709551615",
            "Content-Length: 18446744073709551616",
            "Expect: 100-continue",
            "expect: 100-Continue, 100-continue",
            "Expect: 200-ok",
            "Connection: close",
            "Connection: x, Close",
            "Connection: keep-alive",
            "connection:keep-alive ,close",
            "Connection: closed",
            "Connection:",
        ]),
        "Transfer-Encoding:[ \t]?(chunked|Chunked|gzip)?(, |,|;a=b|;| )?(chunked|gzip)?,?",
    ]
}

fn any_head() -> impl Strategy<Value = String> {
    let method =
        any_of(&["GET", "GET", "GET", "GET", "HEAD", "OPTIONS", "CONNECT", "POST", "G(T", "get"]);
    let version = any_of(&[
        "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/1.",
        "http/1.1",
    ]);
    let host = prop_oneof![3 => Just("Host: a".to_owned()), 1 => any_field()];
    let fields = prop::collection::vec(any_field(), 0..3);
    (method, any_target(), version, host, fields).prop_map(
        |(method, target, version, host, fields)| {
            let mut lines = vec![format!("{method} {target} {version}"), host];
            lines.extend(fields);
            lines.join("\r\n") + "\r\n\r\n"
        },
    )
}

/// The text with a few octets inserted, removed or replaced.
fn mutate(text: &str, changes: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for &(at, kind, octet) in changes {
        let at = at.index(bytes.len() + 1);
        match kind {
            0 => bytes.insert(at, octet),
            1 if at < bytes.len() => bytes[at] = octet,
            2 if at < bytes.len() => drop(bytes.remove(at)),
            _ => {}
        }
    }
    bytes
}

fn any_changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    let octet = prop_oneof![
        prop::sample::select(b"\r\n\t \0:;,/?%#0aA[]\x7f\x80\xff\x0b\"".as_slice()),
        any::<u8>(),
    ];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, octet), 1..3);
    prop_oneof![Just(Vec::new()), changes]
}

/// Half of a limit, or the limit and its neighbours.
fn any_near(limit: impl Into<u32>) -> impl Strategy<Value = usize> {
    let limit = limit.into() as usize;
    prop::sample::select(vec![limit / 2, limit - 1, limit, limit + 1])
}

fn any_chunk() -> impl Strategy<Value = String> {
    let extension = any_of(&["", "", "", ";a", " ;a=\"b\"", " ", ";", "\t;\u{e9}"]);
    let valid = |(size, extension): (usize, String)| {
        format!("{size:x}{extension}\r\n{}\r\n", "z".repeat(size))
    };
    prop_oneof![
        6 => (0..40_usize, extension).prop_map(valid),
        1 => any_of(&["10001\r\n", "fffffffffffffffff\r\n", "ffffffffffffffff\r\n", "0x1", "g"]),
        1 => any_near(EXTENSION_BYTES_MAX)
            .prop_map(|count| format!("1;{}\r\nz\r\n", "e".repeat(count - 1))),
        1 => any_near(CHUNK_SIZE_DIGITS_MAX).prop_map(|count| format!("{:0>count$}\r\nz\r\n", 1)),
        1 => any_near(CONTENT_BYTES_MAX)
            .prop_map(|size| format!("{size:X}\r\n{}\r\n", "z".repeat(size))),
    ]
}

fn any_chunks() -> impl Strategy<Value = String> {
    let trailers = prop_oneof![
        3 => any_of(&["", "", "X: y\r\n", "X: y\r\nY: z\r\n", "\u{e9}\r\n", "X\r"]),
        1 => any_near(TRAILER_BYTES_MAX).prop_map(|count| "t".repeat(count - 2) + "\r\n"),
    ];
    (prop::collection::vec(any_chunk(), 0..6), trailers)
        .prop_map(|(chunks, trailers)| format!("{}0\r\n{trailers}\r\nGET /", chunks.concat()))
}

fn any_response_field() -> impl Strategy<Value = String> {
    prop_oneof![
        any_field(),
        any_of(&[
            "Content-Length: 3\r\nContent-Length: 3",
            "Content-Length: 3\r\nContent-Length: 4",
            "Content-Length: 3, 03",
            "Content-Length:\r\n\t3",
            "Content-Length: 3\r\n 4",
            "Connection: x,\r\n close",
            "X:\r\n ",
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked, gzip",
            "Transfer-Encoding: chunked, gzip, chunked",
            "Transfer-Encoding: , ,chunked,",
            "Transfer-Encoding: ,",
            "Transfer-Encoding: gzip;a=b , chunked",
        ]),
    ]
}

fn any_status_line() -> impl Strategy<Value = String> {
    let interim = |count| "HTTP/1.1 103 \r\n\r\n".repeat(count) + "HTTP/1.1 200 ";
    prop_oneof![
        6 => any_of(&[
            "HTTP/1.1 200 OK", "HTTP/1.1 404 ", "HTTP/1.0 200 OK", "HTTP/1.2 500 \u{e9}",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ", "HTTP/1.1 204 ", "HTTP/1.1 304 ",
        ]),
        1 => any_of(&["HTTP/1.1 101 ", "HTTP/1.1 999 ", "HTTP/1.1 099 ", "HTTP/1.1 200"]),
        1 => "HTTP/1[.,][0-9a]{1,2} [0-9+]{2,4}[ \t]?[ -~]{0,3}",
        1 => (1..20_usize).prop_map(interim),
    ]
}

/// A response, most often with the content that its framing announces.
fn any_response() -> impl Strategy<Value = String> {
    let framed = prop_oneof![
        3 => (0..200_usize)
            .prop_map(|count| (format!("Content-Length: {count}"), "z".repeat(count))),
        3 => any_chunks().prop_map(|chunks| {
            ("Transfer-Encoding: chunked".to_owned(), chunks.replace("GET /", ""))
        }),
        1 => any_of(&["", "zzz"]).prop_map(|content| ("X: y".to_owned(), content)),
        1 => (65_200..65_600_usize).prop_map(|count| {
            (format!("Content-Length: 3\r\nX: {}", "y".repeat(count)), "zzz".to_owned())
        }),
        1 => (90..103_usize)
            .prop_map(|count| ("X: y\r\n".repeat(count) + "Content-Length: 3", "zzz".to_owned())),
    ];
    let fields = prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::collection::vec(any_response_field(), 0..3),
    ];
    (any_status_line(), fields, framed).prop_map(|(status_line, fields, (framing, content))| {
        let mut lines = vec![status_line];
        lines.extend(fields);
        lines.push(framing);
        lines.join("\r\n") + "\r\n\r\n" + &content
    })
}

const CONTENT_BYTES_MAX: u32 = 64 * 1024;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn heads_agree_with_the_model(text in any_head(), changes in any_changes()) {
        let bytes = mutate(&text, &changes);
        match (heads::head(&bytes), parsed(&bytes)) {
            (Some(expected), actual) => prop_assert_eq!(actual, Some(expected)),
            (None, Some(Ok(meaning))) => prop_assert!(false, "{:?} of an incomplete head", meaning),
            (None, None | Some(Err(_))) => {}
        }
    }

    #[test]
    fn heads_parsed_at_once_equal_those_whose_end_is_found_first(
        texts in prop::collection::vec(any_head(), 1..3),
        bare_feed in prop::option::of(any::<prop::sample::Index>()),
        changes in any_changes(),
        limit in prop_oneof![Just(16 * 1024), 16..300_usize],
        ends in prop::collection::vec(any::<prop::sample::Index>(), 4),
    ) {
        let mut text = texts.concat();
        if let Some(feed) = bare_feed {
            let ends: Vec<_> = text.match_indices("\r\n").map(|(at, _)| at).collect();
            text.remove(ends[feed.index(ends.len())]);
        }
        let bytes = mutate(&text, &changes);
        one_pass(&bytes, limit);
        for end in ends {
            one_pass(&bytes[..end.index(bytes.len() + 1)], limit);
        }
    }

    #[test]
    fn request_with_another_target_is_what_parsing_makes_of_it(
        text in any_head(),
        target in any_target(),
        changes in any_changes(),
        limit in prop_oneof![4 => Just(16 * 1024), 1 => 16..300_usize],
    ) {
        let (line, fields) = text.split_once("\r\n").expect("a head has lines");
        let (method, version) = (line.split(' ').next(), line.rsplit(' ').next());
        let (method, version) = (method.expect("a word"), version.expect("a word"));
        let next = format!("{method} {target} {version}\r\n{fields}");
        let bytes = [text.as_bytes(), &mutate(&next, &changes)].concat();
        other_target(&bytes, limit);
        other_target(&[next.as_bytes(), text.as_bytes()].concat(), limit);
    }

    #[test]
    fn chunks_agree_with_the_model(
        text in any_chunks(),
        changes in any_changes(),
        pieces in prop::collection::vec(1..50_usize, 1..5),
    ) {
        let bytes = mutate(&text, &changes);
        let (expected_used, expected) = chunks::chunks(&bytes, BODY_BYTES_MAX, &mut Vec::new());
        let mut body = RequestBody::new(Framing::Chunked);
        let (mut used, mut progress) = (0, BodyProgress::More);
        let mut sizes = pieces.iter().cycle();
        while progress == BodyProgress::More && used < bytes.len() {
            let size = *sizes.next().expect("a cycle of at least one size");
            let piece = &bytes[used..bytes.len().min(used + size)];
            let (count, now) = body.advance(piece);
            prop_assert!(now != BodyProgress::More || count == piece.len());
            used += count;
            progress = now;
        }
        prop_assert_eq!(progress, expected);
        // The offset of an error in the framing doesn't matter: the connection is closed.
        prop_assert!(expected == BodyProgress::Malformed || used == expected_used);
    }

    #[test]
    fn responses_agree_with_the_model(
        is_head in any::<bool>(),
        texts in prop::collection::vec(any_response(), 0..4),
        changes in any_changes(),
        sizes in prop::collection::vec(prop_oneof![1..50_usize, 1..100_000_usize], 1..5),
        skip_max in prop::sample::select(vec![0, 1, 100, u64::MAX]),
    ) {
        let bytes = mutate(&texts.concat(), &changes);
        let request = if is_head { RequestKind::Head } else { RequestKind::Other };
        let mut rest = &bytes[..];
        let mut sizes = sizes.iter().cycle();
        let pieces = std::iter::from_fn(|| {
            let size = *sizes.next().expect("a cycle of at least one size");
            let (piece, after) = rest.split_at(size.min(rest.len()));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        });
        let heads = if is_head { u8::MAX } else { 0 };
        let mut actual = StreamTranscript::of(heads, pieces, skip_max);
        let expected = responses::responses(request, &bytes);
        // An invalid field line beyond the bound is an error of either kind.
        let too_many = Some(Err(MalformedResponse::TooManyFields));
        if actual.end == Some(Err(MalformedResponse::Field)) && expected.end == too_many {
            actual.end = too_many;
        }
        prop_assert_eq!(actual, expected);
    }
}
