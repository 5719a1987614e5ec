//! The corpora of the fuzz targets, replayed through the same properties by `cargo test`.

use std::path::Path;

/// Runs a property on every file of a corpus, of which at least 30 must exist.
fn replay(target: &str, property: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the corpus is part of the project") {
        let path = entry.expect("a folder can be listed").path();
        let data = std::fs::read(&path).expect("a corpus file can be read");
        // The test runner prints this only if the property fails.
        println!("{}", path.display());
        property(&data);
        count += 1;
    }
    assert!(count >= 30, "the corpus of {target} has {count} files only");
}

#[test]
fn head_corpus_keeps_its_properties() {
    replay("head", uringstatic::http::properties::head);
}

#[test]
fn server_corpus_keeps_its_properties() {
    replay("server", uringstatic::simulation::server);
}

#[test]
fn connection_corpus_keeps_its_properties() {
    replay("connection", uringstatic::http1::properties::connection);
}

#[test]
fn log_corpus_keeps_its_properties() {
    replay("log", uringstatic::telemetry::properties::log);
}

#[test]
fn proxy_header_corpus_keeps_its_properties() {
    replay("proxy_header", uringstatic::http1::properties::proxied_connection);
}

#[test]
fn forwarded_corpus_keeps_its_properties() {
    replay("forwarded", uringstatic::http::forwarded::properties::forwarded);
}

#[test]
fn site_corpus_keeps_its_properties() {
    replay("site", uringstatic::site::build::properties::site);
}

#[test]
fn response_corpus_keeps_its_properties() {
    replay("response", uringstatic::http::response_parser::properties::response);
}
