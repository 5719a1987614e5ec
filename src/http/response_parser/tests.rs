//! Responses as the RFCs and servers have them, and malformed ones.

use super::{
    Asked, CHUNK_SIZE_DIGITS_MAX, CompleteResponse, EXTENSION_BYTES_MAX, End, FIELDS_MAX,
    HEAD_BYTES_MAX, INTERIM_MAX, Malformed, Progress, ResponseParser, TRAILER_BYTES_MAX,
};

/// What one call makes of bytes, and the content.
fn read(asked: Asked, bytes: &[u8]) -> (usize, Progress, String) {
    let mut content = Vec::new();
    let (used, progress) =
        ResponseParser::new().read(asked, bytes, &mut |part| content.extend_from_slice(part));
    (used, progress, String::from_utf8_lossy(&content).into_owned())
}

fn malformed(bytes: impl AsRef<[u8]>) -> Malformed {
    match read(Asked::Other, bytes.as_ref()) {
        (_, Progress::Malformed(malformed), _) => malformed,
        other => panic!("{:?} gave {other:?}", String::from_utf8_lossy(bytes.as_ref())),
    }
}

fn whole(asked: Asked, text: &str) -> (usize, CompleteResponse, String) {
    match read(asked, text.as_bytes()) {
        (used, Progress::Whole(response), content) => (used, response, content),
        other => panic!("{text:?} gave {other:?}"),
    }
}

/// A response with these field lines, in HTTP/1.1.
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
fn the_example_of_the_rfc_is_read() {
    let (used, response, content) = whole(Asked::Other, &HELLO.repeat(2));
    assert_eq!(used, HELLO.len());
    assert_eq!(content, "Hello World! My content includes a trailing CRLF.\r\n");
    let head_bytes = u32::try_from(HELLO.len() - 51).unwrap();
    assert_eq!(
        response,
        CompleteResponse { status: 200, persists: true, body_bytes: 51, head_bytes }
    );
}

#[test]
fn content_ends_where_rfc_9112_6_3_says() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (asked, response, content, rest) in [
        (Asked::Head, with("Content-Length: 3\r\n") + "X", "", "X"),
        (Asked::Head, with(chunked) + "X", "", "X"),
        (Asked::Head, with("") + "X", "", "X"),
        // The fields mean nothing when there is no content whatever they say.
        (Asked::Head, with("Content-Length: 3\r\nContent-Length: x\r\n"), "", ""),
        (Asked::Other, "HTTP/1.1 204 No Content\r\n\r\nX".to_owned(), "", "X"),
        (Asked::Other, "HTTP/1.1 304 \r\nContent-Length: 3\r\n\r\nX".to_owned(), "", "X"),
        (Asked::Other, with("Content-Length: 3\r\n") + "abcX", "abc", "X"),
        (Asked::Other, with("Content-Length: 0\r\n") + "X", "", "X"),
        (Asked::Other, with("content-length:03\r\nContent-Length: 3 , 3\r\n") + "abcX", "abc", "X"),
        (Asked::Other, with(chunked) + "0\r\n\r\nX", "", "X"),
        (
            Asked::Other,
            with(chunked) + "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\nX",
            "abcde",
            "X",
        ),
        (
            Asked::Other,
            with("TRANSFER-ENCODING: gzip , ,Chunked\r\n") + "1\r\na\r\n0\r\n\r\n",
            "a",
            "",
        ),
        (
            Asked::Other,
            with("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\nX",
            "",
            "X",
        ),
    ] {
        let (used, whole, found) = whole(asked, &response);
        assert_eq!((&*found, &response[used..]), (content, rest), "{response:?}");
        assert_eq!(whole.body_bytes, content.len() as u64, "{response:?}");
    }
}

#[test]
fn content_without_an_end_ends_with_the_stream() {
    for lines in [
        "",
        "Connection: keep-alive\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
    ] {
        let mut responses = ResponseParser::new();
        let mut content = Vec::new();
        for part in [&*with(lines), "ab", "c"] {
            let (used, progress) = responses
                .read(Asked::Other, part.as_bytes(), &mut |part| content.extend_from_slice(part));
            assert_eq!((used, progress), (part.len(), Progress::More), "{lines:?}");
            assert_eq!(responses.skippable(), 0);
        }
        let head_bytes = u32::try_from(with(lines).len()).unwrap();
        let response = CompleteResponse { status: 200, persists: false, body_bytes: 3, head_bytes };
        assert_eq!(responses.end(), End::Whole(response), "{lines:?}");
        assert_eq!(content, b"abc");
        assert!(!responses.begun());
    }
}

#[test]
fn a_stream_ends_between_responses_or_cuts_one_short() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\n";
    let length = with("Content-Length: 3\r\n");
    for (bytes, end) in [
        (String::new(), End::Between),
        ("H".to_owned(), End::Short),
        (interim.to_owned(), End::Short),
        (length.clone(), End::Short),
        (length.clone() + "ab", End::Short),
        (length + "abc", End::Between),
        (with("Transfer-Encoding: chunked\r\n") + "0\r\n", End::Short),
        ("\n".to_owned(), End::Short),
    ] {
        let mut responses = ResponseParser::new();
        responses.read(Asked::Other, bytes.as_bytes(), &mut |_| {});
        assert_eq!(responses.begun(), end == End::Short, "{bytes:?}");
        assert_eq!(responses.end(), end, "{bytes:?}");
    }
}

#[test]
fn connections_persist_as_rfc_9112_9_3_says() {
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
        assert_eq!(whole(Asked::Other, &text).1.persists, persists, "{text:?}");
    }
}

#[test]
fn interim_responses_are_read_past() {
    let interim =
        "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nContent-Length: 9\r\n\r\n";
    let end = "HTTP/1.1 204 \r\n\r\n";
    let some = interim.repeat(INTERIM_MAX.into());
    let (used, response, content) = whole(Asked::Other, &format!("{some}{end}HTTP"));
    assert_eq!((used, response.status, &*content), (some.len() + end.len(), 204, ""));
    assert_eq!(response.head_bytes as usize, used);
    assert_eq!(malformed(some + interim + end), Malformed::TooManyInterim);
    assert_eq!(malformed("HTTP/1.1 101 Switching Protocols\r\n\r\n"), Malformed::Upgrade);
}

#[test]
fn a_status_may_be_any_three_digits_and_need_no_reason() {
    for (line, status) in [
        ("HTTP/1.1 200 ", 200),
        ("HTTP/1.1 404 Not Found", 404),
        ("HTTP/1.1 200 \u{fc}\tok", 200),
        ("HTTP/1.1 200  ", 200),
        // Not valid, and to be taken for 5xx (RFC 9110 15).
        ("HTTP/1.1 999 Denied", 999),
        ("HTTP/1.1 099 ", 99),
    ] {
        let text = format!("{line}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(whole(Asked::Other, &text).1.status, status, "{text:?}");
    }
}

#[test]
fn continued_lines_are_one() {
    // RFC 9112 5.2: a user agent replaces each by spaces.
    let text = with("Connection: x,\r\n\t close\r\nContent-Length:\r\n 3\r\n \r\n") + "abc";
    let (used, response, content) = whole(Asked::Other, &text);
    assert_eq!((used, response.persists, &*content), (text.len(), false, "abc"));
    assert_eq!(malformed(with("Content-Length: 3\r\n 4\r\n")), Malformed::Length);
    // What stands before the first field continues nothing.
    assert_eq!(malformed(with(" Content-Length: 3\r\n")), Malformed::Field);
}

#[test]
fn what_is_no_response_is_refused() {
    for (bytes, expected) in [
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", Malformed::NotHttp),
        ("GET / HTTP/1.1\r\n", Malformed::NotHttp),
        ("HTTP/2", Malformed::NotHttp),
        ("http/1.1 200 OK\r\n\r\n", Malformed::NotHttp),
        ("SSH-2.0-OpenSSH_9.2p1\r\n", Malformed::NotHttp),
        ("\x15\x03\x01\0\x02\x02\x16", Malformed::NotHttp),
        ("HTTP/1.1 200 OK\n\n", Malformed::BareLineFeed),
        ("HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n", Malformed::BareLineFeed),
        ("HTTP/1.\r\n\r\n", Malformed::StatusLine),
        ("HTTP/1.1\r\n\r\n", Malformed::StatusLine),
        ("HTTP/1.x 200 OK\r\n\r\n", Malformed::StatusLine),
        ("HTTP/1.11 200 OK\r\n\r\n", Malformed::StatusLine),
        ("HTTP/1.1 200\r\n\r\n", Malformed::StatusLine),
        ("HTTP/1.1 20 OK\r\n\r\n", Malformed::StatusLine),
        ("HTTP/1.1 2000 OK\r\n\r\n", Malformed::StatusLine),
        ("HTTP/1.1 +20 OK\r\n\r\n", Malformed::StatusLine),
        ("HTTP/1.1  200 OK\r\n\r\n", Malformed::StatusLine),
        ("HTTP/1.1\t200 OK\r\n\r\n", Malformed::StatusLine),
        ("HTTP/1.1 200 O\0K\r\n\r\n", Malformed::StatusLine),
        ("HTTP/1.1 200 O\rK\r\n\r\n", Malformed::StatusLine),
        ("HTTP/1.2 200 O\x7fK\r\n\r\n", Malformed::StatusLine),
    ] {
        assert_eq!(malformed(bytes), expected, "{bytes:?}");
    }
    for (lines, expected) in [
        ("A\r\n", Malformed::Field),
        ("A : b\r\n", Malformed::Field),
        (": b\r\n", Malformed::Field),
        ("A: b\x01\r\n", Malformed::Field),
        ("A: b\rc\r\n", Malformed::Field),
        ("Content-Length: +3\r\n", Malformed::Length),
        ("Content-Length: 3 4\r\n", Malformed::Length),
        ("Content-Length:\r\n", Malformed::Length),
        ("Content-Length: 3,\r\n", Malformed::Length),
        ("Content-Length: 18446744073709551616\r\n", Malformed::Length),
        ("Content-Length: 3, 4\r\n", Malformed::TwoLengths),
        ("Content-Length: 4, 3\r\n", Malformed::TwoLengths),
        ("Content-Length: 3\r\nX: y\r\nContent-Length: 4\r\n", Malformed::TwoLengths),
        ("Transfer-Encoding: chunked, chunked\r\n", Malformed::Codings),
        ("Transfer-Encoding: chunked;a=b\r\n", Malformed::Codings),
        ("Transfer-Encoding: ,\r\n", Malformed::Codings),
        ("Transfer-Encoding: g(zip, chunked\r\n", Malformed::Codings),
        ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", Malformed::CodingsAndLength),
        ("Content-Length: x\r\nTransfer-Encoding: gzip\r\n", Malformed::CodingsAndLength),
    ] {
        assert_eq!(malformed(with(lines)), expected, "{lines:?}");
    }
    let http10 = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(malformed(http10), Malformed::CodingsInHttp10);
}

#[test]
fn what_is_malformed_stays_so() {
    let mut responses = ResponseParser::new();
    for bytes in ["x", "", HELLO] {
        let (_, progress) = responses.read(Asked::Other, bytes.as_bytes(), &mut |_| panic!("none"));
        assert_eq!(progress, Progress::Malformed(Malformed::NotHttp));
        assert_eq!(responses.skippable(), 0);
    }
}

#[test]
fn every_bound_is_exact() {
    let fields = |count| with(&"A: b\r\n".repeat(count)) + "x";
    assert_eq!(read(Asked::Other, fields(FIELDS_MAX).as_bytes()).1, Progress::More);
    assert_eq!(malformed(fields(FIELDS_MAX + 1)), Malformed::TooManyFields);

    let head_bytes_max = HEAD_BYTES_MAX as usize;
    let head = |length: usize| {
        let lines = format!("Content-Length: 0\r\nA: {}\r\n", "b".repeat(length));
        let head = with(&lines);
        (head.len() < head_bytes_max + 2).then_some(head)
    };
    let longest = (0..head_bytes_max).rev().find_map(head).unwrap();
    assert_eq!(longest.len(), head_bytes_max + 1);
    assert_eq!(malformed(&longest), Malformed::HeadTooLong);
    assert_eq!(malformed(&longest[..=head_bytes_max]), Malformed::HeadTooLong);
    let (_, progress, _) = read(Asked::Other, &longest.as_bytes()[..head_bytes_max]);
    assert_eq!(progress, Progress::More);
    let (_, progress, _) = read(Asked::Other, longest.replacen("bb", "b", 1).as_bytes());
    assert!(matches!(progress, Progress::Whole(_)), "{progress:?}");

    let chunked = |chunks: &str| with("Transfer-Encoding: chunked\r\n") + chunks;
    let digits = |count| chunked(&format!("{:0>count$}\r\na\r\n0\r\n\r\n", 1));
    let extension = |count| chunked(&format!("1;{}\r\na\r\n0\r\n\r\n", "e".repeat(count - 1)));
    let trailer = |count| chunked(&format!("0\r\n{}\r\n\r\n", "t".repeat(count - 2)));
    for (kind, limit) in [
        (&digits as &dyn Fn(usize) -> String, usize::from(CHUNK_SIZE_DIGITS_MAX)),
        (&extension, EXTENSION_BYTES_MAX as usize),
        (&trailer, TRAILER_BYTES_MAX as usize),
    ] {
        whole(Asked::Other, &kind(limit));
        assert_eq!(malformed(kind(limit + 1)), Malformed::Chunks);
    }
}

#[test]
fn more_content_than_can_be_counted_is_refused() {
    let chunked = with("Transfer-Encoding: chunked\r\n");
    assert_eq!(malformed(chunked + "1\r\na\r\nffffffffffffffff\r\n"), Malformed::Chunks);
    let most = with("Content-Length: 18446744073709551615\r\n") + "abc";
    assert_eq!(read(Asked::Other, most.as_bytes()), (most.len(), Progress::More, "abc".to_owned()));
}

#[test]
fn known_content_can_be_skipped() {
    let mut responses = ResponseParser::new();
    let mut content = Vec::new();
    let mut read = |responses: &mut ResponseParser, text: &str| {
        responses.read(Asked::Other, text.as_bytes(), &mut |part| content.extend_from_slice(part))
    };
    assert_eq!(responses.skippable(), 0);
    let head = with("Content-Length: 10\r\n") + "a";
    assert_eq!(read(&mut responses, &head), (head.len(), Progress::More));
    assert_eq!(responses.skippable(), 9);
    assert_eq!(responses.skipped(5), Progress::More);
    assert_eq!(responses.skipped(0), Progress::More);
    assert_eq!(read(&mut responses, "z"), (1, Progress::More));
    let Progress::Whole(response) = responses.skipped(3) else { panic!("all has come") };
    assert_eq!((response.body_bytes, responses.begun()), (10, false));

    let head = with("Transfer-Encoding: chunked\r\n") + "5\r\n";
    assert_eq!(read(&mut responses, &head), (head.len(), Progress::More));
    assert_eq!(responses.skippable(), 5);
    assert_eq!(responses.skipped(5), Progress::More);
    assert_eq!(responses.skippable(), 0);
    let (used, Progress::Whole(response)) = read(&mut responses, "\r\n0\r\n\r\nH") else {
        panic!("all has come")
    };
    assert_eq!((used, response.body_bytes), (7, 5));
    assert_eq!(content, b"az");
}

#[test]
#[should_panic(expected = "only known content is skipped: 1 of 0")]
fn what_is_not_known_is_not_skipped() {
    ResponseParser::new().skipped(1);
}
