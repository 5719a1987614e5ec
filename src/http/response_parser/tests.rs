//! Responses from the grammar of the RFCs, valid and malformed.

use super::{
    CHUNK_SIZE_DIGITS_MAX, CompleteResponse, EXTENSION_BYTES_MAX, FIELDS_MAX, HEAD_BYTES_MAX,
    INTERIM_MAX, MalformedResponse, RequestKind, ResponseParser, ResponseProgress, StreamEnd,
    TRAILER_BYTES_MAX,
};

/// The result of one call with these bytes, and the content.
fn read(request: RequestKind, bytes: &[u8]) -> (usize, ResponseProgress, String) {
    let mut content = Vec::new();
    let (used, progress) =
        ResponseParser::new().read(request, bytes, &mut |part| content.extend_from_slice(part));
    (used, progress, String::from_utf8_lossy(&content).into_owned())
}

fn malformed(bytes: impl AsRef<[u8]>) -> MalformedResponse {
    match read(RequestKind::Other, bytes.as_ref()) {
        (_, ResponseProgress::Malformed(malformed), _) => malformed,
        other => panic!("{:?} gave {other:?}", String::from_utf8_lossy(bytes.as_ref())),
    }
}

fn complete(request: RequestKind, text: &str) -> (usize, CompleteResponse, String) {
    match read(request, text.as_bytes()) {
        (used, ResponseProgress::Complete(response), content) => (used, response, content),
        other => panic!("{text:?} gave {other:?}"),
    }
}

/// The head of a response in HTTP/1.1 with these field lines.
fn with(lines: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{lines}\r\n")
}

/// The example of RFC 9110 3.9.
const HELLO: &str = "HTTP/1.1 200 OK\r\n\
    Date: Mon, 27 Jul 2009 12:28:53 GMT\r\n\
    Server: Apache\r\n\
    Last-Modified: Wed, 22 Jul 2009 19:15:56 GMT\r\n\
    ETag: \"34aa387-d-1568eb00\"\r\n\
    Accept-Ranges: bytes\r\n\
    Content-Length: 51\r\n\
    Vary: Accept-Encoding\r\n\
    Content-Type: text/plain\r\n\r\n\
    Hello World! My content includes a trailing CRLF.\r\n";

#[test]
fn example_of_rfc_9110_3_9_is_parsed() {
    let (used, response, content) = complete(RequestKind::Other, &HELLO.repeat(2));
    assert_eq!(used, HELLO.len());
    assert_eq!(content, "Hello World! My content includes a trailing CRLF.\r\n");
    let head_bytes = u32::try_from(HELLO.len() - 51).unwrap();
    assert_eq!(
        response,
        CompleteResponse { status: 200, persists: true, body_bytes: 51, head_bytes }
    );
}

#[test]
fn content_ends_by_the_rules_of_rfc_9112_6_3() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (request, response, content, rest) in [
        (RequestKind::Head, with("Content-Length: 3\r\n") + "X", "", "X"),
        (RequestKind::Head, with(chunked) + "X", "", "X"),
        (RequestKind::Head, with("") + "X", "", "X"),
        // Fields about content are ignored in a response to HEAD, even invalid ones.
        (RequestKind::Head, with("Content-Length: 3\r\nContent-Length: x\r\n"), "", ""),
        (RequestKind::Other, "HTTP/1.1 204 No Content\r\n\r\nX".to_owned(), "", "X"),
        (RequestKind::Other, "HTTP/1.1 304 \r\nContent-Length: 3\r\n\r\nX".to_owned(), "", "X"),
        (RequestKind::Other, with("Content-Length: 3\r\n") + "abcX", "abc", "X"),
        (RequestKind::Other, with("Content-Length: 0\r\n") + "X", "", "X"),
        (
            RequestKind::Other,
            with("content-length:03\r\nContent-Length: 3 , 3\r\n") + "abcX",
            "abc",
            "X",
        ),
        (RequestKind::Other, with(chunked) + "0\r\n\r\nX", "", "X"),
        (
            RequestKind::Other,
            with(chunked) + "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\nX",
            "abcde",
            "X",
        ),
        (
            RequestKind::Other,
            with("TRANSFER-ENCODING: gzip , ,Chunked\r\n") + "1\r\na\r\n0\r\n\r\n",
            "a",
            "",
        ),
        (
            RequestKind::Other,
            with("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\nX",
            "",
            "X",
        ),
    ] {
        let (used, outcome, found) = complete(request, &response);
        assert_eq!((&*found, &response[used..]), (content, rest), "{response:?}");
        assert_eq!(outcome.body_bytes, content.len() as u64, "{response:?}");
    }
}

#[test]
fn content_without_length_or_chunks_ends_with_the_stream() {
    for lines in [
        "",
        "Connection: keep-alive\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
    ] {
        let mut parser = ResponseParser::new();
        let mut content = Vec::new();
        for part in [&*with(lines), "ab", "c"] {
            let (used, progress) = parser.read(RequestKind::Other, part.as_bytes(), &mut |part| {
                content.extend_from_slice(part);
            });
            assert_eq!((used, progress), (part.len(), ResponseProgress::More), "{lines:?}");
            assert_eq!(parser.skippable(), 0);
        }
        let head_bytes = u32::try_from(with(lines).len()).unwrap();
        let response = CompleteResponse { status: 200, persists: false, body_bytes: 3, head_bytes };
        assert_eq!(parser.end(), StreamEnd::Complete(response), "{lines:?}");
        assert_eq!(content, b"abc");
        assert!(!parser.begun());
    }
}

#[test]
fn end_of_stream_within_a_response_truncates_it() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\n";
    let length = with("Content-Length: 3\r\n");
    for (bytes, end) in [
        (String::new(), StreamEnd::BetweenResponses),
        ("H".to_owned(), StreamEnd::Truncated),
        (interim.to_owned(), StreamEnd::Truncated),
        (length.clone(), StreamEnd::Truncated),
        (length.clone() + "ab", StreamEnd::Truncated),
        (length + "abc", StreamEnd::BetweenResponses),
        (with("Transfer-Encoding: chunked\r\n") + "0\r\n", StreamEnd::Truncated),
        ("\n".to_owned(), StreamEnd::Truncated),
    ] {
        let mut parser = ResponseParser::new();
        parser.read(RequestKind::Other, bytes.as_bytes(), &mut |_| {});
        assert_eq!(parser.begun(), end == StreamEnd::Truncated, "{bytes:?}");
        assert_eq!(parser.end(), end, "{bytes:?}");
    }
}

#[test]
fn persistence_follows_rfc_9112_9_3() {
    for (version, lines, persists) in [
        ("1.1", "", true),
        ("1.2", "", true),
        ("1.9", "Connection: close\r\n", false),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: Close\r\n", false),
        ("1.1", "connection: upgrade ,close\r\n", false),
        ("1.1", "Connection: x\r\nConnection: close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.1", "Connection: close, keep-alive\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: x, keep-alive\r\n", true),
        ("1.0", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("1.0", "Keep-Alive: timeout=5\r\n", false),
    ] {
        let text = format!("HTTP/{version} 200 OK\r\nContent-Length: 0\r\n{lines}\r\n");
        assert_eq!(complete(RequestKind::Other, &text).1.persists, persists, "{text:?}");
    }
}

#[test]
fn interim_responses_are_skipped_up_to_the_bound() {
    let interim =
        "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nContent-Length: 9\r\n\r\n";
    let end = "HTTP/1.1 204 \r\n\r\n";
    let some = interim.repeat(INTERIM_MAX.into());
    let (used, response, content) = complete(RequestKind::Other, &format!("{some}{end}HTTP"));
    assert_eq!((used, response.status, &*content), (some.len() + end.len(), 204, ""));
    assert_eq!(response.head_bytes as usize, used);
    assert_eq!(malformed(some + interim + end), MalformedResponse::TooManyInterim);
    assert_eq!(malformed("HTTP/1.1 101 Switching Protocols\r\n\r\n"), MalformedResponse::Upgrade);
}

#[test]
fn any_three_digits_are_a_status_with_or_without_a_reason() {
    for (line, status) in [
        ("HTTP/1.1 200 ", 200),
        ("HTTP/1.1 404 Not Found", 404),
        ("HTTP/1.1 200 \u{fc}\tok", 200),
        ("HTTP/1.1 200  ", 200),
        // Invalid; a client treats them as 5xx (RFC 9110 15).
        ("HTTP/1.1 999 Denied", 999),
        ("HTTP/1.1 099 ", 99),
    ] {
        let text = format!("{line}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(complete(RequestKind::Other, &text).1.status, status, "{text:?}");
    }
}

#[test]
fn folded_lines_are_unfolded() {
    // RFC 9112 5.2: a user agent replaces each fold with spaces.
    let text = with("Connection: x,\r\n\t close\r\nContent-Length:\r\n 3\r\n \r\n") + "abc";
    let (used, response, content) = complete(RequestKind::Other, &text);
    assert_eq!((used, response.persists, &*content), (text.len(), false, "abc"));
    assert_eq!(malformed(with("Content-Length: 3\r\n 4\r\n")), MalformedResponse::Length);
    // Nothing can be folded before the first field line.
    assert_eq!(malformed(with(" Content-Length: 3\r\n")), MalformedResponse::Field);
}

#[test]
fn invalid_heads_are_malformed_with_the_reason() {
    for (bytes, expected) in [
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", MalformedResponse::NotHttp),
        ("GET / HTTP/1.1\r\n", MalformedResponse::NotHttp),
        ("HTTP/2", MalformedResponse::NotHttp),
        ("http/1.1 200 OK\r\n\r\n", MalformedResponse::NotHttp),
        ("SSH-2.0-OpenSSH_9.2p1\r\n", MalformedResponse::NotHttp),
        ("\x15\x03\x01\0\x02\x02\x16", MalformedResponse::NotHttp),
        ("HTTP/1.1 200 OK\n\n", MalformedResponse::BareLineFeed),
        ("HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n", MalformedResponse::BareLineFeed),
        ("HTTP/1.\r\n\r\n", MalformedResponse::StatusLine),
        ("HTTP/1.1\r\n\r\n", MalformedResponse::StatusLine),
        ("HTTP/1.x 200 OK\r\n\r\n", MalformedResponse::StatusLine),
        ("HTTP/1.11 200 OK\r\n\r\n", MalformedResponse::StatusLine),
        ("HTTP/1.1 200\r\n\r\n", MalformedResponse::StatusLine),
        ("HTTP/1.1 20 OK\r\n\r\n", MalformedResponse::StatusLine),
        ("HTTP/1.1 2000 OK\r\n\r\n", MalformedResponse::StatusLine),
        ("HTTP/1.1 +20 OK\r\n\r\n", MalformedResponse::StatusLine),
        ("HTTP/1.1  200 OK\r\n\r\n", MalformedResponse::StatusLine),
        ("HTTP/1.1\t200 OK\r\n\r\n", MalformedResponse::StatusLine),
        ("HTTP/1.1 200 O\0K\r\n\r\n", MalformedResponse::StatusLine),
        ("HTTP/1.1 200 O\rK\r\n\r\n", MalformedResponse::StatusLine),
        ("HTTP/1.2 200 O\x7fK\r\n\r\n", MalformedResponse::StatusLine),
    ] {
        assert_eq!(malformed(bytes), expected, "{bytes:?}");
    }
    for (lines, expected) in [
        ("A\r\n", MalformedResponse::Field),
        ("A : b\r\n", MalformedResponse::Field),
        (": b\r\n", MalformedResponse::Field),
        ("A: b\x01\r\n", MalformedResponse::Field),
        ("A: b\rc\r\n", MalformedResponse::Field),
        ("Content-Length: +3\r\n", MalformedResponse::Length),
        ("Content-Length: 3 4\r\n", MalformedResponse::Length),
        ("Content-Length:\r\n", MalformedResponse::Length),
        ("Content-Length: 3,\r\n", MalformedResponse::Length),
        ("Content-Length: 18446744073709551616\r\n", MalformedResponse::Length),
        ("Content-Length: 3, 4\r\n", MalformedResponse::TwoLengths),
        ("Content-Length: 4, 3\r\n", MalformedResponse::TwoLengths),
        ("Content-Length: 3\r\nX: y\r\nContent-Length: 4\r\n", MalformedResponse::TwoLengths),
        ("Transfer-Encoding: chunked, chunked\r\n", MalformedResponse::Codings),
        ("Transfer-Encoding: chunked;a=b\r\n", MalformedResponse::Codings),
        ("Transfer-Encoding: ,\r\n", MalformedResponse::Codings),
        ("Transfer-Encoding: g(zip, chunked\r\n", MalformedResponse::Codings),
        (
            "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
            MalformedResponse::CodingsAndLength,
        ),
        ("Content-Length: x\r\nTransfer-Encoding: gzip\r\n", MalformedResponse::CodingsAndLength),
    ] {
        assert_eq!(malformed(with(lines)), expected, "{lines:?}");
    }
    let http10 = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(malformed(http10), MalformedResponse::CodingsInHttp10);
}

#[test]
fn malformed_state_is_final() {
    let mut parser = ResponseParser::new();
    for bytes in ["x", "", HELLO] {
        let (_, progress) =
            parser.read(RequestKind::Other, bytes.as_bytes(), &mut |_| panic!("none"));
        assert_eq!(progress, ResponseProgress::Malformed(MalformedResponse::NotHttp));
        assert_eq!(parser.skippable(), 0);
    }
}

#[test]
fn every_bound_is_exact() {
    let fields = |count| with(&"A: b\r\n".repeat(count)) + "x";
    assert_eq!(read(RequestKind::Other, fields(FIELDS_MAX).as_bytes()).1, ResponseProgress::More);
    assert_eq!(malformed(fields(FIELDS_MAX + 1)), MalformedResponse::TooManyFields);

    let head_bytes_max = HEAD_BYTES_MAX as usize;
    let head = |length: usize| {
        let lines = format!("Content-Length: 0\r\nA: {}\r\n", "b".repeat(length));
        let head = with(&lines);
        (head.len() < head_bytes_max + 2).then_some(head)
    };
    let longest = (0..head_bytes_max).rev().find_map(head).unwrap();
    assert_eq!(longest.len(), head_bytes_max + 1);
    assert_eq!(malformed(&longest), MalformedResponse::HeadTooLong);
    assert_eq!(malformed(&longest[..=head_bytes_max]), MalformedResponse::HeadTooLong);
    let (_, progress, _) = read(RequestKind::Other, &longest.as_bytes()[..head_bytes_max]);
    assert_eq!(progress, ResponseProgress::More);
    let (_, progress, _) = read(RequestKind::Other, longest.replacen("bb", "b", 1).as_bytes());
    assert!(matches!(progress, ResponseProgress::Complete(_)), "{progress:?}");

    let chunked = |chunks: &str| with("Transfer-Encoding: chunked\r\n") + chunks;
    let digits = |count| chunked(&format!("{:0>count$}\r\na\r\n0\r\n\r\n", 1));
    let extension = |count| chunked(&format!("1;{}\r\na\r\n0\r\n\r\n", "e".repeat(count - 1)));
    let trailer = |count| chunked(&format!("0\r\n{}\r\n\r\n", "t".repeat(count - 2)));
    for (kind, limit) in [
        (&digits as &dyn Fn(usize) -> String, usize::from(CHUNK_SIZE_DIGITS_MAX)),
        (&extension, EXTENSION_BYTES_MAX as usize),
        (&trailer, TRAILER_BYTES_MAX as usize),
    ] {
        complete(RequestKind::Other, &kind(limit));
        assert_eq!(malformed(kind(limit + 1)), MalformedResponse::Chunks);
    }
}

#[test]
fn content_over_64_bits_is_malformed() {
    let chunked = with("Transfer-Encoding: chunked\r\n");
    assert_eq!(malformed(chunked + "1\r\na\r\nffffffffffffffff\r\n"), MalformedResponse::Chunks);
    let most = with("Content-Length: 18446744073709551615\r\n") + "abc";
    assert_eq!(
        read(RequestKind::Other, most.as_bytes()),
        (most.len(), ResponseProgress::More, "abc".to_owned())
    );
}

#[test]
fn content_of_known_length_can_be_skipped() {
    let mut parser = ResponseParser::new();
    let mut content = Vec::new();
    let mut read = |parser: &mut ResponseParser, text: &str| {
        parser
            .read(RequestKind::Other, text.as_bytes(), &mut |part| content.extend_from_slice(part))
    };
    assert_eq!(parser.skippable(), 0);
    let head = with("Content-Length: 10\r\n") + "a";
    assert_eq!(read(&mut parser, &head), (head.len(), ResponseProgress::More));
    assert_eq!(parser.skippable(), 9);
    assert_eq!(parser.skipped(5), ResponseProgress::More);
    assert_eq!(parser.skipped(0), ResponseProgress::More);
    assert_eq!(read(&mut parser, "z"), (1, ResponseProgress::More));
    let ResponseProgress::Complete(response) = parser.skipped(3) else {
        panic!("the response is complete")
    };
    assert_eq!((response.body_bytes, parser.begun()), (10, false));

    let head = with("Transfer-Encoding: chunked\r\n") + "5\r\n";
    assert_eq!(read(&mut parser, &head), (head.len(), ResponseProgress::More));
    assert_eq!(parser.skippable(), 5);
    assert_eq!(parser.skipped(5), ResponseProgress::More);
    assert_eq!(parser.skippable(), 0);
    let (used, ResponseProgress::Complete(response)) = read(&mut parser, "\r\n0\r\n\r\nH") else {
        panic!("the response is complete")
    };
    assert_eq!((used, response.body_bytes), (7, 5));
    assert_eq!(content, b"az");
}

#[test]
#[should_panic(expected = "only known content is skipped: 1 of 0")]
fn skipping_unknown_content_panics() {
    ResponseParser::new().skipped(1);
}
