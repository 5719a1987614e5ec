//! The direction of imports: which room of the library may name which other.

use super::{Source, collect};
use std::fs;
use std::path::Path;

/// The rooms of `src` and the rooms that each may import. A room that is a folder of another one is
/// named by its path.
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
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&src, &mut paths);
    let mut report = String::new();
    for path in paths {
        let name = path.strip_prefix(&src).expect("it was found there");
        let text = fs::read_to_string(&path).expect("a source file is readable UTF-8");
        let source = Source::new(name, &text);
        let Some((room, may_import)) = room_of(name) else { continue };
        for (number, line) in source.code.iter().enumerate() {
            for (place, _) in line.match_indices("crate::") {
                let import = line[place + "crate::".len()..].replace("::", "/");
                let Some((other, _)) = room_of(Path::new(&import)) else { continue };
                if other != room && !may_import.contains(&other) {
                    let (file, line) = (name.display(), number + 1);
                    report.extend(["\n", &format!("{file}:{line}: {room} imports {other}")]);
                }
            }
        }
    }
    assert!(report.is_empty(), "imports that no room may have:{report}");
}

/// The innermost room of a path below `src`, or of an import that is written like one.
fn room_of(path: &Path) -> Option<(&'static str, &'static [&'static str])> {
    let is_in = |room: &str| {
        let parts: Vec<_> = room.split('/').collect();
        let names = path.iter().filter_map(|part| part.to_str());
        let names: Vec<_> = names
            .map(|name| name.split(|c: char| !c.is_alphanumeric() && c != '_').next())
            .collect();
        names.len() >= parts.len()
            && parts.iter().zip(&names).all(|(part, name)| Some(*part) == *name)
    };
    let rooms = IMPORTS.iter().filter(|(room, _)| is_in(room));
    rooms.max_by_key(|(room, _)| room.len()).copied()
}
