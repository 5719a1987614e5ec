//! `_redirects` with conditions, with lines that can't be honoured, and with cycles, by raw
//! requests: parameters of the query, hosts, languages.

use crate::common::{Server, TemporaryFolder};
use std::process::Command;

/// Status, `Location` and `Vary` of the response to a target, with field lines beside `Host`.
fn outcome(server: &Server, target: &str, fields: &str) -> (u16, String, String) {
    let host = if fields.contains("Host: ") { "" } else { "Host: a.example\r\n" };
    let response = server.ask(format!("GET {target} HTTP/1.1\r\n{host}{fields}\r\n"));
    let vary = response.head.lines().filter_map(|line| line.strip_prefix("Vary: "));
    let vary = vary.collect::<Vec<_>>().join(", ");
    (response.status, response.field("Location").unwrap_or_default().to_owned(), vary)
}

#[test]
fn parameters_hosts_and_languages_select_rules() {
    let folder = TemporaryFolder::with(&[
        ("index.html", b"home"),
        ("de/index.html", b"Heim"),
        ("docs/index.html", b"docs"),
        (
            "_redirects",
            b"\xef\xbb\xbf/store id=:id /blog/:id\n/store /shop 302\n\
              /find q=:q&x /none\n/p v=1 /one 302\n/p v=2 /two?x=y 302\n/p v=:v /other/:v 302\n\
              / /de/ 302! Language=de\n/lang /fr 302 Language=fr,it\n/lang /en 302\n\
              https://old.example/* https://new.example/:splat 301!\n\
              /manual/* /docs 200\n/u/@:name /users/:name\n\
              https://:lang.w.example/* https://w.example/:lang/:splat 302\n",
        ),
    ]);
    let server = Server::start(&["--root", folder.path()]);
    let by_language = "Accept-Language";
    for (target, fields, status, location, vary) in [
        // Netlify, "Redirect options", query parameters. The parameters are not passed on where a
        // rule names some (netlify/cli, pull request 2017).
        ("/store?id=a%2Fb", "", 301, "/blog/a%2Fb", ""),
        ("/store?x=1&id=7", "", 301, "/blog/7", ""),
        ("/store?x=1", "", 302, "/shop?x=1", ""),
        ("/p?v=1", "", 302, "/one", ""),
        ("/p?v=2&w", "", 302, "/two?x=y", ""),
        ("/p?v=3", "", 302, "/other/3", ""),
        ("/p", "", 404, "", by_language),
        // Netlify, "Redirect by country or language"; RFC 9110 12.5.5: a response that was chosen
        // by a field says so, also the one for other languages.
        ("/", "Accept-Language: de-CH, en;q=0.5\r\n", 302, "/de/", by_language),
        ("/", "Accept-Language: en, de;q=0.5\r\n", 200, "", by_language),
        ("/", "", 200, "", by_language),
        ("/lang", "Accept-Language: en;q=0.1, it\r\n", 302, "/fr", by_language),
        ("/lang", "", 302, "/en", by_language),
        ("/docs/", "", 200, "", ""),
        // Netlify, "Domain-level redirects".
        ("/a/b?c", "Host: OLD.example:8080\r\n", 301, "https://new.example/a/b?c", ""),
        ("/docs/", "Host: old.example\r\n", 301, "https://new.example/docs/", ""),
        ("/x/y", "Host: DE.w.example\r\n", 302, "https://w.example/DE/x/y", ""),
        // A rewrite to a folder serves its index.
        ("/manual/x", "", 200, "", ""),
        // Cloudflare Pages, "Placeholders".
        ("/u/@ann", "", 301, "/users/ann", ""),
        ("/u/ann", "", 404, "", by_language),
    ] {
        let expected = (status, location.to_owned(), vary.to_owned());
        assert_eq!(outcome(&server, target, fields), expected, "{target} {fields}");
    }
    assert_eq!(server.ask("GET /manual/x HTTP/1.1\r\nHost: a\r\n\r\n").body, b"docs");
}

#[test]
fn cycles_end_and_no_redirect_leads_to_the_requested_path() {
    let folder = TemporaryFolder::with(&[
        ("index.html", b"home"),
        ("en/about.html", b"about"),
        (
            "_redirects",
            b"/a /b\n/b /a\n/x/* /x/:splat\n/h/:a/:b /h/:b/:a 302\n\
              /same/* https://a.example/same/x 302\n/* /en/:splat 302\n",
        ),
    ]);
    let server = Server::start(&["--root", folder.path()]);
    for (target, status, location) in [
        // RFC 9110 15.4: a client should detect cyclical redirects; here none is sent.
        ("/a", 404, ""),
        ("/b", 404, ""),
        ("/x/y", 404, ""),
        ("/h/1/2", 404, ""),
        // The site has this one's target.
        ("/about", 302, "/en/about"),
        ("/en/about", 200, ""),
        ("/none", 404, ""),
        ("/same/y", 302, "https://a.example/same/x"),
        ("/same/x", 404, ""),
        ("/s%61me/x", 404, ""),
    ] {
        let (found, to, _) = outcome(&server, target, "");
        assert_eq!((found, &*to), (status, location), "{target}");
    }
}

#[test]
fn lines_that_are_left_out_are_counted_at_start_and_listed_by_check() {
    let good =
        b"/good /new\n/x /y 302 Country=xy\nabout /about/\n/api/* https://b.example/:splat 200\n\
                 /old/* /new\n/old/a /b\n";
    let folder = TemporaryFolder::with(&[("index.html", b"home"), ("_redirects", good)]);
    let server = Server::start(&["--root", folder.path()]);
    assert_eq!(outcome(&server, "/good", "").1, "/new");
    let log = server.messages.join("\n");
    for message in [
        "3 lines of _redirects and _headers are left out; `uringstatic check ",
        "1 line of _redirects and _headers is without effect; ",
    ] {
        assert!(log.contains(message), "{log}");
    }
    let exit = Server::run(&["--listen", "127.0.0.1:0", "--strict", "--root", folder.path()]);
    assert_eq!(exit.code, Some(1));
    for line in [2, 3, 4] {
        assert!(exit.text.contains(&format!("_redirects:{line}: ")), "{}", exit.text);
    }
    let check = |json: bool| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_uringstatic"));
        command.args(["check", folder.path()]).args(json.then_some("--json"));
        let output = command.output().expect("it runs");
        (output.status.code(), String::from_utf8(output.stdout).expect("it is text"))
    };
    let (code, text) = check(false);
    assert_eq!(code, Some(1), "something is left out");
    let end = text.split_once("3 paths, ").expect("the totals").1;
    assert!(end.starts_with("no problems, 3 left out, 1 warning\n\nleft out\n  _redirects:2: "));
    assert!(end.contains("\nwarnings\n  _redirects:6: /old/a never applies: line 5"), "{end}");
    let report: serde_json::Value = serde_json::from_str(&check(true).1).expect("JSON");
    let counts =
        ["problems", "left_out", "warnings"].map(|list| report[list].as_array().map(Vec::len));
    assert_eq!(counts, [Some(0), Some(3), Some(1)]);
    folder.add("_redirects", b"/old/* /new\n/old/a /b\n");
    assert_eq!(check(false).0, Some(0), "a warning is no failure");
}

#[test]
fn absence_of_a_rule_that_protects_prevents_the_start() {
    for (rules, hint) in [
        ("/admin/* 200! Role=editor\n/admin/* /login 401!\n", "_redirects:1: "),
        ("secret.html /login 303!\n", "the rule hides /secret.html"),
        ("/secret /none 404!\n", "the rule hides /secret"),
        ("/secret.html https://x.example/ 200!\n", "the rule hides /secret.html"),
        ("/secret /sorry 451! Country=xy\n", "the rule hides /secret"),
    ] {
        let files = [("secret.html", &b"TOPSECRET"[..]), ("_redirects", rules.as_bytes())];
        let folder = TemporaryFolder::with(&files);
        let exit = Server::run(&["--listen", "127.0.0.1:0", "--root", folder.path()]);
        assert_eq!(exit.code, Some(1), "{rules}: {}", exit.text);
        assert!(exit.text.contains(hint), "{rules}: {}", exit.text);
    }
}
