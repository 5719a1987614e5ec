//! Responses of a small tree, parsed independently; lookup against a linear search.

use super::build::Builder;
use super::rows::CodedBody;
use super::*;
use crate::http::request::{FieldBuffer, Method, Parsed, Persistence, Scan, parse};
use crate::site::conditions::Conditions;
use crate::site::pattern::Pattern;
use crate::site::redirects::Redirect;
use crate::site::template::{Template, TemplateKind};
use crate::site::{PendingResponse, Site, SiteKind, entity_tag};
use proptest::prelude::*;

const SECOND: u64 = 784_111_777;
const TEXT_FIELDS: [(&str, &str); 2] =
    [("X-Content-Type-Options", "nosniff"), ("Content-Type", "text/plain")];

/// A site with its buffer.
struct SiteFixture {
    site: Site,
    fixed: Vec<u8>,
    scratch_for: ScratchPlace,
}

/// Bodies and paths of a tree under construction.
#[derive(Default)]
struct TreeFixture {
    builder: Builder,
    bytes: Vec<u8>,
}

impl TreeFixture {
    /// Adds a file with these bodies and fields.
    fn target(&mut self, bodies: &[(Coding, &str)], fields: &[(&str, &str)]) -> RouteTarget {
        let bodies = bodies.iter().map(|&(coding, text)| {
            CodedBody::append(&mut self.bytes, coding, text.as_bytes(), Some(SECOND - 1000))
        });
        let bodies = bodies.collect();
        let file = self.builder.file(bodies, Some(SECOND - 1000));
        RouteTarget { file, fields: self.builder.fields(fields.iter().copied()) }
    }

    fn path(&mut self, path: &str, text: &str) {
        let target = self.target(&[(Coding::Identity, text)], &TEXT_FIELDS);
        assert!(self.builder.path(path.as_bytes(), target));
    }

    fn finish(self) -> SiteFixture {
        let (tree, layout) = self.builder.build(self.bytes.len() as u64, 3);
        let mut fixed = self.bytes;
        fixed.resize(layout.buffer_bytes(), 0);
        let mut site = Site::of_tree(tree);
        site.tick(SECOND, &mut fixed);
        SiteFixture { site, fixed, scratch_for: ScratchPlace::Slot(2) }
    }
}

impl SiteFixture {
    fn tree(&self) -> &Tree {
        let SiteKind::Tree(tree) = &self.site.kind else { unreachable!("of_tree built it") };
        tree
    }

    /// The response to a head, which is given without `Host` and the empty line, as text.
    fn response(&mut self, head: &str) -> String {
        let head = format!("{head}\r\nHost: x\r\n\r\n");
        let mut fields = FieldBuffer::new();
        let parsed = parse(head.as_bytes(), &mut Scan::default(), 16_384, &mut fields);
        let Parsed::Request(request) = parsed else { panic!("{head}: {parsed:?}") };
        let scratch = self.scratch_for;
        let mut request_context =
            RequestContext { scratch, fixed: &mut self.fixed, draining: false };
        let answer = self.site.choose(&request, &mut request_context);
        let head_only = request.method == Method::Head;
        let pending = PendingResponse { answer, persistence: Persistence::Keep, head_only };
        let spans = self.site.output(pending, scratch, &mut self.fixed);
        let bytes = [&self.fixed[spans.first.range()], &self.fixed[spans.then.range()]].concat();
        String::from_utf8(bytes).expect("these bodies are text")
    }

    fn status(&mut self, head: &str) -> u16 {
        let response = self.response(head);
        let word = response.split(' ').nth(1).expect("a status line");
        word.parse().expect("a status")
    }
}

fn field<'a>(response: &'a str, name: &str) -> Option<&'a str> {
    let head = response.split("\r\n\r\n").next()?;
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").expect("a head ends").1
}

#[test]
fn response_with_a_file_has_all_its_fields() {
    let mut fixture = TreeFixture::default();
    fixture.path("/a.txt", "hello");
    let mut site = fixture.finish();
    let tag = String::from_utf8(entity_tag(b"hello").to_vec()).expect("text");
    assert_eq!(
        site.response("GET /a.txt?q HTTP/1.1"),
        format!(
            "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: uringstatic\r\n\
             Accept-Ranges: bytes\r\nContent-Type: text/plain\r\n\
             X-Content-Type-Options: nosniff\r\nContent-Length: 5\r\nETag: {tag}\r\n\
             Last-Modified: Sun, 06 Nov 1994 08:32:57 GMT\r\n\r\nhello"
        )
    );
    let head = site.response("HEAD /a.txt HTTP/1.1");
    assert!(head.ends_with("\r\n\r\n") && field(&head, "Content-Length") == Some("5"));
}

#[test]
fn content_length_is_the_length_of_the_content() {
    let mut fixture = TreeFixture::default();
    fixture.path("/a", "hello");
    fixture.builder.folder(b"/d");
    fixture.builder.health(b"/healthz");
    let mut site = fixture.finish();
    for (head, status) in [
        ("GET /a HTTP/1.1", 200),
        ("GET /a HTTP/1.1\r\nRange: bytes=1-2", 206),
        ("GET /a HTTP/1.1\r\nRange: bytes=9-", 416),
        ("GET /a HTTP/1.1\r\nIf-Match: \"x\"", 412),
        ("GET /a HTTP/1.1\r\nAccept-Encoding: identity;q=0", 406),
        ("GET /d?x HTTP/1.1", 308),
        ("GET /e HTTP/1.1", 404),
        ("GET /%2f HTTP/1.1", 400),
        ("GET /healthz HTTP/1.1", 200),
        ("POST /a HTTP/1.1", 405),
        ("BREW /a HTTP/1.1", 501),
    ] {
        let response = site.response(head);
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {response}");
        let length = field(&response, "Content-Length").map(str::parse);
        assert_eq!(length, Some(Ok(body(&response).len())), "{head}: {response}");
        assert_eq!(field(&response, "X-Content-Type-Options"), Some("nosniff"), "{head}");
        let head_response = site.response(&head.replacen("GET", "HEAD", 1));
        // Ranges are defined for GET only (RFC 9110 14.2).
        if head.starts_with("GET") && !head.contains("Range") {
            let end = response.len() - body(&response).len();
            assert_eq!(head_response, response[..end], "HEAD has the fields of GET");
        }
    }
}

#[test]
fn accept_encoding_selects_the_coding_and_its_entity_tag() {
    let mut fixture = TreeFixture::default();
    let bodies =
        [(Coding::Identity, "0123456789"), (Coding::Gzip, "gzip five"), (Coding::Brotli, "br4")];
    let target = fixture.target(&bodies, &[("Content-Type", "a/b"), ("Vary", "Accept-Encoding")]);
    fixture.builder.path(b"/x", target);
    let mut site = fixture.finish();
    for (accept, coding, expected) in [
        ("br, gzip", Some("br"), "br4"),
        ("gzip", Some("gzip"), "gzip five"),
        ("deflate", None, "0123456789"),
        ("br;q=0.1, identity", None, "0123456789"),
    ] {
        let response = site.response(&format!("GET /x HTTP/1.1\r\nAccept-Encoding: {accept}"));
        assert_eq!((field(&response, "Content-Encoding"), body(&response)), (coding, expected));
        assert_eq!(field(&response, "Vary"), Some("Accept-Encoding"));
        let tag = field(&response, "ETag").expect("a tag").as_bytes();
        assert_eq!(tag, entity_tag(expected.as_bytes()));
        let again = format!(
            "GET /x HTTP/1.1\r\nAccept-Encoding: {accept}\r\nIf-None-Match: {}",
            String::from_utf8_lossy(tag)
        );
        let response = site.response(&again);
        assert!(response.starts_with("HTTP/1.1 304 "), "{response}");
        assert_eq!(field(&response, "Vary"), Some("Accept-Encoding"));
        assert_eq!(field(&response, "Content-Type"), None);
        assert_eq!(field(&response, "ETag").map(str::as_bytes), Some(tag));
    }
    // A range selects from the identity, whatever other codings are acceptable,
    let response = site.response("GET /x HTTP/1.1\r\nAccept-Encoding: br\r\nRange: bytes=2-3");
    assert_eq!((field(&response, "Content-Encoding"), body(&response)), (None, "23"));
    assert_eq!(field(&response, "Content-Range"), Some("bytes 2-3/10"));
    // unless identity is refused.
    let refused = "GET /x HTTP/1.1\r\nAccept-Encoding: br, identity;q=0\r\nRange: bytes=2-3";
    assert_eq!(body(&site.response(refused)), "br4");
}

#[test]
fn not_modified_carries_only_the_fields_of_rfc_9110_15_4_5() {
    let mut fixture = TreeFixture::default();
    let fields = [("Cache-Control", "no-cache"), ("X-A", "1"), ("expires", "0"), ("X-B", "2")];
    let target = fixture.target(&[(Coding::Identity, "x")], &fields);
    fixture.builder.path(b"/", target);
    let mut site = fixture.finish();
    let response = site.response("GET / HTTP/1.1\r\nIf-None-Match: *");
    assert_eq!(field(&response, "Cache-Control"), Some("no-cache"));
    assert_eq!(field(&response, "expires"), Some("0"));
    assert!(field(&response, "X-A").is_none() && field(&response, "X-B").is_none());
    let whole = site.response("GET / HTTP/1.1");
    assert!(fields.iter().all(|(name, value)| field(&whole, name) == Some(value)));
}

#[test]
fn missing_path_gets_the_fallback_for_navigations_and_404_otherwise() {
    let mut fixture = TreeFixture::default();
    fixture.path("/a.js", "js");
    let missing = fixture.target(&[(Coding::Identity, "missing")], &[]);
    let app = fixture.target(&[(Coding::Identity, "app")], &[]);
    fixture.builder.not_found(b"/", missing);
    fixture.builder.fallback(app);
    let mut site = fixture.finish();
    for (head, status, text) in [
        ("GET /route HTTP/1.1", 200, "app"),
        ("GET /route/ HTTP/1.1", 200, "app"),
        ("GET /b.js HTTP/1.1", 404, "missing"),
        ("GET /v1.2 HTTP/1.1\r\nAccept: text/html,*/*", 200, "app"),
        ("GET /a.js HTTP/1.1", 200, "js"),
    ] {
        let response = site.response(head);
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {response}");
        assert_eq!(body(&response), text, "{head}");
    }
    for (accept, status) in [("TEXT/html;q=0.1", 200), ("text/html;q=0", 404), ("text/*", 404)] {
        let head = format!("GET /v1.2 HTTP/1.1\r\nAccept: {accept}");
        assert_eq!(site.status(&head), status, "{accept}");
    }
    let response = site.response("GET /b.js HTTP/1.1");
    assert_eq!((field(&response, "ETag"), field(&response, "Last-Modified")), (None, None));
    assert_eq!(site.status("GET /b.js HTTP/1.1\r\nIf-None-Match: *"), 404);
}

#[test]
fn not_found_varies_by_accept_if_there_is_a_fallback() {
    for has_fallback in [false, true] {
        let mut fixture = TreeFixture::default();
        let app = fixture.target(&[(Coding::Identity, "app")], &[]);
        if has_fallback {
            fixture.builder.fallback(app);
        }
        let mut site = fixture.finish();
        let response = site.response("GET /b.js HTTP/1.1");
        assert!(response.starts_with("HTTP/1.1 404 "), "{response}");
        assert_eq!(field(&response, "Vary"), has_fallback.then_some("Accept"));
    }
}

fn rule(from: &str, to: &str, effect: Effect, forced: bool) -> Redirect {
    let from = Pattern::parse(from).expect("a pattern");
    let purpose = match effect {
        Effect::Redirect(_) => TemplateKind::Location,
        Effect::Rewrite(_) => TemplateKind::Path,
    };
    let to = Template::parse(to, &from, purpose).expect("a template");
    let (conditions, may_cycle) = (Conditions::default(), false);
    Redirect { from, to, effect, forced, conditions, may_cycle, line: 1, text: "".into() }
}

#[test]
fn redirects_and_rewrites_apply_to_paths() {
    let mut fixture = TreeFixture::default();
    fixture.path("/new", "new");
    fixture.path("/here", "here");
    fixture.path("/forced", "never");
    fixture.builder.folder(b"/docs");
    fixture.builder.folder(b"/x/a:b");
    fixture.builder.folder("/x/\u{e4}".as_bytes());
    fixture.builder.redirects(Redirects::new(vec![
        rule("/old", "/new", Effect::Redirect(301), false),
        rule("/here", "/new", Effect::Redirect(301), false),
        rule("/forced", "/new?own=1#f", Effect::Redirect(307), true),
        rule("/blog/:y/*", "/b/:splat/:y#top", Effect::Redirect(302), false),
        rule("/open/*", "/:splat", Effect::Redirect(302), false),
        rule("/as/*", "/:splat", Effect::Rewrite(200), false),
        rule("/gone", "/new", Effect::Rewrite(410), false),
    ]));
    let mut site = fixture.finish();
    for (target, status, location) in [
        ("/old", 301, "/new"),
        ("/old/?a=b", 301, "/new?a=b"),
        ("/forced?x", 307, "/new?own=1#f"),
        ("/blog/2010/a/b%20c", 302, "/b/a/b%20c/2010#top"),
        ("/blog/2010/a?q", 302, "/b/a/2010?q#top"),
        ("/open//evil.example/", 302, "/evil.example/"),
        ("/docs", 308, "docs/"),
        ("/docs?a=%2F", 308, "docs/?a=%2F"),
        ("/x/../docs", 308, "docs/"),
        ("/docs?a[]={x|y}", 308, "docs/?a%5B%5D=%7Bx%7Cy%7D"),
        ("/x/a:b", 308, "./a:b/"),
        ("/x/%C3%A4?q", 308, "%C3%A4/?q"),
        ("/old?^\\`%7B", 301, "/new?%5E%5C%60%7B"),
        ("/open/[a|b]?[", 302, "/%5Ba%7Cb%5D?%5B"),
    ] {
        let response = site.response(&format!("GET {target} HTTP/1.1"));
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {response}");
        assert_eq!(field(&response, "Location"), Some(location), "{target}");
        assert_eq!(field(&response, "Content-Length"), Some("0"));
        assert!(response.ends_with("\r\n\r\n"));
    }
    assert_eq!(
        body(&site.response("GET /here HTTP/1.1")),
        "here",
        "files take precedence over rules"
    );
    assert_eq!(body(&site.response("GET /as/new HTTP/1.1")), "new");
    assert_eq!(site.status("GET /as/nothing HTTP/1.1"), 404);
    assert_eq!(site.status("GET /gone HTTP/1.1"), 410);
    let long = format!("GET /open/{} HTTP/1.1", "%C3".repeat(2700));
    assert_eq!(site.status(&long), 302);
}

#[test]
fn health_path_takes_precedence_over_files() {
    let mut fixture = TreeFixture::default();
    fixture.path("/health", "a file");
    fixture.builder.health(b"/health");
    let mut site = fixture.finish();
    assert_eq!(body(&site.response("GET /health HTTP/1.1")), "ok\n");
    let mut request_context =
        RequestContext { scratch: ScratchPlace::Slot(0), fixed: &mut site.fixed, draining: true };
    let head = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut fields = FieldBuffer::new();
    let parsed = parse(head, &mut Scan::default(), 16_384, &mut fields);
    let Parsed::Request(request) = parsed else { panic!("{parsed:?}") };
    assert_eq!(site.site.choose(&request, &mut request_context), Answer::Whole(Prebuilt::Draining));
}

#[test]
fn blocks_and_tails_of_slots_lie_apart_in_the_scratch() {
    let mut fixture = TreeFixture::default();
    fixture.path("/a", "hello");
    fixture.builder.folder(b"/d");
    let mut site = fixture.finish();
    let mut places: Vec<std::ops::Range<usize>> = Vec::new();
    for scratch in [ScratchPlace::Slot(0), ScratchPlace::Slot(1), ScratchPlace::Slot(2)] {
        places.extend([site.tree().block(scratch).range(), site.tree().tail(scratch).range()]);
        site.scratch_for = scratch;
        assert_eq!(site.status("GET /d?x HTTP/1.1"), 308);
    }
    places.sort_by_key(|place| place.start);
    assert!(places.windows(2).all(|pair| pair[0].end <= pair[1].start));
    let layout = site.site.layout();
    assert!(places[0].start == layout.scratch().range().start);
    let image = layout.image().range();
    assert!(places[0].start.is_multiple_of(4096) && image.end < 4096);
    assert!(places[5].end <= usize::try_from(site.tree().decode_at).expect("64 bits"));
    assert!(site.fixed[image.clone()].ends_with(b"\r\n\r\nhello"), "the image");
    assert!(site.fixed[image.end..4096].iter().all(|&octet| octet == 0), "behind the image");
}

/// Spans name the bodies, so a tree of terabytes can be built without their bytes: the test reads
/// heads only, which are in the scratch.
#[test]
fn offsets_and_lengths_beyond_4_gib_are_exact() {
    for len in [(1 << 32) - 1, 1 << 32, 5 << 30, 999_999_999_999, 1_000_000_000_000, u64::MAX / 2] {
        let mut builder = Builder::default();
        let offset = 7 << 30;
        let body = CodedBody {
            coding: Coding::Identity,
            span: Span { offset, len },
            tag: entity_tag(b""),
            has_lines: false,
        };
        let file = builder.file(vec![body], None);
        let fields = builder.fields(std::iter::empty());
        builder.path(b"/a", RouteTarget { file, fields });
        // An empty image, since no machine has the memory for the real one.
        let (tree, layout) = builder.build(0, 3);
        let mut fixed = vec![0; layout.buffer_bytes()];
        let mut site = Site::of_tree(tree);
        site.tick(SECOND, &mut fixed);
        let mut request = |fields: &str, head_only: bool| {
            let head = format!("GET /a HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
            let mut fields = FieldBuffer::new();
            let parsed = parse(head.as_bytes(), &mut Scan::default(), 16_384, &mut fields);
            let Parsed::Request(request) = parsed else { panic!("{head}: {parsed:?}") };
            let scratch = ScratchPlace::Slot(1);
            let mut request_context =
                RequestContext { scratch, fixed: &mut fixed, draining: false };
            let answer = site.choose(&request, &mut request_context);
            let pending = PendingResponse { answer, persistence: Persistence::Keep, head_only };
            let spans = site.output(pending, scratch, &mut fixed);
            let head = String::from_utf8(fixed[spans.first.range()].to_vec()).expect("text");
            (head, spans.then)
        };
        let (head, then) = request("", false);
        assert_eq!(field(&head, "Content-Length"), Some(&*len.to_string()));
        assert_eq!(then, Span { offset, len });
        assert_eq!(request("", true), (head, Span::default()), "HEAD has the fields of GET");
        let last = len - 1;
        let (head, then) = request(&format!("Range: bytes={}-{last}\r\n", last - 9), false);
        let range = format!("bytes {}-{last}/{len}", last - 9);
        assert_eq!(field(&head, "Content-Range"), Some(&*range));
        assert_eq!(field(&head, "Content-Length"), Some("10"));
        assert_eq!(then, Span { offset: offset + len - 10, len: 10 });
        let (head, _) = request(&format!("Range: bytes={len}-\r\n"), false);
        assert_eq!(field(&head, "Content-Range"), Some(&*format!("bytes */{len}")));
    }
}

/// The lines of a body save a copy, and nothing else depends on them.
#[test]
fn responses_are_the_same_with_and_without_lines_before_the_bodies() {
    let bodies =
        [(Coding::Identity, "0123456789"), (Coding::Gzip, "gzip five"), (Coding::Brotli, "br4")];
    let site_of = |has_lines, modified: Option<u64>| {
        let mut fixture = TreeFixture::default();
        let coded = bodies.map(|(coding, text)| {
            let body = CodedBody::append(&mut fixture.bytes, coding, text.as_bytes(), modified);
            CodedBody { has_lines, ..body }
        });
        let file = fixture.builder.file(coded.to_vec(), modified);
        let fields = fixture.builder.fields(TEXT_FIELDS.into_iter());
        let target = RouteTarget { file, fields };
        fixture.builder.path(b"/a", target);
        fixture.builder.not_found(b"/", target);
        fixture.finish()
    };
    for modified in [None, Some(SECOND - 1000)] {
        let mut sites = [true, false].map(|has_lines| site_of(has_lines, modified));
        let tag = String::from_utf8(entity_tag(b"br4").to_vec()).expect("text");
        for line in ["GET /a HTTP/1.1", "HEAD /a HTTP/1.1", "GET /a HTTP/1.0", "GET /b HTTP/1.1"] {
            for coding in ["br", "gzip", "identity", "*;q=0"] {
                for field in [
                    "A: b".to_owned(),
                    "Range: bytes=2-".to_owned(),
                    "Range: bytes=10-".to_owned(),
                    format!("If-None-Match: {tag}"),
                    format!("If-Match: {tag}"),
                    "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT".to_owned(),
                    "If-Unmodified-Since: Sun, 06 Nov 1993 08:49:37 GMT".to_owned(),
                ] {
                    let head = format!("{line}\r\nAccept-Encoding: {coding}\r\n{field}");
                    let [with, without] = sites.each_mut().map(|site| site.response(&head));
                    assert_eq!(with, without, "{head}");
                    assert_eq!(
                        field_count(&with, "Content-Length"),
                        u32::from(!with.contains(" 304 "))
                    );
                }
            }
        }
    }
}

fn field_count(response: &str, name: &str) -> u32 {
    let lines = response.lines().take_while(|line| !line.is_empty());
    lines.map(|line| u32::from(line.starts_with(name))).sum()
}

proptest! {
    /// Decoding, removal of dot segments and lookup agree with a search of all names.
    #[test]
    fn lookup_agrees_with_a_linear_search(
        names in prop::collection::btree_set("/[ab.]{0,3}(/[ab.]{1,3})?", 0..20),
        requested in prop::collection::vec("/([ab./]|%2e|%61){0,8}", 1..20),
    ) {
        let mut fixture = TreeFixture::default();
        for name in &names {
            fixture.path(name, name);
        }
        let mut site = fixture.finish();
        for target in requested {
            let mut scratch = vec![0; target.len()];
            let path = path::decode(target.as_bytes(), &mut scratch).expect("valid escapes");
            let expected = names.iter().find(|name| name.as_bytes() == path);
            let response = site.response(&format!("GET {target} HTTP/1.1"));
            match expected {
                Some(name) => prop_assert_eq!(body(&response), name),
                None => prop_assert!(response.starts_with("HTTP/1.1 404 "), "{}", response),
            }
        }
    }
}
