//! Parsing request heads: as common clients send them, pipelined, and in pieces. Every iteration
//! checks its result.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::fmt::Write as _;
use std::hint::black_box;
use uringstatic::http::request::{FieldBuffer, Parsed, Scan, parse};

criterion_group!(benches, at_once, pipelined, in_two, byte_by_byte);
criterion_main!(benches);

const HEAD_BYTES_MAX: usize = 16 * 1024;

const WRK: &str = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

const AB: &str = "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: 127.0.0.1:8080\r\n\
    User-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n";

const CURL: &str = "GET /index.html HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/8.5.0\r\n\
    Accept: */*\r\n\r\n";

/// The field lines of Chrome for a navigation, with this value of `Referer`.
macro_rules! chrome_lines {
    ($referer:literal) => {
        concat!(
            "Host: www.example.com\r\n",
            "Connection: keep-alive\r\n",
            "sec-ch-ua: \"Chromium\";v=\"128\", \"Not;A=Brand\";v=\"24\", ",
            "\"Google Chrome\";v=\"128\"\r\n",
            "sec-ch-ua-mobile: ?0\r\n",
            "sec-ch-ua-platform: \"Linux\"\r\n",
            "Upgrade-Insecure-Requests: 1\r\n",
            "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 ",
            "(KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36\r\n",
            "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,",
            "image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7\r\n",
            "Sec-Fetch-Site: same-origin\r\n",
            "Sec-Fetch-Mode: navigate\r\n",
            "Sec-Fetch-User: ?1\r\n",
            "Sec-Fetch-Dest: document\r\n",
            "Referer: ",
            $referer,
            "\r\n",
            "Accept-Encoding: gzip, deflate, br, zstd\r\n",
            "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n",
        )
    };
}

/// With the fields of a user and of a cache.
const CHROME: &str = concat!(
    "GET /articles/2024/io-uring?utm_source=feed&page=2 HTTP/1.1\r\n",
    chrome_lines!("https://www.example.com/articles/"),
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=1\r\n",
    "If-None-Match: \"0123456789abcdef\"\r\n\r\n",
);

/// Without them, as in `benches/http/run.py`.
const BROWSER: &str = concat!(
    "GET / HTTP/1.1\r\n",
    chrome_lines!("https://www.example.com/articles/2026/closer-to-the-limit?page=2"),
    "\r\n",
);

/// A head that arrived at once: the usual case.
fn at_once(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("whole");
    for (name, head) in
        [("wrk", WRK), ("ab", AB), ("curl", CURL), ("browser", BROWSER), ("chrome", CHROME)]
    {
        let head = head.as_bytes();
        group.throughput(Throughput::Bytes(head.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert_eq!(parse_once(black_box(head)), Some(head.len())));
        });
    }
}

/// Sixteen requests in one buffer, parsed one after the other.
fn pipelined(criterion: &mut Criterion) {
    const REQUESTS: usize = 16;
    let mut group = criterion.benchmark_group("pipelined");
    group.throughput(Throughput::Elements(REQUESTS as u64));
    for (name, head) in [("wrk", WRK), ("browser", BROWSER)] {
        let bytes = head.repeat(REQUESTS).into_bytes();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut rest = black_box(&bytes[..]);
                for _ in 0..REQUESTS {
                    let head_len = parse_once(rest).expect("each head is complete");
                    rest = &rest[head_len..];
                }
                assert!(rest.is_empty());
            });
        });
    }
}

/// A head that arrives in two halves.
fn in_two(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("in two");
    for (name, head) in [("wrk", WRK), ("browser", BROWSER), ("chrome", CHROME)] {
        let head = head.as_bytes();
        group.throughput(Throughput::Bytes(head.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert_eq!(parse_in_pieces(black_box(head), head.len() / 2 + 1), 2));
        });
    }
}

/// The worst case for a parser that scans from the beginning each time. The time per byte, which
/// the throughput shows, must not grow with the length of the head.
fn byte_by_byte(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("byte by byte");
    for size in [4 * 1024, HEAD_BYTES_MAX] {
        let head = long_head(size);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::from_parameter(size), &head[..], |bencher, head| {
            bencher.iter(|| assert_eq!(parse_in_pieces(black_box(head), 1), size));
        });
    }
}

/// The length of the head at the front of the bytes.
fn parse_once(bytes: &[u8]) -> Option<usize> {
    let mut fields = FieldBuffer::new();
    match parse(bytes, &mut Scan::default(), HEAD_BYTES_MAX, &mut fields) {
        Parsed::Request(request) => Some(black_box(request).head_len),
        Parsed::Partial | Parsed::Reject(_) => None,
    }
}

/// Parses a head that arrives in pieces of `size` bytes. Returns the number of pieces.
fn parse_in_pieces(head: &[u8], size: usize) -> usize {
    let mut scan = Scan::default();
    let mut pieces = 0;
    for end in (size..head.len()).step_by(size).chain([head.len()]) {
        pieces += 1;
        let mut fields = FieldBuffer::new();
        match parse(&head[..end], &mut scan, HEAD_BYTES_MAX, &mut fields) {
            Parsed::Partial => {}
            Parsed::Request(request) => assert_eq!(black_box(request).head_len, head.len()),
            Parsed::Reject(reject) => panic!("refused with {reject:?}"),
        }
    }
    pieces
}

/// A head of this many bytes, in fields of about 200 bytes.
fn long_head(size: usize) -> Vec<u8> {
    let mut head = String::from(WRK.trim_end());
    head.push_str("\r\n");
    while head.len() + 2 < size {
        // A field line has at least 7 bytes, so that less must never remain.
        let rest = size - 2 - head.len();
        let length = if rest < 400 { rest } else { 200 };
        write!(head, "X-{}: {}\r\n", head.len() % 10, "a".repeat(length - 7))
            .expect("writing to a string does not fail");
    }
    head.push_str("\r\n");
    assert_eq!(head.len(), size);
    head.into_bytes()
}
