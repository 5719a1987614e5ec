//! The index and the matcher against a search part by part.

use super::*;
use proptest::prelude::*;

/// An element of a pattern's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    Octet(u8),
    /// `([^/]+)`
    Name,
    /// `(.*)`
    Splat,
}

fn elements(text: &str) -> Vec<Element> {
    let mut elements = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&octet, behind)) = rest.split_first() {
        rest = behind;
        elements.push(match octet {
            b'*' => Element::Splat,
            b':' if behind.first().is_some_and(u8::is_ascii_alphabetic) => {
                let is_end = |octet: &u8| !octet.is_ascii_alphanumeric() && *octet != b'_';
                rest = &behind[behind.iter().position(is_end).unwrap_or(behind.len())..];
                Element::Name
            }
            octet => Element::Octet(octet),
        });
    }
    elements
}

/// Matches by trying every division of a path, as a regular expression does: each capture is as
/// long as possible, the first one first.
fn divided(elements: &[Element], path: &[u8]) -> Option<Vec<Vec<u8>>> {
    let Some((element, others)) = elements.split_first() else {
        return path.is_empty().then(Vec::new);
    };
    let (least, most) = match element {
        Element::Octet(octet) => {
            return divided(others, path.strip_prefix(&[*octet])?);
        }
        Element::Name => (1, path.iter().position(|&octet| octet == b'/').unwrap_or(path.len())),
        Element::Splat => (0, path.len()),
    };
    (least..=most).rev().find_map(|len| {
        let mut captures = divided(others, &path[len..])?;
        captures.insert(0, path[..len].to_vec());
        Some(captures)
    })
}

/// The captures of a path, by the rules about slashes at the end.
fn slow(text: &str, path: &[u8]) -> Option<Vec<Vec<u8>>> {
    let text = match text.strip_suffix("*/") {
        Some(front) => format!("{front}*"),
        None => String::from_utf8_lossy(without_slash(text.as_bytes())).into_owned(),
    };
    let all = elements(&text);
    if all.last() != Some(&Element::Splat) {
        return divided(&all, without_slash(path));
    }
    divided(&all, path).or_else(|| {
        let (Element::Octet(b'/'), shorter) = all[..all.len() - 1].split_last()? else {
            return None;
        };
        let mut captures = divided(shorter, path).filter(|_| !path.is_empty())?;
        captures.push(Vec::new());
        Some(captures)
    })
}

/// The patterns among texts, but for those whose dot segments the parser removes.
fn parsed(texts: impl Iterator<Item = String>) -> Vec<(String, Pattern)> {
    let is_plain = |text: &String| !text.split('/').any(|segment| matches!(segment, "." | ".."));
    texts
        .filter(is_plain)
        .filter_map(|text| Pattern::parse(&text).ok().map(|pattern| (text, pattern)))
        .collect()
}

/// Compares the captures of a path found by the index with those of each pattern.
fn check(patterns: &[(String, Pattern)], path: &[u8]) {
    let numbered = || (0..).zip(patterns.iter().map(|(_, pattern)| pattern));
    let index = PatternIndex::new(numbered());
    let mut seen = Vec::new();
    index.candidates(path, &mut |number| seen.push(number));
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), count, "each is a candidate once");
    for (number, pattern) in numbered() {
        let (text, _) = &patterns[number as usize];
        let expected = slow(text, path);
        let found = pattern.matches(path).map(|captures| {
            captures.values().iter().map(|value| value.to_vec()).collect::<Vec<_>>()
        });
        assert_eq!(found, expected, "{text} {}", String::from_utf8_lossy(path));
        let is_candidate = seen.binary_search(&number).is_ok();
        assert!(is_candidate || expected.is_none(), "{text} is not found");
    }
}

#[test]
fn texts_that_are_prefixes_or_suffixes_of_each_other_are_all_found() {
    let texts = ["/a/*", "/a/b/*", "/a/b/c", "/*c", "/*/c", "/*bc", "/:x", "/:xc", "/:xbc"];
    let more = ["/a/:x/*", "/*/:x/c", "/:x/b/:y", "/:xbc*", "/:xc*y", "/*", "/", "/:x/*/c/"];
    let names = ["/@:x", "/:x-:y", "/:xb:y", "/a:x/b", "/*.:x.:y", "/*b:x/c", "/:x-:yb*c", "/*:x"];
    let texts = texts.iter().chain(&more).chain(&names);
    let patterns = parsed(texts.map(|text| (*text).to_owned()));
    assert_eq!(patterns.len(), 25, "all are patterns");
    let paths = ["/", "//", "/a", "/a/", "/a/b", "/a/b/c", "/a/b/c/", "/abc", "/bc", "/c", ""];
    let others = [
        "/xbc/y",
        "/a//c",
        "/a/b/c/c",
        "/xbcbcy",
        "/a.b/c",
        "/x/b/y/",
        "abc",
        "/abc//",
        "/@",
        "/@a",
        "/a-b",
        "/a--b",
        "-",
        "/ax/b",
        "/x.y.z",
        "/q/x.y.z/",
        "/abq/c",
        "/1-2bc",
    ];
    for path in paths.iter().chain(&others) {
        check(&patterns, path.as_bytes());
    }
}

#[test]
fn shortest_of_200_nested_texts_is_reached_in_logarithmic_steps() {
    let patterns = parsed((1..=200).map(|count| format!("/{}*z", "a".repeat(count))));
    for count in 0..=200 {
        check(&patterns, format!("/{}", "a".repeat(count)).as_bytes());
        check(&patterns, format!("/{}z", "a".repeat(count)).as_bytes());
    }
    let index = PatternIndex::new((0..).zip(patterns.iter().map(|(_, pattern)| pattern)));
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
    let patterns = parsed(texts.iter().map(|text| text.replace("LONG", &long)));
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
            "/(([ab.]{0,2}|[ab.]?:[xyz][.-]([ab]|:[pq])?)/){0,3}\
             ([ab.]{0,3}|a?:[uv][.-][ab.]{0,2}(:r)?)\
             (\\*(:s|[.-]:t[.-])?[ab/]{0,3}(/b?:w(-:v)?(/[ab])?)?)?",
            1..30,
        ),
        paths in prop::collection::vec("(/[ab.-]{0,5}){0,5}/?", 1..30),
    ) {
        let patterns = parsed(texts.into_iter());
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
        use crate::site::conditions::{Conditions, RequestConditions};
        use crate::site::redirects::{Effect, Redirect, Redirects};
        use crate::site::template::{Template, TemplateKind};
        let rule = |(line, text): (u32, &String)| {
            let from = Pattern::parse(text).ok()?;
            let to = Template::parse("/to", &from, TemplateKind::Location).ok()?;
            let effect = Effect::Redirect(301);
            let (conditions, may_cycle) = (Conditions::default(), false);
            let (forced, text) = (line % 3 == 0, text.as_str().into());
            Some(Redirect { from, to, effect, forced, conditions, may_cycle, line, text })
        };
        let rules: Vec<_> = (0..).zip(&texts).filter_map(rule).collect();
        let redirects = Redirects::new(rules.clone());
        for path in &paths {
            for forced in [false, true] {
                let path = path.as_bytes();
                let mut rules = rules.iter().filter(|rule| rule.forced == forced);
                let expected = rules.find(|rule| slow(&rule.text, path).is_some());
                let request = RequestConditions::default();
                let found = redirects.find(path, forced, &request, &mut |_, _| true).rule;
                let line = found.map(|(number, _)| redirects.rules()[number as usize].line);
                prop_assert_eq!(line, expected.map(|rule| rule.line));
            }
        }
    }
}
