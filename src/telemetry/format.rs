//! The lines of the access log.

use super::access_record::AccessEntry;
use super::calendar::Second;
use super::escape::push_escaped;
use super::options::LogFormat;
use super::record::ListenerKind;
use crate::peer_address::PeerAddress;
use std::io::Write;

/// Makes lines of records.
#[derive(Debug)]
pub struct AccessLineWriter {
    format: LogFormat,
    /// The time of day less the monotonic clock, in nanoseconds.
    wall_ns: u64,
    second: Second,
}

impl AccessLineWriter {
    /// A writer of lines. It needs the clocks ([`AccessLineWriter::set_clocks`]).
    #[must_use]
    pub fn new(format: LogFormat) -> Self {
        Self { format, wall_ns: 0, second: Second::default() }
    }

    /// Sets the time of day that belongs to a time of the monotonic clock. Workers note only the
    /// latter; a clock that is set by a step is followed from the next batch on.
    pub fn set_clocks(&mut self, unix_ns: u64, monotonic_ns: u64) {
        self.wall_ns = unix_ns.saturating_sub(monotonic_ns);
    }

    /// Appends the lines of a record, one for each of its requests. Returns their number.
    pub fn push(&mut self, to: &mut Vec<u8>, entry: &AccessEntry<'_>) -> u32 {
        let unix_ns = entry.first_byte_ns.saturating_add(self.wall_ns);
        self.second.become_second(unix_ns / SECOND_NS);
        let count = u64::from(entry.count);
        let heads = u64::from(entry.head_bytes) * count;
        let sums = Bytes { all: entry.bytes, content: entry.bytes.saturating_sub(heads) };
        // Equal responses have equal parts, unless the connection ended within one of them.
        let part = Bytes { all: sums.all / count, content: sums.content / count };
        let first = Bytes {
            all: sums.all - part.all * (count - 1),
            content: sums.content - part.content * (count - 1),
        };
        self.push_line(to, entry, &first, unix_ns);
        if count > 1 {
            let start = to.len();
            self.push_line(to, entry, &part, unix_ns);
            let end = to.len();
            for _ in 2..count {
                to.extend_from_within(start..end);
            }
        }
        entry.count
    }

    fn push_line(&self, to: &mut Vec<u8>, entry: &AccessEntry<'_>, bytes: &Bytes, unix_ns: u64) {
        match self.format {
            LogFormat::Combined => self.push_combined(to, entry, bytes),
            LogFormat::Json => self.push_json(to, entry, bytes, unix_ns),
        }
    }

    fn push_combined(&self, to: &mut Vec<u8>, entry: &AccessEntry<'_>, bytes: &Bytes) {
        push_peer(to, entry.peer);
        to.extend_from_slice(b" - - [");
        to.extend_from_slice(self.second.common());
        to.extend_from_slice(b"] \"");
        push_or_dash(to, entry.line);
        to.extend_from_slice(b"\" ");
        push_number(to, entry.status.into());
        to.push(b' ');
        push_number(to, bytes.content);
        to.extend_from_slice(b" \"");
        push_or_dash(to, entry.referer);
        to.extend_from_slice(b"\" \"");
        push_or_dash(to, entry.agent);
        to.extend_from_slice(b"\"\n");
    }

    fn push_json(&self, to: &mut Vec<u8>, entry: &AccessEntry<'_>, bytes: &Bytes, unix_ns: u64) {
        to.extend_from_slice(b"{\"schema\":\"uringstatic-access/1\",\"time\":\"");
        to.extend_from_slice(self.second.rfc_3339());
        to.push(b'.');
        push_padded(to, unix_ns % SECOND_NS / 1_000_000, 3);
        to.extend_from_slice(b"Z\",\"duration_s\":");
        push_number(to, entry.duration_ns / SECOND_NS);
        to.push(b'.');
        push_padded(to, entry.duration_ns % SECOND_NS / 1000, 6);
        to.extend_from_slice(b",\"remote\":");
        match entry.peer {
            PeerAddress::Unknown => to.extend_from_slice(b"null"),
            peer => {
                to.push(b'"');
                push_peer(to, peer);
                to.push(b'"');
            }
        }
        to.extend_from_slice(b",\"port\":");
        match entry.peer {
            PeerAddress::Ip { port: port @ 1.., .. } => push_number(to, port.into()),
            _ => to.extend_from_slice(b"null"),
        }
        to.extend_from_slice(match entry.listener {
            ListenerKind::Public => b",\"listener\":\"public\",\"tls\":\"none\",",
            ListenerKind::Health => b",\"listener\":\"health\",\"tls\":\"none\",",
        });
        push_request(to, entry);
        to.extend_from_slice(b",\"status\":");
        push_number(to, entry.status.into());
        to.extend_from_slice(b",\"bytes\":");
        push_number(to, bytes.content);
        to.extend_from_slice(b",\"sent_bytes\":");
        push_number(to, bytes.all);
        let complete: &[u8] =
            if entry.is_whole { b",\"complete\":true" } else { b",\"complete\":false" };
        to.extend_from_slice(complete);
        for (name, text) in
            [(&b",\"referer\":"[..], entry.referer), (b",\"user_agent\":", entry.agent)]
        {
            to.extend_from_slice(name);
            push_string(to, text);
        }
        to.extend_from_slice(b",\"worker\":");
        push_number(to, entry.worker.into());
        to.extend_from_slice(b"}\n");
    }
}

/// The bytes of one response.
struct Bytes {
    all: u64,
    content: u64,
}

/// The parts of a request line, or all of it if it isn't one (RFC 9112 3).
fn push_request(to: &mut Vec<u8>, entry: &AccessEntry<'_>) {
    let is_space = |octet: &u8| *octet == b' ';
    let mut parts = entry.line.splitn(3, is_space);
    let (method, target, version) = (parts.next(), parts.next(), parts.next());
    match (method, target, version) {
        (Some(method), Some(target), Some(version))
            if !entry.is_cut && version.starts_with(b"HTTP/") && !version.contains(&b' ') =>
        {
            push_parts(to, [method, target, version]);
        }
        (Some(method), Some(target), None) if entry.is_cut => push_parts(to, [method, target, b""]),
        _ => {
            to.extend_from_slice(b"\"request\":");
            push_string(to, entry.line);
        }
    }
    if entry.is_cut {
        to.extend_from_slice(b",\"cut\":true");
    }
}

fn push_parts(to: &mut Vec<u8>, [method, target, version]: [&[u8]; 3]) {
    for (name, text) in
        [(&b"\"method\":"[..], method), (b",\"target\":", target), (b",\"protocol\":", version)]
    {
        to.extend_from_slice(name);
        push_string(to, text);
    }
}

/// A text of the client; `null` if it is empty.
fn push_string(to: &mut Vec<u8>, text: &[u8]) {
    if text.is_empty() {
        to.extend_from_slice(b"null");
        return;
    }
    to.push(b'"');
    push_escaped(to, text, LogFormat::Json);
    to.push(b'"');
}

fn push_or_dash(to: &mut Vec<u8>, text: &[u8]) {
    if text.is_empty() {
        to.push(b'-');
    } else {
        push_escaped(to, text, LogFormat::Combined);
    }
}

fn push_peer(to: &mut Vec<u8>, peer: PeerAddress) {
    if let PeerAddress::Ip { address: std::net::IpAddr::V4(address), .. } = peer {
        // The usual case, without the machinery of `fmt`.
        for (place, octet) in address.octets().into_iter().enumerate() {
            if place > 0 {
                to.push(b'.');
            }
            push_number(to, octet.into());
        }
        return;
    }
    write!(to, "{peer}").expect("writing to memory does not fail");
}

fn push_number(to: &mut Vec<u8>, number: u64) {
    push_padded(to, number, 1);
}

/// A number with at least `width` digits, at most 20.
fn push_padded(to: &mut Vec<u8>, number: u64, width: usize) {
    let mut digits = [b'0'; DIGITS_MAX];
    let (mut left, mut start) = (number, DIGITS_MAX);
    while left >= 100 {
        start -= 2;
        digits[start..start + 2].copy_from_slice(&pair(left % 100));
        left /= 100;
    }
    if left > 0 {
        start -= 2;
        digits[start..start + 2].copy_from_slice(&pair(left));
        start += usize::from(left < 10);
    }
    to.extend_from_slice(&digits[start.min(DIGITS_MAX - width)..]);
}

/// The two digits of a number below 100.
fn pair(number: u64) -> [u8; 2] {
    const PAIRS: [[u8; 2]; 100] = {
        let mut pairs = [[b'0'; 2]; 100];
        let mut number: u8 = 0;
        while number < 100 {
            pairs[number as usize] = [b'0' + number / 10, b'0' + number % 10];
            number += 1;
        }
        pairs
    };
    PAIRS[usize::try_from(number).expect("it is below 100")]
}

/// Those of `u64::MAX`.
const DIGITS_MAX: usize = 20;
const SECOND_NS: u64 = 1_000_000_000;

#[cfg(test)]
mod tests;
