//! `Basic-Auth` in `_headers` against requests without the credentials, in every form that could
//! lead to a protected file.

use crate::common::requests::{ask, serve};
use crate::common::{Response, Server, TemporaryFolder};
use std::process::Command;

/// `user:password` pairs in base64, from `printf %s ... | base64`.
const ANNA: &str = "YW5uYTpzZTpjcmV0"; // anna:se:cret
const BEN: &str = "YmVuOm90aGVy"; // ben:other
const UMLAUT: &str = "asO8cmdlbjpww6RzcwAA"; // with two octets behind it
const JUERGEN: &str = "asO8cmdlbjpww6Rzcw=="; // jürgen:päss in UTF-8 (RFC 7617 2.1)

fn folder() -> TemporaryFolder {
    TemporaryFolder::with(&[
        ("index.html", b"home"),
        ("open.html", b"open"),
        ("404.html", b"missing"),
        ("secret/index.html", b"TOPSECRET"),
        ("secret/a.txt", b"TOPSECRET text"),
        ("secret/a.txt.br", b"TOPSECRET copy"),
        ("secret/404.html", b"TOPSECRET, too"),
        ("secret/deep/page.html", b"TOPSECRET page"),
        ("page.html", b"TOPSECRET page"),
        ("page.html.gz", b"TOPSECRET old copy"),
        ("page.html.gz.br", b"TOPSECRET old copy of a copy"),
        ("folder/index.html", b"TOPSECRET index"),
        ("both/x.txt", b"TOPSECRET for anna alone"),
        ("\u{e4}/x.txt", b"TOPSECRET"),
        (
            "_redirects",
            b"/get/* /:splat 200\n/p/:name /:name.html 200\n/fixed /page.html 200\n\
              /secret/moved /open 301!\n/gone /secret/a.txt 410\n",
        ),
        (
            "_headers",
            "/secret/*\n  Basic-Auth: anna:se:cret ben:other j\u{fc}rgen:p\u{e4}ss\n  X-Secret: 1\n\
             /page\n  Basic-Auth: anna:se:cret\n\
             /folder/index.html\n  Basic-Auth: anna:se:cret\n\
             /both/*\n  Basic-Auth: anna:se:cret ben:other\n\
             /both/x.*\n  Basic-Auth: anna:se:cret\n\
             /\u{e4}/*\n  Basic-Auth: anna:se:cret\n\
             /cors/*\n  Basic-Auth: anna:se:cret\n  Access-Control-Allow-Origin: *\n\
             /*\n  X-Frame-Options: DENY\n  Cache-Control: public, max-age=5\n\
             /secret/cached\n  ! Cache-Control\n"
                .as_bytes(),
        ),
    ])
}

/// Asserts a 401 by RFC 9110 15.5.2 and RFC 7617 2 that shows nothing of the file.
fn assert_refused(response: &Response, about: &str) {
    assert_eq!(response.status, 401, "{about}: {}", response.head);
    let challenge = response.field("WWW-Authenticate").unwrap_or_default();
    assert!(challenge.starts_with("Basic realm=\""), "{about}: {challenge}");
    assert!(challenge.ends_with("charset=\"UTF-8\""), "{about}: {challenge}");
    assert_eq!(response.field("Cache-Control"), Some("no-store"), "{about}");
    assert_eq!(response.field("X-Frame-Options"), Some("DENY"), "{about}");
    for name in
        ["ETag", "Last-Modified", "Location", "Content-Range", "Basic-Auth", "Accept-Ranges"]
    {
        assert_eq!(response.field(name), None, "{about}: {name}");
    }
    let shows = |needle: &[u8]| response.body.windows(needle.len()).any(|part| part == needle);
    assert!(!shows(b"TOPSECRET"), "{about}");
}

#[test]
fn no_form_of_a_request_opens_a_protected_file() {
    let folder = folder();
    for options in [&[][..], &["--spa", "page.html"]] {
        let server = serve(&folder, options);
        for target in [
            "/secret",
            "/secret/",
            "/secret/index.html",
            "/secret/index",
            "/secret/a.txt",
            "/secret/a.txt?x",
            "/secret/a.txt.br",
            "/secret/none",
            "/secret/deep/page",
            "/secret/moved",
            // Encodings and dot segments (RFC 3986 2.3, 5.2.4).
            "/%73ecret/a.txt",
            "/secret/%61.txt",
            "/%73%65%63%72%65%74/%61%2e%74%78%74",
            "/x/../secret/a.txt",
            "/./secret/./a.txt",
            "/x/%2e%2e/secret/a.txt",
            "/secret/x/../a.txt",
            "/secret/..%2e/../secret/a.txt",
            "http://a/secret/a.txt",
            "http://other/secret/a.txt",
            // Other names of the same file.
            "/page",
            "/page.html",
            "/page.html.gz",
            "/page.html.gz.br",
            "/folder",
            "/folder/",
            "/folder/index",
            "/folder/index.html",
            "/%C3%A4/x.txt",
            "/%c3%a4/x.txt",
            // Rewrites with captures and without, with statuses of their own.
            "/get/secret/a.txt",
            "/get/%73ecret/a.txt",
            "/get/secret/../page",
            "/p/page",
            "/fixed",
            "/gone",
        ] {
            for (method, fields) in [
                ("GET", ""),
                ("HEAD", ""),
                ("GET", "Range: bytes=0-3\r\n"),
                ("GET", "Range: bytes=9999-\r\n"),
                ("GET", "If-None-Match: *\r\n"),
                ("GET", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n"),
                ("GET", "If-Match: \"x\"\r\n"),
                ("GET", "Accept-Encoding: *;q=0\r\n"),
                ("GET", "Accept-Encoding: br, gzip, zstd\r\nAccept: text/html\r\n"),
            ] {
                let response = ask(&server, method, target, fields);
                assert_refused(&response, &format!("{method} {target} {fields} {options:?}"));
            }
        }
    }
    // The fallback is protected at every path that it answers.
    let server = serve(&folder, &["--spa", "page.html"]);
    assert_refused(&ask(&server, "GET", "/some/route", ""), "fallback");
    let opened = ask(&server, "GET", "/some/route", &format!("Authorization: Basic {ANNA}\r\n"));
    assert_eq!((opened.status, &*opened.body), (200, &b"TOPSECRET page"[..]));
}

#[test]
fn wrong_credentials_open_nothing() {
    let server = serve(&folder(), &[]);
    let long = format!("Basic {}", "A".repeat(9000));
    let prefix = &format!("Basic {}", &ANNA[..ANNA.len() - 4]);
    for value in [
        "",
        "Basic",
        "Basic ",
        "Basic Og==",
        "Basic YW5uYTo=",
        "Basic YW5uYTpzZQ==",
        "Basic YW5uYTpzZTpjcmV0IA==",
        "Basic YW5uYQ==",
        "Basic QW5uYTpzZTpjcmV0",
        prefix,
        &format!("Basic {ANNA}="),
        &format!("Basic {ANNA}\u{e4}"),
        &format!("Basic A{ANNA}"),
        &format!("Basic {ANNA} {ANNA}"),
        &format!("Basic {ANNA}, Basic {ANNA}"),
        &format!("Basic {UMLAUT}"),
        &format!("Basic {}", ANNA.to_lowercase()),
        &format!("Bearer {ANNA}"),
        &format!("Digest {ANNA}"),
        &format!("Basic{ANNA}"),
        ANNA,
        "Basic !!!!",
        "Basic anna:se:cret",
        &long,
    ] {
        let response = ask(&server, "GET", "/secret/a.txt", &format!("Authorization: {value}\r\n"));
        assert_refused(&response, &value[..value.len().min(60)]);
    }
    let twice = format!("Authorization: Basic {ANNA}\r\n").repeat(2);
    assert_refused(&ask(&server, "GET", "/secret/a.txt", &twice), "two fields");
    let others = format!("Proxy-Authorization: Basic {ANNA}\r\nX-Authorization: Basic {ANNA}\r\n");
    assert_refused(&ask(&server, "GET", "/secret/a.txt", &others), "other fields");
}

#[test]
fn right_credentials_open_their_paths() {
    let server = serve(&folder(), &[]);
    for (target, credentials, status) in [
        ("/secret/a.txt", ANNA, 200),
        ("/secret/a.txt", BEN, 200),
        ("/secret/a.txt", JUERGEN, 200),
        ("/page.html", ANNA, 200),
        ("/page.html", BEN, 401),
        ("/both/x.txt", ANNA, 200),
        ("/both/x.txt", BEN, 401),
        ("/both/none", BEN, 404),
        ("/both/none", "bad=", 401),
        ("/secret", ANNA, 308),
        ("/secret/moved", ANNA, 301),
        ("/secret/none", ANNA, 404),
        ("/get/secret/a.txt", ANNA, 200),
        ("/gone", ANNA, 410),
        ("/open", "bad=", 200),
        ("/open", ANNA, 200),
    ] {
        for scheme in ["Basic", "basic", "BASIC "] {
            let fields = format!("Authorization: {scheme} {credentials}\r\n");
            let response = ask(&server, "GET", target, &fields);
            assert_eq!(response.status, status, "{target} {credentials}: {}", response.head);
            assert_eq!(response.field("WWW-Authenticate").is_some(), status == 401, "{target}");
        }
    }
    let with = |target: &str, more: &str| {
        ask(&server, "GET", target, &format!("Authorization: Basic {ANNA}\r\n{more}"))
    };
    assert_eq!(with("/secret/none", "").body, b"TOPSECRET, too");
    assert_eq!(with("/secret/a.txt", "If-None-Match: *\r\n").status, 304);
    assert_eq!(with("/secret/a.txt", "Range: bytes=0-2\r\n").body, b"TOP");
    assert_eq!(with("/secret/a.txt", "").field("X-Secret"), Some("1"));
    // No credentials are needed above the folder, where no 404 page of the folder shows either.
    assert_eq!(ask(&server, "GET", "/secre", "").body, b"missing");
}

/// RFC 9111 3.5: a shared cache keeps a response to a request with `Authorization` only if the
/// response permits it, which is the site's own decision here.
#[test]
fn protected_responses_are_private_unless_a_rule_says_otherwise() {
    let folder = TemporaryFolder::with(&[
        ("a/page.html", b"page"),
        ("a/app.1f3a09bc.js", b"js"),
        ("a/x.txt", b"text"),
        ("a/rule.txt", b"text"),
        ("a/docs/index.html", b"docs"),
        ("b.txt", b"open"),
        (
            "_headers",
            b"/a/*\n  Basic-Auth: anna:se:cret\n/a/rule.txt\n  Cache-Control: max-age=7\n",
        ),
    ]);
    let header = ["--header", "Cache-Control: public, s-maxage=60, max-age=3"];
    for (options, rows) in [
        (
            &[][..],
            [
                ("/a/page", "private, no-cache"),
                ("/a/app.1f3a09bc.js", "private, max-age=31536000, immutable"),
                ("/a/x.txt", "private"),
                ("/a/rule.txt", "max-age=7"),
                ("/a/none", "private"),
                ("/a/docs", "private"),
                ("/b.txt", ""),
            ],
        ),
        (
            &header,
            [
                ("/a/page", "private, max-age=3"),
                ("/a/app.1f3a09bc.js", "private, max-age=3"),
                ("/a/x.txt", "private, max-age=3"),
                ("/a/rule.txt", "max-age=7"),
                ("/a/none", "private, max-age=3"),
                ("/a/docs", "private, max-age=3"),
                ("/b.txt", "public, s-maxage=60, max-age=3"),
            ],
        ),
    ] {
        let server = serve(&folder, options);
        for (target, expected) in rows {
            let fields = format!("Authorization: Basic {ANNA}\r\n");
            let response = ask(&server, "GET", target, &fields);
            let found = response.field("Cache-Control").unwrap_or_default();
            assert_eq!(found, expected, "{target}: {}", response.head);
        }
    }
}

/// Other methods have the same response with and without a file; a preflight has no credentials
/// (Fetch standard, "CORS-preflight fetch").
#[test]
fn other_methods_show_nothing_of_protected_files() {
    let server = serve(&folder(), &[]);
    for method in ["OPTIONS", "POST", "PUT", "DELETE"] {
        let there = ask(&server, method, "/secret/a.txt", "");
        let missing = ask(&server, method, "/secret/b.txt", "");
        let head = |response: &Response| {
            let lines = response.head.lines().filter(|line| !line.starts_with("Date: "));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!((head(&there), &there.body), (head(&missing), &missing.body), "{method}");
        assert_eq!(there.status, if method == "OPTIONS" { 204 } else { 405 });
    }
    let preflight = "Origin: https://b.example\r\nAccess-Control-Request-Method: GET\r\n\
                     Access-Control-Request-Headers: authorization\r\n";
    let response = ask(&server, "OPTIONS", "/cors/x", preflight);
    assert_eq!(response.status, 204);
    assert_eq!(response.field("Access-Control-Allow-Origin"), Some("*"));
}

#[test]
fn block_with_a_host_protects_its_requests() {
    let folder = TemporaryFolder::with(&[
        ("index.html", b"home"),
        ("app.html", b"app"),
        ("_redirects", b"/r/* /app.html 200\n"),
        ("_headers", b"https://preview.example/*\n  Basic-Auth: anna:se:cret\n"),
    ]);
    let server = serve(&folder, &[]);
    for target in ["/", "/index.html", "/app", "/r/x", "/none"] {
        let get = |host: &str, fields: &str| {
            server.ask(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"))
        };
        assert_eq!(get("preview.example", "").status, 401, "{target}");
        assert_eq!(get("Preview.Example.:81", "").status, 401, "{target}");
        let status = if target == "/none" { 404 } else { 200 };
        let opened = get("preview.example", &format!("Authorization: Basic {ANNA}\r\n"));
        assert_eq!(opened.status, status, "{target}");
        let is_private = |response: &Response| {
            response.field("Cache-Control").is_some_and(|value| value.contains("private"))
        };
        assert!(is_private(&opened), "{target}: {}", opened.head);
        let other = get("www.example", "");
        assert_eq!((other.status, is_private(&other)), (status, false), "{target}");
    }
}

/// Lists without common credentials would make a path that nothing opens.
#[test]
fn mistakes_in_protection_prevent_the_start_and_name_no_credentials() {
    for (rules, hint) in [
        ("/x.txt\n  Basic-Auth: SECRET\n", "_headers:2: "),
        ("x/*\n  A: 1\n  Basic-Auth: a:SECRET\n", "_headers:3: "),
        ("Basic-Auth: a:SECRET\n", "_headers:1: "),
        ("/*\n  Basic-Auth: a:SECRET\n/x.txt\n  Basic-Auth: b:SECRET\n", "lines 1 and 3"),
    ] {
        let folder = TemporaryFolder::with(&[("x.txt", b"x"), ("_headers", rules.as_bytes())]);
        let exit = Server::run(&["--listen", "127.0.0.1:0", "--root", folder.path()]);
        assert_eq!(exit.code, Some(1), "{rules}: {}", exit.text);
        assert!(exit.text.contains(hint) && !exit.text.contains("SECRET"), "{}", exit.text);
        for json in [&[][..], &["--json"]] {
            let output = Command::new(env!("CARGO_BIN_EXE_uringstatic"))
                .args(["check", folder.path(), "--allow-root"])
                .args(json)
                .output()
                .expect("the program was built");
            let text = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert!(!text.contains("SECRET") && text.contains("_headers"), "{text}");
        }
    }
}

/// The server needs the text of the passwords at start only.
#[test]
fn memory_of_the_processes_has_no_password() {
    let folder = TemporaryFolder::with(&[
        ("x.txt", b"x"),
        ("_headers", b"/x.txt\n  Basic-Auth: anna:correct-horse-battery\n"),
    ]);
    let server = serve(&folder, &["--lockdown", "off"]);
    let credentials = "YW5uYTpjb3JyZWN0LWhvcnNlLWJhdHRlcnk=";
    let fields = "Authorization: Basic x\r\n";
    assert_eq!(ask(&server, "GET", "/x.txt", fields).status, 401);
    let mut read = 0;
    for pid in server.workers().iter().map(|worker| worker.pid).chain([server.loader()]) {
        let memory = written_memory(pid);
        read += memory.len();
        for needle in ["correct-horse-battery", credentials] {
            let found = memchr::memmem::find(&memory, needle.as_bytes());
            assert_eq!(found, None, "{needle} in process {pid}");
        }
        assert!(memchr::memmem::find(&memory, b"X-Content-Type-Options").is_some(), "it was read");
    }
    assert!(read > 0);
}

/// The private writable memory of a process.
fn written_memory(pid: u32) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("the process runs");
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).expect("it may be read");
    let mut bytes = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let (start, end) = range.expect("a line begins with a range");
        let number = |text: &str| u64::from_str_radix(text, 16).expect("hexadecimal");
        let len = usize::try_from(number(end) - number(start)).expect("64 bits").min(1 << 26);
        let mut place = vec![0; len];
        if memory.read_exact_at(&mut place, number(start)).is_ok() {
            bytes.extend_from_slice(&place);
        }
    }
    bytes
}
