//! Requests from the grammar of the RFCs and from real clients, valid and invalid, with bodies,
//! preconditions and ranges.

use super::body::{BODY_BYTES_MAX, BodyProgress, RequestBody};
use super::conditional::{Selection, Validators, select};
use super::range::{self, RangeOutcome};
use super::request::{
    FieldBuffer, Framing, Method, Parsed, Persistence, Reject, RejectStatus, Request, Scan, Target,
    parse,
};
use super::{properties, response};
use proptest::prelude::*;

const MAX: usize = 16 * 1024;

fn with_request<T>(head: &str, check: impl FnOnce(&Request<'_, '_>) -> T) -> T {
    let mut fields = FieldBuffer::new();
    match parse(head.as_bytes(), &mut Scan::default(), MAX, &mut fields) {
        Parsed::Request(request) => check(&request),
        other => panic!("{head:?} gave {other:?}"),
    }
}

fn status_of(head: &[u8]) -> Option<RejectStatus> {
    match parse(head, &mut Scan::default(), MAX, &mut FieldBuffer::new()) {
        Parsed::Reject(reject) => Some(reject.status),
        Parsed::Partial | Parsed::Request(_) => None,
    }
}

/// A head with these field lines after a valid request line and host.
fn with_lines(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

#[test]
fn head_is_parsed_into_its_parts() {
    let head = "\r\nHEAD /a/b?c=d HTTP/1.1\r\nHost: example.org:80\r\nRange: bytes=0-1\r\n\r\nrest";
    with_request(head, |request| {
        assert_eq!(request.head_len, head.len() - 4);
        assert_eq!(request.method, Method::Head);
        assert_eq!(request.target, Target::Origin { path: b"/a/b", query: Some(b"c=d") });
        assert_eq!(request.persistence, Persistence::Keep);
        assert_eq!(request.framing, Framing::None);
        assert!(request.selective && !request.expects_continue);
        assert_eq!(request.fields.len(), 2);
    });
}

#[test]
fn octets_that_browsers_leave_unencoded_are_accepted_in_targets() {
    let outcome =
        |target: &str| status_of(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    for octet in "[]|{}^\\`\"<>#% \u{e4}".chars() {
        let (path, query) = (format!("/a{octet}b"), format!("http://a/?a{octet}b"));
        let refused = Some(RejectStatus::BadRequest);
        let expected = |accepted: &str| if accepted.contains(octet) { None } else { refused };
        assert_eq!(outcome(&path), expected("[]|"), "{path}");
        assert_eq!(outcome(&query), expected("[]|{}^\\`%"), "{query}");
    }
}

/// The URL standard reports a `%` that begins no percent-encoding as a validation error and leaves
/// it as it is, in paths, too; but a path with one names no file here.
#[test]
fn percent_sign_stands_anywhere_in_a_query() {
    for query in ["utm_source=footer%", "q=%", "a=50%&b", "%zz", "%", "%4", "a=%%20%", "%00"] {
        let head = format!("GET /a?{query} HTTP/1.1\r\nHost: a\r\n\r\n");
        with_request(&head, |request| {
            let query = Some(query.as_bytes());
            assert_eq!(request.target, Target::Origin { path: b"/a", query });
        });
        let path = format!("GET /{query} HTTP/1.1\r\nHost: a\r\n\r\n").replace("%00", "%0");
        assert_eq!(status_of(path.as_bytes()), Some(RejectStatus::BadRequest), "{path}");
    }
}

#[test]
fn methods_are_case_sensitive() {
    for (name, method) in [
        ("GET", Method::Get),
        ("get", Method::Unknown),
        ("POST", Method::NotAllowed),
        ("VERSION-CONTROL", Method::NotAllowed),
        ("OPTIONS", Method::Options),
        ("BREW", Method::Unknown),
    ] {
        let head = format!("{name} / HTTP/1.1\r\nHost: a\r\n\r\n");
        with_request(&head, |request| assert_eq!(request.method, method, "{name}"));
    }
}

#[test]
fn invalid_request_lines_get_the_status_that_fits() {
    use RejectStatus::{BadRequest, UriTooLong, VersionNotSupported};
    let long = format!("GET /{} HTTP/1.1", "a".repeat(8 * 1024));
    for (line, status) in [
        ("GET /", BadRequest),
        ("GET", BadRequest),
        ("GET / HTTP/2.0", VersionNotSupported),
        ("PRI * HTTP/2.0", VersionNotSupported),
        ("GET / HTTP/0.9", VersionNotSupported),
        ("GET / HTTP/1.", BadRequest),
        ("GET / HTTP/1.10", BadRequest),
        ("GET / http/1.1", BadRequest),
        ("GET  / HTTP/1.1", BadRequest),
        ("GET / HTTP/1.1 ", BadRequest),
        ("PRI * HTTP/3.0\r}", BadRequest),
        ("GET /\0 HTTP/2.1", BadRequest),
        (" GET / HTTP/1.1", BadRequest),
        ("G\u{e9}T / HTTP/1.1", BadRequest),
        ("GET a HTTP/1.1", BadRequest),
        ("GET * HTTP/1.1", BadRequest),
        ("GET /%zz HTTP/1.1", BadRequest),
        ("GET /%4 HTTP/1.1", BadRequest),
        ("GET /a#b HTTP/1.1", BadRequest),
        ("GET /\u{e9} HTTP/1.1", BadRequest),
        ("GET http:///a HTTP/1.1", BadRequest),
        ("GET http://u@h/ HTTP/1.1", BadRequest),
        ("CONNECT / HTTP/1.1", BadRequest),
        ("CONNECT host HTTP/1.1", BadRequest),
        (&long, UriTooLong),
    ] {
        let head = format!("{line}\r\nHost: a\r\n\r\n");
        assert_eq!(status_of(head.as_bytes()), Some(status), "{line}");
        // The refusal doesn't wait for the rest of the head.
        let begun = format!("{line}\r\n");
        assert_eq!(status_of(begun.as_bytes()), Some(status), "{line}, incomplete");
    }
}

#[test]
fn valid_request_lines_are_accepted() {
    for line in [
        "GET / HTTP/1.2",
        "GET / HTTP/1.9",
        "GET /?a=b?c/d&e HTTP/1.1",
        "GET //a/../b HTTP/1.1",
        "GET /%41%zz HTTP/1.1".replace("%zz", "%aF").as_str(),
        "GET http://h HTTP/1.1",
        "GET HTTPS://[::1]:8080/a?b HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "CONNECT h:80 HTTP/1.1",
    ] {
        let head = format!("{line}\r\nHost: a\r\n\r\n");
        assert_eq!(status_of(head.as_bytes()), None, "{line}");
        with_request(&head, |request| assert_eq!(request.head_len, head.len()));
    }
}

#[test]
fn invalid_field_lines_get_the_status_that_fits() {
    use RejectStatus::{BadRequest, ExpectationFailed, FieldsTooLarge, NotImplemented};
    let many = "X: y\r\n".repeat(100);
    let large = format!("X: {}\r\n", "y".repeat(MAX));
    for (lines, status) in [
        ("X : y\r\n", BadRequest),
        (" X: y\r\n", BadRequest),
        ("X: a\r\n b\r\n", BadRequest),
        ("X\r\n", BadRequest),
        (": y\r\n", BadRequest),
        ("X: \0\r\n", BadRequest),
        ("X: \x7f\r\n", BadRequest),
        ("X(: y\r\n", BadRequest),
        ("X: y\n", BadRequest),
        ("X: y\rZ: 1\r\n", BadRequest),
        ("Host: b\r\n", BadRequest),
        ("Content-Length: 1\r\nContent-Length: 1\r\n", BadRequest),
        ("Content-Length: 1, 1\r\n", BadRequest),
        ("Content-Length: +1\r\n", BadRequest),
        ("Content-Length: -1\r\n", BadRequest),
        ("Content-Length: \r\n", BadRequest),
        ("Content-Length: 0x1\r\n", BadRequest),
        ("Content-Length: 18446744073709551616\r\n", BadRequest),
        ("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", BadRequest),
        ("Transfer-Encoding: chunked, chunked\r\n", BadRequest),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", BadRequest),
        ("Transfer-Encoding: chunked, gzip\r\n", BadRequest),
        ("Transfer-Encoding: chunked;a=b\r\n", BadRequest),
        ("Transfer-Encoding: \r\n", BadRequest),
        ("Transfer-Encoding: , chunked\r\n", BadRequest),
        ("Transfer-Encoding: \x0bchunked\r\n", BadRequest),
        ("Transfer-Encoding: gzip, chunked\r\n", NotImplemented),
        ("Transfer-Encoding: identity\r\n", NotImplemented),
        ("Expect: 200-ok\r\n", ExpectationFailed),
        (&many, FieldsTooLarge),
        (&large, FieldsTooLarge),
    ] {
        let head = with_lines(lines);
        assert_eq!(status_of(head.as_bytes()), Some(status), "{:?}", &lines[..lines.len().min(60)]);
    }
}

#[test]
fn host_is_required_once_and_checked() {
    for (head, is_valid) in [
        ("GET / HTTP/1.1\r\n\r\n", false),
        ("GET http://a/ HTTP/1.1\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", true),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nHost: a b\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: [v1.a:b]\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a%20b\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: a%2\r\n\r\n", false),
    ] {
        let expected = (!is_valid).then_some(RejectStatus::BadRequest);
        assert_eq!(status_of(head.as_bytes()), expected, "{head:?}");
    }
}

#[test]
fn persistence_follows_from_version_and_connection_options() {
    use Persistence::{Close, Keep, KeepHttp10};
    for (minor, lines, persistence) in [
        (1, "", Keep),
        (1, "Connection: close\r\n", Close),
        (1, "Connection: keep-alive, CLOSE\r\n", Close),
        (1, "Connection: x\r\nConnection: y ,close\r\n", Close),
        (1, "Connection: closed\r\n", Keep),
        (0, "", Close),
        (0, "Connection: Keep-Alive\r\n", KeepHttp10),
        (0, "Connection: keep-alive\r\nConnection: close\r\n", Close),
    ] {
        let head = format!("GET / HTTP/1.{minor}\r\nHost: a\r\n{lines}\r\n");
        with_request(&head, |request| assert_eq!(request.persistence, persistence, "{head:?}"));
    }
}

#[test]
fn framing_and_expectation_follow_from_field_lines() {
    for (version, lines, framing, expects) in [
        ("1.1", "Content-Length: 5\r\n", Framing::Length(5), false),
        (
            "1.1",
            "Content-Length: 9223372036854775807\r\n",
            Framing::Length(9_223_372_036_854_775_807),
            false,
        ),
        ("1.1", "Transfer-Encoding: Chunked\r\n", Framing::Chunked, false),
        ("1.1", "Content-Length: 5\r\nExpect: 100-Continue\r\n", Framing::Length(5), true),
        ("1.0", "Content-Length: 5\r\nExpect: 100-continue\r\n", Framing::Length(5), false),
        ("1.0", "Expect: something\r\n", Framing::None, false),
    ] {
        let head = format!("POST / HTTP/{version}\r\nHost: a\r\n{lines}\r\n");
        with_request(&head, |request| {
            assert_eq!((request.framing, request.expects_continue), (framing, expects), "{head:?}");
        });
    }
    let chunked = b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(status_of(chunked), Some(RejectStatus::BadRequest));
    // 2^63, which a signed integer of 64 bits reads as a negative length (RFC 9110 8.6).
    let overflowing = with_lines("Content-Length: 9223372036854775808\r\n");
    assert_eq!(status_of(overflowing.as_bytes()), Some(RejectStatus::BadRequest));
}

#[test]
fn bytes_that_cannot_become_a_head_are_refused_at_once() {
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\0",
        b"GET /\0",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x01",
        b"\n",
        b"GET / HTTP/1.1\r\r",
        b"GET / HTTP/1.1\r\nHost: a\rb",
        b"{\"json\": 1}",
        b"\r\n\r\n\r\n\r\n\r\n",
    ] {
        assert_eq!(status_of(bytes), Some(RejectStatus::BadRequest), "{bytes:?}");
    }
    for bytes in [&b""[..], b"\r", b"\r\n", b"G", b"GET / HTTP/1.1\r", b"GET / HTTP/1.1\r\nHos"] {
        assert_eq!(status_of(bytes), None, "{bytes:?}");
    }
}

#[test]
fn bare_line_feed_is_refused_at_the_end_of_every_line() {
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nEmpty:\r\nHost: a \t\r\nSpace: \t \r\nX:y\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(with_request(head, |request| request.head_len), head.len());
        for (at, _) in head.match_indices("\r\n") {
            let bare = [&head[..at], &head[at + 1..]].concat();
            assert_eq!(status_of(bare.as_bytes()), Some(RejectStatus::BadRequest), "{bare:?}");
            // A request behind the head gives it no other end.
            let followed = bare + "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
            assert_eq!(status_of(followed.as_bytes()), Some(RejectStatus::BadRequest));
        }
    }
}

#[test]
fn limits_apply_to_incomplete_heads() {
    let target = format!("GET /{}", "a".repeat(9 * 1024));
    assert_eq!(status_of(target.as_bytes()), Some(RejectStatus::UriTooLong));
    let fields = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(MAX));
    assert_eq!(status_of(fields.as_bytes()), Some(RejectStatus::FieldsTooLarge));
    let method = "A".repeat(65);
    assert_eq!(status_of(method.as_bytes()), Some(RejectStatus::NotImplemented));
}

#[test]
fn reject_tells_head_from_other_methods() {
    let mut fields = FieldBuffer::new();
    let parsed = parse(b"HEAD / HTTP/1.1\r\n\r\n", &mut Scan::default(), MAX, &mut fields);
    let Parsed::Reject(reject) = parsed else { panic!("no host") };
    assert_eq!(reject, Reject { status: RejectStatus::BadRequest, head: true });
}

#[test]
fn bodies_end_by_length_or_last_chunk() {
    for (framing, bytes, used, progress) in [
        (Framing::None, "GET", 0, BodyProgress::Done),
        (Framing::Length(3), "abcGET", 3, BodyProgress::Done),
        (Framing::Length(3), "ab", 2, BodyProgress::More),
        (Framing::Length(BODY_BYTES_MAX + 1), "ab", 0, BodyProgress::TooLong),
        (Framing::Chunked, "0\r\n\r\nGET", 5, BodyProgress::Done),
        (Framing::Chunked, "3\r\nabc\r\n0\r\n\r\nGET", 13, BodyProgress::Done),
        (Framing::Chunked, "3;a=b;c=\"d\"\r\nabc\r\n0\r\nX: y\r\n\r\n", 29, BodyProgress::Done),
        (Framing::Chunked, "3 ;a\r\nabc\r\n0\r\n\r\n", 16, BodyProgress::Done),
        (Framing::Chunked, "00000000000000003\r\nabc\r\n0\r\n\r\n", 29, BodyProgress::Done),
        (Framing::Chunked, "3\r\nab", 5, BodyProgress::More),
        (Framing::Chunked, "10001\r\n", 7, BodyProgress::TooLong),
        (Framing::Chunked, "ffffffffffffffff\r\n", 18, BodyProgress::TooLong),
    ] {
        assert_eq!(
            RequestBody::new(framing).advance(bytes.as_bytes()),
            (used, progress),
            "{bytes:?}"
        );
    }
}

#[test]
fn invalid_chunks_are_malformed() {
    let extension = format!("1;{}", "a".repeat(5000));
    let trailer = format!("0\r\nX: {}", "a".repeat(9000));
    for bytes in [
        "\r\n",
        "g\r\n",
        "0x1\r\n",
        "+1\r\n",
        "-1\r\n",
        " 1\r\n",
        "1 \r\n",
        "1\n",
        "1\r\r\n",
        "10000000000000000\r\n",
        "1\r\naX",
        "1\r\na\n",
        "1;a\n",
        "1;\0\r\n",
        "0\r\n\n",
        "0\r\nX\n",
        "0\r\n\x01\r\n",
        &extension,
        &trailer,
    ] {
        let (_, progress) = RequestBody::new(Framing::Chunked).advance(bytes.as_bytes());
        assert_eq!(progress, BodyProgress::Malformed, "{:?}", &bytes[..bytes.len().min(40)]);
    }
}

const ETAG: &[u8] = b"\"abc,d\"";
const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn selected(lines: &str) -> Selection {
    let validators = Validators { etag: ETAG, last_modified: Some(784_111_777) };
    with_request(&with_lines(lines), |request| {
        assert!(request.selective, "{lines:?}");
        select(request.method, request.fields, &validators, Some(1000))
    })
}

#[test]
fn preconditions_are_evaluated_in_the_order_of_rfc_9110_13_2_2() {
    use Selection::{Full, NotModified, PreconditionFailed};
    let later = "Sun, 06 Nov 1994 08:49:38 GMT";
    let earlier = "Sunday, 06-Nov-94 08:49:36 GMT";
    for (lines, selection) in [
        ("If-None-Match: \"abc,d\"\r\n".to_owned(), NotModified),
        ("If-None-Match: W/\"abc,d\"\r\n".to_owned(), NotModified),
        ("If-None-Match: \"x\", \"abc,d\"\r\n".to_owned(), NotModified),
        ("If-None-Match: \"x\"\r\nIf-None-Match: \"abc,d\"\r\n".to_owned(), NotModified),
        ("If-None-Match: *\r\n".to_owned(), NotModified),
        ("If-None-Match: \"x\", *\r\n".to_owned(), Full),
        ("If-None-Match: \"x\"\r\n".to_owned(), Full),
        ("If-None-Match: abc,d\r\n".to_owned(), Full),
        (format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {MODIFIED}\r\n"), Full),
        (format!("If-Modified-Since: {MODIFIED}\r\n"), NotModified),
        (format!("If-Modified-Since: {later}\r\n"), NotModified),
        (format!("If-Modified-Since: {earlier}\r\n"), Full),
        ("If-Modified-Since: yesterday\r\n".to_owned(), Full),
        ("If-Match: \"x\"\r\n".to_owned(), PreconditionFailed),
        ("If-Match: W/\"abc,d\"\r\n".to_owned(), PreconditionFailed),
        ("If-Match: *\r\n".to_owned(), Full),
        ("If-Match: \"abc,d\"\r\nIf-None-Match: *\r\n".to_owned(), NotModified),
        (format!("If-Unmodified-Since: {earlier}\r\n"), PreconditionFailed),
        (format!("If-Unmodified-Since: {MODIFIED}\r\n"), Full),
        (format!("If-Match: *\r\nIf-Unmodified-Since: {earlier}\r\n"), Full),
    ] {
        assert_eq!(selected(&lines), selection, "{lines:?}");
    }
    assert_eq!(response::date_text(784_111_777), MODIFIED);
}

#[test]
fn one_byte_range_is_selected_and_other_ranges_are_ignored() {
    let part = |first, last| Selection::Partial { first, last };
    for (lines, selection) in [
        ("Range: bytes=0-0\r\n", part(0, 0)),
        ("Range: bytes=0-\r\n", part(0, 999)),
        ("Range: Bytes=500-2000\r\n", part(500, 999)),
        ("Range: bytes=-1\r\n", part(999, 999)),
        ("Range: bytes=-5000\r\n", part(0, 999)),
        ("Range: bytes=999-99999999999999999999999\r\n", part(999, 999)),
        ("Range: bytes=1000-\r\n", Selection::Unsatisfiable),
        ("Range: bytes=-0\r\n", Selection::Unsatisfiable),
        ("Range: bytes=99999999999999999999999-\r\n", Selection::Unsatisfiable),
        ("Range: bytes=5-4\r\n", Selection::Full),
        ("Range: bytes=0-1,3-4\r\n", Selection::Full),
        ("Range: lines=0-1\r\n", Selection::Full),
        ("Range: bytes=\r\n", Selection::Full),
        ("Range: bytes=-\r\n", Selection::Full),
        ("Range: bytes=a-b\r\n", Selection::Full),
        ("Range: bytes=0-0\r\nRange: bytes=1-1\r\n", Selection::Full),
        ("Range: bytes=0-0\r\nIf-Range: \"abc,d\"\r\n", part(0, 0)),
        ("Range: bytes=0-0\r\nIf-Range: W/\"abc,d\"\r\n", Selection::Full),
        ("Range: bytes=0-0\r\nIf-Range: \"x\"\r\n", Selection::Full),
        ("Range: bytes=0-0\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n", part(0, 0)),
        ("Range: bytes=0-0\r\nIf-Range: Sun, 06 Nov 1994 08:49:38 GMT\r\n", Selection::Full),
        ("Range: bytes=0-0\r\nIf-None-Match: *\r\n", Selection::NotModified),
    ] {
        assert_eq!(selected(lines), selection, "{lines:?}");
    }
}

/// Pieces of heads and bodies, whose concatenations are valid, nearly valid or garbage.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::sample::select(vec![
            "GET / HTTP/1.1\r\n", "HEAD /a?b HTTP/1.0\r\n", "POST /%41 HTTP/1.1\r\n", "Host: a\r\n",
            "Host: a\r\n\r\n", "\r\n", "\r", "\n", " ", ":", "Content-Length: 3\r\n", "abc",
            "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n", "0\r\n\r\n", "0\r\n", "X: y\r\n",
            "Connection: close\r\n", "GET / HTTP/2.0\r\n", "Expect: 100-continue\r\n", "\t", "GET ",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
        1 => (0usize..17_000).prop_map(|len| vec![b'a'; len]),
    ]
}

proptest! {
    #[test]
    fn heads_have_the_properties_of_the_fuzz_target(
        split in any::<u16>(),
        pieces in prop::collection::vec(piece(), 0..12),
    ) {
        let mut data = split.to_le_bytes().to_vec();
        data.extend(pieces.concat());
        data.truncate(20_000);
        properties::head(&data);
    }

    #[test]
    fn ranges_agree_with_a_model_of_positions(
        first in prop::option::of(0u64..30), last in prop::option::of(0u64..30), length in 0u64..20,
    ) {
        let text = |number: Option<u64>| number.map_or(String::new(), |number| number.to_string());
        let value = format!("bytes={}-{}", text(first), text(last));
        let positions: Vec<u64> = match (first, last) {
            (Some(first), last) => {
                (0..length).filter(|at| (first..=last.unwrap_or(length)).contains(at)).collect()
            }
            (None, Some(count)) => (0..length).filter(|&at| at + count >= length).collect(),
            (None, None) => vec![],
        };
        let ignored = length == 0
            || matches!((first, last), (None, None))
            || matches!((first, last), (Some(first), Some(last)) if last < first);
        let expected = match (ignored, positions.first(), positions.last()) {
            (true, _, _) => RangeOutcome::Ignored,
            (false, Some(&first), Some(&last)) => RangeOutcome::Satisfiable { first, last },
            (false, _, _) => RangeOutcome::Unsatisfiable,
        };
        prop_assert_eq!(range::select(value.as_bytes(), length), expected);
    }
}
