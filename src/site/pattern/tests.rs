//! The matcher of patterns against tables and models.

use super::*;
use proptest::prelude::*;

fn captured(pattern: &str, path: &str) -> Option<Vec<String>> {
    let pattern = Pattern::parse(pattern).expect("a pattern");
    let captures = pattern.matches(path.as_bytes())?;
    let text = |value: &&[u8]| String::from_utf8_lossy(value).into_owned();
    Some(captures.values().iter().map(text).collect())
}

#[test]
fn patterns_match_paths_and_capture_values() {
    let found = |values: &[&str]| Some(values.iter().map(|v| (*v).to_owned()).collect());
    for (pattern, path, expected) in [
        ("/a", "/a", found(&[])),
        ("/a", "/a/", found(&[])),
        ("/a/", "/a", found(&[])),
        ("/", "/", found(&[])),
        ("/a", "/ab", None),
        ("/a", "/A", None),
        ("/a%20b", "/a b", found(&[])),
        ("/*", "/", found(&[""])),
        ("/*", "/a/b", found(&["a/b"])),
        ("/a/*", "/a", found(&[""])),
        ("/a/*", "/a/", found(&[""])),
        ("/a/*", "/a/b/", found(&["b/"])),
        ("/a/*", "/ab", None),
        ("/a*", "/ab", found(&["b"])),
        ("/*.js", "/x/y.js", found(&["x/y"])),
        ("/*.js", "/x/y.css", None),
        ("/a/*/z", "/a/b/c/z", found(&["b/c"])),
        ("/a/*/z", "/a/z", None),
        ("/:year/:month", "/2010/03", found(&["2010", "03"])),
        ("/:year/:month", "/2010/", None),
        ("/:year/:month", "/2010/03/01", None),
        ("/:name.html", "/a.b.html", found(&["a.b"])),
        ("/:name.html", "/.html", None),
        ("/:name.x*", "/q.x.xy/z", found(&["q.x", "y/z"])),
        ("/:name.x*", "/.xy", None),
        // Cloudflare Pages, "Placeholders": a colon before a letter begins one, and the next
        // character that isn't a letter, digit or underscore ends it; each matches anything but
        // the delimiter, which is a slash in a path.
        ("/user/@:name", "/user/@ann", found(&["ann"])),
        ("/user/@:name", "/user/ann", None),
        ("/user/@:name", "/user/@", None),
        ("/:year-:month-:day", "/2010-03-01", found(&["2010", "03", "01"])),
        ("/:year-:month-:day", "/2010-03-01-x", found(&["2010-03", "01", "x"])),
        ("/:year-:month-:day", "/2010-03", None),
        ("/:year-:month-:day", "/2010--01", None),
        ("/:a_1:b", "/xyz", found(&["xy", "z"])),
        ("/:a:b", "/x", None),
        ("/v:major.:minor/*", "/v1.2/x", found(&["1", "2", "x"])),
        ("/_astro/*.:fingerprint.:ext", "/_astro/a.b.1f3a.js", found(&["a.b", "1f3a", "js"])),
        ("/_astro/*.:fingerprint.:ext", "/_astro/x/a.1f3a.js", found(&["x/a", "1f3a", "js"])),
        ("/_astro/*.:fingerprint.:ext", "/_astro/a.js", None),
        ("/:a-:b*", "/x-y-z/q", found(&["x-y", "z", "/q"])),
        ("/:a*b", "/xbb", found(&["xb", ""])),
        ("/*:a", "/xyz", found(&["xy", "z"])),
        ("/*-:a/:b.c", "/p-q-r/s.c", found(&["p-q", "r", "s"])),
        ("/:a-x/:b-y", "/1-x/2-y", found(&["1", "2"])),
        ("/:", "/:", found(&[])),
        ("/::a", "/:b", found(&["b"])),
        ("/a:1b", "/a:1b", found(&[])),
        ("/x/:id/*", "/x/7/a/b", found(&["7", "a/b"])),
        ("/x/:id/*", "/x/7", found(&["7", ""])),
        ("/*/by/:who", "/a/b/by/me", found(&["a/b", "me"])),
        ("/*/:a/:b", "/1/2/3/4", found(&["1/2", "3", "4"])),
        ("/a:b", "/a:b", found(&[":b"])),
        ("/a%3Ab", "/a:b", found(&[])),
        ("/%2A", "/*", found(&[])),
        ("/%2a", "/x", None),
        ("/%2a/*", "/*/x", found(&["x"])),
        ("/%3Aname", "/:name", found(&[])),
        ("/%3aname", "/x", None),
        ("/%253Aname", "/%3Aname", found(&[])),
        ("/%25", "/%", found(&[])),
        ("/a/%2E%2e/b%25%2A", "/b%*", found(&[])),
        ("/:1", "/:1", found(&[])),
    ] {
        assert_eq!(captured(pattern, path), expected, "{pattern} {path}");
    }
}

#[test]
fn segments_over_255_bytes_are_not_searched() {
    for (bytes, expected) in [(255, Some("y")), (256, None)] {
        let path = format!("/{}.xy", "a".repeat(bytes - 3));
        for (pattern, last) in [("/:name.x*", "y"), ("/:name.:end", "xy"), ("/*.:end", "xy")] {
            let value = captured(pattern, &path).and_then(|mut values| values.pop());
            assert_eq!(value.as_deref(), expected.map(|_| last), "{pattern} {bytes}");
        }
        let whole = captured("/:name", &path).and_then(|mut values| values.pop());
        assert_eq!(whole.map(|value| value.len()), Some(bytes), "one placeholder isn't searched");
    }
}

#[test]
fn malformed_patterns_are_refused_with_a_reason() {
    for (text, expected) in [
        ("a", PatternError::NoSlash),
        ("/%2f", PatternError::Unnameable),
        ("/a?b", PatternError::NotOfPath('?')),
        ("/a#b", PatternError::NotOfPath('#')),
        ("/*/*", PatternError::TwoSplats),
        ("/:a/:a", PatternError::SameName("a".to_owned())),
        ("/:a/:b/:c/:d/:e/:f/:g/:h/:i", PatternError::TooManyNames),
        ("/:splat/*", PatternError::SameName("splat".to_owned())),
    ] {
        assert_eq!(Pattern::parse(text).err(), Some(expected), "{text}");
    }
}

proptest! {
    /// Compares with every division of a path.
    #[test]
    fn splat_matches_anything(
        front in "/[ab/]{0,3}",
        back in "[ab/]{0,3}",
        path in "/[ab/]{0,6}",
    ) {
        let pattern = Pattern::parse(&format!("{front}*{back}"));
        let Ok(pattern) = pattern else { return Ok(()) };
        let (front, mut back) = (front.as_bytes(), back.as_bytes());
        let whole = path.as_bytes();
        let mut path = whole;
        if back == b"/" {
            back = b"";
        }
        let without_end = front.strip_suffix(b"/").filter(|path| !path.is_empty());
        let shorter = back.is_empty() && without_end == Some(path);
        if !back.is_empty() {
            back = without_slash(back);
            path = without_slash(path);
        }
        let divided = path.len() >= front.len() + back.len()
            && path.starts_with(front)
            && path.ends_with(back);
        prop_assert_eq!(pattern.matches(whole).is_some(), divided || shorter);
    }
}

#[test]
fn filled_pattern_matches_with_the_values_given() {
    for text in ["/a", "/:x", "/a/:x-:y.z/*", "/*.:h.:e", "/:a/*b", "/p:q/*/r-:s/t", "/x/*/"] {
        let pattern = Pattern::parse(text).expect("a pattern");
        let value = |capture: usize| format!("v{capture}").into_bytes();
        let path = pattern.filled(&value);
        let captures = pattern.matches(&path).expect(text);
        let expected: Vec<_> = (0..captures.values().len()).map(value).collect();
        assert_eq!(captures.values(), expected, "{text} {}", String::from_utf8_lossy(&path));
    }
}
