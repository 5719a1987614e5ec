//! The words of one record of the access log in shared memory.
//!
//! ```text
//!   0   length in words, flags, status, length of the request line      16 bits each
//!   1   length of Referer, of User-Agent                                16 bits each
//!   2   serial number; 0 in a place without a response under way
//!   3   number of equal responses, length of the head of one            32 bits each
//!   4   bytes that the socket took
//!   5   first byte of the request   6   last byte that the socket took   ns, CLOCK_MONOTONIC
//!   7   IP address (8, too)         9   its kind, listener, port, worker
//!   10  request line, Referer, User-Agent: each begins a word, and is cut at a bound
//! ```
//!
//! The writer is trusted with nothing: a reader takes a copy, and bounds each length by what is
//! there. A text is as the client sent it; escaping it is the business of the reader.

use super::record::{ListenerKind, RequestHead, ResponseRecord};
use crate::peer_address::PeerAddress;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};

/// The most words of a record: 512 bytes.
pub(super) const RECORD_WORDS_MAX: usize = 64;
/// The words in front of the texts.
pub(super) const FIXED_WORDS: usize = 10;

const SIZES: usize = 0;
const FIELD_SIZES: usize = 1;
pub(super) const SERIAL: usize = 2;
const COUNTS: usize = 3;
const BYTES: usize = 4;
const FIRST_BYTE: usize = 5;
const LAST_BYTE: usize = 6;
const ADDRESS: usize = 7;
const CONNECTION: usize = 9;
/// The bits of the kind of an address and of its port.
const OF_CLIENT: u64 = 0xffff_00ff;

const WHOLE: u64 = 1 << 16;
const CUT: u64 = 1 << 17;

const WORD: usize = size_of::<u64>();
/// The bytes for texts.
const TEXT_BYTES: usize = (RECORD_WORDS_MAX - FIXED_WORDS) * WORD;
/// What a Referer and a User-Agent get of them at least; the request line gets the rest, and each
/// may use what the others leave.
const REFERER_SHARE: usize = 64;
const AGENT_SHARE: usize = 112;
/// What a request line gets at least.
pub const LINE_BYTES_MIN: usize = TEXT_BYTES - REFERER_SHARE - AGENT_SHARE;

/// The most equal responses of one record: those of one send
/// ([`Site::copies_in_a_row`](crate::site::Site::copies_in_a_row)).
const COUNT_MAX: u32 = 64;

/// Notes the connection of a slot, for all of its records.
pub(super) fn write_connection(
    words: &[AtomicU64],
    peer: PeerAddress,
    listener: ListenerKind,
    worker: u32,
) {
    let listener: u64 = match listener {
        ListenerKind::Public => 0,
        ListenerKind::Health => 1,
    };
    store(words, CONNECTION, listener << 8 | u64::from(worker) << 32);
    write_client(words, peer);
}

/// Notes the client of a connection, which replaces the one before.
pub(super) fn write_client(words: &[AtomicU64], client: PeerAddress) {
    let (kind, address, port) = match client {
        PeerAddress::Unknown => (0, 0, 0),
        PeerAddress::Unix => (1, 0, 0),
        PeerAddress::Ip { address: IpAddr::V4(address), port } => {
            (2, u128::from(address.to_bits()), port)
        }
        PeerAddress::Ip { address: IpAddr::V6(address), port } => (3, address.to_bits(), port),
    };
    let [high, low] = [address >> 64, address].map(low_word);
    store(words, ADDRESS, high);
    store(words, ADDRESS + 1, low);
    let others = words[CONNECTION].load(Ordering::Relaxed) & !OF_CLIENT;
    store(words, CONNECTION, others | kind | u64::from(port) << 16);
}

/// Notes the connection that another place has, and its client.
pub(super) fn copy_connection(words: &[AtomicU64], of: &[AtomicU64]) {
    for (word, of) in of.iter().enumerate().take(CONNECTION + 1).skip(ADDRESS) {
        store(words, word, of.load(Ordering::Relaxed));
    }
}

/// Notes a request whose response begins. The engine's time 0 is `base_ns` on the monotonic clock.
pub(super) fn write_request(
    words: &[AtomicU64],
    record: &ResponseRecord,
    head: RequestHead<'_, '_>,
    base_ns: u64,
) {
    let line = first_line(head.bytes);
    let (mut referer, mut agent) = (&[][..], &[][..]);
    for field in head.fields {
        // The length of the name decides first, as in the parser.
        match field.name.len() {
            7 if field.name.eq_ignore_ascii_case("Referer") => referer = field.value,
            10 if field.name.eq_ignore_ascii_case("User-Agent") => agent = field.value,
            _ => {}
        }
    }
    let whole = line.len();
    let line =
        up_to(line, TEXT_BYTES - rounded(referer, REFERER_SHARE) - rounded(agent, AGENT_SHARE));
    let left = TEXT_BYTES - rounded(line, TEXT_BYTES);
    let agent = up_to(agent, left - rounded(referer, REFERER_SHARE));
    let referer = up_to(referer, left - rounded(agent, TEXT_BYTES));
    let mut at = FIXED_WORDS;
    for text in [line, referer, agent] {
        at = put(words, at, text);
    }
    let cut = if line.len() < whole { CUT } else { 0 };
    let sizes = at as u64 | cut | u64::from(record.status) << 32 | (line.len() as u64) << 48;
    store(words, SIZES, sizes);
    store(words, FIELD_SIZES, referer.len() as u64 | (agent.len() as u64) << 16);
    store(words, COUNTS, u64::from(record.count) | u64::from(record.head_bytes) << 32);
    store(words, FIRST_BYTE, record.first_byte.0 + base_ns);
    write_progress(words, record, base_ns);
}

/// Notes the bytes that the socket has taken.
pub(super) fn write_progress(words: &[AtomicU64], record: &ResponseRecord, base_ns: u64) {
    store(words, BYTES, record.bytes);
    store(words, LAST_BYTE, record.last_byte.0 + base_ns);
}

/// Notes the end of a response. Returns the length of the record in words.
pub(super) fn write_end(words: &[AtomicU64], record: &ResponseRecord, base_ns: u64) -> usize {
    write_progress(words, record, base_ns);
    let sizes = words[SIZES].load(Ordering::Relaxed) | if record.is_whole { WHOLE } else { 0 };
    store(words, SIZES, sizes);
    len_of(sizes)
}

/// The length of a record in words, by its first word; bounded, whatever that is.
pub(super) fn len_of(sizes: u64) -> usize {
    usize::from(low_half(sizes)).clamp(FIXED_WORDS, RECORD_WORDS_MAX)
}

/// How many responses a record stands for; bounded, whatever its words are.
pub(super) fn count_of(words: &[AtomicU64]) -> u32 {
    bounded_count(words[COUNTS].load(Ordering::Relaxed))
}

fn bounded_count(counts: u64) -> u32 {
    u32::try_from(counts & u64::from(u32::MAX)).unwrap_or(1).clamp(1, COUNT_MAX)
}

/// The request line, or as much of it as has arrived. Empty lines before it don't count (RFC 9112
/// 2.2).
fn first_line(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|octet| !b"\r\n".contains(octet)).unwrap_or(bytes.len());
    let bytes = &bytes[start..];
    let line = memchr::memchr(b'\n', bytes).map_or(bytes, |end| &bytes[..end]);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The bytes that a text takes, of which it has so many at most.
fn rounded(text: &[u8], bytes_max: usize) -> usize {
    text.len().min(bytes_max).next_multiple_of(WORD)
}

fn up_to(text: &[u8], bytes_max: usize) -> &[u8] {
    &text[..text.len().min(bytes_max)]
}

/// Copies a text to a word and those behind it. Returns the word behind the text.
fn put(words: &[AtomicU64], at: usize, text: &[u8]) -> usize {
    let (whole, rest) = text.as_chunks::<WORD>();
    let end = at + text.len().div_ceil(WORD);
    for (word, chunk) in words[at..end].iter().zip(whole) {
        word.store(u64::from_le_bytes(*chunk), Ordering::Relaxed);
    }
    if !rest.is_empty() {
        let mut last = [0; WORD];
        last[..rest.len()].copy_from_slice(rest);
        store(words, end - 1, u64::from_le_bytes(last));
    }
    end
}

fn store(words: &[AtomicU64], at: usize, value: u64) {
    words[at].store(value, Ordering::Relaxed);
}

#[allow(clippy::cast_possible_truncation, reason = "the low 64 bits are wanted")]
fn low_word(bits: u128) -> u64 {
    bits as u64
}

#[allow(clippy::cast_possible_truncation, reason = "the low 16 bits are wanted")]
fn low_half(bits: u64) -> u16 {
    bits as u16
}

/// A record as its reader has it: the texts are raw, and every length is within its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessEntry<'a> {
    /// The request line, as far as it has arrived and there was room for it.
    pub line: &'a [u8],
    /// Whether the request line is longer.
    pub is_cut: bool,
    /// The value of `Referer`; empty if there is none.
    pub referer: &'a [u8],
    /// The value of `User-Agent`; empty if there is none.
    pub agent: &'a [u8],
    /// The client.
    pub peer: PeerAddress,
    /// The kind of listener.
    pub listener: ListenerKind,
    /// The number of the worker.
    pub worker: u32,
    /// The status code.
    pub status: u16,
    /// How many equal responses it stands for, at least 1.
    pub count: u32,
    /// The length of the head of one response.
    pub head_bytes: u32,
    /// Bytes that the socket took of all of them.
    pub bytes: u64,
    /// The first byte of the request, in nanoseconds of the monotonic clock.
    pub first_byte_ns: u64,
    /// From there to the last byte that the socket took.
    pub duration_ns: u64,
    /// Whether the socket took every byte.
    pub is_whole: bool,
}

/// The bytes of a record that was copied from shared memory.
pub struct RecordCopy {
    words: [u64; RECORD_WORDS_MAX],
    texts: [u8; TEXT_BYTES],
}

impl Default for RecordCopy {
    fn default() -> Self {
        Self { words: [0; RECORD_WORDS_MAX], texts: [0; TEXT_BYTES] }
    }
}

impl RecordCopy {
    /// Copies the words of a record, at most `RECORD_WORDS_MAX`, and decodes them. Any words are
    /// a record.
    pub fn decode(&mut self, words: impl Iterator<Item = u64>) -> AccessEntry<'_> {
        let mut copied = 0;
        for (place, word) in self.words.iter_mut().zip(words) {
            *place = word;
            copied += 1;
        }
        self.words[copied..FIXED_WORDS.max(copied)].fill(0);
        let texts = self.words.get(FIXED_WORDS..copied).unwrap_or_default();
        for (bytes, word) in self.texts.chunks_exact_mut(WORD).zip(texts) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        self.entry(&self.texts[..texts.len() * WORD])
    }

    fn entry<'a>(&self, texts: &'a [u8]) -> AccessEntry<'a> {
        let words = &self.words;
        let half = |word: usize, place: u32| usize::from(low_half(words[word] >> (16 * place)));
        let mut left = texts;
        let mut text = |len: usize| {
            let (text, rest) = left.split_at(len.min(left.len()));
            left = rest.get(text.len().next_multiple_of(WORD) - text.len()..).unwrap_or_default();
            text
        };
        let (line, referer, agent) =
            (text(half(SIZES, 3)), text(half(FIELD_SIZES, 0)), text(half(FIELD_SIZES, 1)));
        let connection = words[CONNECTION];
        let (high, low) = (u128::from(words[ADDRESS]), u128::from(words[ADDRESS + 1]));
        let port = low_half(connection >> 16);
        let upper = |word: u64| u32::try_from(word >> 32).expect("32 bits are left");
        let peer = match connection & 0xff {
            1 => PeerAddress::Unix,
            2 => PeerAddress::ip(Ipv4Addr::from_bits(upper(words[ADDRESS + 1] << 32)).into(), port),
            3 => PeerAddress::ip(Ipv6Addr::from_bits(high << 64 | low).into(), port),
            _ => PeerAddress::Unknown,
        };
        let listener = match connection >> 8 & 0xff {
            1 => ListenerKind::Health,
            _ => ListenerKind::Public,
        };
        AccessEntry {
            line,
            is_cut: words[SIZES] & CUT != 0,
            referer,
            agent,
            peer,
            listener,
            worker: upper(connection),
            status: low_half(words[SIZES] >> 32),
            count: bounded_count(words[COUNTS]),
            head_bytes: upper(words[COUNTS]),
            bytes: words[BYTES],
            first_byte_ns: words[FIRST_BYTE],
            duration_ns: words[LAST_BYTE].saturating_sub(words[FIRST_BYTE]),
            is_whole: words[SIZES] & WHOLE != 0,
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
