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
