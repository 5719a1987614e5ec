//! Conditional requests and ranges (RFC 9110 sections 13 and 14) for a page from a file.

use super::{Case, cases, with};
use crate::common::{GET, Response, Server, TemporaryFile, assert_same_bytes, pattern};
use std::time::{Duration, SystemTime};

pub(crate) const CASES: &[Case] = cases![
    conditional_requests_compare_validators,
    a_304_has_the_fields_that_a_cache_needs,
    a_single_range_gets_206,
    an_unsatisfiable_range_gets_416,
    several_or_invalid_ranges_are_ignored,
    if_range_compares_strongly,
    ranges_of_a_large_page_are_exact,
];

/// A server with a page of 1000 bytes from a file, and its validators.
struct Setting {
    server: Server,
    content: Vec<u8>,
    etag: String,
    modified: String,
    _page: TemporaryFile,
}

impl Setting {
    fn new(flags: &[&str], options: &[&str]) -> Self {
        let content = pattern(1000);
        let page = TemporaryFile::with("html", &content);
        let server = Server::start(&with(&with(flags, &["--page", page.path()]), options));
        let response = server.ask(GET);
        assert_same_bytes(&response.body, &content);
        let field = |name| response.field(name).expect("a file has validators").to_owned();
        let (etag, modified) = (field("ETag"), field("Last-Modified"));
        let metadata = std::fs::metadata(page.path()).expect("the page is there");
        let on_disk = metadata.modified().expect("files have a time of modification");
        assert_eq!(modified, httpdate::fmt_http_date(on_disk));
        Self { server, content, etag, modified, _page: page }
    }

    fn get(&self, fields: &str) -> Response {
        let fields = fields.replace("ETAG", &self.etag).replace("MODIFIED", &self.modified);
        self.server.ask(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"))
    }
}

fn conditional_requests_compare_validators(flags: &[&str]) {
    let setting = Setting::new(flags, &[]);
    let now = SystemTime::now();
    let hour = Duration::from_secs(3600);
    let before = httpdate::fmt_http_date(now - hour);
    let after = httpdate::fmt_http_date(now + hour);
    for (status, fields) in [
        (304, "If-None-Match: ETAG".to_owned()),
        (304, "If-None-Match: W/ETAG".to_owned()),
        (304, "If-None-Match: \"x\", \"y,z\", ETAG".to_owned()),
        (304, "If-None-Match: \"x\"\r\nIf-None-Match: ETAG".to_owned()),
        (304, "If-None-Match: *".to_owned()),
        (200, "If-None-Match: \"x\"".to_owned()),
        (304, "If-Modified-Since: MODIFIED".to_owned()),
        (304, format!("If-Modified-Since: {after}")),
        (200, format!("If-Modified-Since: {before}")),
        (200, "If-Modified-Since: yesterday".to_owned()),
        (200, format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {after}")),
        (304, format!("If-None-Match: ETAG\r\nIf-Modified-Since: {before}")),
        (200, "If-Match: ETAG".to_owned()),
        (200, "If-Match: *".to_owned()),
        (412, "If-Match: \"x\"".to_owned()),
        (412, "If-Match: W/ETAG".to_owned()),
        (200, "If-Unmodified-Since: MODIFIED".to_owned()),
        (412, format!("If-Unmodified-Since: {before}")),
        (200, format!("If-Match: ETAG\r\nIf-Unmodified-Since: {before}")),
        (412, "If-Match: \"x\"\r\nIf-None-Match: ETAG".to_owned()),
    ] {
        let response = setting.get(&fields);
        assert_eq!(response.status, status, "{fields}");
        assert!(!response.closes(), "{fields}");
        if status == 200 {
            assert_same_bytes(&response.body, &setting.content);
        }
    }
    let post = "POST / HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n";
    assert_eq!(
        setting.server.ask(post).status,
        405,
        "RFC 9110 section 13.2.1: only where the response would be 200"
    );
}

fn a_304_has_the_fields_that_a_cache_needs(flags: &[&str]) {
    let options = ["--header", "Cache-Control: max-age=60", "--header", "X-Other: y"];
    let setting = Setting::new(flags, &options);
    let mut client = setting.server.connect();
    for method in ["GET", "HEAD"] {
        client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n"));
        let response = client.response();
        assert_eq!(response.status, 304);
        assert_eq!(response.field("ETag"), Some(&*setting.etag));
        assert_eq!(response.field("Cache-Control"), Some("max-age=60"));
        assert_eq!(response.field("Content-Type"), None);
        assert!(response.field("Date").is_some());
    }
    client.send(GET);
    assert_eq!(client.response().field("X-Other"), Some("y"), "the 304 has no body");
}

fn a_single_range_gets_206(flags: &[&str]) {
    let setting = Setting::new(flags, &[]);
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=0-", 0, 999),
        ("bytes=10-19", 10, 19),
        ("bytes=990-2000", 990, 999),
        ("bytes=999-", 999, 999),
        ("bytes=-1", 999, 999),
        ("bytes=-5000", 0, 999),
        ("Bytes=5-6", 5, 6),
        ("bytes=0-99999999999999999999999", 0, 999),
    ] {
        let response = setting.get(&format!("Range: {range}"));
        assert_eq!(response.status, 206, "{range}");
        let expected = format!("bytes {first}-{last}/1000");
        assert_eq!(response.field("Content-Range"), Some(&*expected), "{range}");
        assert_same_bytes(&response.body, &setting.content[first..=last]);
        assert_eq!(response.field("ETag"), Some(&*setting.etag));
        assert!(response.field("Date").is_some() && !response.closes());
    }
    let mut client = setting.server.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0\r\n\r\n");
    assert_eq!(client.response_to_head().status, 200, "ranges are for GET");
    // Ranges in a pipeline use the slot's scratch memory one after another.
    let ask = |range| format!("GET / HTTP/1.1\r\nHost: a\r\nRange: bytes={range}\r\n\r\n");
    client.send([ask("1-2"), ask("3-500"), GET.to_owned(), ask("-7")].concat());
    assert_same_bytes(&client.response().body, &setting.content[1..=2]);
    assert_same_bytes(&client.response().body, &setting.content[3..=500]);
    assert_same_bytes(&client.response().body, &setting.content);
    assert_same_bytes(&client.response().body, &setting.content[993..]);
}

fn an_unsatisfiable_range_gets_416(flags: &[&str]) {
    let setting = Setting::new(flags, &[]);
    for range in ["bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=99999999999999999999-"] {
        let response = setting.get(&format!("Range: {range}"));
        assert_eq!(response.status, 416, "{range}");
        assert_eq!(response.field("Content-Range"), Some("bytes */1000"), "{range}");
        assert!(!response.closes());
    }
}

fn several_or_invalid_ranges_are_ignored(flags: &[&str]) {
    let setting = Setting::new(flags, &[]);
    for range in [
        "bytes=0-1,3-4",
        "lines=1-2",
        "bytes=2-1",
        "bytes=a-b",
        "bytes=-",
        "bytes=",
        "bytes 0-1",
        "0-1",
        "bytes=0-1\r\nRange: bytes=2-3",
    ] {
        let response = setting.get(&format!("Range: {range}"));
        assert_eq!(response.status, 200, "{range}");
        assert_eq!(response.field("Content-Range"), None);
        assert_same_bytes(&response.body, &setting.content);
    }
}

fn if_range_compares_strongly(flags: &[&str]) {
    let setting = Setting::new(flags, &[]);
    for (status, condition) in [(206, "ETAG"), (200, "W/ETAG"), (200, "\"x\""), (200, "yesterday")]
    {
        let response = setting.get(&format!("Range: bytes=0-9\r\nIf-Range: {condition}"));
        assert_eq!(response.status, status, "{condition}");
    }
    let response = setting.get("Range: bytes=0-9\r\nIf-None-Match: ETAG");
    assert_eq!(response.status, 304, "conditions come before ranges");
}

fn ranges_of_a_large_page_are_exact(flags: &[&str]) {
    let content = pattern(5_000_000);
    let page = TemporaryFile::with("bin", &content);
    let server = Server::start(&with(flags, &["--page", page.path()]));
    let mut client = server.connect();
    for (first, last) in [(0, 0), (1, 4_999_998), (2_500_000, 4_999_999), (123_456, 654_321)] {
        client
            .send(format!("GET / HTTP/1.1\r\nHost: a\r\nRange: bytes={first}-{last}\r\n\r\n{GET}"));
        let response = client.response();
        assert_eq!(response.status, 206);
        assert_same_bytes(&response.body, &content[first..=last]);
        assert_same_bytes(&client.response().body, &content);
    }
}
