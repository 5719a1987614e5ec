//! The index and the matcher against a search part by part.

use super::*;
use proptest::prelude::*;

/// The captures of a path, part by part: a segment ends at the last occurrence of the text after
/// it.
fn slow(pattern: &Pattern, path: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut captures = Vec::new();
    let trimmed = without_slash(path);
    let Some(back) = &pattern.back else {
        let rest = slow_front(&pattern.front, trimmed, &mut captures)?;
        return rest.is_empty().then_some(captures);
    };
    if back.is_empty() {
        if let Some(rest) = slow_front(&pattern.front, path, &mut captures) {
            captures.push(rest.to_vec());
            return Some(captures);
        }
        let (Part::Literal(text), parts) = pattern.front.split_last()? else { return None };
        let text = text.strip_suffix(b"/")?;
        captures.clear();
        let rest = slow_front(parts, path, &mut captures)?;
        captures.push(Vec::new());
        return (rest == text && !path.is_empty()).then_some(captures);
    }
    let mut rest = slow_front(&pattern.front, trimmed, &mut captures)?;
    let splat = captures.len();
    for part in back.iter().rev() {
        let Part::Literal(text) = part else {
            let start = rest.iter().rposition(|&octet| octet == b'/').map_or(0, |at| at + 1);
            captures.insert(splat, rest[start..].to_vec());
            if start == rest.len() {
                return None;
            }
            rest = &rest[..start];
            continue;
        };
        rest = rest.strip_suffix(&**text)?;
    }
    captures.insert(splat, rest.to_vec());
    Some(captures)
}

fn slow_front<'p>(
    parts: &[Part],
    mut path: &'p [u8],
    captures: &mut Vec<Vec<u8>>,
) -> Option<&'p [u8]> {
    for (index, part) in parts.iter().enumerate() {
        if let Part::Literal(text) = part {
            path = path.strip_prefix(&**text)?;
            continue;
        }
        let mut end = path.iter().position(|&octet| octet == b'/').unwrap_or(path.len());
        if let Some(Part::Literal(next)) = parts.get(index + 1)
            && next.first() != Some(&b'/')
        {
            let within = next.split(|&octet| octet == b'/').next().unwrap_or_default();
            end = path[..end].windows(within.len()).rposition(|window| window == within)?;
        }
        if end == 0 {
            return None;
        }
        captures.push(path[..end].to_vec());
        path = &path[end..];
    }
    Some(path)
}

/// Compares the captures of a path found by the index with those of each pattern.
fn check(patterns: &[Pattern], path: &[u8]) {
    let numbered = || (0..).zip(patterns);
    let index = PatternIndex::new(numbered());
    let mut seen = Vec::new();
    index.candidates(path, &mut |number| seen.push(number));
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count, "each is a candidate once");
    for (number, pattern) in numbered() {
        let expected = slow(pattern, path);
        let found = pattern.matches(path).map(|captures| {
            captures.values().iter().map(|value| value.to_vec()).collect::<Vec<_>>()
        });
        assert_eq!(found, expected, "{pattern:?} {}", String::from_utf8_lossy(path));
        let is_candidate = seen.binary_search(&number).is_ok();
        assert!(is_candidate || expected.is_none(), "{pattern:?} is not found");
    }
}

#[test]
fn texts_that_are_prefixes_or_suffixes_of_each_other_are_all_found() {
    let texts = ["/a/*", "/a/b/*", "/a/b/c", "/*c", "/*/c", "/*bc", "/:x", "/:xc", "/:xbc"];
    let more = ["/a/:x/*", "/*/:x/c", "/:x/b/:y", "/:xbc*", "/:xc*y", "/*", "/", "/:x/*/c/"];
    let parse = |text: &&str| Pattern::parse(text).expect("a pattern");
    let patterns: Vec<_> = texts.iter().chain(&more).map(parse).collect();
    let paths = ["/", "//", "/a", "/a/", "/a/b", "/a/b/c", "/a/b/c/", "/abc", "/bc", "/c", ""];
    let others = ["/xbc/y", "/a//c", "/a/b/c/c", "/xbcbcy", "/a.b/c", "/x/b/y/", "abc", "/abc//"];
    for path in paths.iter().chain(&others) {
        check(&patterns, path.as_bytes());
    }
}

#[test]
fn shortest_of_200_nested_texts_is_reached_in_logarithmic_steps() {
    let texts: Vec<_> = (1..=200).map(|count| format!("/{}*z", "a".repeat(count))).collect();
    let patterns: Vec<_> =
        texts.iter().map(|text| Pattern::parse(text).expect("a pattern")).collect();
    for count in 0..=200 {
        check(&patterns, format!("/{}", "a".repeat(count)).as_bytes());
        check(&patterns, format!("/{}z", "a".repeat(count)).as_bytes());
    }
    let index = PatternIndex::new((0..).zip(&patterns));
    let edges = &index.nodes[0].texts;
    let mut edge = edges.edges.last();
    let mut steps = 0;
    while let Some(Edge { jump, shorter, .. }) = edge {
        edge = edges.get(jump.or(*shorter));
        steps += 1;
    }
    assert!(steps < 2 * 8, "{steps} steps through 200 texts");
}

#[test]
fn texts_longer_than_a_chunk_are_compared_completely() {
    let long = "ab".repeat(40);
    let texts = ["/LONGx/*", "/LONG*", "/*xLONG", "/*LONG", "/:xLONG", "/:xbLONG", "/LONG"];
    let parse = |text: &&str| Pattern::parse(&text.replace("LONG", &long)).expect("a pattern");
    let patterns: Vec<_> = texts.iter().map(parse).collect();
    for path in ["/LONG", "/LONGx", "/xLONG", "/bLONG", "/LONG/", "/LON", "/qbLONG", "/xLONG/"] {
        check(&patterns, path.replace("LONG", &long).as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Index and matcher agree with the search on any patterns and paths.
    #[test]
    fn index_agrees_with_a_search_of_all_patterns(
        texts in prop::collection::vec(
            "/(([ab.]{0,2}|:[xyz][ab.]{0,2})/){0,3}([ab.]{0,3}|:[uv][ab.]{0,2})\
             (\\*[ab/]{0,3}(/:w(/[ab])?)?)?",
            1..30,
        ),
        paths in prop::collection::vec("(/[ab.]{0,4}){0,5}/?", 1..30),
    ) {
        let patterns: Vec<_> =
            texts.iter().filter_map(|text| Pattern::parse(text).ok()).collect();
        for path in &paths {
            check(&patterns, path.as_bytes());
        }
    }

    /// The first rule of the file applies, whichever the index finds first.
    #[test]
    fn first_matching_rule_of_the_file_applies(
        texts in prop::collection::vec("/([ab]{0,2}|:x)(/[ab]{0,2}|/:y|\\*b?|/\\*)?", 1..20),
        paths in prop::collection::vec("(/[ab]{0,3}){1,3}", 1..20),
    ) {
        use crate::site::redirects::{Effect, Redirect, Redirects};
        use crate::site::template::{Template, TemplateKind};
        let rule = |(line, text): (u32, &String)| {
            let from = Pattern::parse(text).ok()?;
            let to = Template::parse("/to", &from, TemplateKind::Location).ok()?;
            let effect = Effect::Redirect(301);
            Some(Redirect { from, to, effect, forced: line % 3 == 0, line, text: "".into() })
        };
        let rules: Vec<_> = (0..).zip(&texts).filter_map(rule).collect();
        let redirects = Redirects::new(rules.clone());
        for path in &paths {
            for forced in [false, true] {
                let path = path.as_bytes();
                let mut rules = rules.iter().filter(|rule| rule.forced == forced);
                let expected = rules.find(|rule| slow(&rule.from, path).is_some());
                let found = redirects.find(path, forced).map(|(rule, _)| rule.line);
                prop_assert_eq!(found, expected.map(|rule| rule.line));
            }
        }
    }
}
