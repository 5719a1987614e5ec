//! Holds our own source files to the limits of the house style: sizes, a `//!` at the top, and
//! words that don't belong. Knows how Rust text is cut into code, strings and comments, and no
//! more of the language than that.
//!
//! A line that must break a rule says why at its end: `// tidy: <reason>`. The limit on a
//! function's length is waived at its first line, the limit on a file's length never.

#[path = "tidy/imports.rs"]
mod imports;

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

#[test]
fn our_files_are_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    for directory in DIRECTORIES {
        collect(&root.join(directory), &mut paths);
    }
    paths.sort();
    assert!(paths.contains(&root.join("src/lib.rs")), "found no src/lib.rs below {root:?}");
    assert!(paths.contains(&root.join("tests/tidy.rs")), "found no tests/tidy.rs below {root:?}");

    let mut report = String::new();
    for path in &paths {
        let name = path.strip_prefix(root).expect("every path was found below the root");
        let text = fs::read_to_string(path).expect("a source file is readable UTF-8");
        for complaint in check(name, &text) {
            report.extend(["\n", &format!("{}:{complaint}", name.display())]);
        }
    }
    assert!(report.is_empty(), "{} files read, and these lines aren't tidy:{report}", paths.len());
}

/// The `*.rs` files below a directory that may not exist yet, but not what a build wrote there.
fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries {
        let path = entry.expect("the entries of a directory are readable").path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                collect(&path, paths);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// Something that the style doesn't allow; the line counts from 1.
#[derive(Debug, PartialEq, Eq)]
struct Complaint {
    line: usize,
    what: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.what)
    }
}

/// Every complaint about one file, whose name is relative to the package.
fn check(name: &Path, text: &str) -> Vec<Complaint> {
    let source = Source::new(name, text);
    let mut complaints = Vec::new();
    let mut complain = |line: usize, what: String| {
        complaints.push(Complaint { line: line + 1, what });
    };
    if let Some(line) = source.missing_opening() {
        complain(line, "a file opens with a //! that says what it owns".to_owned());
    }
    if source.raw.len() > FILE_LINES_MAX {
        let lines = source.raw.len();
        complain(FILE_LINES_MAX, format!("the file has {lines} lines, over {FILE_LINES_MAX}"));
    }
    for line in (0..source.raw.len()).filter(|&line| !source.opts_out(line)) {
        let columns = source.raw[line].chars().count();
        if columns > COLUMNS_MAX {
            complain(line, format!("the line has {columns} columns, over {COLUMNS_MAX}"));
        }
        if let Some(name) = function_name(&source.code[line]) {
            let lines = source.item(line).len();
            if lines > FUNCTION_LINES_MAX {
                complain(line, format!("{name} has {lines} lines, over {FUNCTION_LINES_MAX}"));
            }
        }
        for rule in RULES {
            if has_word(&source.code[line], rule.word) && source.is_within(line, rule.place) {
                complain(line, format!("{} {}", rule.word, rule.why));
            }
        }
    }
    complaints
}

/// A word that doesn't belong.
struct Rule {
    word: &'static str,
    place: Place,
    why: &'static str,
}

/// Where a rule holds.
#[derive(Clone, Copy)]
enum Place {
    Everywhere,
    OutsideUnsafeRooms,
    OutsideTests,
    InTests,
}

/// Where unsafe code may be.
const UNSAFE_ROOMS: [&str; 2] = ["src/engine/uring", "src/os"];

const RULES: [Rule; 8] = [
    Rule {
        word: "unsafe",
        place: Place::OutsideUnsafeRooms,
        why: "belongs in src/engine/uring and src/os alone",
    },
    Rule { word: "todo!", place: Place::Everywhere, why: "is not finished" },
    Rule { word: "unimplemented!", place: Place::Everywhere, why: "is not finished" },
    Rule { word: "dbg!", place: Place::Everywhere, why: "was left behind" },
    Rule {
        word: ".unwrap()",
        place: Place::OutsideTests,
        why: "belongs in tests alone: an expect says why it can't fail",
    },
    Rule {
        word: "println!",
        place: Place::OutsideTests,
        why: "panics if nobody reads: use `os::terminal`",
    },
    Rule {
        word: "eprintln!",
        place: Place::OutsideTests,
        why: "panics if nobody reads: use `os::terminal`",
    },
    Rule { word: "sleep(", place: Place::InTests, why: "makes a test slow or lucky: wait for it" },
];

/// One file: its lines as they are, and with comments and the insides of strings blanked out.
struct Source<'a> {
    name: &'a Path,
    raw: Vec<&'a str>,
    code: Vec<String>,
    /// Lines of items under `#[cfg(test)]`.
    tests: Vec<Range<usize>>,
}

impl<'a> Source<'a> {
    fn new(name: &'a Path, text: &'a str) -> Self {
        let code = mask(text).lines().map(str::to_owned).collect();
        let mut source = Self { name, raw: text.lines().collect(), code, tests: Vec::new() };
        assert_eq!(source.raw.len(), source.code.len(), "masking keeps the lines");
        source.tests = (0..source.code.len())
            .filter(|&line| source.code[line].trim_start().starts_with("#[cfg(test)]"))
            .map(|line| source.item(line))
            .collect();
        source
    }

    /// The line where `//!` should stand and doesn't. A fuzz target says `#![no_main]` before it.
    fn missing_opening(&self) -> Option<usize> {
        let is_fuzz_target = self.name.starts_with("fuzz");
        let opening = self.raw.iter().position(|line| {
            !(is_fuzz_target && (line.is_empty() || line.trim_end() == "#![no_main]"))
        });
        let line = opening.unwrap_or(0);
        let is_there = self.raw.get(line).is_some_and(|text| text.starts_with("//! "));
        (!is_there).then_some(line)
    }

    /// Whether the line ends in a comment that says why it may break a rule.
    fn opts_out(&self, line: usize) -> bool {
        let Some((before, reason)) = self.raw[line].rsplit_once("// tidy: ") else { return false };
        let is_comment = self.code[line].chars().skip(before.chars().count()).all(|c| c == ' ');
        is_comment && !reason.trim().is_empty()
    }

    fn is_within(&self, line: usize, place: Place) -> bool {
        match place {
            Place::Everywhere => true,
            Place::OutsideUnsafeRooms => {
                !UNSAFE_ROOMS.iter().any(|room| self.name.starts_with(room))
            }
            Place::OutsideTests => self.name.starts_with("src") && !self.is_test(line),
            Place::InTests => self.is_test(line),
        }
    }

    fn is_test(&self, line: usize) -> bool {
        self.name.starts_with("tests")
            || self.name.components().any(|part| part.as_os_str() == "tests")
            || self.name.file_name().is_some_and(|name| name == "tests.rs")
            || self.tests.iter().any(|range| range.contains(&line))
    }

    /// The lines of the item that starts on this one: up to the brace that closes its body, or a
    /// semicolon in its place.
    fn item(&self, first: usize) -> Range<usize> {
        let mut depth = 0;
        for (line, code) in self.code.iter().enumerate().skip(first) {
            for c in code.chars() {
                match c {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth -= 1,
                    _ => {}
                }
                if depth <= 0 && (c == '}' || c == ';') {
                    return first..line + 1;
                }
            }
        }
        first..self.code.len()
    }
}

/// The name of the function whose first line this is.
fn function_name(code: &str) -> Option<&str> {
    let mut rest = code.trim_start();
    loop {
        let end = rest.find(|c: char| !is_word_char(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = match word {
            "fn" => break,
            "pub" if after.starts_with('(') => after.split_once(')')?.1,
            "pub" | "const" | "async" | "unsafe" | "default" => after,
            "extern" => after.trim_matches([' ', '"']),
            _ => return None,
        }
        .trim_start();
    }
    let name = rest.strip_prefix("fn ")?.trim_start();
    let end = name.find(|c: char| !is_word_char(c)).unwrap_or(name.len());
    Some(&name[..end])
}

/// Whether `word` stands in `code` with no letter right before it, or right after.
fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let is_cut = |a: Option<char>, b: Option<char>| {
            !(a.is_some_and(is_word_char) && b.is_some_and(is_word_char))
        };
        let after = &code[at + word.len()..];
        is_cut(code[..at].chars().next_back(), word.chars().next())
            && is_cut(word.chars().next_back(), after.chars().next())
    })
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The text with every comment and the inside of every string and character blanked out, column
/// for column; quotes and line ends stay.
fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let is_in_word = masked.chars().next_back().is_some_and(is_word_char);
        let len = literal_len(rest, is_in_word).unwrap_or(0);
        if len == 0 {
            masked.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let (literal, after) = rest.split_at(len);
        masked.extend(literal.chars().map(|c| if "\n\"".contains(c) { c } else { ' ' }));
        rest = after;
    }
    masked
}

/// How many bytes of `text` are one comment, string or character, if it begins with one.
fn literal_len(text: &str, is_in_word: bool) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(block_comment_len(text));
    }
    if !is_in_word && let Some(len) = raw_string_len(text) {
        return Some(len);
    }
    match text.chars().next()? {
        '"' => Some(1 + quoted_len(&text[1..], '"')),
        '\'' => {
            let mut inside = text[1..].chars();
            let is_character = inside.next()? == '\\' || inside.next()? == '\'';
            is_character.then(|| 1 + quoted_len(&text[1..], '\''))
        }
        _ => None,
    }
}

/// Block comments nest.
fn block_comment_len(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let here = &text.as_bytes()[at..];
        if here.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// A raw string ends at a quote with as many hashes as it began with.
fn raw_string_len(text: &str) -> Option<usize> {
    let body = ["br", "cr", "r"].iter().find_map(|prefix| text.strip_prefix(prefix))?;
    let inside = body.trim_start_matches('#').strip_prefix('"')?;
    let hashes = body.len() - inside.len() - 1;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = text.len() - inside.len();
    Some(inside.find(&end).map_or(text.len(), |at| start + at + end.len()))
}

/// The bytes up to and with the closing quote; a backslash takes the next character along.
fn quoted_len(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return at + 1;
        }
        if c == '\\' {
            chars.next();
        }
    }
    text.len()
}

const DIRECTORIES: [&str; 4] = ["src", "tests", "benches", "fuzz"];

const FILE_LINES_MAX: usize = 500;

const FUNCTION_LINES_MAX: usize = 70;

const COLUMNS_MAX: usize = 100;

/// The complaints about a file of this name and text, as they are printed.
fn complaints(name: &str, text: &str) -> Vec<String> {
    check(Path::new(name), text).iter().map(ToString::to_string).collect()
}

/// A function of so many lines.
fn function(lines: usize) -> String {
    format!("    pub(crate) const fn long(&self) -> [u8; 3] {{\n{}    }}\n", "\n".repeat(lines - 2))
}

#[test]
fn a_tidy_file_has_no_complaints() {
    let code =
        "//! Owns nothing.\n\n/// Not unsafe.\nfn unsafe_is_a_word() { let _ = \"todo!()\"; }\n";
    assert_eq!(complaints("src/a.rs", code), Vec::<String>::new());
    assert_eq!(complaints("fuzz/a.rs", "#![no_main]\n\n//! Owns nothing.\n"), Vec::<String>::new());
}

#[test]
fn a_file_opens_with_what_it_owns() {
    for (name, text, line) in [
        ("src/a.rs", "", 1),
        ("src/a.rs", "//!\n", 1),
        ("src/a.rs", "// Owns nothing.\n", 1),
        ("src/a.rs", "\n//! Owns nothing.\n", 1),
        ("src/a.rs", "#![no_main]\n//! Owns nothing.\n", 1),
        ("fuzz/a.rs", "#![no_main]\nuse a;\n//! Owns nothing.\n", 2),
    ] {
        let found = complaints(name, text);
        let expected = format!("{line}: a file opens with a //! that says what it owns");
        assert_eq!(found, [expected], "{name}: {text:?}");
    }
}

#[test]
fn files_lines_and_functions_have_a_greatest_size() {
    let file = |lines: usize| "//! Owns nothing.\n".repeat(lines);
    assert!(complaints("src/a.rs", &file(500)).is_empty());
    assert_eq!(complaints("src/a.rs", &file(501)), ["501: the file has 501 lines, over 500"]);

    let line = |columns: usize| format!("//! {}\n", "ü".repeat(columns - 4));
    assert!(complaints("src/a.rs", &line(100)).is_empty());
    assert_eq!(complaints("src/a.rs", &line(101)), ["1: the line has 101 columns, over 100"]);

    let text = |lines: usize| format!("//! Owns nothing.\n\n{}", function(lines));
    assert!(complaints("src/a.rs", &text(70)).is_empty());
    assert_eq!(complaints("src/a.rs", &text(71)), ["3: long has 71 lines, over 70"]);
    let excused = text(71).replacen("{\n", "{ // tidy: a table\n", 1);
    assert_eq!(complaints("src/a.rs", &excused), Vec::<String>::new());
}

#[test]
fn words_have_their_places() {
    for (name, code, is_allowed) in [
        ("src/os/a.rs", "unsafe { a() }", true),
        ("src/oscar.rs", "unsafe { a() }", false),
        ("tests/a.rs", "unsafe { a() }", false),
        ("src/a.rs", "#![deny(unsafe_code)]", true),
        ("src/a.rs", "todo!()", false),
        ("benches/a.rs", "unimplemented!()", false),
        ("fuzz/fuzz_targets/a.rs", "dbg!(a)", false),
        ("src/a.rs", "a.unwrap()", false),
        ("src/a.rs", "a.unwrap() // tidy: shown in the README", true),
        ("src/a.rs", "a.unwrap() // tidy: ", false),
        ("src/a.rs", "a(\"// tidy: no\").unwrap()", false),
        ("src/a.rs", "a.unwrap_or(0)", true),
        ("src/a.rs", "#[cfg(test)] fn a() { a.unwrap() }", true),
        (
            "src/a.rs",
            "#[cfg(test)]\nmod tests {\n    const A: &[u8] = b\"}\";\n a.unwrap() }",
            true,
        ),
        ("src/a.rs", "#[cfg(test)]\nmod tests;\nfn a() { b.unwrap() }", false),
        ("src/a/tests.rs", "a.unwrap()", true),
        ("tests/a.rs", "a.unwrap()", true),
        ("benches/a.rs", "a.unwrap()", true),
        ("tests/a.rs", "std::thread::sleep(a)", false),
        ("src/a.rs", "#[cfg(test)]\nmod tests {\n    fn a() { sleep(b) }\n}", false),
        ("benches/a.rs", "sleep(a)", true),
        ("tests/a.rs", "oversleep(a)", true),
    ] {
        let found = complaints(name, &format!("//! Owns nothing.\n{code}\n"));
        assert_eq!(found.is_empty(), is_allowed, "{name}: {code}: {found:?}");
    }
    let found = complaints("src/a.rs", "//! Owns nothing.\n\na.unwrap()\n");
    let expected = "3: .unwrap() belongs in tests alone: an expect says why it can't fail";
    assert_eq!(found, [expected]);
}

#[test]
fn a_function_is_known_by_its_first_line() {
    for (code, name) in [
        ("fn a() {", Some("a")),
        ("    pub(in crate::b) async fn a<T>(", Some("a")),
        ("pub const unsafe extern \" \" fn a()", Some("a")),
        ("fn(u8) -> u8", None),
        ("let a: fn() = b;", None),
        ("const fnord: u8 = 1;", None),
        ("", None),
    ] {
        assert_eq!(function_name(code), name, "{code}");
    }
}

#[test]
fn only_code_is_left_by_the_mask() {
    for (text, masked) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c\n */ d */ e", "a          \n         e"),
        (r#"a("b\"c\\", d)"#, r#"a("  "   ", d)"#),
        (r##"a(r#"b"c\"#, d)"##, r#"a(  " "  " , d)"#),
        (r#"for"a\"b""#, r#"for"  " ""#),
        ("('{', '\\'', '\\u{7f}', '\"', b'}')", "(   ,     ,         ,  \" , b   )"),
        ("fn a<'b>(c: &'b str) -> &'static str", "fn a<'b>(c: &'b str) -> &'static str"),
        ("'ü' \"ü\" ü", "    \" \" ü"),
        ("\"a\nb\" c", "\" \n \" c"),
        ("\"never closed", "\"            "),
    ] {
        assert_eq!(mask(text), masked, "{text}");
    }
}
