//! The counters of a worker in memory that it shares with readers, and their layout there.
//!
//! A worker is the only writer of its words. It writes them as things happen, by plain stores, so
//! that its death loses none of them.

use super::histogram::{HistogramLayout, add};
use super::record::{ListenerKind, Nanos, Observer, RequestHead, ResponsePlace, ResponseRecord};
use crate::http::request::Method;
use crate::os::shared::{COUNTERS_PER_PAGE, CounterPart};
use crate::peer_address::PeerAddress;

/// The number of pages of a worker's counters.
pub const COUNTER_PAGES: usize = 4;
/// The number of words of a worker's counters.
pub const COUNTER_WORDS: usize = COUNTER_PAGES * COUNTERS_PER_PAGE;

/// Times from the first byte of a request to the last byte of its response.
pub const DURATIONS: HistogramLayout = HistogramLayout {
    first: BYTES + 1,
    bounds_ns: &[
        100 * MICROSECOND,
        250 * MICROSECOND,
        500 * MICROSECOND,
        MILLISECOND,
        2500 * MICROSECOND,
        5 * MILLISECOND,
        10 * MILLISECOND,
        25 * MILLISECOND,
        50 * MILLISECOND,
        100 * MILLISECOND,
        250 * MILLISECOND,
        500 * MILLISECOND,
        1000 * MILLISECOND,
        2500 * MILLISECOND,
        5000 * MILLISECOND,
        10_000 * MILLISECOND,
        30_000 * MILLISECOND,
    ],
};

/// Times from a wake-up of a worker's loop to its next wait.
pub const TURNS: HistogramLayout = HistogramLayout {
    first: DURATIONS.first + DURATIONS.words(),
    bounds_ns: &[
        10 * MICROSECOND,
        25 * MICROSECOND,
        50 * MICROSECOND,
        100 * MICROSECOND,
        250 * MICROSECOND,
        500 * MICROSECOND,
        MILLISECOND,
        2500 * MICROSECOND,
        5 * MILLISECOND,
        10 * MILLISECOND,
        25 * MILLISECOND,
        100 * MILLISECOND,
        1000 * MILLISECOND,
    ],
};

const _: () = assert!(TURNS.first + TURNS.words() <= COUNTER_WORDS);

/// The value of the label `method`: a fixed set, as a client may send any name.
pub const METHODS: [&str; 4] = ["GET", "HEAD", "OPTIONS", "other"];

/// The numbers of requests by method and status code, as far as there were any, and that of
/// successful ones by GET: a series that begins with the first request has no rate before.
pub fn requests(words: &[u64]) -> impl Iterator<Item = (&'static str, u16, u64)> {
    let usual = word_of(Method::Get, 200);
    let listed = words[..BYTES].iter().enumerate();
    let listed = listed.filter(move |&(word, &count)| count > 0 || word == usual);
    listed.map(|(word, &count)| {
        let code = CODE_MIN + u16::try_from(word % CODES).expect("codes have three digits");
        (METHODS[word / CODES], code, count)
    })
}

/// The bytes of responses that sockets took.
#[must_use]
pub fn response_bytes(words: &[u64]) -> u64 {
    words[BYTES]
}

/// A worker's side.
pub struct WorkerCounters {
    words: CounterPart,
    /// The bytes that are counted already of the response that the socket of each slot is taking.
    counted: Box<[u64]>,
}

impl WorkerCounters {
    /// Counters in these words, for a server of so many slots.
    ///
    /// # Panics
    /// If there are fewer than [`COUNTER_WORDS`].
    #[must_use]
    pub fn new(words: CounterPart, slots: u32) -> Self {
        assert!(words.counters().len() >= COUNTER_WORDS, "a worker has pages of its own");
        Self { words, counted: vec![0; slots as usize].into_boxed_slice() }
    }

    fn count_bytes(&mut self, slot: u32, bytes: u64) {
        let counted = &mut self.counted[slot as usize];
        add(&self.words.counters()[BYTES], bytes.saturating_sub(*counted));
        *counted = bytes;
    }
}

impl Observer for WorkerCounters {
    fn describes_requests(&self) -> bool {
        false
    }

    fn accepted(&mut self, _: u32, _: PeerAddress, _: ListenerKind) {}

    fn named(&mut self, _slot: u32, _client: PeerAddress) {}

    /// A request counts here, so that the death of its worker doesn't lose it.
    fn began(
        &mut self,
        _slot: u32,
        _place: ResponsePlace,
        record: &ResponseRecord,
        _: RequestHead<'_, '_>,
    ) {
        let word = word_of(record.method, record.status);
        add(&self.words.counters()[word], record.count.into());
    }

    fn progressed(&mut self, slot: u32, _place: ResponsePlace, record: &ResponseRecord) {
        self.count_bytes(slot, record.bytes);
    }

    fn ended(&mut self, slot: u32, _place: ResponsePlace, record: &ResponseRecord) {
        self.count_bytes(slot, record.bytes);
        self.counted[slot as usize] = 0;
        DURATIONS.record(self.words.counters(), record.duration_ns(), record.count.into());
    }

    fn turned(&mut self, woken: Nanos, waits: Nanos) {
        TURNS.record(self.words.counters(), waits.0.saturating_sub(woken.0), 1);
    }
}

/// The word of a method and a status code. A code that isn't one of HTTP counts as the highest.
fn word_of(method: Method, status: u16) -> usize {
    let method = match method {
        Method::Get => 0,
        Method::Head => 1,
        Method::Options => 2,
        Method::NotAllowed | Method::Unknown => 3,
    };
    let code = usize::from(status.saturating_sub(CODE_MIN)).min(CODES - 1);
    method * CODES + code
}

/// Status codes are from 100 to 599 (RFC 9110 15).
const CODES: usize = 500;
const CODE_MIN: u16 = 100;
const BYTES: usize = METHODS.len() * CODES;
const MICROSECOND: u64 = 1000;
const MILLISECOND: u64 = 1000 * MICROSECOND;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::shared::SharedCounters;
    use std::sync::atomic::Ordering;

    fn record(method: Method, status: u16, count: u32) -> ResponseRecord {
        ResponseRecord {
            method,
            status,
            count,
            bytes: 0,
            head_bytes: 10,
            first_byte: Nanos(0),
            last_byte: Nanos(0),
            is_whole: false,
        }
    }

    fn read(words: &SharedCounters) -> Vec<u64> {
        words.counters().iter().map(|word| word.load(Ordering::Relaxed)).collect()
    }

    #[test]
    fn requests_count_when_they_begin_and_times_when_they_end() {
        let shared = SharedCounters::new("test", COUNTER_WORDS).expect("there is memory");
        let part = shared.part(0, COUNTER_WORDS).expect("there is memory");
        let mut counters = WorkerCounters::new(part, 2);
        let head = RequestHead::invalid(b"");
        let mut of_get = record(Method::Get, 200, 3);
        counters.began(0, ResponsePlace::Slot, &of_get, head);
        let mut of_post = record(Method::NotAllowed, 405, 1);
        counters.began(1, ResponsePlace::Slot, &of_post, head);
        let words = read(&shared);
        let found: Vec<_> = requests(&words).collect();
        assert_eq!(found, [("GET", 200, 3), ("other", 405, 1)]);
        assert_eq!(DURATIONS.buckets(&words).iter().sum::<u64>(), 0, "none has ended");
        of_get.took(100, Nanos(2_000_000));
        counters.progressed(0, ResponsePlace::Slot, &of_get);
        of_get.took(50, Nanos(3_000_000));
        counters.ended(0, ResponsePlace::Slot, &of_get);
        of_post.took(7, Nanos(1));
        counters.ended(1, ResponsePlace::Slot, &of_post);
        let words = read(&shared);
        assert_eq!(response_bytes(&words), 157);
        assert_eq!(DURATIONS.buckets(&words)[..6], [1, 0, 0, 0, 0, 3]);
        assert_eq!(DURATIONS.sum_ns(&words), 9_000_001);
        counters.began(0, ResponsePlace::Slot, &of_get, head);
        counters.ended(0, ResponsePlace::Slot, &of_get);
        assert_eq!(response_bytes(&read(&shared)), 307, "the next response begins at zero");
    }

    #[test]
    fn every_status_has_a_word_of_its_own_and_no_other_is_beyond() {
        let all = [Method::Get, Method::Head, Method::Options, Method::Unknown];
        let mut words: Vec<_> =
            all.iter().flat_map(|&it| (100..600).map(move |code| word_of(it, code))).collect();
        words.sort_unstable();
        assert_eq!(words, (0..BYTES).collect::<Vec<_>>());
        assert_eq!(word_of(Method::Get, 0), word_of(Method::Get, 100));
        assert_eq!(word_of(Method::Get, u16::MAX), word_of(Method::Get, 599));
    }
}
