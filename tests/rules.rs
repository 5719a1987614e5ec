//! `_redirects` and precompressed files against clients and operators who mean harm or err: what
//! a forced rule hides, where a redirect can lead, and which codings are passed on.

mod common;

use common::{Reply, Server, TemporaryFolder};

fn serve(folder: &TemporaryFolder, options: &[&str]) -> Server {
    Server::start(&[&["--root", folder.path()], options].concat())
}

fn get(server: &Server, target: &str, fields: &str) -> Reply {
    server.ask(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
}

/// Status and `Location` of a target's reply; no reply has the secret.
fn outcome(server: &Server, target: &str) -> (u16, Option<String>) {
    let fields = "Accept: text/html\r\nAccept-Encoding: br, zstd, gzip\r\n";
    let reply = get(server, target, fields);
    let shows = |needle: &[u8]| reply.body.windows(needle.len()).any(|part| part == needle);
    assert!(!shows(b"TOPSECRET"), "{target}: {}", reply.head);
    (reply.status, reply.field("Location").map(str::to_owned))
}

fn to(status: u16, location: &str) -> (u16, Option<String>) {
    (status, Some(location.to_owned()))
}

#[test]
fn a_placeholder_in_the_host_of_a_redirect_stops_the_start() {
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
        let exit = Server::run(&["--listen", "127.0.0.1:0", "--root", folder.path()]);
        assert_eq!(exit.code, Some(1), "{rule}: {}", exit.text);
        let named = exit.text.contains("_redirects:2: ") && exit.text.contains(hint);
        assert!(named, "{rule}: {}", exit.text);
    }
    let right = b"/a/* https://good.example:8080/:splat\n/b/* https://good.example?q=:splat\n\
                  /c/* https://good.example/#:splat\n/d/* https://[2001:db8::a]/:splat\n";
    let folder = TemporaryFolder::with(&[("_redirects", right)]);
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
fn codings_that_browsers_refuse_are_left_out() {
    let text = "the same again and ".repeat(400);
    let text = text.as_bytes();
    let mut large = brotli::enc::BrotliEncoderParams::default();
    (large.lgwin, large.large_window) = (28, true);
    let mut br = Vec::new();
    brotli::BrotliCompress(&mut &*text, &mut br, &large).expect("it codes");
    let mut zst = zstd::stream::Encoder::new(Vec::new(), 3).expect("a level");
    zst.window_log(24).expect("a window");
    std::io::Write::write_all(&mut zst, text).expect("it codes");
    let zst = zst.finish().expect("it codes");
    let gz = |part: &[u8]| {
        let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        std::io::Write::write_all(&mut coder, part).expect("it codes");
        coder.finish().expect("it codes")
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
    let said = server.said.join("\n");
    for line in [
        "left out a.txt.br: its window is larger than RFC 7932 allows",
        "left out a.txt.zst: its window is over 8 MB",
        "left out a.txt.gz: bytes follow its first gzip member",
        "left out b.txt.gz: bytes follow its first gzip member",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    for (target, accept, coding) in [
        ("/a.txt", "br", None),
        ("/a.txt", "zstd", None),
        ("/a.txt", "gzip", None),
        ("/b.txt", "gzip", None),
        ("/c.txt", "gzip", Some("gzip")),
    ] {
        let reply = get(&server, target, &format!("Accept-Encoding: {accept}\r\n"));
        assert_eq!(reply.field("Content-Encoding"), coding, "{target} {accept}");
    }
}
