//! The fields that each kind of response has.

use super::*;
use crate::site::pattern::Pattern;
use crate::site::template::TemplateKind;

/// A name and a value; a line without a value removes the field.
type Line<'a> = (&'a str, Option<&'a str>);

fn rules(blocks: &[(&str, &[Line<'_>])]) -> FieldRules {
    let mut line = 0;
    let blocks = blocks.iter().map(|(text, lines)| {
        let pattern = Pattern::parse(text).expect("a pattern");
        let operations = lines.iter().map(|(name, value)| {
            line += 1;
            let value = value.map(|value| {
                Template::parse(value, &pattern, TemplateKind::Value).expect("a template")
            });
            OperationSource { line, name: (*name).to_owned(), value }
        });
        let operations = operations.collect();
        BlockSource { pattern, host: None, line: 0, operations, credentials: None }
    });
    FieldRules::new(blocks.collect())
}

fn lines(rules: &FieldRules, paths: [Option<&str>; 2], kind: ResponseKind) -> Vec<u32> {
    let [requested, canonical] = paths.map(|path| path.map(str::as_bytes));
    let paths = ResponsePaths { requested, canonical };
    let matched = rules.matched(paths, HostScope::Unconditional);
    rules.field_lines(&matched, kind).map(|applied| applied.operation.line).collect()
}

/// A rule for a path means the file there: an error page keeps its own media type, and isn't kept
/// by caches for as long as the file. Everything else applies to all responses (RFC 6797 7.2: a
/// host includes the policy in its responses).
#[test]
fn each_kind_of_response_has_the_fields_that_fit() {
    let rules = rules(&[
        (
            "/*",
            &[
                ("Strict-Transport-Security", Some("max-age=1")),
                ("Cache-Control", Some("public, max-age=9")),
                ("Content-Type", Some("a/b")),
                ("WWW-Authenticate", Some("Digest")),
            ],
        ),
        ("/none", &[("Expires", Some("0")), ("Cache-Control", Some("no-store"))]),
    ]);
    let both = [Some("/none"), Some("/404")];
    let alone = [Some("/none"), None];
    for (kind, paths, expected) in [
        (ResponseKind::File, both, &[1, 2, 3, 4, 5][..]),
        (ResponseKind::ErrorPage, both, &[1, 2, 3, 4]),
        (ResponseKind::ErrorPage, alone, &[1, 4, 6]),
        (ResponseKind::Redirect, alone, &[1, 2, 4, 5]),
        (ResponseKind::BuiltIn, alone, &[1, 4, 6]),
        (ResponseKind::Unauthorized, alone, &[1]),
    ] {
        assert_eq!(lines(&rules, paths, kind), expected, "{kind:?}");
    }
}

#[test]
fn blocks_are_found_beyond_the_first_word_of_a_set() {
    let names: Vec<String> = (0..BLOCKS_MAX).map(|number| format!("/{number}/*")).collect();
    let blocks: Vec<(&str, &[_])> =
        names.iter().map(|name| (&**name, &[("A", Some("1"))][..])).collect();
    let rules = rules(&blocks);
    for (number, path) in [(0, "/0"), (63, "/63/x"), (64, "/64/x"), (999, "/999/")] {
        let matched = rules.matched(
            ResponsePaths { requested: Some(path.as_bytes()), canonical: Some(b"/64") },
            HostScope::Unconditional,
        );
        let mut expected = vec![number, 64];
        expected.sort_unstable();
        expected.dedup();
        assert_eq!(matched.numbers().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn room_suffices_for_the_blocks_that_can_meet() {
    let text = "v".repeat(100);
    let fixed = [("A", Some(&*text))];
    let line = "A: \r\n".len() + text.len();
    let at = |patterns: &[&'static str]| {
        let blocks: Vec<(&str, &[_])> = patterns.iter().map(|p| (*p, &fixed[..])).collect();
        rules(&blocks).added_bytes_max()
    };
    assert_eq!(at(&[]), 0);
    assert_eq!(at(&["/*", "/a/*"]), 2 * line);
    assert_eq!(at(&["/a", "/b", "/c", "/c", "/*"]), 5 * line);
    assert_eq!(rules(&[("/:x", &[("A", Some(":x"))])]).added_bytes_max(), ADDED_FIELDS_BYTES_MAX);
}

#[test]
fn lines_without_effect_are_known() {
    let rules = rules(&[
        ("/*", &[("A", Some("1")), ("B", None), ("C", None), ("D", Some("1"))]),
        ("/x", &[("A", None), ("A", Some("2")), ("A", None), ("A", None), ("E", Some("1"))]),
    ]);
    let paths = ResponsePaths { requested: Some(b"/x"), canonical: None };
    let matched = rules.matched(paths, HostScope::Unconditional);
    let found = rules.effective_lines(&matched, ResponseKind::File, |name| name == "C");
    assert_eq!(found, [3, 4, 5, 7, 9]);
}
