//! The requests of simulated peers, each with the response that it expects.

use super::responses::{ExpectedContent, ExpectedResponse};
use crate::engine::sim::Random;
use crate::load::proxy_header::{ProxiedAddresses, ProxyHeader};
use crate::server::ProxiedListeners;

/// The properties of the server that plans and requests depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    /// The number of listeners.
    pub(super) listeners: u32,
    /// The listeners at which a peer begins with a PROXY header.
    pub(super) proxied: ProxiedListeners,
    /// The length of the page.
    pub(super) page_bytes: usize,
    /// The timeout of a head, in nanoseconds.
    pub(super) head_ns: u64,
    /// The longest head that the server accepts.
    pub(super) head_bytes_max: usize,
}

/// A request and its expected response, whose `end` is not known yet.
pub(super) struct PlannedRequest {
    pub(super) bytes: Vec<u8>,
    pub(super) expected: ExpectedResponse,
}

/// A request for the complete page.
pub(super) fn get_page(head: &str, page_bytes: usize) -> PlannedRequest {
    PlannedRequest {
        bytes: head.as_bytes().to_vec(),
        expected: ExpectedResponse {
            statuses: &[200],
            content: ExpectedContent::Page { from: 0, to: page_bytes },
            ..ExpectedResponse::any(0)
        },
    }
}

impl PlannedRequest {
    fn with_status(mut self, statuses: &'static [u16], content: ExpectedContent) -> Self {
        (self.expected.statuses, self.expected.content) = (statuses, content);
        self
    }

    /// The server closes the connection after the response.
    fn closing(mut self) -> Self {
        self.expected.closes = true;
        self
    }

    /// The response is to HEAD.
    fn head_only(mut self) -> Self {
        self.expected.head_only = true;
        self
    }
}

/// Draws one request of any kind.
pub(super) fn draw_request(random: &mut Random, setting: Setting) -> PlannedRequest {
    let page = |head: &str| get_page(head, setting.page_bytes);
    let get = |extra: &str| page(&format!("GET /p HTTP/1.1\r\nHost: a\r\n{extra}\r\n"));
    match random.below(17) {
        0..=2 => get(""),
        3 => page("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").head_only(),
        4 => get("Connection: close\r\n").closing(),
        5 => page("GET / HTTP/1.0\r\n\r\n").closing(),
        6 => page("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        7 => draw_range(random, setting.page_bytes),
        8 => get("If-None-Match: *\r\n").with_status(&[304], ExpectedContent::Empty),
        9 => draw_body(random, get("")),
        10 => draw_body(random, post("")),
        11 => method("OPTIONS", "").with_status(&[204], ExpectedContent::Empty),
        12 => method("BREW", "").with_status(&[501], ExpectedContent::Any),
        13 if random.chance(300) => draw_malformed(random, setting),
        13 => method("DELETE", "").with_status(&[405], ExpectedContent::Any),
        14 => page("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").head_only().closing(),
        15 => post("Expect: 100-continue\r\nContent-Length: 5\r\n").closing(),
        _ => get(&format!("X-Long: {}\r\n", "x".repeat(random.count(1, 600)))),
    }
}

/// Draws a request after whose response the server closes while the peer still sends.
pub(super) fn draw_upload(random: &mut Random, setting: Setting) -> PlannedRequest {
    let len = random.count(LINGERED_BYTES, 2 * LINGERED_BYTES);
    let to_page = random.chance(300);
    let get = |extra: &str| {
        get_page(&format!("GET / HTTP/1.1\r\nHost: a\r\n{extra}\r\n"), setting.page_bytes)
    };
    let request = |extra: &str| if to_page { get(extra) } else { post(extra) };
    let request = match random.below(5) {
        0 => request(&format!("Content-Length: {len}\r\n")),
        1 => request("Content-Length: 9223372036854775807\r\n"),
        2 => request(&format!("Content-Length: {len}\r\nExpect: 100-continue\r\n")),
        3 => request(&format!("Connection: close\r\nContent-Length: {len}\r\n")),
        _ => request("Connection: close\r\nTransfer-Encoding: chunked\r\n"),
    };
    let is_chunked = request.bytes.ends_with(b"chunked\r\n\r\n");
    let mut upload = request.closing();
    upload.expected.has_body = true;
    if is_chunked {
        upload.bytes.extend(format!("{len:x}\r\n").bytes());
    }
    upload.bytes.resize(upload.bytes.len() + len, b'u');
    upload
}

fn method(name: &str, extra: &str) -> PlannedRequest {
    PlannedRequest {
        bytes: format!("{name} / HTTP/1.1\r\nHost: a\r\n{extra}\r\n").into_bytes(),
        expected: ExpectedResponse::any(0),
    }
}

fn post(extra: &str) -> PlannedRequest {
    method("POST", extra).with_status(&[405], ExpectedContent::Any)
}

fn draw_range(random: &mut Random, page_bytes: usize) -> PlannedRequest {
    let first = random.count(0, page_bytes + 3);
    let last = random.count(first, page_bytes + 9);
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nRange: bytes={first}-{last}\r\n\r\n");
    let request = get_page(&head, page_bytes);
    if first >= page_bytes {
        return request.with_status(&[416], ExpectedContent::Any);
    }
    request.with_status(&[206], ExpectedContent::Page { from: first, to: page_bytes.min(last + 1) })
}

/// Adds a body to a request that ends with its head.
fn draw_body(random: &mut Random, request: PlannedRequest) -> PlannedRequest {
    let len = match random.below(5) {
        0..=2 => random.count(1, 200),
        3 => random.count(1000, 60_000),
        _ => random.count(65_537, 90_000),
    };
    let too_long = len > BODY_MAX;
    let PlannedRequest { mut bytes, expected } = request;
    bytes.truncate(bytes.len() - 2);
    let has_length = random.chance(500);
    if has_length {
        bytes.extend(format!("Content-Length: {len}\r\n\r\n").bytes());
        bytes.resize(bytes.len() + len, b'b');
    } else {
        bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
        let mut left = len;
        while left > 0 {
            let chunk = random.count(1, left.min(30_000));
            bytes.extend(format!("{chunk:x}\r\n").bytes());
            bytes.resize(bytes.len() + chunk, b'c');
            bytes.extend(b"\r\n");
            left -= chunk;
        }
        bytes.extend(b"0\r\n\r\n");
    }
    let unannounced = !expected.closes && too_long && !has_length;
    let closes = expected.closes || too_long;
    PlannedRequest {
        bytes,
        expected: ExpectedResponse { closes, unannounced, has_body: true, ..expected },
    }
}

/// A request that the server has to refuse.
fn draw_malformed(random: &mut Random, setting: Setting) -> PlannedRequest {
    let (bytes, statuses): (Vec<u8>, &'static [u16]) = match random.below(6) {
        0 => (b"GET\0/ HTTP/1.1\r\n\r\n".to_vec(), &[400]),
        1 => (b"\x16\x03\x01\x02\x00 hello there\r\n\r\n".to_vec(), &[400]),
        2 => (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_vec(), &[505, 400]),
        3 => (b"PROXY TCP4 192.0.2.7 192.0.2.8 1 80\r\n".to_vec(), &[400]),
        4 => (b"GET / HTTP/1.1\r\nHost: a\r\nbad field\r\n\r\n".to_vec(), &[400]),
        _ => {
            let fill = "y".repeat(setting.head_bytes_max + 10);
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {fill}\r\n\r\n");
            (head.into_bytes(), &[431])
        }
    };
    PlannedRequest { bytes, expected: ExpectedResponse { statuses, ..ExpectedResponse::any(0) } }
        .closing()
}

/// Draws a PROXY header of either version.
pub(super) fn draw_proxy_header(random: &mut Random) -> Vec<u8> {
    let kind = match random.below(8) {
        0 => return b"PROXY UNKNOWN\r\n".to_vec(),
        1 => return b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 80\r\n".to_vec(),
        2 => return b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 80\r\n".to_vec(),
        3 => ProxyHeader::Unix,
        4 => ProxyHeader::Local,
        _ => ProxyHeader::Tcp,
    };
    let mut header = ProxiedAddresses::new(&[], None).header(kind, 0);
    if kind == ProxyHeader::Tcp && random.chance(400) {
        // A TLV, which is skipped (section 2.2 of the specification).
        let value = random.count(0, 200);
        header[15] += u8::try_from(3 + value).expect("it is short");
        header.extend([4, 0, u8::try_from(value).expect("it is short")]);
        header.resize(header.len() + value, b'G');
    }
    header
}

/// The longest body that the server discards without closing the connection, in bytes.
const BODY_MAX: usize = 64 * 1024;
/// Some bytes that a lingering server drops: more than it once did.
const LINGERED_BYTES: usize = 270_000;
