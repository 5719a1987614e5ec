//! The client's cost of a response: parsing it (from this server and from nginx, chunked, pipelined
//! and in pieces), and recording its latency. Every result is asserted while it is timed.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::atomic::AtomicU64;
use uringstatic::engine::Nanos;
use uringstatic::http::response_parser::{
    CompleteResponse, RequestKind, ResponseParser, ResponseProgress,
};
use uringstatic::load::counters::{Counters, LatencyKind};

criterion_group!(benches, whole, skipped, pipelined, byte_by_byte, recording);
criterion_main!(benches);

/// How many latencies one iteration records.
const RECORDED: u64 = 1000;
const OWN: &str = "HTTP/1.1 200 OK\r\n\
    Date: Mon, 24 Nov 2025 00:34:25 GMT\r\n\
    Server: uringstatic\r\n\
    Content-Type: text/html; charset=utf-8\r\n\
    Content-Length: 4700\r\n\
    Accept-Ranges: bytes\r\n\
    ETag: \"c00f87c042eff16750896da15b27230e\"\r\n\
    Last-Modified: Mon, 24 Nov 2025 00:34:23 GMT\r\n\r\n";

const NGINX: &str = "HTTP/1.1 200 OK\r\n\
    Server: nginx/1.22.1\r\n\
    Date: Mon, 24 Nov 2025 00:34:28 GMT\r\n\
    Content-Type: text/html\r\n\
    Content-Length: 4700\r\n\
    Last-Modified: Mon, 24 Nov 2025 00:34:23 GMT\r\n\
    Connection: keep-alive\r\n\
    ETag: \"6b04db8f-125c\"\r\n\
    Accept-Ranges: bytes\r\n\r\n";

const CHUNKED: &str = "HTTP/1.1 200 OK\r\n\
    Date: Mon, 24 Nov 2025 00:34:29 GMT\r\n\
    Connection: keep-alive\r\n\
    Keep-Alive: timeout=5\r\n\
    Transfer-Encoding: chunked\r\n\r\n";

const BODY_BYTES: usize = 4700;

/// A response that arrives in one piece: the usual case.
fn whole(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("response");
    let body = "x".repeat(BODY_BYTES);
    let half = format!("{:x}\r\n{}\r\n", BODY_BYTES / 2, &body[..BODY_BYTES / 2]);
    for (name, bytes) in [
        ("own", format!("{OWN}{body}")),
        ("nginx", format!("{NGINX}{body}")),
        ("two chunks", format!("{CHUNKED}{half}{half}0\r\n\r\n")),
    ] {
        let mut responses = ResponseParser::new();
        group.throughput(Throughput::Elements(1));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let (used, response) = read(&mut responses, black_box(bytes.as_bytes()));
                assert_eq!(used, bytes.len());
                assert_eq!(response.map(|response| response.body_bytes), Some(BODY_BYTES as u64));
            });
        });
    }
}

/// The head is parsed, and the kernel drops the content.
fn skipped(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("body skipped");
    for (name, head) in [("own", OWN), ("nginx", NGINX)] {
        let mut responses = ResponseParser::new();
        group.throughput(Throughput::Elements(1));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let (used, response) = read(&mut responses, black_box(head.as_bytes()));
                assert_eq!((used, response), (head.len(), None));
                let count = responses.skippable();
                assert_eq!(count, BODY_BYTES as u64);
                assert!(matches!(
                    responses.skipped(black_box(count)),
                    ResponseProgress::Complete(_)
                ));
            });
        });
    }
}

/// Sixteen responses in one buffer.
fn pipelined(criterion: &mut Criterion) {
    const RESPONSES: usize = 16;
    let mut group = criterion.benchmark_group("pipelined");
    let bytes = format!("{OWN}{}", "x".repeat(BODY_BYTES)).repeat(RESPONSES);
    let mut responses = ResponseParser::new();
    group.throughput(Throughput::Elements(RESPONSES as u64));
    group.bench_function("own", |bencher| {
        bencher.iter(|| {
            let mut rest = black_box(bytes.as_bytes());
            for _ in 0..RESPONSES {
                let (used, response) = read(&mut responses, rest);
                assert!(response.is_some_and(|response| response.persists));
                rest = &rest[used..];
            }
            assert!(rest.is_empty());
        });
    });
}

/// The worst split of a head. Sixteen times the bytes must take sixteen times as long: the time per
/// byte, which the throughput shows, must not grow with the head.
fn byte_by_byte(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("byte by byte");
    for size in [4 * 1024, 64 * 1024] {
        let head = long_head(size);
        let mut responses = ResponseParser::new();
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::from_parameter(size), &head[..], |bencher, head| {
            bencher.iter(|| {
                let mut found = black_box(head)
                    .chunks(1)
                    .filter_map(|byte| read(&mut responses, byte).1)
                    .map(|response| response.head_bytes as usize);
                assert_eq!((found.next(), found.next()), (Some(size), None));
            });
        });
    }
}

/// Latencies of one size, whose bucket stays in the cache, and of sizes over four decades, like
/// those of an overloaded server.
fn recording(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("recording a latency");
    group.throughput(Throughput::Elements(RECORDED));
    for (name, sizes) in [("alike", 1), ("spread", RECORDED)] {
        let latencies: Vec<Nanos> = (0..RECORDED)
            .map(|number| Nanos(100_000 << ((number * 7919 % sizes) * 13 / RECORDED)))
            .zip(1..)
            .map(|(Nanos(nanos), number)| Nanos(nanos + nanos / (1 + number % 97)))
            .collect();
        group.bench_function(name, |bencher| {
            let words: Vec<AtomicU64> = (0..Counters::WORDS).map(|_| AtomicU64::new(0)).collect();
            let counters = Counters::new(&words);
            let mut rounds = 0;
            bencher.iter(|| {
                for &latency in &latencies {
                    counters.record(LatencyKind::Response, Nanos(0), black_box(latency));
                }
                rounds += 1;
            });
            let recorded = Counters::latency(&[counters], LatencyKind::Response).count;
            assert_eq!(recorded, rounds * RECORDED);
        });
    }
}

/// The number of bytes used, and the response if it is complete.
fn read(responses: &mut ResponseParser, bytes: &[u8]) -> (usize, Option<CompleteResponse>) {
    let drop_content = &mut |part: &[u8]| {
        black_box(part);
    };
    match responses.read(RequestKind::Other, bytes, drop_content) {
        (used, ResponseProgress::More) => (used, None),
        (used, ResponseProgress::Complete(response)) => (used, Some(response)),
        (_, ResponseProgress::Malformed(malformed)) => panic!("{malformed}"),
    }
}

/// A head of this many bytes, in fields of about 1000 bytes, with no content behind it.
fn long_head(size: usize) -> Vec<u8> {
    let mut head = String::from("HTTP/1.1 204 No Content\r\n");
    while head.len() + 2 < size {
        // A field takes at least 5 bytes: no rest may be smaller.
        let rest = size - 2 - head.len();
        let length = if rest < 2000 { rest } else { 1000 };
        head.extend(["X: ", &"a".repeat(length - 5), "\r\n"]);
    }
    head.push_str("\r\n");
    assert_eq!(head.len(), size);
    head.into_bytes()
}
