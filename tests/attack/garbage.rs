//! Random bytes and mutated requests. Each gets a page, an error or the end of the connection, and
//! never a partial response or bytes of another one.

use crate::Form;
use crate::common::{GET, GET_CLOSE};
use crate::crowd::{End, Peer, crowd, receive_until};
use crate::ground::Ground;
use crate::table::{Fates, Row, Verdict};
use uringstatic::engine::sim::Random;

/// Garbage on many connections at the same time.
pub(crate) fn garbage(form: Form) -> Verdict {
    let clients = form.clients(200, 5000);
    let spawn = (clients + 100).to_string();
    let ground = Ground::new(&["--spawn", &spawn], clients);
    let good = ground.good_client();
    let mut random = Random::from_seed(SEED);
    // All connections are open before the first bytes are sent.
    let mut peers = crowd(ground.address, clients, "");
    for peer in &mut peers {
        peer.send(rubbish(&mut random));
        peer.half_close();
    }
    receive_until("each sees its end", &mut peers, &ground.page, |peer| peer.end.is_some());
    let mut fates = Fates::default();
    for peer in &peers {
        match (peer.pages, peer.others.as_slice()) {
            (0, [400 | 414 | 431 | 501 | 505]) => fates.refused += 1,
            (pages, others) => panic!("garbage got {pages} pages and {others:?}"),
        }
        assert!(!peer.response.has_begun(), "a partial response");
    }
    drop(peers);
    let (aftermath, totals) = ground.end(Some(good));
    totals.assert_no_errors_but(&["refused requests", "resets"]);
    assert_eq!(totals.errors("refused requests"), fates.refused);
    assert_eq!((totals.connections, totals.requests), (clients as u64, fates.refused));
    Row::new(clients as u64, fates, aftermath).noted(format!("seed {SEED}"))
}

/// Bytes that are not a valid request.
fn rubbish(random: &mut Random) -> Vec<u8> {
    let bytes = |random: &mut Random, most: usize| -> Vec<u8> {
        let count = random.count(1, most);
        (0..count).map(|_| u8::try_from(random.below(256)).expect("a byte")).collect()
    };
    match random.below(7) {
        // A client that speaks TLS to the wrong port.
        0 => [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", &*bytes(random, 512)].concat(),
        1 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
        2 => [b"SSH-2.0-", &*bytes(random, 40), b"\r\n"].concat(),
        3 => vec![0; random.count(1, 4000)],
        // A request line and a head over the limits.
        4 => format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(20_000)).into_bytes(),
        5 => {
            let field = format!("X: {}\r\n", "y".repeat(random.count(1, 4000)));
            let fields = field.repeat(17_000_usize.div_ceil(field.len()));
            format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes()
        }
        // NUL begins neither a request line nor an empty line before one.
        _ => [b"\x00", &*bytes(random, 8000)].concat(),
    }
}

/// Valid requests, changed in a few places.
pub(crate) fn mutated(form: Form) -> Verdict {
    let requests = form.of(1000, 20_000);
    let ground = Ground::new(&["--spawn", "1000"], AT_ONCE);
    let good = ground.good_client();
    let mut random = Random::from_seed(SEED);
    let mut fates = Fates::default();
    let (mut responses, mut left) = (0, requests);
    while left > 0 {
        let now = left.min(AT_ONCE);
        left -= now;
        let (mut peers, mut is_empty) = (Vec::new(), Vec::new());
        for _ in 0..now {
            let mut peer = Peer::connect(ground.address);
            peer.raw = Some(Vec::new());
            let request = mutant(&mut random);
            peer.send(&request);
            peer.half_close();
            is_empty.push(request.iter().all(|byte| b"\r\n".contains(byte)));
            peers.push(peer);
        }
        receive_until("each sees its end", &mut peers, &ground.page, |peer| peer.end.is_some());
        for (peer, is_empty) in peers.iter().zip(is_empty) {
            let raw = peer.raw.as_deref().expect("raw is set above");
            let statuses = statuses(raw, &ground.page);
            responses += statuses.len() as u64;
            match statuses.last() {
                Some(200..400) => fates.served += 1,
                Some(_) => fates.refused += 1,
                // The mutation left at most empty lines.
                None => {
                    assert!(is_empty && peer.end == Some(End::Closed), "no answer: {peer:?}");
                    fates.left += 1;
                }
            }
        }
    }
    let (aftermath, totals) = ground.end(Some(good));
    totals.assert_no_errors_but(&["refused requests", "resets"]);
    assert_eq!((totals.connections, totals.requests), (requests as u64, responses));
    let note = format!("seed {SEED}; {responses} responses");
    Row::new(requests as u64, fates, aftermath).noted(note)
}

/// A valid request with one to three changes.
fn mutant(random: &mut Random) -> Vec<u8> {
    let mut bytes = random.pick(&VALID).as_bytes().to_vec();
    for _ in 0..random.pick(&[1, 1, 1, 2, 2, 3]) {
        let at = random.count(0, bytes.len().max(1) - 1);
        let end = (at + random.count(1, 8)).min(bytes.len());
        match random.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.truncate(at),
            3 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            4 => {
                let other = random.pick(&VALID).as_bytes();
                bytes.splice(at..end, other[random.count(0, other.len() - 1)..].iter().copied());
            }
            5 => {
                let number = random.pick(&NUMBERS);
                bytes.splice(at..end, number.bytes());
            }
            6 => {
                let word = random.pick(&WORDS);
                bytes.splice(at..at, word.bytes());
            }
            _ => bytes.insert(at, u8::try_from(random.below(256)).expect("a byte")),
        }
    }
    bytes
}

/// The statuses of consecutive responses, each of which must be complete. Whether a request was
/// HEAD isn't known: after such a response the next head follows, or the end.
fn statuses(mut raw: &[u8], page: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    while !raw.is_empty() {
        let end = raw.windows(4).position(|window| window == b"\r\n\r\n").expect("a complete head");
        let head = std::str::from_utf8(&raw[..end]).expect("heads are text");
        raw = &raw[end + 4..];
        let rest = head.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("no response: {head}"));
        let status: u16 = rest[..3].parse().expect("a status is a number");
        statuses.push(status);
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        if matches!(status, 204 | 304) || raw.is_empty() || raw.starts_with(b"HTTP/1.1 ") {
            continue;
        }
        let length = field("Content-Length: ").expect("a body has its length");
        let length: usize = length.parse().expect("a length is a number");
        assert!(raw.len() >= length, "{status}: {} of {length} bytes", raw.len());
        let (body, others) = raw.split_at(length);
        raw = others;
        match (status, field("Content-Range: bytes ")) {
            (200, _) => assert!(body == page, "a page with other bytes"),
            (206, Some(range)) => {
                let (first, _) = range.split_once('-').expect("a range has two ends");
                let first: usize = first.parse().expect("a place is a number");
                assert!(body == &page[first..][..length], "a part with other bytes");
            }
            (400.., _) => {}
            (status, _) => panic!("{status} with {length} bytes"),
        }
    }
    statuses
}

/// Requests that together use all of the grammar that the server parses.
const VALID: [&str; 12] = [
    GET,
    GET_CLOSE,
    "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET /a/b?c=%20d HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nUser-Agent: b/1 (c; d)\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=10-99\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"b\", W/\"c\"\r\nRange: bytes=-5\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
     5;b=c\r\nhello\r\n0\r\nD: e\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    "OPTIONS * HTTP/1.1\r\nHost: a:80\r\n\r\n",
    "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n\
     GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
];
const NUMBERS: [&str; 6] = ["0", "-1", "4294967296", "18446744073709551616", "0x10", "1e9"];
const WORDS: [&str; 8] = [
    "\r\n",
    "\r\n\r\n",
    "\n",
    ": ",
    "Content-Length: 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "HTTP/1.1",
    "\t",
];
const SEED: u64 = 2010;
const AT_ONCE: usize = 100;
