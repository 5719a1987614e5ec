//! The direction of imports: which room of the library may name which other.

use super::{Source, assert_none, sources};

/// Each room of `src` and the rooms that it may import. A room inside another one is named by its
/// path, and isn't part of the outer one.
const IMPORTS: &[(&str, &[&str])] = &[
    ("http", &[]),
    ("error", &[]),
    ("stats", &[]),
    ("bytes", &[]),
    ("value_parsers", &[]),
    ("text", &[]),
    ("engine", &["bytes"]),
    ("engine/kernel", &["engine", "bytes", "os", "error"]),
    ("engine/chosen", &["engine/uring"]),
    ("engine/uring", &["engine", "engine/kernel", "bytes", "os", "error"]),
    ("os", &["bytes", "error"]),
    ("timers", &["engine"]),
    ("socket", &["engine", "bytes"]),
    ("site", &["http", "bytes"]),
    ("site/build", &["site", "http", "bytes", "os", "value_parsers", "error"]),
    ("http1", &["http", "site", "bytes", "stats"]),
    ("server", &["http1", "engine", "socket", "site", "bytes", "timers", "stats"]),
    ("sandbox", &["engine", "engine/kernel", "os", "text", "error"]),
    (
        "doctor",
        &["engine", "engine/kernel", "engine/uring", "os", "value_parsers", "text", "error"],
    ),
    (
        "start",
        &[
            "value_parsers",
            "cli",
            "server",
            "site",
            "site/build",
            "http",
            "sandbox",
            "engine/chosen",
            "engine/kernel",
            "os",
            "error",
        ],
    ),
    (
        "load",
        &[
            "http",
            "engine",
            "engine/chosen",
            "engine/kernel",
            "socket",
            "bytes",
            "timers",
            "os",
            "value_parsers",
            "error",
        ],
    ),
    ("experiment", &["load", "os", "value_parsers", "error"]),
    (
        "cli",
        &["value_parsers", "site/build", "start", "sandbox", "doctor", "load", "experiment", "os"],
    ),
    ("engine/sim", &["engine", "bytes"]),
    (
        "simulation",
        &["server", "load", "site", "http", "engine", "engine/sim", "bytes", "stats", "os"],
    ),
];

#[test]
fn imports_run_one_way() {
    let breaches: Vec<String> = sources().iter().flat_map(forbidden_imports).collect();
    assert_none("a room imports what its row of IMPORTS has, and nothing else", &breaches);
}

/// Each `crate::` path of a file of `src` that leads into a room which its own may not import.
fn forbidden_imports(source: &Source) -> Vec<String> {
    let mut breaches = Vec::new();
    let path = source.path.strip_prefix("src/").unwrap_or_default();
    let Some((room, may_import)) = room_of(path) else { return breaches };
    for (number, line) in source.code() {
        for (place, name) in line.match_indices("crate::") {
            let import = line[place + name.len()..].replace("::", "/");
            let Some((other, _)) = room_of(&import) else { continue };
            if other != room && !may_import.contains(&other) {
                breaches.push(format!("{}:{number}: {room} imports {other}", source.path));
            }
        }
    }
    breaches
}

/// The innermost room of a path below `src`, or of an import that is written like one.
fn room_of(path: &str) -> Option<(&'static str, &'static [&'static str])> {
    let is_in = |room: &str| {
        let rest = path.strip_prefix(room);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    let rooms = IMPORTS.iter().filter(|(room, _)| is_in(room));
    rooms.max_by_key(|(room, _)| room.len()).copied()
}

#[test]
fn a_forbidden_import_is_found() {
    let breaches = |path: &str, line: &str| {
        forbidden_imports(&Source { path: path.to_owned(), text: line.to_owned() })
    };
    assert_eq!(breaches("src/site/a.rs", "use crate::http::Range;"), [""; 0]);
    assert_eq!(breaches("src/httpx.rs", "use crate::server::Server;"), [""; 0]);
    assert_eq!(breaches("src/http/a.rs", "// crate::server::Server"), [""; 0]);
    for path in ["src/http.rs", "src/http/mod.rs", "src/http/a/b.rs"] {
        let expected = format!("{path}:1: http imports server");
        assert_eq!(breaches(path, "pub(crate) use crate::server::{Server};"), [expected]);
    }
    let inner = breaches("src/site/mod.rs", "fn a(b: &crate::site::build::Error) {}");
    assert_eq!(inner, ["src/site/mod.rs:1: site imports site/build"]);
}
