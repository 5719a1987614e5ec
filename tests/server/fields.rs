//! The fields of responses that no file's own path decides: rewrites, the fallback of `--spa`, 404
//! pages, redirects, built-in errors, preflights; and blocks for hosts.

use crate::common::requests::{ask, serve};
use crate::common::{Exit, Server, TemporaryFolder};

/// A folder with rules for requested paths.
fn folder() -> TemporaryFolder {
    TemporaryFolder::with(&[
        ("index.html", b"home"),
        ("app.html", b"app"),
        ("login.html", b"login"),
        ("404.html", b"missing"),
        ("docs/index.html", b"docs"),
        ("docs/404.html", b"no such chapter"),
        ("docs/a/b/c.html", b"deep"),
        ("data.json", b"{}"),
        ("tail.txt", b"0123456789"),
        ("_redirects", b"/app/* /app.html 200\n/old/* /docs/:splat 301\n/gone/* /login.html 410\n"),
        (
            "_headers",
            b"/*\n  X-Frame-Options: DENY\n  Strict-Transport-Security: max-age=9\n\
              /app/*\n  X-App: :splat\n  Content-Type: text/x-app\n\
              /login\n  X-Login: 1\n\
              /docs/*\n  X-Docs: 1\n\
              /assets/*\n  Cache-Control: public, max-age=31536000, immutable\n  X-Asset: 1\n\
              /none\n  ! X-Frame-Options\n  ! X-Content-Type-Options\n\
              /none\n  Set-Cookie: a\n  Set-Cookie: b\n\
              /old/*\n  X-Old: :splat\n\
              /gone/*\n  Content-Type: text/x-gone\n  Vary: X-Gone\n",
        ),
    ])
}

/// Target, fields of the request, status, and fields of the response; an empty value means that
/// the field is absent.
type FieldCase = (&'static str, &'static str, u16, &'static [(&'static str, &'static str)]);

/// The responses of [`folder`], each with the authority for its fields.
const CASES: &[FieldCase] = &[
    // Cloudflare Pages, "Headers": rules are matched with the URL of the request. Netlify, "Custom
    // headers": "path" is that of the URL, too, and rewrites keep it.
    ("/app", "", 200, &[("X-App", ""), ("X-Frame-Options", "DENY")]),
    ("/app/x/y", "", 200, &[("X-App", "x/y"), ("Content-Type", "text/x-app")]),
    ("/app/%C3%A4%20b", "", 200, &[("X-App", "%C3%A4%20b")]),
    ("/app/x", "Range: bytes=0-0\r\n", 206, &[("X-App", "x")]),
    ("/app/x", "If-None-Match: *\r\n", 304, &[("X-App", ""), ("Cache-Control", "no-cache")]),
    // The same page has the same fields under all its names (Cloudflare redirects to one of them).
    ("/login", "", 200, &[("X-Login", "1")]),
    ("/login.html", "", 200, &[("X-Login", "1")]),
    ("/docs/", "", 200, &[("X-Docs", "1")]),
    ("/docs/index.html", "", 200, &[("X-Docs", "1")]),
    // RFC 6797 7.2: the policy is part of every response. RFC 9110 15.5: errors may have any field.
    ("/missing", "", 404, &[("Strict-Transport-Security", "max-age=9"), ("X-Docs", "")]),
    ("/none", "", 404, &[("X-Frame-Options", ""), ("X-Content-Type-Options", "")]),
    ("/old/x", "", 301, &[("X-Old", "x"), ("X-Frame-Options", "DENY"), ("Location", "/docs/x")]),
    ("/docs", "", 308, &[("X-Frame-Options", "DENY"), ("Location", "docs/")]),
    ("/tail.txt", "Range: bytes=99-\r\n", 416, &[("X-Frame-Options", "DENY")]),
    ("/tail.txt", "If-Match: \"x\"\r\n", 412, &[("X-Frame-Options", "DENY")]),
    (
        "/tail.txt",
        "Accept-Encoding: identity;q=0\r\n",
        406,
        &[("X-Frame-Options", "DENY"), ("Vary", "Accept-Encoding")],
    ),
    // RFC 9110 8.3: the media type is that of the page that is sent. RFC 8246 2: a missing file may
    // be there after the next deploy, so that its absence isn't immutable.
    ("/assets/x.js", "", 404, &[("X-Asset", "1"), ("Cache-Control", "no-cache")]),
    ("/gone/x", "", 410, &[("Content-Type", "text/html; charset=utf-8"), ("Vary", "X-Gone")]),
    // Cloudflare Pages, "Serving Pages", "Not Found behavior": the nearest page up the tree.
    ("/docs/none", "", 404, &[("X-Docs", "1")]),
];

#[test]
fn responses_have_the_fields_of_the_requested_path() {
    let server = serve(&folder(), &[]);
    for (target, request_fields, status, fields) in CASES {
        for method in ["GET", "HEAD"] {
            // Range is defined for GET alone (RFC 9110 14.2).
            if method == "HEAD" && request_fields.starts_with("Range") {
                continue;
            }
            let response = ask(&server, method, target, request_fields);
            assert_eq!(response.status, *status, "{method} {target}: {}", response.head);
            for (name, value) in *fields {
                let found = response.field(name).unwrap_or_default();
                assert_eq!(found, *value, "{method} {target} {name}: {}", response.head);
            }
        }
    }
    let none = ask(&server, "GET", "/none", "");
    assert!(none.head.contains("Set-Cookie: a\r\nSet-Cookie: b\r\n"), "{}", none.head);
    for (method, status) in [("OPTIONS", 204), ("POST", 405), ("DELETE", 405)] {
        let response = ask(&server, method, "/app/x", "");
        assert_eq!((response.status, response.field("X-App")), (status, Some("x")), "{method}");
        assert_eq!(response.field("Allow"), Some("GET, HEAD, OPTIONS"), "{method}");
        assert_ne!(response.field("Content-Type"), Some("text/x-app"), "{method}");
    }
}

#[test]
fn nearest_404_page_up_the_tree_answers() {
    let server = serve(&folder(), &[]);
    for (target, body) in [
        ("/none", "missing"),
        ("/docs/none", "no such chapter"),
        ("/docs/a/b/none/", "no such chapter"),
        ("/docs//", "no such chapter"),
        ("/docsx/none", "missing"),
        ("/docs%2e/none", "missing"),
        ("/docs/a/../../none", "missing"),
        ("//docs/none", "missing"),
    ] {
        let response = ask(&server, "GET", target, "");
        assert_eq!((response.status, &*response.body), (404, body.as_bytes()), "{target}");
    }
}

#[test]
fn fallback_of_a_single_page_application_has_the_fields_of_the_route() {
    let server = serve(&folder(), &["--spa", "app.html"]);
    let response = ask(&server, "GET", "/docs/route", "");
    assert_eq!((response.status, response.field("X-Docs")), (200, Some("1")), "{}", response.head);
    assert_eq!(response.field("Vary"), Some("Accept"));
    let response = ask(&server, "GET", "/docs/none.js", "");
    assert_eq!((response.status, response.field("X-Docs")), (404, Some("1")), "{}", response.head);
    assert_eq!(response.field("Vary"), Some("Accept"));
}

/// versatiles-rs #138 asked for it: `--header` reaches every response for the site, but no error of
/// framing, for which there is no resource.
#[test]
fn header_option_reaches_built_in_responses() {
    let folder = TemporaryFolder::with(&[("a.txt", b"0123456789"), ("docs/index.html", b"docs")]);
    let options = ["--header", "Strict-Transport-Security: max-age=1"];
    let more = ["--header", "X-Content-Type-Options: other", "--health", "/health"];
    let options = [&options[..], &more, &["--header", "Content-Disposition: attachment"]].concat();
    let hsts = Some("max-age=1");
    let on_folder = serve(&folder, &options);
    let on_page = Server::start(&["--header", "Strict-Transport-Security: max-age=1"]);
    for (request, status, expected) in [
        ("GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n", 200, hsts),
        ("GET /none HTTP/1.1\r\nHost: a\r\n\r\n", 404, hsts),
        ("GET /docs HTTP/1.1\r\nHost: a\r\n\r\n", 308, hsts),
        ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405, hsts),
        ("OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n", 204, hsts),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 204, hsts),
        ("GET /a.txt HTTP/1.1\r\nHost: a\r\nRange: bytes=10-\r\n\r\n", 416, hsts),
        ("GET /a.txt HTTP/1.1\r\nHost: a\r\nIf-Match: \"x\"\r\n\r\n", 412, hsts),
        ("GET /a.txt HTTP/1.1\r\nHost: a\r\nAccept-Encoding: *;q=0\r\n\r\n", 406, hsts),
        ("GET /%2f HTTP/1.1\r\nHost: a\r\n\r\n", 400, None),
        ("GET / HTTP/1.1\r\n\r\n", 400, None),
        ("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501, None),
        ("GET /health HTTP/1.1\r\nHost: a\r\n\r\n", 200, None),
    ] {
        let response = on_folder.ask(request);
        let found = (response.status, response.field("Strict-Transport-Security"));
        assert_eq!(found, (status, expected), "{request}: {}", response.head);
        if expected.is_some() {
            assert_eq!(response.field("X-Content-Type-Options"), Some("other"), "{request}");
            let is_file = status == 200;
            assert_eq!(response.field("Content-Disposition").is_some(), is_file, "{request}");
        }
        if matches!(status, 405 | 416 | 412 | 204) || request.starts_with("GET / ") {
            let request = request.replace("/a.txt", "/").replace("=10-", "=99999-");
            let response = on_page.ask(&request);
            let found = (response.status, response.field("Strict-Transport-Security"));
            assert_eq!(found, (status, expected), "{request}: {}", response.head);
        }
    }
}

/// Fetch standard, "CORS-preflight fetch": the response needs an ok status, the origin, and the
/// method unless it is GET, HEAD or POST.
#[test]
fn preflight_is_answered_by_rules_and_by_option() {
    let folder = TemporaryFolder::with(&[
        ("index.html", b"home"),
        ("api.json", b"{}"),
        ("own.json", b"{}"),
        ("no.json", b"{}"),
        (
            "_headers",
            b"/*.json\n  Access-Control-Allow-Origin: *\n  Access-Control-Allow-Headers: X-A\n\
              /own.json\n  Access-Control-Allow-Methods: GET\n\
              /no.json\n  ! Access-Control-Allow-Origin\n",
        ),
    ]);
    let preflight = "Origin: https://b.example\r\nAccess-Control-Request-Method: GET\r\n";
    let server = serve(&folder, &[]);
    for (target, origin, methods) in [
        ("/api.json", Some("*"), Some("GET, HEAD")),
        ("/missing.json", Some("*"), Some("GET, HEAD")),
        ("/own.json", Some("*"), Some("GET")),
        ("/no.json", None, None),
        ("/", None, None),
    ] {
        let response = ask(&server, "OPTIONS", target, preflight);
        assert_eq!(response.status, 204, "{target}");
        assert_eq!(response.field("Access-Control-Allow-Origin"), origin, "{target}");
        assert_eq!(response.field("Access-Control-Allow-Methods"), methods, "{target}");
        assert_eq!(response.field("Allow"), Some("GET, HEAD, OPTIONS"), "{target}");
    }
    let allowed = ask(&server, "OPTIONS", "/api.json", preflight);
    assert_eq!(allowed.field("Access-Control-Allow-Headers"), Some("X-A"));
    for (origin, vary) in [("*", None), ("https://b.example", Some("Origin"))] {
        for root in [&["--root", folder.path()][..], &[]] {
            let server = Server::start(&[root, &["--cors", origin]].concat());
            let response = ask(&server, "OPTIONS", "/", preflight);
            assert_eq!(response.field("Access-Control-Allow-Origin"), Some(origin));
            assert_eq!(response.field("Access-Control-Allow-Methods"), Some("GET, HEAD"));
            assert_eq!(response.field("Vary"), vary);
            for (method, target) in [("GET", "/"), ("GET", "/none"), ("POST", "/")] {
                let response = ask(&server, method, target, "Origin: https://b.example\r\n");
                let found = response.field("Access-Control-Allow-Origin");
                assert_eq!(found, Some(origin), "{method} {target}");
                assert_eq!(response.field("Access-Control-Allow-Methods"), None);
            }
        }
    }
}

/// Cloudflare Pages, "Headers": an absolute URL as pattern is matched with the host.
#[test]
fn block_with_a_host_applies_to_its_requests_alone() {
    let folder = TemporaryFolder::with(&[
        ("index.html", b"home"),
        ("other.txt", b"other"),
        (
            "_headers",
            b"/*\n  X-All: 1\nhttps://preview.example/*\n  X-Robots-Tag: noindex\n  X-All: 2\n",
        ),
    ]);
    let server = serve(&folder, &[]);
    for (host, robots, all) in [
        ("preview.example", Some("noindex"), "1, 2"),
        ("PREVIEW.example:8080", Some("noindex"), "1, 2"),
        ("example", None, "1"),
    ] {
        for target in ["/", "/index.html", "/other.txt", "/none"] {
            let response = server.ask(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            assert_eq!(response.field("X-Robots-Tag"), robots, "{host} {target}");
            assert_eq!(response.field("X-All"), Some(all), "{host} {target}");
        }
    }
    let absolute = "GET http://preview.example/ HTTP/1.1\r\nHost: example\r\n\r\n";
    assert_eq!(server.ask(absolute).field("X-Robots-Tag"), Some("noindex"), "RFC 9112 3.2.2");
    let none = server.ask("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((none.status, none.field("X-Robots-Tag")), (200, None));
}

/// Cloudflare Pages, "Headers", the example for CORS: a value has a part of the host. The part is
/// percent-encoded, so no host forges a field.
#[test]
fn value_has_the_captured_part_of_a_host() {
    let rules = b"https://:project.pages.example/:page\n\
        \x20 Access-Control-Allow-Origin: https://staging.:project.pages.example\n\
        \x20 X-Page: :page of :project\n";
    let folder =
        TemporaryFolder::with(&[("index.html", b"home"), ("a.txt", b"a"), ("_headers", rules)]);
    let server = serve(&folder, &[]);
    for (host, target, origin, page) in [
        (
            "demo.pages.example",
            "/a.txt",
            Some("https://staging.demo.pages.example"),
            "a.txt of demo",
        ),
        (
            "Demo.pages.example:80",
            "/none",
            Some("https://staging.Demo.pages.example"),
            "none of Demo",
        ),
        ("a!\"b.pages.example", "/a.txt", None, ""),
        ("pages.example", "/a.txt", None, ""),
    ] {
        let response = server.ask(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(response.field("Access-Control-Allow-Origin"), origin, "{host} {target}");
        assert_eq!(response.field("X-Page").unwrap_or_default(), page, "{host} {target}");
    }
}

/// Fields that captures make too long have no room; the request's target is the reason.
#[test]
fn fields_too_long_for_a_request_get_414() {
    let folder = TemporaryFolder::with(&[
        ("app.html", b"app"),
        ("_redirects", b"/app/* /app.html 200\n"),
        ("_headers", b"/app/*\n  X-One: :splat\n  X-Two: :splat\n"),
    ]);
    let server = serve(&folder, &[]);
    for (len, status) in [(4000, 200), (4200, 414)] {
        let response = ask(&server, "GET", &format!("/app/{}", "x".repeat(len)), "");
        assert_eq!(response.status, status, "{len}");
    }
    let encoded = format!("/app/{}", "%C3%A4".repeat(1000));
    assert_eq!(ask(&server, "GET", &encoded, "").status, 414);
}

/// A folder with such files of rules is served; `check` names the lines that have no effect.
#[test]
fn check_names_lines_without_effect() {
    let folder = TemporaryFolder::with(&[
        ("index.html", b"home"),
        ("app.html", b"app"),
        ("_redirects", b"/app/* /app.html 200\n"),
        (
            "_headers",
            b"/none/*\n  X-A: 1\n/app/*\n  X-B: 1\n/*\n  ! X-None\n  ! X-Content-Type-Options\n\
              /index.html\n  Content-Type: text/plain\n/\n  Content-Type: text/html\n",
        ),
    ]);
    let report = check(&folder, &[]).text;
    for line in [
        "_headers:1: no path of the site matches this pattern",
        "_headers:6: ! X-None removes nothing",
        "_headers:9: Content-Type is never sent",
    ] {
        assert!(report.contains(line), "{line}: {report}");
    }
    for line in ["_headers:3", "_headers:4", "_headers:7", "_headers:11"] {
        assert!(!report.contains(line), "{line}: {report}");
    }
    let response = ask(&serve(&folder, &[]), "GET", "/app/x", "");
    assert_eq!(response.field("X-B"), Some("1"));
    assert_eq!(response.field("X-Content-Type-Options"), None);
}

/// The report of `check` on standard output.
fn check(folder: &TemporaryFolder, options: &[&str]) -> Exit {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_uringstatic"))
        .args(["check", folder.path(), "--allow-root"])
        .args(options)
        .output()
        .expect("the program was built");
    let text = [output.stdout, output.stderr].concat();
    Exit { code: output.status.code(), text: String::from_utf8_lossy(&text).into_owned() }
}
