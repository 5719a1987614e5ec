//! Rules about all files of `src` together: no two modules import each other, and no type name
//! stands for two things.

use super::{Source, assert_none, sources};
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn no_two_modules_import_each_other() {
    let found = mutual_imports(&sources());
    let breaches: Vec<_> = found.iter().map(|(a, b)| format!("{a} and {b}")).collect();
    assert_none("move what both need into a module of its own", &breaches);
}

#[test]
fn a_type_name_stands_for_one_thing() {
    let sources = sources();
    let found = duplicate_types(&sources);
    let breaches: Vec<_> =
        found.iter().map(|(name, paths)| format!("{name}: {}", paths.join(", "))).collect();
    assert_none("rename all but one of them", &breaches);
}

/// The module that a file of `src` is: `server/mod.rs` is `server`, `server/slot.rs` is
/// `server::slot`.
fn module_of(path: &str) -> Option<String> {
    let path = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let module = path.strip_suffix("/mod").unwrap_or(path);
    (!path.starts_with("bin/") && module != "lib").then(|| module.replace('/', "::"))
}

/// Pairs of modules of which each has a `use` of the other, in the order of their names.
fn mutual_imports(sources: &[Source]) -> BTreeSet<(String, String)> {
    let files = sources.iter().filter(|source| !source.is_test());
    let files: BTreeMap<_, _> = files.filter_map(|s| Some((module_of(&s.path)?, s))).collect();
    let mut imports = BTreeSet::new();
    for (module, source) in &files {
        for path in used_paths(source) {
            let path = absolute(module, &path);
            // The module of an item is the longest part of its path that is a file.
            let ends = path.match_indices("::").map(|(end, _)| end).chain([path.len()]);
            if let Some(other) =
                ends.map(|end| &path[..end]).filter(|part| files.contains_key(*part)).last()
            {
                imports.insert((module.clone(), other.to_owned()));
            }
        }
    }
    let is_mutual = |(a, b): &(String, String)| a < b && imports.contains(&(b.clone(), a.clone()));
    imports.iter().filter(|pair| is_mutual(pair)).cloned().collect()
}

/// The path of an import from the root of the crate.
fn absolute(module: &str, import: &str) -> String {
    if let Some(path) = import.strip_prefix("crate::") {
        return path.to_owned();
    }
    let (mut base, mut rest) = (module, import.strip_prefix("self::").unwrap_or(import));
    while let Some(outer) = rest.strip_prefix("super::") {
        (base, rest) = (base.rsplit_once("::").map_or("", |(parent, _)| parent), outer);
    }
    format!("{base}::{rest}").trim_start_matches("::").to_owned()
}

/// The paths in the `use` declarations at the left margin, re-exports excepted.
fn used_paths(source: &Source) -> Vec<String> {
    let code: Vec<&str> = source.code().map(|(_, line)| line).collect();
    let text = format!("\n{}", code.join("\n"));
    let declarations = text.split("\nuse ").skip(1).filter_map(|rest| rest.split(';').next());
    declarations.flat_map(|tree| paths_of("", &tree.replace(char::is_whitespace, ""))).collect()
}

/// The paths of a tree such as `a::{b,c::{d,e}}`.
fn paths_of(prefix: &str, tree: &str) -> Vec<String> {
    let Some((head, rest)) = tree.split_once('{') else { return vec![format!("{prefix}{tree}")] };
    let (inner, mut depth, mut start) = (rest.strip_suffix('}').unwrap_or(rest), 0, 0);
    let mut paths = Vec::new();
    for (place, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                paths.extend(paths_of(&format!("{prefix}{head}"), &inner[start..place]));
                start = place + 1;
            }
            _ => {}
        }
    }
    paths
}

/// Names of types at the left margin that more than one file defines, with these files.
fn duplicate_types(sources: &[Source]) -> BTreeMap<String, Vec<&str>> {
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for source in sources.iter().filter(|s| s.path.starts_with("src/") && !s.is_test()) {
        for (_, line) in source.code() {
            let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            let is_item = line.starts_with(char::is_alphabetic);
            let kinds = ["struct", "enum", "trait", "type", "union"];
            let at = words.iter().take(5).position(|word| kinds.contains(word));
            if let Some(name) = at.filter(|_| is_item).and_then(|at| words.get(at + 1)) {
                found.entry((*name).to_owned()).or_default().push(&source.path);
            }
        }
    }
    found.retain(|_, paths| paths.len() > 1);
    found
}

#[test]
fn each_rule_about_all_files_can_fail() {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let a = source("src/a/mod.rs", "//! A.\n\nuse crate::b::{\n    C, c::{D, E},\n};\nstruct F;\n");
    let b = source("src/b/c.rs", "//! C.\nuse super::super::a::F;\npub(crate) enum F {}\n");
    let pair = ("a".to_owned(), "b::c".to_owned());
    assert_eq!(mutual_imports(&[a, b]), BTreeSet::from([pair]));
    let a = source("src/a/mod.rs", "//! A.\nuse self::b::B;\nstruct F;\n");
    let b = source("src/a/b.rs", "//! B.\npub use super::F;\n// use super::F;\nenum F {}\n");
    assert_eq!(mutual_imports(&[a, b]), BTreeSet::new());
    let (a, b) =
        (source("src/a.rs", "struct F;\n"), source("src/b.rs", "pub(crate) type F = A;\n"));
    let both = [a, b];
    assert_eq!(duplicate_types(&both)["F"], ["src/a.rs", "src/b.rs"]);
}
