//! The direction of imports: which room of the library may name which other.

use super::{Source, assert_none, sources};

/// Each room of `src` and the rooms that it may import, in the order of the house: from the command
/// lines down to what imports nothing. A room inside another one is named by its path, and isn't
/// part of the outer one.
const IMPORTS: &[(&str, &str)] = &[
    (
        "cli",
        "service start telemetry sandbox doctor image healthcheck experiment load site/build \
         http engine/chosen os",
    ),
    // The processes of the service.
    ("service", "start telemetry sandbox server engine/kernel engine os error stats"),
    // The server, from the settings down to the bytes.
    (
        "start",
        "server sandbox telemetry site/build site http engine/chosen engine/kernel os \
         value_parsers error",
    ),
    ("server", "http1 site socket engine telemetry peer_address timers bytes stats"),
    ("http1", "site http telemetry peer_address bytes stats"),
    // What operators learn about a running service.
    ("telemetry", "site http engine os peer_address stats error"),
    ("site/build", "site http os bytes value_parsers text error"),
    ("site", "http bytes"),
    ("http", "peer_address"),
    // The load client, and what uses it.
    ("experiment", "load os value_parsers text error"),
    (
        "load",
        "http socket engine/chosen engine/kernel engine timers os bytes value_parsers text error",
    ),
    // The rooms beside them.
    ("sandbox", "engine/kernel engine os text error"),
    (
        "doctor",
        "sandbox engine/chosen engine/uring engine/kernel engine os text value_parsers error",
    ),
    ("image", "start sandbox site/build os error"),
    ("healthcheck", "start os value_parsers error"),
    (
        "simulation",
        "server service load site http telemetry peer_address engine/sim engine os bytes stats",
    ),
    // The engines, and the kernel.
    ("engine/chosen", "engine/uring engine/epoll engine/kernel engine os peer_address"),
    ("engine/epoll", "engine/kernel engine os bytes error peer_address"),
    ("engine/uring", "engine/kernel engine os bytes error peer_address"),
    ("engine/kernel", "engine os bytes error"),
    ("engine/sim", "engine bytes peer_address"),
    ("socket", "engine bytes"),
    ("timers", "engine"),
    ("engine", "bytes peer_address"),
    ("os", "bytes error peer_address"),
    // The rooms that all others may import have no imports.
    ("bytes", ""),
    ("peer_address", ""),
    ("stats", ""),
    ("text", ""),
    ("value_parsers", ""),
    ("error", ""),
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
            if other != room && !may_import.split(' ').any(|room| room == other) {
                breaches.push(format!("{}:{number}: {room} imports {other}", source.path));
            }
        }
    }
    breaches
}

/// The innermost room of a path below `src`, or of an import that is written like one.
fn room_of(path: &str) -> Option<(&'static str, &'static str)> {
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
