//! The fuzzers' corpora, replayed through the same properties by a plain `cargo test`.

use std::path::Path;

/// Runs a property over every file of a corpus.
fn replay(target: &str, property: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the corpus is part of the project") {
        let path = entry.expect("a folder can be listed").path();
        let data = std::fs::read(&path).expect("a corpus file can be read");
        // Printed by the test runner only if the property fails.
        println!("{}", path.display());
        property(&data);
        count += 1;
    }
    assert!(count >= 30, "the corpus of {target} has {count} files only");
}

#[test]
fn heads() {
    replay("head", uringstatic::http::properties::head);
}

#[test]
fn servers() {
    replay("server", uringstatic::sim::server);
}

#[test]
fn connections() {
    replay("connection", uringstatic::http1::properties::connection);
}

#[test]
fn sites() {
    replay("site", uringstatic::site::build::properties::site);
}

#[test]
fn responses() {
    replay("response", uringstatic::http::response_parser::properties::response);
}
