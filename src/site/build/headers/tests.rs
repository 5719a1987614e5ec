//! Blocks as they apply to paths, and the reports of lines without a rule.

use super::super::fields::FieldList;
use super::super::merge::merge;
use super::*;
use crate::http::added_field::ADDED_FIELDS_BYTES_MAX;
use crate::site::field_rules::{HostScope, MatchedBlocks, ResponsePaths};

fn valid(text: &str) -> FieldRules {
    let parsed = ParsedHeaders::parse(text);
    assert_eq!((parsed.left_out, parsed.problems), (Vec::new(), Vec::new()), "{text}");
    parsed.rules
}

fn paths(path: &str) -> ResponsePaths<'_> {
    ResponsePaths { requested: Some(path.as_bytes()), canonical: None }
}

fn matched(rules: &FieldRules, path: &str) -> MatchedBlocks {
    rules.matched(paths(path), HostScope::Unconditional)
}

/// The fields of a path by rules, as lines.
fn applied_rules(rules: &FieldRules, path: &str) -> Vec<String> {
    let mut fields = FieldList::default();
    fields.set("X-Content-Type-Options", "nosniff");
    fields.set("Cache-Control", "no-cache");
    let fields = merge(rules, &matched(rules, path), paths(path), &fields);
    let fields = fields.expect("the fields are short");
    fields.iter().map(|(name, value)| format!("{name}: {value}")).collect()
}

fn applied(text: &str, path: &str) -> Vec<String> {
    applied_rules(&valid(text), path)
}

const NOSNIFF: &str = "X-Content-Type-Options: nosniff";
const NO_CACHE: &str = "Cache-Control: no-cache";

#[test]
fn fields_of_all_matching_patterns_apply_in_order() {
    let text = "# all\n/*\n  X-A: 1\n\tX-B:  two words \n\n/a/*\n  X-A: 2\n  ! X-B\n\
                /a/:id/x\n  Link: </:id>; rel=\"a:b\"\n  cache-control: max-age=9\n";
    assert_eq!(applied(text, "/"), [NOSNIFF, NO_CACHE, "X-A: 1", "X-B: two words"]);
    assert_eq!(applied(text, "/a/b"), [NOSNIFF, NO_CACHE, "X-A: 1, 2"]);
    assert_eq!(
        applied(text, "/a/7 8/x"),
        [NOSNIFF, "X-A: 1, 2", "Link: </7%208>; rel=\"a:b\"", "cache-control: max-age=9"]
    );
}

#[test]
fn exclamation_mark_removes_a_default_and_cookies_stay_apart() {
    // Cloudflare Pages, "Detach a header".
    assert_eq!(applied("/x\n  ! Cache-Control\n", "/x"), [NOSNIFF]);
    assert_eq!(applied("/x\n  ! X-Content-Type-Options\n", "/x"), [NO_CACHE]);
    assert_eq!(applied("/*\n  A: 1\n/x\n  ! A\n  A: 2\n", "/x"), [NOSNIFF, NO_CACHE, "A: 2"]);
    let joined = applied("/x\n  A: 1\n  A: 2\n  Set-Cookie: a\n  Set-Cookie: b\n", "/x");
    assert_eq!(joined[2..], ["A: 1, 2", "Set-Cookie: a", "Set-Cookie: b"]);
}

#[test]
fn last_content_type_counts() {
    let text = "/*\n  Content-Type: a/b\n/x\n  content-type: a/c\n";
    assert_eq!(applied(text, "/x")[2..], ["content-type: a/c"]);
}

#[test]
fn fields_of_a_path_over_8_kib_are_an_error() {
    let half = "v".repeat(ADDED_FIELDS_BYTES_MAX / 2);
    let rules = valid(&format!("/*\n  A: {half}\n/x\n  B: 1\n  A: {half}\n"));
    let merged = |path| merge(&rules, &matched(&rules, path), paths(path), &FieldList::default());
    assert!(merged("/y").is_ok());
    let problem = merged("/x").expect_err("too much");
    assert!(problem.to_string().starts_with("_headers:5: "), "{problem}");
}

/// One report for each cause; the other blocks and lines apply.
#[test]
fn odd_lines_are_left_out_and_reported_once() {
    for (text, place, hint) in [
        ("  A: 1\n  B: 2\n", ":1: ", "below a pattern"),
        ("x\n  A: 1\n  B: 2\n  C: 3\n", ":1: ", "begins with a slash"),
        ("/a/*/*\n  A: 1\n  B: 2\n  C: 3\n", ":1: ", "at most one *"),
        ("/x\n  A 1\n", ":2: ", "a colon"),
        ("/x\n  A: \u{7}\n", ":2: ", "control"),
        ("/x\n  Content-Length: 1\n", ":2: ", "can't be changed"),
        ("/x\n  ! ETag\n", ":2: ", "can't be changed"),
        ("/x\n  Location: /y\n", ":2: ", "_redirects"),
        ("/x\n  content-encoding: deflate\n", ":2: ", "gzip, br, zstd"),
        ("/x\n  ! Content-Encoding\n", ":2: ", "fact of the file"),
        ("/x\n  Content-Type: text\n", ":2: ", "as in text/html"),
        ("/x\n  Content-Type:\n", ":2: ", "as in text/html"),
        ("/x\n  Content-Type: a/b\n  content-type: a/c\n", ":3: ", "twice"),
        ("/x?y\n  A: 1\n", ":1: ", "no path has ?"),
        ("/x#y\n  A: 1\n", ":1: ", "no path has #"),
        ("/x\n\n", ":1: ", "no fields"),
        ("/x\n/y\n  A: 1\n", ":1: ", "no fields"),
        ("https:///x\n  A: 1\n", ":1: ", "host"),
        ("ftp://a/x\n  A: 1\n", ":1: ", "slash"),
    ] {
        let text = format!("{text}/ok\n  OK: 1\n");
        let parsed = ParsedHeaders::parse(&text);
        assert_eq!(parsed.problems, [], "{text}");
        let [report] = &parsed.left_out[..] else { panic!("{text}: {:?}", parsed.left_out) };
        let report = report.to_string();
        let is_right = report.starts_with(&format!("_headers{place}")) && report.contains(hint);
        assert!(is_right, "{report}");
        assert_eq!(applied_rules(&parsed.rules, "/ok"), [NOSNIFF, NO_CACHE, "OK: 1"]);
    }
}

/// Both hosts look at the beginning of a line, and not at its indentation: wrangler's
/// `parseHeaders` trims lines, and takes those that begin with a slash or a scheme for patterns.
#[test]
fn indentation_makes_no_difference() {
    assert_eq!(applied("  /x\nA: 1\n! Cache-Control\n", "/x"), [NOSNIFF, "A: 1"]);
}

#[test]
fn lines_that_protect_are_never_left_out() {
    for (text, place, hint) in [
        ("/x\n  Basic-Auth:\n", ":2: ", "user:password"),
        ("/x\n  Basic-Auth: SECRET\n", ":2: ", "user:password"),
        ("/x\n  Basic-Auth: a:SECRET SECRET\n", ":2: ", "user:password"),
        ("/x\n  Basic-Auth: :SECRET\n", ":2: ", "user:password"),
        ("/x\n  Basic-Auth: SECRET:\n", ":2: ", "user:password"),
        ("/x\n  basic-auth : a:SECRET\n", ":2: ", "user:password"),
        ("/x\n  Basic-Auth a:SECRET\n", ":2: ", "user:password"),
        ("/x\n  ! Basic-Auth\n", ":2: ", "user:password"),
        ("/x\n  Basic-Auth: a:SECRET\u{7}\n", ":2: ", "control"),
        ("Basic-Auth: a:SECRET\n", ":1: ", "below a pattern"),
        ("x/*\n  A: 1\n  Basic-Auth: a:SECRET\n", ":3: ", "malformed"),
        ("/x?\n  Basic-Auth: a:SECRET\n", ":2: ", "malformed"),
    ] {
        let parsed = ParsedHeaders::parse(text);
        let [problem] = &parsed.problems[..] else { panic!("{text}: {:?}", parsed.problems) };
        let problem = problem.to_string();
        let is_right = problem.starts_with(&format!("_headers{place}")) && problem.contains(hint);
        assert!(is_right, "{problem}");
        let all = format!("{parsed:?}");
        assert!(!all.contains("SECRET"), "{all}");
    }
    let long = format!("/x\n  Basic-Auth: a:{}\n", "b".repeat(767));
    assert_eq!(ParsedHeaders::parse(&long).problems.len(), 1);
}

#[test]
fn credentials_are_no_field() {
    let rules =
        valid("/x\n  Basic-Auth: anna:se:cret ben:other\n  basic-auth: carl:third\n  A: 1\n");
    assert_eq!(applied_rules(&rules, "/x"), [NOSNIFF, NO_CACHE, "A: 1"]);
    let list = rules.blocks()[0].credentials.as_ref().expect("the block has credentials");
    for (text, expected) in [
        ("anna:se:cret", true),
        ("ben:other", true),
        ("carl:third", true),
        ("anna:other", false),
        ("anna:se", false),
        ("", false),
    ] {
        let encoded = encode_credentials(text.as_bytes()).expect("it is short");
        assert_eq!(list.has(&CredentialDigest::of(&encoded)), expected, "{text}");
    }
}

#[test]
fn patterns_with_a_host_apply_to_its_requests() {
    let rules = valid("https://a.example/*\n  X-A: 1\n/*\n  X-B: 1\n");
    let count = |authority: Option<&[u8]>| {
        rules.matched(paths("/x"), HostScope::Authority(authority)).numbers().count()
    };
    assert_eq!(count(Some(b"a.example:80")), 2);
    assert_eq!((count(Some(b"b.example")), count(None)), (1, 1));
    assert_eq!(matched(&rules, "/x").numbers().collect::<Vec<_>>(), [1]);
}
