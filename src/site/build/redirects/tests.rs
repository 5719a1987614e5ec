//! Lines that are rules, and lines that are left out.

use super::*;
use crate::site::conditions::RequestConditions;

/// The rule of a line, and the message about it otherwise.
fn parsed(line: &str) -> Result<Redirect, String> {
    let mut parsed = parse(line);
    let left_out = parsed.left_out.into_iter().map(|line| line.problem);
    match parsed.problems.into_iter().chain(left_out).next() {
        Some(problem) => Err(problem.to_string()),
        None => Ok(parsed.rules.remove(0)),
    }
}

#[test]
fn rules_have_a_line_a_status_and_a_target() {
    let text = "\u{feff}# all kinds\n\n/a /b\n  /c\t/d  302 \n/e/* https://x.example/:splat 308!\n\
                /f /g.html 200 # why\n/h /i 404\r\n";
    let ParsedRedirects { rules, left_out, problems, warnings } = parse(text);
    assert!(left_out.is_empty() && problems.is_empty() && warnings.is_empty());
    let seen: Vec<_> = rules.iter().map(|rule| (rule.line, rule.effect, rule.forced)).collect();
    assert_eq!(
        seen,
        [
            (3, Effect::Redirect(301), false),
            (4, Effect::Redirect(302), false),
            (5, Effect::Redirect(308), true),
            (6, Effect::Rewrite(200), false),
            (7, Effect::Rewrite(404), false),
        ]
    );
    assert_eq!(rules[0].to.fixed(), Some(&b"/b"[..]));
}

#[test]
fn line_that_cannot_be_honoured_is_left_out_with_its_place_and_reason() {
    for (line, hint) in [
        ("/a", "write a path"),
        // Netlify, "Redirects and rewrites": a path begins with a slash.
        ("about /about/", "begins with a slash"),
        ("/a b", "begin with a slash"),
        ("/a /b 201", "is no status"),
        // Netlify, "Redirect by country or language": this server has no table of addresses.
        ("/x  /y  302  Country=xy", "doesn't know the country"),
        ("/ /de 302! Language=de Country=at", "doesn't know the country"),
        ("/a /b 301 Cookie=beta", "cookies"),
        ("/a /b 301 Language=de_AT", "write tags"),
        ("/a /b 301 Sign=KEY", "only the condition Language="),
        ("/a /b 301 then", "only conditions"),
        ("/a id=:id id=:x /b 301", "a name that no other has"),
        ("/a p=:id q=:id /b 301", "two placeholders :id"),
        ("/a/:id p=:id /b 301", "two placeholders :id"),
        ("/a =:id /b 301", "a name that no other has"),
        ("/x/* 200", "the target before 200 is missing"),
        ("/a /:x", "has no :x"),
        ("/a https://x.example/wiki/Special:Main", "write %3A"),
        ("/a?b=c /d", "no path has ?"),
        ("/a?b=c /d", "parameters stand behind the path: /a b=c"),
        // Cloudflare Pages, "Redirects": fragments in the source are not evaluated.
        ("/a#b /c", "no path has #"),
        ("/a /b%2Fc 200", "an escape is malformed"),
        ("/*/* /b", "at most one *"),
        // Netlify, "Proxy to another service".
        ("/api/* https://api.example.org/:splat 200", "proxy"),
        ("/a //x.example/", "https://x.example/"),
        ("/* https://x.example:splat", ":splat is part of the host"),
        ("/* https://:splat/", ":splat is part of the host"),
        ("/* https://a@:splat/", ":splat is part of the host"),
        ("/* https://:splat.x.example/", ":splat is part of the host"),
        ("/* https:///:splat", "host is missing"),
        ("/* https://:80/:splat", "host is missing"),
        ("/a https://b@x.example/", "RFC 9110"),
        ("/a https://x.example:99999/", "its port"),
        ("/a /b\\c", "percent-encoded"),
        ("https://x..example/a /b", "is no host"),
        // Cloudflare Pages, "Redirects", the complete example: the folder rule does it anyhow.
        ("/trailing /trailing/ 301", "leads to itself"),
        ("/a /a", "leads to itself"),
        ("/a/ /a", "leads to itself"),
        ("/a%20b /a%20b?c", "leads to itself"),
        ("/x/* /x/:splat", "leads to itself"),
        ("/x/*/y /x/:splat/y/", "leads to itself"),
        ("/:slug /:slug/ 301!", "leads to itself"),
        ("http://x.example/a https://x.example/a 301!", "with another scheme"),
        ("http://x.example/* https://x.example/:splat 301!", "with another scheme"),
    ] {
        let ParsedRedirects { rules, left_out, problems, .. } =
            parse(&format!("# one\n{line}\n/good /rule\n"));
        assert_eq!((rules.len(), left_out.len(), problems.len()), (1, 1, 0), "{line}");
        let message = left_out[0].problem.to_string();
        assert!(
            message.starts_with("_redirects:2: ") && message.contains(hint),
            "{line}: {message}"
        );
    }
}

#[test]
fn forced_line_names_the_paths_that_its_absence_would_open() {
    for (line, path, expected) in [
        ("secret.html /login 303!", "/secret.html", true),
        ("/secret.html login 303!", "/secret.html", true),
        ("/private/*/* /login 303!", "/private/a/b", true),
        ("/private/:a/:a /login 303!", "/private/a/b", true),
        ("/docs?x /login 303!", "/docs", true),
        ("https://x..example/a /b 301!", "/a", false),
        ("/secret.html login 303", "/secret.html", false),
        ("/secret.html /sorry 451! Country=xy", "/secret.html", true),
        // The clients of all other countries see the file.
        ("/ /xy 302! Country=xy", "/", false),
        ("/docs/ /docs 301!", "/docs", false),
    ] {
        let left_out = parse(line).left_out.pop().expect(line);
        let hides =
            left_out.hides.is_some_and(|pattern| pattern.matches(path.as_bytes()).is_some());
        assert_eq!(hides, expected, "{line}");
    }
}

#[test]
fn role_is_an_error() {
    // Netlify, "Role-based access control": without the line, everyone would get the paths.
    for line in ["/admin/* 200! Role=admin", "/admin/* /:splat 200! role=admin,editor"] {
        let parsed = parse(line);
        assert_eq!((parsed.problems.len(), parsed.left_out.len()), (1, 0), "{line}");
        assert!(parsed.problems[0].to_string().contains("access by role"), "{line}");
    }
    assert!(parsed("/a role=:role /b/:role 301").is_ok(), "a parameter of that name");
}

/// The `Location` of a line's rule for a path and a query.
fn location(line: &str, path: &str, request: &RequestConditions<'_>) -> Option<String> {
    let rules = crate::site::redirects::Redirects::new(vec![parsed(line).expect(line)]);
    let found = rules.find(path.as_bytes(), false, request, &mut |_, _| true);
    let (number, captures) = found.rule?;
    let mut out = [0; 128];
    let len = rules.rules()[number as usize].to.write(&captures, &mut out).expect("128 suffice");
    Some(String::from_utf8_lossy(&out[..len]).into_owned())
}

#[test]
fn values_of_a_query_are_segments_of_the_target() {
    // Netlify, "Redirect options", query parameters: `/store id=:id /blog/:id 301` leads from
    // /store?id=my-blog-post to /blog/my-blog-post. Tried with its matcher (netlify-redirector):
    // a slash in the value is encoded, and other parameters don't count.
    for (line, path, query, expected) in [
        ("/store id=:id /blog/:id", "/store", "id=my-blog-post", Some("/blog/my-blog-post")),
        ("/store id=:id /blog/:id", "/store/", "x=1&id=2", Some("/blog/2")),
        ("/store id=:id /blog/:id", "/store", "id=a/b%2Fc", Some("/blog/a%2Fb%2Fc")),
        ("/store id=:id /blog/:id", "/store", "id=a+b%25", Some("/blog/a%20b%25")),
        ("/store id=:id /blog/:id", "/store", "id=%", Some("/blog/%25")),
        ("/store id=:id /blog/:id", "/store", "", None),
        ("/a id=:id /b?x=:id", "/a", "id=1%26y", Some("/b?x=1%26y")),
        ("/p/* a=:a /q/:a/:splat", "/p/x/y", "a=1", Some("/q/1/x/y")),
        ("/a p=:x q=:y /b/:x/:y", "/a", "q=2&p=1", Some("/b/1/2")),
        ("/a id=1%2B1 /b", "/a", "id=1%2B1", Some("/b")),
        ("/a id=1 /b", "/a", "id=2", None),
    ] {
        let query = Some(query.as_bytes());
        let request = RequestConditions { query, ..RequestConditions::default() };
        assert_eq!(location(line, path, &request).as_deref(), expected, "{line} {query:?}");
    }
}

#[test]
fn preferred_language_and_host_select_a_rule() {
    // Netlify, "Redirect by country or language"; tried with its matcher: `Language=de` applies
    // to de-AT, `Language=zh-tw` not to zh. Netlify, "Domain-level redirects".
    for (line, authority, language, expected) in [
        ("/ /de 302 Language=de", "x.example", "de-AT,en;q=0.9", true),
        ("/ /de 302 Language=fr,de", "x.example", "DE", true),
        ("/ /de 302 Language=de", "x.example", "en, de;q=0.9", false),
        ("/ /zh 302 Language=zh-tw", "x.example", "zh", false),
        ("/ /zh 302 language=zh-tw", "x.example", "zh-TW", true),
        ("/ /de 302 Language=de", "x.example", "", false),
        ("https://x.example/ /y", "X.example:8080", "", true),
        ("http://x.example/ /y", "www.x.example", "", false),
        ("http://:sub.x.example/ /y", "www.x.example", "", true),
    ] {
        let fields = [httparse::Header { name: "Accept-Language", value: language.as_bytes() }];
        let authority = Some(authority.as_bytes());
        let request = RequestConditions { authority, query: None, fields: &fields };
        assert_eq!(location(line, "/", &request).is_some(), expected, "{line} {language}");
    }
}

#[test]
fn characters_that_browsers_encode_are_encoded() {
    // URL standard, path percent-encode set; RFC 3986 2.1.
    let to = |line| location(line, "/a", &RequestConditions::default());
    assert_eq!(to("/a /ä{b}").as_deref(), Some("/%C3%A4%7Bb%7D"));
    let parsed = parse("/a /b.html?c 200\n");
    assert_eq!(parsed.rules[0].to.fixed(), Some(&b"/b.html"[..]));
    assert_eq!(
        parsed.warnings[0].to_string(),
        "_redirects:1: ?c: a file has no query and no fragment"
    );
}

#[test]
fn rules_with_placeholders_over_the_limit_are_an_error() {
    let many = "/* /x\n".repeat(PATTERNS_MAX + 1);
    assert_eq!(parse(&many).problems.len(), 1);
    assert!(parse(&many[6..]).problems.is_empty());
    let many = "/a b=c /x\n".repeat(CONDITIONAL_MAX + 1);
    assert_eq!(parse(&many).problems.len(), 1);
    assert!(parse(&many[10..]).problems.is_empty());
}
