//! A folder served by the real program, over raw sockets: paths, codings, rules and reports.

use crate::common::requests::serve;
use crate::common::{Response, Server, TemporaryFolder, assert_same_bytes};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

/// A folder with files, codings, rules and links of every kind.
fn folder() -> TemporaryFolder {
    let prose = "To be, or not to be, that is the question. ".repeat(100);
    let folder = TemporaryFolder::with(&[
        ("index.html", b"<h1>home</h1>"),
        ("about.html", b"<h1>about</h1>"),
        ("404.html", b"<h1>missing</h1>"),
        ("prose.txt", prose.as_bytes()),
        ("empty.css", b""),
        ("docs/index.html", b"<h1>docs</h1>"),
        ("docs/a b.txt", b"a space"),
        ("docs/\u{e4}.txt", "umlaut".as_bytes()),
        ("assets/app.1f3a09bc.js", b"js()"),
        ("unknown.zzz", b"\0\x01"),
        ("pictures/banner_2024dec1.txt", b"no hash"),
        ("a*.txt", b"an asterisk"),
        ("drawing.svgz", b"\x1f\x8b\x08 and so on"),
        ("plain.svgz", b"<svg/>"),
        (".well-known/security.txt", b"Contact: x"),
        (".git/config", b"secret"),
        (
            "_headers",
            b"/*\n  X-All: 1\n/docs/*\n  X-Docs: yes\n  ! X-All\n/prose.txt\n  Vary: Origin\n",
        ),
        (
            "_redirects",
            b"/old /about\n/blog/* /docs/:splat 302\n/about.html /never 301\n/forced /about 307!\n\
              /gone /about.html 410\n/as/:name /docs/:name.txt 200\n\
              /space /docs/../docs/a%20b.txt 200\n/star%2A /docs/ 302\n\
              /find/* https://x.example/?q=:splat 302\n",
        ),
        ("forced", b"never seen"),
    ]);
    symlink("/etc", Path::new(folder.path()).join("out")).expect("the folder is writable");
    folder
}

fn get(server: &Server, target: &str, fields: &str) -> Response {
    server.ask(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
}

/// A request target; then the status, some fields and the content of the response.
type PathCase = (&'static str, u16, &'static [(&'static str, &'static str)], Option<&'static str>);

#[test]
fn each_path_gets_its_response() {
    each_path(&[]);
}

#[test]
fn each_path_gets_its_response_however_it_is_sent() {
    each_path(&["--without", "vectored-send"]);
    each_path(&["--engine", "epoll"]);
}

/// The responses of [`folder`] by path.
const PATHS: &[PathCase] = &[
    ("/", 200, &[("Content-Type", "text/html; charset=utf-8")], Some("<h1>home</h1>")),
    ("/", 200, &[("Cache-Control", "no-cache"), ("X-All", "1")], None),
    ("/?query", 200, &[], Some("<h1>home</h1>")),
    ("/index.html", 200, &[], Some("<h1>home</h1>")),
    ("/about", 200, &[], Some("<h1>about</h1>")),
    ("/about.html", 200, &[], Some("<h1>about</h1>")),
    ("/about/", 404, &[], Some("<h1>missing</h1>")),
    ("/About", 404, &[("Content-Type", "text/html; charset=utf-8")], None),
    ("/empty.css", 200, &[("Content-Type", "text/css; charset=utf-8")], Some("")),
    ("/docs", 308, &[("Location", "docs/")], Some("")),
    ("/docs?a=b&c", 308, &[("Location", "docs/?a=b&c")], Some("")),
    ("/docs/", 200, &[("X-Docs", "yes")], Some("<h1>docs</h1>")),
    ("/docs/a%20b.txt", 200, &[], Some("a space")),
    ("/docs/%C3%A4.txt", 200, &[], Some("umlaut")),
    ("/docs/%c3%a4.txt", 200, &[], Some("umlaut")),
    ("/docs/./../docs/a%20b.txt", 200, &[], Some("a space")),
    ("/docs/%2e%2e/about", 200, &[], Some("<h1>about</h1>")),
    ("/../../../etc/passwd", 404, &[], None),
    ("/%2e%2e/%2e%2e/etc/passwd", 404, &[], None),
    ("/docs%2f", 400, &[], None),
    ("/a%00", 400, &[], None),
    ("//", 404, &[], None),
    ("/out/passwd", 404, &[], None),
    ("/.git/config", 404, &[], None),
    ("/_headers", 404, &[], None),
    ("/_redirects", 404, &[], None),
    ("/.well-known/security.txt", 200, &[], Some("Contact: x")),
    (
        "/assets/app.1f3a09bc.js",
        200,
        &[("Cache-Control", "public, max-age=31536000, immutable")],
        Some("js()"),
    ),
    ("/unknown.zzz", 200, &[("Content-Type", "application/octet-stream")], Some("\0\x01")),
    ("/pictures/banner_2024dec1.txt", 200, &[], Some("no hash")),
    ("/a%2A.txt", 200, &[], Some("an asterisk")),
    (
        "/drawing.svgz",
        200,
        &[("Content-Type", "image/svg+xml"), ("Content-Encoding", "gzip")],
        None,
    ),
    ("/plain.svgz", 200, &[("Content-Type", "image/svg+xml")], Some("<svg/>")),
    ("/space", 200, &[], Some("a space")),
    ("/star*", 302, &[("Location", "/docs/")], None),
    ("/stars", 404, &[], None),
    ("/find/a&b=c", 302, &[("Location", "https://x.example/?q=a%26b%3Dc")], None),
    ("/old", 301, &[("Location", "/about")], Some("")),
    ("/old?x", 301, &[("Location", "/about?x")], None),
    ("/blog/2010/x", 302, &[("Location", "/docs/2010/x")], None),
    ("/forced", 307, &[("Location", "/about")], None),
    ("/gone", 410, &[], Some("<h1>about</h1>")),
    ("/as/%C3%A4", 200, &[], Some("umlaut")),
    ("/as/nothing", 404, &[], None),
    ("/healthz", 200, &[("Cache-Control", "no-store")], Some("ok\n")),
];

fn each_path(options: &[&str]) {
    let folder = folder();
    let server = serve(&folder, &[&["--health", "/healthz"], options].concat());
    for (target, status, fields, body) in PATHS {
        let response = get(&server, target, "");
        assert_eq!(response.status, *status, "{target}: {}", response.head);
        for (name, value) in *fields {
            assert_eq!(response.field(name), Some(*value), "{target}: {}", response.head);
        }
        if let Some(body) = body {
            assert_same_bytes(&response.body, body.as_bytes());
        }
        assert_eq!(response.field("X-Content-Type-Options"), Some("nosniff"), "{target}");
    }
    let without = |target, name| get(&server, target, "").field(name).is_none();
    assert!(without("/pictures/banner_2024dec1.txt", "Cache-Control"));
    assert!(without("/plain.svgz", "Content-Encoding") && without("/docs/", "X-All"));
    let log = server.messages.join("\n");
    assert!(log.contains("left out out: it is a link out of the root"), "{log}");
    assert!(log.contains(" files, "), "{log}");
}

#[test]
fn repeated_header_option_adds_repeated_fields() {
    let folder = folder();
    let server =
        serve(&folder, &["--header", "X-All: 0", "--header", "Link: a", "--header", "Link: b"]);
    let response = get(&server, "/about", "");
    assert!(response.head.contains("Link: a\r\nLink: b\r\n"), "{}", response.head);
    assert_eq!(response.field("X-All"), Some("1"), "_headers takes precedence over --header");
}

#[test]
fn responses_have_a_coding_that_the_client_accepts() {
    let folder = folder();
    let server = serve(&folder, &[]);
    let plain = get(&server, "/prose.txt", "");
    assert_eq!(plain.field("Vary"), Some("Origin, Accept-Encoding"));
    for (accept, coding) in [
        ("gzip", Some("gzip")),
        ("zstd", Some("zstd")),
        ("br", Some("br")),
        ("gzip;q=0.5, identity", None),
        ("", None),
    ] {
        let response = get(&server, "/prose.txt", &format!("Accept-Encoding: {accept}\r\n"));
        assert_eq!(response.status, 200, "{accept}");
        assert_eq!(response.field("Content-Encoding"), coding, "{accept}");
        let text = decoded(&response);
        assert_same_bytes(&text, &plain.body);
        assert_eq!(coding.is_none(), response.field("ETag") == plain.field("ETag"));
    }
    let refused = get(&server, "/", "Accept-Encoding: identity;q=0\r\n");
    assert_eq!(refused.status, 406);
    for doubtful in ["identity;q=x", "*;q=2", "identity;q=0.0000"] {
        let response = get(&server, "/", &format!("Accept-Encoding: {doubtful}\r\n"));
        assert_eq!(response.status, 200, "{doubtful}");
    }
}

fn decoded(response: &Response) -> Vec<u8> {
    let mut text = Vec::new();
    let body = &*response.body;
    match response.field("Content-Encoding") {
        None => return body.to_vec(),
        Some("gzip") => flate2::bufread::GzDecoder::new(body).read_to_end(&mut text),
        Some("br") => brotli::Decompressor::new(body, 4096).read_to_end(&mut text),
        Some("zstd") => return zstd::stream::decode_all(body).expect("it decodes"),
        Some(other) => panic!("{other}"),
    }
    .expect("it decodes");
    text
}

#[test]
fn precompressed_file_is_used_if_it_decodes_to_the_file_beside_it() {
    let text = "the same again and ".repeat(400);
    let coded = zstd::stream::encode_all(text.as_bytes(), 3).expect("memory is writable");
    let folder = TemporaryFolder::with(&[
        ("a.txt", text.as_bytes()),
        ("a.txt.zst", &coded),
        ("b.txt", b"other text, longer than the coded file beside it"),
        ("b.txt.zst", &coded),
        ("c.txt", &text.as_bytes()[1..]),
        ("c.txt.zst", &coded),
        ("_headers", b"/a.txt\n  Vary: accept-encoding, Origin\n"),
    ]);
    let billion = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let file = File::options().write(true).open(Path::new(folder.path()).join("a.txt"));
    file.and_then(|file| file.set_modified(billion)).expect("the folder is writable");
    let server = serve(&folder, &["--compress", "off"]);
    let log = server.messages.join("\n");
    for name in ["b", "c"] {
        let line = format!("left out {name}.txt.zst: it doesn't decode to {name}.txt (zstd)");
        assert!(log.contains(&line), "{line}: {log}");
    }
    assert!(!log.contains("a.txt.zst"), "{log}");
    let vary = get(&server, "/a.txt", "");
    assert_eq!(vary.field("Vary"), Some("accept-encoding, Origin"));
    let response = get(&server, "/a.txt", "Accept-Encoding: zstd, gzip\r\n");
    assert_eq!(response.field("Content-Encoding"), Some("zstd"));
    assert_eq!(response.field("Last-Modified"), Some("Sun, 09 Sep 2001 01:46:40 GMT"));
    assert_same_bytes(&response.body, &coded);
    let other = get(&server, "/b.txt", "Accept-Encoding: zstd\r\n");
    assert_eq!(other.field("Content-Encoding"), None);
    let own = get(&server, "/a.txt.zst", "");
    assert_eq!(own.field("Content-Encoding"), None);
    assert_same_bytes(&own.body, &coded);
    assert_eq!(own.field("ETag"), response.field("ETag"), "the same bytes");
    let date = own.field("Last-Modified").expect("a file has a date");
    assert_ne!(date, "Sun, 09 Sep 2001 01:46:40 GMT", "it is that of the file itself");
    let fields = format!("If-None-Match: \"x\", {}\r\n", own.field("ETag").expect("a tag"));
    let again = get(&server, "/a.txt.zst", &fields);
    assert_eq!((again.status, again.field("Last-Modified")), (304, Some(date)));
    drop(server);
    let log = checked(&folder);
    for name in ["b.txt.zst", "c.txt.zst"] {
        assert!(log.contains(&format!("  {name}: it doesn't decode to ")), "{log}");
    }
    let strict = ["--listen", "127.0.0.1:0", "--root", folder.path(), "--strict"];
    let exit = Server::run(&strict);
    assert_eq!(exit.code, Some(1));
    assert!(exit.text.contains("c.txt.zst: it doesn't decode to c.txt (zstd)"), "{}", exit.text);
}

#[test]
fn preconditions_and_ranges_use_the_validators_of_each_coding() {
    let folder = folder();
    let server = serve(&folder, &[]);
    let whole = get(&server, "/prose.txt", "");
    let len = whole.body.len();
    let br = "Accept-Encoding: br\r\n";
    let coded = get(&server, "/prose.txt", br);
    let etag = |response: &Response| response.field("ETag").expect("a file has a tag").to_owned();
    let modified = whole.field("Last-Modified").expect("a file has a date").to_owned();
    for (fields, status) in [
        (format!("If-None-Match: {}\r\n", etag(&whole)), 304),
        (format!("{br}If-None-Match: {}\r\n", etag(&coded)), 304),
        (format!("{br}If-None-Match: {}\r\n", etag(&whole)), 200),
        (format!("If-Modified-Since: {modified}\r\n"), 304),
        (format!("If-Match: {}\r\n", etag(&whole)), 200),
        ("If-Match: \"other\"\r\n".to_owned(), 412),
        ("Range: bytes=0-9\r\n".to_owned(), 206),
        (format!("{br}Range: bytes=-5\r\n"), 206),
        (format!("Range: bytes=0-9\r\nIf-Range: {}\r\n", etag(&whole)), 206),
        (format!("Range: bytes=0-9\r\nIf-Range: {}\r\n", etag(&coded)), 200),
        ("Range: bytes=100000-\r\n".to_owned(), 416),
        ("Range: bytes=0-1,3-4\r\n".to_owned(), 200),
    ] {
        let response = get(&server, "/prose.txt", &fields);
        assert_eq!(response.status, status, "{fields}{}", response.head);
        match status {
            206 if fields.contains("0-9") => assert_same_bytes(&response.body, &whole.body[..10]),
            304 => assert!(response.field("Vary").is_some() && response.field("ETag").is_some()),
            416 => assert_eq!(response.field("Content-Range"), Some(&*format!("bytes */{len}"))),
            _ => {}
        }
    }
}

#[test]
fn targets_with_characters_that_browsers_leave_unencoded_are_accepted() {
    let folder = TemporaryFolder::with(&[
        ("index.html", b"home"),
        ("a[1]|b.txt", b"a name"),
        ("docs/index.html", b"docs"),
    ]);
    let server = serve(&folder, &[]);
    let encoded = "docs/?filter%5B%5D=%7Ba%7Cb%7D&c=%5Ed%5Ce%60f";
    for (target, status, location) in [
        ("/?filter[]={a|b}&c=^d\\e`f", 200, None),
        ("/a[1]|b.txt", 200, None),
        ("/a%5B1%5D%7Cb.txt", 200, None),
        ("/docs?filter[]={a|b}&c=^d\\e`f", 308, Some(encoded)),
        ("/{", 400, None),
        ("/a^b", 400, None),
        ("/a\\b", 400, None),
        ("/a`b", 400, None),
        ("/?a\"b", 400, None),
        ("/?a<b", 400, None),
        ("/?a>b", 400, None),
        ("/?a#b", 400, None),
        ("/?a\u{e4}b", 400, None),
    ] {
        let response = get(&server, target, "");
        assert_eq!((response.status, response.field("Location")), (status, location), "{target}");
    }
}

#[test]
fn spa_page_answers_navigations_to_missing_paths() {
    let folder = folder();
    let server = serve(&folder, &["--spa", "index.html", "--clean-urls", "off"]);
    for (target, status) in
        [("/route/to", 200), ("/about", 200), ("/missing.js", 404), ("/docs", 308)]
    {
        assert_eq!(get(&server, target, "").status, status, "{target}");
    }
    assert_same_bytes(&get(&server, "/about", "").body, b"<h1>home</h1>");
    for (accept, status) in [
        ("text/html,application/xhtml+xml,*/*;q=0.8", 200),
        ("Text/HTML", 200),
        ("*/*", 404),
        ("text/html;q=0", 404),
        ("application/x; a=\"text/html\"", 404),
    ] {
        let response = get(&server, "/v1.2", &format!("Accept: {accept}\r\n"));
        assert_eq!((response.status, response.field("Vary")), (status, Some("Accept")), "{accept}");
    }
    assert_eq!(get(&server, "/", "").field("Vary"), None);
    assert_eq!(get(&server, "/docs/", "").field("Vary"), None);
    let long = "<p>To be, or not to be, that is the question.</p>".repeat(100);
    let folder = TemporaryFolder::with(&[("index.html", long.as_bytes())]);
    let server = serve(&folder, &["--spa"]);
    let response = get(&server, "/route", "Accept-Encoding: br\r\n");
    assert_eq!(response.field("Vary"), Some("Accept, Accept-Encoding"));
    assert_eq!(get(&server, "/", "").field("Vary"), Some("Accept-Encoding"));
    let missing = get(&server, "/missing.js", "");
    assert_eq!((missing.status, missing.field("Vary")), (404, Some("Accept")));
}

#[test]
fn folder_with_problems_prevents_the_start() {
    let start = |files: &[(&str, &[u8])], options: &[&str]| {
        let folder = TemporaryFolder::with(files);
        Server::run(&[&["--listen", "127.0.0.1:0", "--root", folder.path()], options].concat())
    };
    let long = "# no rule\n".repeat((1 << 20) / 10 + 1);
    for (files, options, hint) in [
        (&[("_redirects", long.as_bytes())][..], &[][..], "combine rules"),
        (&[("_redirects", b"/a".as_slice())], &["--strict"], "_redirects:1: "),
        (&[("_headers", b"x".as_slice())], &["--strict"], "_headers:1: "),
        (&[("_headers", b"/x\n  Content-Type: text".as_slice())], &["--strict"], "_headers:2: "),
        (&[("_redirects", b"/a?b /c".as_slice())], &["--strict"], "/a?b: no path has ?"),
        (&[("_redirects", b"/a /b 200".as_slice())], &["--strict"], "has no such file"),
        (&[("_redirects", b"/a /b 200! Role=c".as_slice())], &[], "access by role"),
        (&[("a", b"12345".as_slice())], &["--site-bytes", "4"], "--site-bytes"),
        (&[("a", b"".as_slice()), ("b", b"")], &["--site-files", "1"], "--site-files"),
        (&[("a", b"".as_slice())], &["--spa"], "--spa"),
    ] {
        let exit = start(files, options);
        assert_eq!(exit.code, Some(1), "{}", exit.text);
        assert!(exit.text.contains(hint), "{hint}: {}", exit.text);
    }
    let folder = folder();
    let strict = ["--listen", "127.0.0.1:0", "--root", folder.path(), "--strict"];
    let exit = Server::run(&strict);
    assert_eq!(exit.code, Some(1));
    assert!(exit.text.contains("out: it is a link out of the root"), "{}", exit.text);
    let exit = Server::run(&["--root", "/nonexistent"]);
    assert_eq!(exit.code, Some(1));
    assert!(exit.text.contains("/nonexistent"), "{}", exit.text);
}

#[test]
fn check_reports_paths_and_problems() {
    let folder = folder();
    let exit = Server::run(&["check", folder.path()]);
    assert_eq!(exit.code, Some(1), "a link that leads out is left out");
    let output = Command::new(env!("CARGO_BIN_EXE_uringstatic"))
        .args(["check", folder.path(), "--json"])
        .output()
        .expect("it runs");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["schema"], "uringstatic-check/2");
    let row = |path: &str| {
        let rows = report["paths"].as_array().expect("a list");
        rows.iter().find(|row| row["path"] == path).cloned().unwrap_or_default()
    };
    assert_eq!(row("/about")["from"], "about.html");
    assert_eq!(row("/about")["because"], "clean URL");
    assert_eq!(row("/docs")["status"], 308);
    assert!(row("/prose.txt")["bytes"]["br"].is_u64());
    assert_eq!(report["problems"], serde_json::json!([]), "{report}");
    let only = |list: &str| report[list][0].as_str().unwrap_or_default();
    assert!(only("left_out").starts_with("out: it is a link out of the root"), "{report}");
    assert!(only("warnings").starts_with("_redirects:3: /about.html never applies"), "{report}");
}

/// The table that `check` prints of a folder with problems.
fn checked(folder: &TemporaryFolder) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_uringstatic"))
        .args(["check", folder.path()])
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stdout).expect("it is text")
}

#[test]
fn names_are_escaped_in_messages_and_reports() {
    let folder = TemporaryFolder::with(&[("index.html", b"home")]);
    folder.add(OsStr::from_bytes(b"\xff.txt"), b"one");
    folder.add(OsStr::from_bytes(b"\xfe.txt"), b"another");
    let forged = Path::new(folder.path()).join("x\nuringstatic: read \x1b[31m");
    symlink("/etc", forged).expect("the folder is writable");
    let server = serve(&folder, &[]);
    let left_out: Vec<_> =
        server.messages.iter().filter(|line| line.contains("left out")).collect();
    assert_eq!(left_out.len(), 1, "{:?}", server.messages);
    let expected = "left out x\\nuringstatic: read \\u{1b}[31m: it is a link";
    assert!(left_out[0].contains(expected), "{left_out:?}");
    let output = Command::new(env!("CARGO_BIN_EXE_uringstatic"))
        .args(["check", folder.path(), "--json"])
        .output()
        .expect("it runs");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = report["paths"].as_array().expect("a list");
    for (path, target) in [("/\\xff.txt", "/%FF.txt"), ("/\\xfe.txt", "/%FE.txt")] {
        assert!(rows.iter().any(|row| row["path"] == path && row["target"] == target), "{report}");
    }
    let log = checked(&folder);
    assert!(!log.contains("\nuringstatic: read"), "{log}");
}

#[test]
fn empty_folder_is_reported() {
    let folder = TemporaryFolder::with(&[(".hidden", b"x")]);
    let server = serve(&folder, &[]);
    let log = server.messages.join("\n");
    assert!(log.contains("nothing to serve in ") && log.contains("every path is 404"), "{log}");
    let log = checked(&folder);
    assert!(log.contains("nothing to serve in "), "{log}");
}

#[test]
fn links_among_folders_are_bounded_by_site_files() {
    let folder = TemporaryFolder::with(&[("index.html", b"home")]);
    let path = |name: String| Path::new(folder.path()).join(name);
    for one in 0..9 {
        std::fs::create_dir(path(format!("f{one}"))).expect("the folder is writable");
        for other in 0..9 {
            symlink(format!("../f{other}"), path(format!("f{one}/to{other}"))).expect("a link");
        }
    }
    let options = ["--listen", "127.0.0.1:0", "--site-files", "2000", "--root", folder.path()];
    let exit = Server::run(&options);
    assert_eq!(exit.code, Some(1));
    assert!(exit.text.contains("more than 2000 files and folders"), "{}", exit.text);
    assert!(exit.text.contains("--site-files"), "{}", exit.text);
}

#[test]
fn links_fifos_and_odd_names_are_served_or_reported() {
    let folder = TemporaryFolder::with(&[("about.html", b"about"), ("sub/a.txt", b"a")]);
    folder.add(OsStr::from_bytes(b"\xff\xfe.txt"), b"not UTF-8");
    let path = |name: &str| Path::new(folder.path()).join(name);
    symlink("about.html", path("alias.html")).expect("the folder is writable");
    symlink("sub", path("sub-too")).expect("the folder is writable");
    symlink("..", path("sub/up")).expect("the folder is writable");
    symlink("nowhere", path("dangling")).expect("the folder is writable");
    let pipe = Command::new("mkfifo").arg(path("pipe")).status().expect("it is part of coreutils");
    assert!(pipe.success());
    let server = serve(&folder, &[]);
    for (target, body) in
        [("/%FF%FE.txt", "not UTF-8"), ("/alias", "about"), ("/sub-too/a.txt", "a")]
    {
        let response = get(&server, target, "");
        assert_eq!(response.status, 200, "{target}");
        assert_same_bytes(&response.body, body.as_bytes());
    }
    let log = server.messages.join("\n");
    for hint in [
        "left out sub/up: it is a link to a folder that contains it",
        "left out dangling: it is a link that leads nowhere",
        "left out pipe: it is neither a file nor a folder",
    ] {
        assert!(log.contains(hint), "{hint}: {log}");
    }
}
