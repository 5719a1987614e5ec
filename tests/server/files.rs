//! The files of a folder as the real program serves them: media types, charsets, dates, dot files
//! and ranges of nothing.

use crate::common::requests::serve;
use crate::common::{Response, Server, TemporaryFolder};
use std::fs::{File, FileTimes};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

fn get(server: &Server, target: &str, fields: &str) -> Response {
    server.ask(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
}

fn media_type(server: &Server, target: &str) -> Option<String> {
    get(server, target, "").field("Content-Type").map(str::to_owned)
}

/// The report of `check`, as JSON.
pub(crate) fn report(folder: &TemporaryFolder, options: &[&str]) -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_uringstatic"))
        .args(["check", folder.path(), "--json"])
        .args(options)
        .output()
        .expect("it runs");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Sets the modification time of a file.
fn set_modified(folder: &TemporaryFolder, name: &str, seconds: u64) {
    let file = File::options().write(true).open(Path::new(folder.path()).join(name));
    let times = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(seconds));
    file.and_then(|file| file.set_times(times)).expect("the file is ours");
}

/// HTML 13.2.3.2: a charset of the transport takes precedence over `<meta charset>`. RFC 7303 3.2:
/// as over the XML declaration.
#[test]
fn charset_is_sent_for_text_in_utf_8_only() {
    let shift_jis = b"<meta charset=Shift_JIS><title>\x93\xfa\x96\x7b\x8c\xea</title>";
    let latin_1 = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><rss>caf\xe9</rss>";
    let iso_2022_jp = b"<meta charset=ISO-2022-JP>\x1b$B$3\x1b(B";
    let folder = TemporaryFolder::with(&[
        ("index.html", "<meta charset=utf-8>\u{65e5}".as_bytes()),
        ("mark.html", "\u{feff}mark".as_bytes()),
        ("ascii.html", b"<meta charset=ISO-8859-1>ASCII"),
        ("jp.html", shift_jis),
        ("jp7.html", iso_2022_jp),
        ("feed.xml", latin_1),
        ("wide.txt", b"\xff\xfeh\0i\0"),
        ("picture.png", b"\x89PNG\r\n\x1a\n"),
    ]);
    let server = serve(&folder, &[]);
    for (target, expected) in [
        ("/", "text/html; charset=utf-8"),
        ("/mark.html", "text/html; charset=utf-8"),
        ("/ascii.html", "text/html; charset=utf-8"),
        ("/jp.html", "text/html"),
        ("/jp", "text/html"),
        ("/jp7.html", "text/html"),
        ("/feed.xml", "text/xml"),
        ("/wide.txt", "text/plain"),
        ("/picture.png", "image/png"),
    ] {
        assert_eq!(media_type(&server, target).as_deref(), Some(expected), "{target}");
    }
    let report = report(&folder, &[]);
    let warnings: Vec<_> = report["warnings"].as_array().into_iter().flatten().collect();
    let named = |name: &str| {
        let begin = format!("{name}: it is not in UTF-8");
        warnings.iter().any(|line| line.as_str().is_some_and(|line| line.starts_with(&begin)))
    };
    assert!(["jp.html", "jp7.html", "feed.xml", "wide.txt"].into_iter().all(named), "{report}");
    assert_eq!(warnings.len(), 4, "{report}");
}

/// Apple's and Matrix' specifications name `application/json` for these files.
#[test]
fn file_without_extension_is_json_text_or_octets() {
    let long = "To be, or not to be, that is the question. ".repeat(100);
    let folder = TemporaryFolder::with(&[
        ("apple-app-site-association", b"{\"applinks\": {\"details\": []}}"),
        (".well-known/matrix/server", b"{\"m.server\": \"matrix.example.org:443\"}\n"),
        ("LICENSE", long.as_bytes()),
        ("CNAME", b"www.example.org\n"),
        ("tool", b"\x7fELF\x02\x01\x01\0\0\0\0\0"),
    ]);
    let server = serve(&folder, &[]);
    for (target, expected) in [
        ("/apple-app-site-association", "application/json"),
        ("/.well-known/matrix/server", "application/json"),
        ("/LICENSE", "text/plain; charset=utf-8"),
        ("/CNAME", "text/plain; charset=utf-8"),
        ("/tool", "application/octet-stream"),
    ] {
        assert_eq!(media_type(&server, target).as_deref(), Some(expected), "{target}");
    }
    let coded = get(&server, "/LICENSE", "Accept-Encoding: br\r\n");
    assert_eq!(coded.field("Content-Encoding"), Some("br"), "text is compressed");
}

#[test]
fn page_has_a_charset_if_it_is_utf_8() {
    for (content, expected) in [
        (&b"<title>\xe6\x97\xa5</title>"[..], "text/html; charset=utf-8"),
        (b"<meta charset=Shift_JIS><title>\x93\xfa</title>", "text/html"),
    ] {
        let folder = TemporaryFolder::with(&[("page.html", content)]);
        let page = format!("{}/page.html", folder.path());
        let server = Server::start(&["--page", &page]);
        assert_eq!(media_type(&server, "/").as_deref(), Some(expected));
        drop(server);
        let server = Server::start(&["--page", &page, "--content-type", "text/html; charset=x"]);
        assert_eq!(media_type(&server, "/").as_deref(), Some("text/html; charset=x"));
    }
}

/// RFC 9110 8.8.2.2: a date is a validator only if it changes with the content.
#[test]
fn constants_of_packers_are_not_sent_as_last_modified() {
    let folder = TemporaryFolder::with(&[
        ("nix.txt", b"1"),
        ("epoch.txt", b"2"),
        ("zip.txt", b"3"),
        ("npm.txt", b"4"),
        ("edited.txt", b"5"),
    ]);
    for (name, seconds) in [
        ("nix.txt", 1),
        ("epoch.txt", 0),
        ("zip.txt", 315_532_800),
        ("npm.txt", 499_162_500),
        ("edited.txt", 784_111_777),
    ] {
        set_modified(&folder, name, seconds);
    }
    let server = serve(&folder, &[]);
    for name in ["nix", "epoch", "zip", "npm"] {
        let target = format!("/{name}.txt");
        let response = get(&server, &target, "");
        assert_eq!(response.field("Last-Modified"), None, "{target}");
        let since = "If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT\r\n";
        assert_eq!(get(&server, &target, since).status, 200, "{target}");
        let tag = response.field("ETag").expect("a file has a tag");
        assert_eq!(get(&server, &target, &format!("If-None-Match: {tag}\r\n")).status, 304);
    }
    let edited = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(get(&server, "/edited.txt", "").field("Last-Modified"), Some(edited));
    let since = format!("If-Modified-Since: {edited}\r\n");
    assert_eq!(get(&server, "/edited.txt", &since).status, 304);
}

#[test]
fn date_that_all_files_have_is_not_sent() {
    let folder = TemporaryFolder::with(&[("a.txt", b"1"), ("b/c.txt", b"2"), ("_headers", b"")]);
    for name in ["a.txt", "b/c.txt"] {
        set_modified(&folder, name, 1_700_000_000);
    }
    let server = serve(&folder, &[]);
    assert_eq!(get(&server, "/a.txt", "").field("Last-Modified"), None);
    drop(server);
    set_modified(&folder, "b/c.txt", 1_700_000_001);
    let server = serve(&folder, &[]);
    let date = "Tue, 14 Nov 2023 22:13:20 GMT";
    assert_eq!(get(&server, "/a.txt", "").field("Last-Modified"), Some(date));
}

/// RFC 8615 3 leaves the names below `/.well-known/` to their registrations.
#[test]
fn dot_files_below_well_known_are_served() {
    let folder = TemporaryFolder::with(&[
        (".well-known/mcp/skills/.tree.json", b"{}"),
        (".well-known/.a/.b", b"b"),
        (".git/config", b"secret"),
        ("docs/.env", b"secret"),
    ]);
    let server = serve(&folder, &[]);
    for (target, status) in [
        ("/.well-known/mcp/skills/.tree.json", 200),
        ("/.well-known/.a/.b", 200),
        ("/.git/config", 404),
        ("/docs/.env", 404),
    ] {
        assert_eq!(get(&server, target, "").status, status, "{target}");
    }
}

/// RFC 9110 14.1.2 and 14.4: `bytes=-1` is satisfiable, but no `Content-Range` is for no bytes.
#[test]
fn range_of_an_empty_file_is_ignored() {
    let folder = TemporaryFolder::with(&[("empty.css", b""), ("one.css", b"1")]);
    let server = serve(&folder, &[]);
    for range in ["bytes=-1", "bytes=0-", "bytes=0-0", "bytes=5-9", "bytes=-0"] {
        let response = get(&server, "/empty.css", &format!("Range: {range}\r\n"));
        assert_eq!((response.status, response.body.len()), (200, 0), "{range}");
        assert_eq!(response.field("Content-Range"), None, "{range}");
    }
    let page = format!("{}/empty.css", folder.path());
    let single = Server::start(&["--page", &page]);
    assert_eq!(get(&single, "/", "Range: bytes=-1\r\n").status, 200);
    assert_eq!(get(&server, "/one.css", "Range: bytes=-1\r\n").status, 206);
    assert_eq!(get(&server, "/one.css", "Range: bytes=1-\r\n").status, 416);
}

fn brotli(text: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    brotli::BrotliCompress(&mut &*text, &mut coded, &brotli::enc::BrotliEncoderParams::default())
        .expect("memory is writable");
    coded
}

/// Builds of Unity and other engines are stored in a coding alone. RFC 9110 8.4.
#[test]
fn file_stored_in_a_coding_alone_is_sent_with_it_by_rule() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&b"script();".repeat(200)).expect("memory is writable");
    let (wasm, script) = (brotli(&[7; 5000]), gzip.finish().expect("memory is writable"));
    let headers = b"/Build/*.br\n  Content-Encoding: br\n/Build/*.gz\n  Content-Encoding: gzip\n";
    let folder = TemporaryFolder::with(&[
        ("Build/g.wasm.br", &wasm),
        ("Build/g.data.br", &wasm),
        ("Build/g.js.gz", &script),
        ("_headers", headers),
    ]);
    let server = serve(&folder, &[]);
    for (target, coding, media_type, body) in [
        ("/Build/g.wasm.br", "br", "application/wasm", &wasm),
        ("/Build/g.data.br", "br", "application/octet-stream", &wasm),
        ("/Build/g.js.gz", "gzip", "text/javascript", &script),
    ] {
        for accept in ["", "Accept-Encoding: br, gzip\r\n", "Accept-Encoding: zstd\r\n"] {
            let response = get(&server, target, accept);
            assert_eq!(response.status, 200, "{target}");
            assert_eq!(response.field("Content-Encoding"), Some(coding), "{}", response.head);
            assert_eq!(response.field("Content-Type"), Some(media_type), "{}", response.head);
            assert_eq!(&response.body, body, "{target}");
        }
        let part = get(&server, target, "Range: bytes=1-4\r\n");
        assert_eq!((part.status, &*part.body), (206, &body[1..5]), "{target}");
        assert_eq!(part.field("Content-Encoding"), Some(coding), "{target}");
    }
    drop(server);
    folder.add("Build/bad.br", b"not coded");
    folder.add("Build/cut.br", &wasm[..wasm.len() - 1]);
    let exit = Server::run(&["--listen", "127.0.0.1:0", "--root", folder.path()]);
    assert_eq!(exit.code, Some(1));
    let expected = "_headers:2: Build/bad.br is not in the coding br: it doesn't decode; 1 more \
                    like it";
    assert!(exit.text.contains(expected), "{}", exit.text);
    let report = report(&folder, &[]);
    assert_eq!(report["problems"][0], expected, "{report}");
}

#[test]
fn links_out_of_the_root_are_followed_only_with_the_option() {
    let other = TemporaryFolder::with(&[("shared/a.css", b"a{}"), ("one.txt", b"one")]);
    let folder = TemporaryFolder::with(&[("index.html", b"home")]);
    let link = |target: &str, name: &str| {
        let target = Path::new(other.path()).join(target);
        symlink(target, Path::new(folder.path()).join(name)).expect("the folder is writable");
    };
    link("shared", "shared");
    link("one.txt", "one.txt");
    let server = serve(&folder, &[]);
    assert_eq!(get(&server, "/shared/a.css", "").status, 404);
    drop(server);
    let server = serve(&folder, &["--follow-links"]);
    assert_eq!(get(&server, "/shared/a.css", "").body, b"a{}");
    assert_eq!(get(&server, "/one.txt", "").body, b"one");
    drop(server);
    assert_eq!(report(&folder, &["--follow-links"])["left_out"].as_array().map(Vec::len), Some(0));
}
