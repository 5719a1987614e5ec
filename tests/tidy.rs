//! Holds the source files to the rules of the house that neither rustc nor clippy checks: sizes, a
//! `//!` at the top, where `unsafe` may be permitted, and what modules may import from each other.
//!
//! Files are read line by line; a line that is a comment as a whole is not code. `Cargo.toml` and
//! `clippy.toml` have the rules that clippy checks.

#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/modules.rs"]
mod modules;

use std::fs;
use std::path::Path;

/// A source file: its path below the package, with `/`, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The lines that are not comments as a whole, each with its number from 1.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Whether the file has tests alone.
    fn is_test(&self) -> bool {
        ["tests", "tests.rs", "properties.rs", "model_tests", "model_tests.rs"]
            .iter()
            .any(|name| self.path.split('/').any(|part| part == *name))
    }
}

/// Every `*.rs` file of the package, in the order of their paths.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for folder in ["src", "tests", "benches", "fuzz"] {
        collect(root, &root.join(folder), &mut sources);
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    for needed in ["src/lib.rs", "tests/tidy.rs"] {
        assert!(sources.iter().any(|source| source.path == needed), "{needed} was not found");
    }
    sources
}

/// Adds the `*.rs` files below a folder, except those that a build wrote there.
fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder of sources is readable") {
        let path = entry.expect("an entry is readable").path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source is readable UTF-8");
            let path = path.strip_prefix(root).expect("it was found below the root");
            let path = path.to_str().expect("names of sources are UTF-8").to_owned();
            sources.push(Source { path, text });
        }
    }
}

/// Fails with one line for each breach of a rule.
fn assert_none(rule: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{rule}; {} breaches:\n{}", breaches.len(), breaches.join("\n"));
}

#[test]
fn files_have_sizes_and_an_opening() {
    let breaches: Vec<String> = sources().iter().flat_map(untidy_lines).collect();
    assert_none("files open with //! and are at most 500 lines of 100 columns", &breaches);
}

/// `PATH:LINE: RULE` for each line that breaks a rule about the form of a file.
fn untidy_lines(source: &Source) -> Vec<String> {
    let path = &source.path;
    let mut breaches = Vec::new();
    // A fuzz target has to have `#![no_main]` before its documentation.
    let opening = source.text.trim_start_matches("#![no_main]").trim_start_matches('\n');
    if !opening.starts_with("//! ") || source.text.starts_with('\n') {
        breaches.push(format!("{path}:1: a file opens with a //! that says what it owns"));
    }
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        breaches.push(format!("{path}:{lines}: the file has more than {FILE_LINES_MAX} lines"));
    }
    for (index, line) in source.text.lines().enumerate() {
        let (number, columns) = (index + 1, line.chars().count());
        if columns > COLUMNS_MAX {
            breaches.push(format!("{path}:{number}: {columns} columns, over {COLUMNS_MAX}"));
        }
    }
    breaches
}

/// The compiler denies unsafe code where nothing permits it (`unsafe_code` in Cargo.toml), so this
/// finds every place that has any.
#[test]
fn unsafe_code_is_permitted_in_its_rooms_alone() {
    let breaches: Vec<String> = sources().iter().flat_map(unsafe_permits).collect();
    assert_none("unsafe code belongs in the rooms of UNSAFE_ROOMS", &breaches);
}

/// Attributes outside the rooms for unsafe code that permit it.
fn unsafe_permits(source: &Source) -> Vec<String> {
    let is_room = UNSAFE_ROOMS.iter().any(|(room, _)| source.path.starts_with(room));
    let is_permit = |line: &str| {
        ["#![allow(unsafe_code", "#[allow(unsafe_code", "#[expect(unsafe_code"]
            .iter()
            .any(|attribute| line.trim_start().starts_with(attribute))
    };
    let permits = source.code().filter(|(_, line)| !is_room && is_permit(line));
    permits.map(|(number, line)| format!("{}:{number}: {line}", source.path)).collect()
}

#[test]
fn tests_await_events_instead_of_sleeping() {
    let breaches: Vec<String> = sources().iter().flat_map(sleeps).collect();
    assert_none("a test that sleeps is slow or flaky: await the event", &breaches);
}

/// Sleeps in test files, and below the `#[cfg(test)]` that ends a file of `src`.
fn sleeps(source: &Source) -> Vec<String> {
    let is_test = source.path.starts_with("tests/") || source.is_test();
    let is_allowed = SLEEPS_ALLOWED.contains(&source.path.as_str());
    let code = source.code().skip_while(|(_, line)| !is_test && *line != "#[cfg(test)]");
    let lines = code.filter(|(_, line)| !is_allowed && line.contains(concat!("thread", "::sleep")));
    lines.map(|(number, line)| format!("{}:{number}: {line}", source.path)).collect()
}

#[test]
fn each_rule_about_one_file_can_fail() {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let breaches = |text: &str| untidy_lines(&source("src/a.rs", text));
    let opening = "//! Owns nothing.\n";
    assert_eq!(breaches(opening), [""; 0]);
    assert_eq!(breaches(&format!("#![no_main]\n\n{opening}")), [""; 0]);
    assert_eq!(breaches("// Owns nothing.\n").len(), 1);
    assert_eq!(breaches(&opening.repeat(FILE_LINES_MAX)), [""; 0]);
    assert_eq!(breaches(&opening.repeat(FILE_LINES_MAX + 1)).len(), 1);
    assert_eq!(breaches(&format!("{opening}// {}", "ü".repeat(97))), [""; 0]);
    assert_eq!(
        breaches(&format!("{opening}// {}", "ü".repeat(98))),
        ["src/a.rs:2: 101 columns, over 100"]
    );
    let permit = concat!("#![allow(", "unsafe_code, reason = \"none\")]");
    assert_eq!(unsafe_permits(&source("src/os/a.rs", permit)), [""; 0]);
    assert_eq!(unsafe_permits(&source("src/oscar.rs", permit)).len(), 1);
    assert_eq!(unsafe_permits(&source("src/a.rs", "#![forbid(unsafe_code)]")), [""; 0]);
    assert_eq!(unsafe_permits(&source("src/a.rs", &format!("// {permit}"))), [""; 0]);
    let sleep = concat!("std::thread", "::sleep(pause);\n#[cfg(test)]\n");
    assert_eq!(sleeps(&source("src/a.rs", sleep)), [""; 0]);
    assert_eq!(sleeps(&source("src/a.rs", &sleep.repeat(2))).len(), 1);
    assert_eq!(sleeps(&source("tests/a.rs", sleep)).len(), 1);
}

/// Where unsafe code may be, and why.
const UNSAFE_ROOMS: [(&str, &str); 5] = [
    ("src/engine/uring/", "the ring and its buffers are memory that the kernel shares"),
    ("src/os/", "system calls that neither std nor rustix offers"),
    ("tests/allocations.rs", "GlobalAlloc, which counts allocations, is an unsafe trait"),
    ("tests/lockdown/attempts.rs", "an attacker reads memory"),
    ("tests/lockdown/raw.rs", "an attacker makes any system call"),
];

/// The attacks poll thousands of sockets in one thread, which must leave the core to the server.
const SLEEPS_ALLOWED: [&str; 1] = ["tests/attack/watch.rs"];

const FILE_LINES_MAX: usize = 500;

const COLUMNS_MAX: usize = 100;
