//! Lines of real formats, and odd ones.

use super::*;
use proptest::prelude::*;

fn request(line: &str) -> Result<String, String> {
    parse(line.as_bytes(), false).map(|entry| entry.request.to_string())
}

#[test]
fn lines_of_common_formats_have_their_request() {
    for (line, expected) in [
        (r#"::1 - - [28/Nov/2026:03:33:12 +0000] "GET /a?b=c HTTP/1.1" 200 5"#, "GET /a?b=c"),
        (
            r#"10.0.0.1 - a [b] "c" [28/Nov/2026:03:33:12 +0000] "HEAD / HTTP/2.0" 200 0 "-" "x""#,
            "HEAD /",
        ),
        (
            r#"a.example:80 1.2.3.4 - - [28/Nov/2026:03:33:12 +0000] "GET /\"q\" HTTP/1.0" 404 0"#,
            "GET /\"q\"",
        ),
        (r#"1.2.3.4 - - [28/Nov/2026:03:33:12 +0000] "GET /\x22\x5C HTTP/1.1" 404 0"#, "GET /\"\\"),
        (r#"1.2.3.4 "OPTIONS * HTTP/1.1" 200"#, "OPTIONS *"),
        (r#"{"method":"PUT","target":"/a","time":"2026-11-28T03:33:12Z"}"#, "PUT /a"),
        (r#"{"request_method":"GET","request_uri":"/a?b","msec":"1795836792.125"}"#, "GET /a?b"),
        (r#"{"request_method":"GET","uri":"/a","args":"b=c"}"#, "GET /a?b=c"),
        (
            r#"{"ts":1795836792.1,"request":{"method":"GET","uri":"/x","host":"a"},"status":200}"#,
            "GET /x",
        ),
        (r#"{"request":"GET /whole HTTP/1.1","status":200}"#, "GET /whole"),
        (
            r#"{"schema":"uringstatic-access/1","method":"GET","target":"/\\x22\\x5Cx"}"#,
            "GET /\"\\x",
        ),
        (r#"{"method":"GET","url":"https://a.example/b?c#d"}"#, "GET /b?c"),
        (r#"{"method":"GET","url":"https://a.example"}"#, "GET /"),
    ] {
        assert_eq!(request(line).as_deref(), Ok(expected), "{line}");
    }
}

#[test]
fn lines_that_no_request_can_carry_are_refused() {
    for (line, why) in [
        (r#"1.2.3.4 - - [28/Nov/2026:03:33:12 +0000] "-" 400 0"#, "is not a method, a target"),
        (r#"1.2.3.4 - - [28/Nov/2026:03:33:12 +0000] "" 400 0"#, "is not a method"),
        (
            r#"1.2.3.4 - - [28/Nov/2026:03:33:12 +0000] "GET /a b HTTP/1.1" 400 0"#,
            "is not a method",
        ),
        (r#"1.2.3.4 - - [28/Nov/2026:03:33:12 +0000] "GET /" 400 0"#, "is not a method"),
        (
            r#"1.2.3.4 - - [28/Nov/2026:03:33:12 +0000] "\x16\x03\x01 / HTTP/1.1" 400 0"#,
            "a method consists",
        ),
        (r#"1.2.3.4 "GET /\xC3\xA4 HTTP/1.1" 200 0"#, "can't carry"),
        ("1.2.3.4 \"GET /\u{e4} HTTP/1.1\" 200 0", "can't carry"),
        (r#"1.2.3.4 "GET /a\r\nX:y HTTP/1.1" 200 0"#, "can't carry"),
        (r#"1.2.3.4 "GET /\u0041 HTTP/1.1" 200 0"#, "no known escape"),
        (r#"1.2.3.4 "GET /\xZZ HTTP/1.1" 200 0"#, "no known escape"),
        (r#"1.2.3.4 "GET / HTTP/1.1"#, "no end"),
        (r#"1.2.3.4 "CONNECT a:443 HTTP/1.1" 200 0"#, "tunnel"),
        (r#"1.2.3.4 "GET a HTTP/1.1" 200 0"#, "is not a request target"),
        ("plain text", "no quoted request"),
        (r#"{"method":"GET"}"#, "no target"),
        (r#"{"target":"/"}"#, "no method"),
        (r#"{"method":"GET","target":"/a\r\nb"}"#, "can't carry"),
        (r#"{"method":"GET","target":"/ä"}"#, "can't carry"),
        (r#"{"method":1,"target":"/"}"#, "no method"),
        (r#"{"schema":"uringstatic-access/1","method":"GET","target":"/a","cut":true}"#, "was cut"),
        (
            r#"{"schema":"uringstatic-access/1","request":"\\x16\\x03 / HTTP/1.1"}"#,
            "a method consists",
        ),
        ("{", "no JSON object"),
    ] {
        let message = request(line).expect_err(line);
        assert!(message.contains(why), "{line}: {message}");
    }
}

#[test]
fn log_is_read_with_its_skipped_lines_counted() {
    let text =
        b"x \"GET /a HTTP/1.1\" 200\n\nbroken\nx \"-\" 400\r\n\xff\nx \"POST /b HTTP/1.1\" 200\n\
                 x \"GET /a HTTP/1.1\" 200";
    let log = read(&text[..], None).expect("it has requests");
    assert_eq!((log.lines, log.skipped, log.without_content), (6, 3, 1));
    assert_eq!(log.first_skipped.expect("lines were skipped").0, 3);
    assert_eq!(log.list.sequence, [0, 1, 0]);
    assert_eq!(log.list.requests.len(), 2);
    let error = read(&b"\nbroken\n"[..], None).expect_err("it has no request");
    assert!(error.to_string().contains("no request that can be replayed (line 2: "), "{error}");
    assert!(read(&b""[..], None).is_err());
}

fn line(second: u32, fraction: &str, target: &str) -> String {
    format!(
        "{{\"time\":\"2026-11-28T03:33:{second:02}{fraction}Z\",\
         \"request\":\"GET {target} HTTP/1.1\"}}\n"
    )
}

#[test]
fn timed_replays_are_sorted_and_scaled() {
    let text = line(12, ".500", "/b") + &line(12, ".250", "/a") + &line(13, ".000", "/c") + "{}\n";
    let log = read(text.as_bytes(), Some(0.5)).expect("it has requests");
    assert_eq!(log.list.sequence, [1, 0, 2]);
    assert_eq!(log.list.due_ns, [0, 500_000_000, 1_500_000_000]);
    assert_eq!(log.skipped, 1);
    let untimed = "x \"GET / HTTP/1.1\" 200";
    let error = read(untimed.as_bytes(), Some(1.0)).expect_err("it has no time");
    assert!(error.why.contains("--speed"), "{error}");
}

#[test]
fn requests_of_whole_seconds_are_spread_over_them() {
    let text = line(12, "", "/a") + &line(12, "", "/b") + &line(14, "", "/c");
    let log = read(text.as_bytes(), Some(2.0)).expect("it has requests");
    assert_eq!(log.list.due_ns, [0, 250_000_000, 1_000_000_000]);
}

/// Lines of the public logs and of attacks on servers, from which odd ones are made.
const SEEDS: [&str; 6] = [
    r#"1.2.3.4 - - [28/Nov/2026:03:33:12 +0000] "GET /a HTTP/1.1" 200 5 "-" "curl/8""#,
    r#"1.2.3.4 - - [28/Nov/2026:03:33:12 +0000] "\x16\x03\x01\x02" 400 157 "-" "-""#,
    r#"1.2.3.4 - - [28/Nov/2026:03:33:12 +0000] "GET /cgi-bin/;cd+/tmp;wget+x HTTP/1.0" 404 0"#,
    r#"1.2.3.4 - \"a [28/Nov/2026:03:33:12 +0000] "POST /\xE2\x80\x8F HTTP/1.1" 405 0"#,
    r#"{"ts":1795836792.1,"request":{"method":"GET","uri":"/x"}}"#,
    r#"{"time":"2026-11-28T03:33:12.5+01:00","method":"GET","path":"/x","query":"?a"}"#,
];

proptest! {
    /// Any line is a request that can be sent as one request line, or refused.
    #[test]
    fn odd_lines_are_refused_or_well_formed(
        seed in 0..SEEDS.len(),
        changes in prop::collection::vec((0usize..120, any::<u8>(), 0u8..3), 0..12),
    ) {
        let mut line = SEEDS[seed].as_bytes().to_vec();
        for (place, octet, change) in changes {
            let place = place % (line.len() + 1);
            match change {
                0 => line.insert(place, octet),
                1 => drop(line.splice(place.., line[..place / 2].to_vec())),
                _ if place < line.len() => line[place] = octet,
                _ => {}
            }
        }
        for needs_time in [false, true] {
            let Ok(LogEntry { request, time_ns }) = parse(&line, needs_time) else { continue };
            let MethodAndTarget { method, target } = request;
            prop_assert!(time_ns.is_some() || !needs_time);
            prop_assert!(!method.is_empty() && method.bytes().all(|b| b.is_ascii_graphic()));
            prop_assert!(!target.is_empty() && target.bytes().all(|b| b.is_ascii_graphic()));
        }
        let _ = read(&line[..], Some(1.0));
    }
}
