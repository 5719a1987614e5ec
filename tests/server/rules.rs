//! `_redirects` and precompressed files against hostile clients and mistakes of operators: files
//! that forced rules hide, hosts that redirects lead to, and codings that browsers refuse.

use crate::common::{Response, Server, TemporaryFolder};

fn serve(folder: &TemporaryFolder, options: &[&str]) -> Server {
    Server::start(&[&["--root", folder.path()], options].concat())
}

fn get(server: &Server, target: &str, fields: &str) -> Response {
    server.ask(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
}

/// Status and `Location` of a target's response, which must not have the secret.
fn outcome(server: &Server, target: &str) -> (u16, Option<String>) {
    let fields = "Accept: text/html\r\nAccept-Encoding: br, zstd, gzip\r\n";
    let response = get(server, target, fields);
    let shows = |needle: &[u8]| response.body.windows(needle.len()).any(|part| part == needle);
    assert!(!shows(b"TOPSECRET"), "{target}: {}", response.head);
    (response.status, response.field("Location").map(str::to_owned))
}

fn to(status: u16, location: &str) -> (u16, Option<String>) {
    (status, Some(location.to_owned()))
}

#[test]
fn forced_rule_covers_every_path_of_the_file_that_it_hides() {
    let folder = TemporaryFolder::with(&[
        ("secret.html", b"TOPSECRET"),
        ("secret.html.br", b"TOPSECRET, an old copy"),
        ("secret.html.gz", b"TOPSECRET, an old copy"),
        ("secret.html.gz.zst", b"TOPSECRET, a copy of the copy"),
        ("stem.html", b"TOPSECRET"),
        ("docs/index.html", b"TOPSECRET"),
        ("manual/index.html", b"TOPSECRET"),
        ("books/index.html", b"TOPSECRET"),
        ("draft-1.html", b"TOPSECRET"),
        ("letters/a.html", b"TOPSECRET"),
        ("about.html", b"about"),
        ("about.html.br", b"no brotli"),
        ("tool.js", b"tool"),
        ("tool.js.gz", b"no gzip"),
        ("index.html", b"home"),
        ("login.html", b"login"),
        (
            "_redirects",
            b"/secret.html /login 303!\n/stem /login 303!\n/docs/ /login 302!\n\
              /manual/index.html /login 302!\n/books/index /login 302!\n\
              /draft-* /login?from=:splat 302!\n/letters/:name.html /login?letter=:name 302!\n\
              /about.html /about 301!\n/*.gz /login 307!\n",
        ),
    ]);
    let server = serve(&folder, &[]);
    for (target, expected) in [
        ("/secret.html", to(303, "/login")),
        ("/secret", to(303, "/login")),
        ("/secret?x", to(303, "/login?x")),
        ("/%73ecret", to(303, "/login")),
        ("/secret.html.br", to(303, "/login")),
        ("/secret.html.gz", to(307, "/login")),
        ("/secret.html.gz.zst", to(307, "/login")),
        ("/stem", to(303, "/login")),
        ("/stem.html", to(303, "/login")),
        ("/docs", to(302, "/login")),
        ("/docs/", to(302, "/login")),
        ("/docs/index", to(302, "/login")),
        ("/docs/index.html", to(302, "/login")),
        ("/manual", to(302, "/login")),
        ("/manual/", to(302, "/login")),
        ("/manual/index", to(302, "/login")),
        ("/manual/index.html", to(302, "/login")),
        ("/books", to(302, "/login")),
        ("/books/", to(302, "/login")),
        ("/books/index.html", to(302, "/login")),
        ("/draft-1", to(302, "/login?from=1")),
        ("/draft-1.html", to(302, "/login?from=1.html")),
        ("/letters/a.html", to(302, "/login?letter=a")),
        ("/letters/a", to(302, "/login?letter=a")),
        // A rule that leads to the file itself selects among its paths and hides nothing.
        ("/about.html", to(301, "/about")),
        ("/about", (200, None)),
        ("/about.html.br", (200, None)),
        // A hidden copy doesn't hide its original.
        ("/tool.js", (200, None)),
        ("/tool.js.gz", to(307, "/login")),
        ("/login", (200, None)),
        ("/", (200, None)),
        ("/secrets", (404, None)),
        ("/secret/", (404, None)),
    ] {
        assert_eq!(outcome(&server, target), expected, "{target}");
    }
}

#[test]
fn check_lists_the_paths_that_a_forced_rule_hides() {
    let folder = TemporaryFolder::with(&[
        ("secret.html", b"TOPSECRET"),
        ("secret.html.br", b"TOPSECRET"),
        ("open.html", b"open"),
        ("_redirects", b"# locked\n/secret.html /open 303!\n"),
    ]);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_uringstatic"))
        .args(["check", folder.path(), "--json"])
        .output()
        .expect("it runs");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = report["paths"].as_array().expect("a list");
    for (path, status, line) in [
        ("/secret", 303, Some(2)),
        ("/secret.html", 303, Some(2)),
        ("/secret.html.br", 303, Some(2)),
        ("/open", 200, None),
        ("/open.html", 200, None),
    ] {
        let row = rows.iter().find(|row| row["path"] == path).expect(path);
        assert_eq!(row["status"], status, "{row}");
        assert_eq!(row["rule"].as_u64(), line, "{row}");
        assert_eq!(row["bytes"]["identity"].is_u64(), line.is_none(), "{row}");
    }
    let text = std::process::Command::new(env!("CARGO_BIN_EXE_uringstatic"))
        .args(["check", folder.path()])
        .output()
        .expect("it runs");
    let text = String::from_utf8(text.stdout).expect("text");
    let line = text.lines().find(|line| line.starts_with("/secret ")).expect("the path");
    assert!(line.contains(" 303 ") && line.ends_with("hidden by _redirects:2"), "{line}");
}

#[test]
fn no_placeholder_leads_to_a_hidden_file() {
    let folder = TemporaryFolder::with(&[
        ("secret.html", b"TOPSECRET"),
        ("private/a.txt", b"TOPSECRET"),
        ("sorry.html", b"sorry"),
        ("open.html", b"open"),
        ("404.html", b"missing"),
        (
            "_redirects",
            b"/secret.html /login 303!\n/private/* /none/:splat 200!\n/sorry.html /open 302!\n\
              /404.html /open 302!\n/get/* /:splat 200\n/p/:name /:name.html 200\n/s /sorry 410\n",
        ),
    ]);
    let server = serve(&folder, &[]);
    for (target, expected) in [
        ("/get/secret", (404, None)),
        ("/get/secret.html", (404, None)),
        ("/p/secret", (404, None)),
        ("/p/open", (200, None)),
        ("/get/open", (200, None)),
        ("/get/private/a.txt", (404, None)),
        // A forced rewrite hides its files even if its target doesn't exist.
        ("/private/a.txt", (404, None)),
        // A rule that names a file serves it, even if another rule redirects the file's own paths.
        ("/s", (410, None)),
        ("/sorry", to(302, "/open")),
        ("/404", to(302, "/open")),
    ] {
        assert_eq!(outcome(&server, target), expected, "{target}");
    }
    assert_eq!(get(&server, "/s", "").body, b"sorry");
    assert_eq!(get(&server, "/none", "").body, b"missing");
}

#[test]
fn hidden_file_as_fallback_prevents_the_start() {
    let folder = TemporaryFolder::with(&[
        ("app.html", b"TOPSECRET"),
        ("index.html", b"home"),
        ("_redirects", b"/app /login 303!\n/index.html / 301!\n"),
    ]);
    let run = |page: &str| {
        let root = ["--listen", "127.0.0.1:0", "--root", folder.path()];
        Server::run(&[&root[..], &["--spa", page]].concat())
    };
    let exit = run("app.html");
    assert_eq!(exit.code, Some(1), "{}", exit.text);
    assert!(exit.text.contains("--spa: app.html is hidden by _redirects:1"), "{}", exit.text);
    // This rule removes one path of the file and hides nothing.
    let server = serve(&folder, &["--spa", "index.html"]);
    assert_eq!(get(&server, "/route", "Accept: text/html\r\n").body, b"home");
    assert_eq!(outcome(&server, "/index.html"), to(301, "/"));
}

#[test]
fn redirect_with_a_placeholder_in_its_host_is_left_out() {
    for (rule, hint) in [
        ("/go/* https://good.example:splat 302", "https://good.example/:splat"),
        ("/u/* https://:splat", "host"),
        ("/u/* http://:splat/x", "host"),
        ("/u/* https://user:splat@good.example/", "host"),
        ("/u/* https://good.example::splat/", "host"),
        ("/u/* https://good.example:80:splat", "host"),
        ("/u/* https://:splat.good.example/", "host"),
        ("/:h/* https://:h.good.example/:splat", "host"),
        ("/u/* https://good.example.:splat?x", "host"),
        ("/u/* https://:splat#x", "host"),
        ("/u/* https:///:splat", "host"),
        ("/u/* https:///evil.example/:splat", "host"),
        ("/u/* https://?:splat", "host"),
        ("/u/* https://user@good.example/:splat", "RFC 9110"),
        ("/u/* //:splat", "https:"),
        ("/u/* :splat", "begin with a slash"),
        ("/u/* HTTPS://:splat", "begin with a slash"),
        ("/u/* http:/:splat", "begin with a slash"),
        ("/u/* http::splat", "begin with a slash"),
    ] {
        let rules = format!("# first\n{rule}\n");
        let folder = TemporaryFolder::with(&[("_redirects", rules.as_bytes())]);
        let options = ["--listen", "127.0.0.1:0", "--strict", "--root", folder.path()];
        let exit = Server::run(&options);
        assert_eq!(exit.code, Some(1), "{rule}: {}", exit.text);
        let named = exit.text.contains("_redirects:2: ") && exit.text.contains(hint);
        assert!(named, "{rule}: {}", exit.text);
    }
    let valid = b"/a/* https://good.example:8080/:splat\n/b/* https://good.example?q=:splat\n\
                  /c/* https://good.example/#:splat\n/d/* https://[2001:db8::a]/:splat\n";
    let folder = TemporaryFolder::with(&[("_redirects", valid)]);
    let server = serve(&folder, &[]);
    for (target, location) in [
        ("/a/@evil.example/", "https://good.example:8080/@evil.example/"),
        ("/b/@evil.example", "https://good.example?q=@evil.example"),
        ("/c/x", "https://good.example/#x"),
        ("/d/x", "https://[2001:db8::a]/x"),
    ] {
        assert_eq!(outcome(&server, target), to(301, location), "{target}");
    }
}

#[test]
fn precompressed_files_that_browsers_refuse_are_left_out() {
    let text = "the same again and ".repeat(400);
    let text = text.as_bytes();
    let mut large = brotli::enc::BrotliEncoderParams::default();
    (large.lgwin, large.large_window) = (28, true);
    let mut br = Vec::new();
    brotli::BrotliCompress(&mut &*text, &mut br, &large).expect("memory is writable");
    let mut zst = zstd::stream::Encoder::new(Vec::new(), 3).expect("a level");
    zst.window_log(24).expect("a window");
    std::io::Write::write_all(&mut zst, text).expect("memory is writable");
    let zst = zst.finish().expect("memory is writable");
    let gz = |part: &[u8]| {
        let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        std::io::Write::write_all(&mut coder, part).expect("memory is writable");
        coder.finish().expect("memory is writable")
    };
    let members = [gz(&text[..100]), gz(&text[100..])].concat();
    let folder = TemporaryFolder::with(&[
        ("a.txt", text),
        ("a.txt.br", &br),
        ("a.txt.zst", &zst),
        ("a.txt.gz", &members),
        ("b.txt", text),
        ("b.txt.gz", &[&gz(text)[..], b"\0"].concat()),
        ("c.txt", text),
        ("c.txt.gz", &gz(text)),
    ]);
    let server = serve(&folder, &["--compress", "off"]);
    let messages = server.messages.join("\n");
    for line in [
        "left out a.txt.br: its window is larger than RFC 7932 allows",
        "left out a.txt.zst: its window is over 8 MB",
        "left out a.txt.gz: bytes follow its first gzip member",
        "left out b.txt.gz: bytes follow its first gzip member",
    ] {
        assert!(messages.contains(line), "{line}: {messages}");
    }
    for (target, accept, coding) in [
        ("/a.txt", "br", None),
        ("/a.txt", "zstd", None),
        ("/a.txt", "gzip", None),
        ("/b.txt", "gzip", None),
        ("/c.txt", "gzip", Some("gzip")),
    ] {
        let response = get(&server, target, &format!("Accept-Encoding: {accept}\r\n"));
        assert_eq!(response.field("Content-Encoding"), coding, "{target} {accept}");
    }
}
