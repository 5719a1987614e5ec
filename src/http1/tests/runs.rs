//! Runs of responses of a tree: what joins one, where it ends, and what is told of it.

use super::*;
use crate::http::coding::Coding;
use crate::http1::observed::tests::Observed;
use crate::site::layout::RUN_RESPONSES_MAX;
use crate::site::tree::build::Builder;
use crate::site::tree::rows::{CodedBody, RouteTarget};
use crate::telemetry::record::ResponseRecord;

/// A tree with these files, each of so many bytes, and the folder `/d/`.
fn tree(files: &[(&str, usize)]) -> (Site, Vec<u8>) {
    let mut fixed = Vec::new();
    let mut builder = Builder::default();
    for &(path, len) in files {
        let content = vec![*path.as_bytes().last().expect("a path has a slash"); len];
        let modified = Some(784_111_777);
        let body = CodedBody::append(&mut fixed, Coding::Identity, &content, modified);
        let file = builder.file(vec![body], modified);
        let fields = builder.fields([("Content-Type", "text/plain")].into_iter());
        builder.path(path.as_bytes(), RouteTarget { file, fields });
    }
    builder.folder(b"/d");
    let (tree, layout) = builder.build(fixed.len() as u64, 2);
    fixed.resize(layout.buffer_bytes(), 0);
    (Site::of_tree(tree), fixed)
}

fn fixture() -> Fixture {
    let (site, fixed) = tree(&[("/a", 10), ("/b", 2000), ("/large", 100_000), ("/huge", 600_000)]);
    Fixture::of(site, fixed)
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// The status codes in the text of responses.
fn statuses(text: &str) -> Vec<&str> {
    text.split("HTTP/1.1 ").skip(1).map(|response| &response[..3]).collect()
}

#[test]
fn responses_of_all_kinds_are_one_send() {
    let range = "GET /b HTTP/1.1\r\nHost: a\r\nRange: bytes=5-6\r\n\r\n";
    let known = "GET /b HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n";
    let head = get("/b").replace("GET", "HEAD");
    let delete = get("/b").replace("GET", "DELETE");
    let requests =
        [&get("/a"), &get("/d?x"), range, known, &head, &get("/none"), &delete, &get("/b")];
    let mut fixture = fixture();
    let output = fixture.bytes(&requests.concat());
    let (text, then) = fixture.text(output);
    assert_eq!(statuses(&text), ["200", "308", "206", "304", "200", "404", "405", "200"]);
    assert!(text.contains("Location: d/?x\r\n") && text.contains("\r\n\r\nbbHTTP/1.1 304"));
    assert_eq!((then, fixture.stats.requests), (Then::Idle, 8));
    assert!(!fixture.runs.are_free(&fixture.site));
    assert_eq!(fixture.send_all(output).1, Output::Receive(Timeout::Idle));
    assert!(fixture.runs.are_free(&fixture.site));
}

#[test]
fn run_ends_with_its_sixteenth_response() {
    let mut fixture = fixture();
    let output = fixture.bytes(&get("/b").repeat(40));
    let (text, then) = fixture.text(output);
    assert_eq!((statuses(&text).len(), then), (RUN_RESPONSES_MAX as usize, Then::Continue));
    let (text, output) = fixture.send_all(output);
    assert_eq!(statuses(&text).len(), 40);
    assert_eq!(output, Output::Receive(Timeout::Idle));
}

#[test]
fn large_response_ends_the_run_before_it() {
    let mut fixture = fixture();
    let paths = ["/a", "/large", "/a", "/large", "/huge", "/a", "/b"];
    let mut output = fixture.bytes(&paths.map(get).concat());
    let mut sent = Vec::new();
    while let Output::Send(Transmission { payload, .. }) = output {
        sent.push((fixture.text(output).0.matches("HTTP/1.1 200").count(), payload.len() / 10_000));
        output = fixture.taken(payload);
    }
    assert_eq!(sent, [(3, 10), (1, 10), (1, 52), (0, 7), (2, 0)]);
    assert_eq!(output, Output::Receive(Timeout::Idle));
}

#[test]
fn request_with_a_body_or_the_last_one_is_answered_after_the_run() {
    let body = get("/a").replace("Host: a", "Host: a\r\nContent-Length: 2") + "xy";
    let close = get("/a").replace("Host: a", "Host: a\r\nConnection: close");
    let bad = "BAD\r\n\r\n";
    for (ending, status, then) in [
        (body.as_str(), "200", Then::Idle),
        (close.as_str(), "200", Then::Close),
        (bad, "400", Then::Linger),
    ] {
        let mut fixture = fixture();
        let output = fixture.bytes(&(get("/a") + &get("/b") + ending));
        assert_eq!(statuses(&fixture.text(output).0).len(), 2, "{ending}");
        let output = fixture.taken(transmission(output).payload);
        let (text, then_of_last) = fixture.text(output);
        assert_eq!((statuses(&text), then_of_last), (vec![status], then), "{ending}");
    }
}

#[test]
fn part_of_a_head_behind_the_run_waits_for_its_rest() {
    let mut fixture = fixture();
    let output = fixture.bytes(&(get("/a") + &get("/b") + "GET /a HT"));
    assert_eq!(statuses(&fixture.text(output).0).len(), 2);
    let again = fixture.bytes("TP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(transmission(again).payload, transmission(output).payload);
    let output = fixture.taken(transmission(output).payload);
    assert_eq!(statuses(&fixture.text(output).0), ["200"]);
}

#[test]
fn without_a_free_run_responses_are_sent_one_by_one() {
    let mut fixture = fixture();
    fixture.runs = Runs::none();
    let output = fixture.bytes(&get("/b").repeat(3));
    assert_eq!(statuses(&fixture.text(output).0).len(), 1);
    let (text, output) = fixture.send_all(output);
    assert_eq!((statuses(&text).len(), output), (3, Output::Receive(Timeout::Idle)));
}

#[test]
fn run_comes_back_only_when_nothing_of_it_is_in_flight() {
    let mut fixture = fixture();
    let output = fixture.bytes(&get("/b").repeat(3));
    assert!(matches!(output, Output::Send(_)));
    assert_eq!(fixture.handle(Input::Displaced), Output::Close);
    fixture.conn.release(&mut fixture.head_buffers);
    assert!(!fixture.runs.are_free(&fixture.site), "a send may be in flight");
    fixture.conn.end(&mut fixture.runs, &mut Observation::none());
    assert!(fixture.runs.are_free(&fixture.site));
}

#[test]
fn each_response_of_a_run_has_its_record_at_any_cut() {
    let requests = get("/a") + &get("/a").replace("GET", "HEAD") + &get("/b") + &get("/none");
    let whole = records_with(&requests, None);
    let lengths: Vec<u64> = whole.iter().map(|record| record.bytes).collect();
    let statuses: Vec<u16> = whole.iter().map(|record| record.status).collect();
    assert_eq!(statuses, [200, 200, 200, 404]);
    assert_eq!(whole[2].content_bytes(), 2000);
    assert!(whole.iter().all(|record| record.is_whole));
    for cut in 0..lengths.iter().sum() {
        for is_late in [false, true] {
            let cut_short = records_with(&requests, Some((cut, is_late)));
            let mut left = cut;
            for ((record, &len), expected) in cut_short.iter().zip(&lengths).zip(&whole) {
                let bytes = left.min(len);
                left -= bytes;
                assert_eq!((record.bytes, record.is_whole), (bytes, bytes == len), "cut at {cut}");
                assert_eq!((record.method, record.status), (expected.method, expected.status));
                assert_eq!(record.head_bytes, expected.head_bytes);
            }
            assert_eq!((cut_short.len(), left), (4, 0));
        }
    }
}

/// The records of requests whose responses are one run. The connection ends after a `cut` number of
/// bytes, which the server learns of before the end is decided, or after it (`is_late`).
fn records_with(requests: &str, cut: Option<(u64, bool)>) -> Vec<ResponseRecord> {
    let (site, fixed) = tree(&[("/a", 10), ("/b", 2000)]);
    let mut observed = Observed::with(Fixture::of(site, fixed), true);
    let output = observed.handle(Input::Bytes(requests.as_bytes()));
    let Some((cut, is_late)) = cut else {
        observed.send_all(output);
        return observed.records();
    };
    let cut = u32::try_from(cut).expect("a run is short");
    if is_late {
        observed.handle(Input::Displaced);
        let (fixture, mut observation) = observed.observation();
        fixture.conn.took_late(cut, &mut fixture.runs, &mut observation);
    } else {
        observed.handle(Input::Taken(cut / 2));
        observed.handle(Input::Taken(cut - cut / 2));
        observed.handle(Input::Displaced);
    }
    observed.end();
    observed.records()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn run_has_the_bytes_of_its_responses_however_they_are_split(
        seed: [u8; 4],
        requests in proptest::collection::vec(0..10_usize, 1..60),
    ) {
        let mut data = seed.to_vec();
        for kind in requests {
            let text = match kind {
                0 => get("/").replace("GET", "HEAD"),
                1 => get("/d"),
                2 => get("/none"),
                3 => "GET /a HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n".to_owned(),
                4 => "GET /d/ HTTP/1.1\r\nHost: a\r\nRange: bytes=5-\r\n\r\n".to_owned(),
                5 => "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc".to_owned(),
                6 => get("/large"),
                7 => get("/a").replace("GET", "BREW"),
                _ => get(["/", "/a"][kind % 2]),
            };
            data.extend(text.bytes());
        }
        connection(&data);
    }
}
