//! The work of the logger: from the rings of all workers to batches of lines, and the pace at which
//! it looks for records.
//!
//! ```text
//!   rings ─► collect ─► batch ─► output, in one write or several ─► wrote ─► heads of the rings
//! ```
//!
//! The heads of the rings move when a batch is written as a whole. So a logger that ends, by
//! whatever cause, loses nothing: the next one begins with the same records. Lines of that batch
//! which were written already are then there twice.

use super::access_record::RecordCopy;
use super::format::AccessLineWriter;
use super::log_memory::{LogMemory, LoggerCounter};
use super::options::LogFormat;
use super::ring::{RING_WORDS, RingReader};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The state of a logger.
pub struct Logger {
    memory: LogMemory,
    readers: Vec<RingReader>,
    lines: AccessLineWriter,
    batch: Vec<u8>,
    /// The lines of the batch.
    batch_lines: u64,
    /// The bytes of the batch that are written.
    written: usize,
    /// The place whose ring is read first, so that each has its turn.
    first: usize,
    /// The most words that a ring had since the last wait.
    used_max: usize,
    pause: Duration,
    copy: Box<RecordCopy>,
}

impl Logger {
    /// A logger of this memory, whose former logger may have ended in the middle of a write.
    #[must_use]
    pub fn new(memory: LogMemory, format: LogFormat) -> Self {
        let readers =
            (0..memory.places()).map(|place| RingReader::new(memory.part(place))).collect();
        let mut batch = Vec::with_capacity(BATCH_BYTES + BATCH_MARGIN);
        if memory.counter(LoggerCounter::IsWriting).load(Ordering::Relaxed) != 0 {
            // Ends the line that may have been cut. An empty line is no line of the log.
            batch.push(b'\n');
        }
        Self {
            memory,
            readers,
            lines: AccessLineWriter::new(format),
            batch,
            batch_lines: 0,
            written: 0,
            first: 0,
            used_max: 0,
            pause: PAUSE_MAX,
            copy: Box::default(),
        }
    }

    /// Fills the batch, as far as there are records; `unix_ns` and `monotonic_ns` are the clocks.
    /// Does nothing while the batch before isn't written. Returns whether there may be more.
    pub fn collect(&mut self, unix_ns: u64, monotonic_ns: u64) -> bool {
        if self.written > 0 || self.batch.len() > 1 {
            return true;
        }
        self.lines.set_clocks(unix_ns, monotonic_ns);
        let places = self.readers.len();
        for number in 0..places {
            let place = (self.first + number) % places;
            let (reader, part) = (&mut self.readers[place], self.memory.part(place));
            let mut used = reader.used(part);
            self.used_max = self.used_max.max(used);
            while self.batch.len() < BATCH_BYTES {
                let Some(words) = reader.next(part, &mut used) else { break };
                let entry = self.copy.decode(words);
                self.batch_lines += u64::from(self.lines.push(&mut self.batch, &entry));
            }
            if used > 0 {
                self.first = place;
                return true;
            }
        }
        if self.batch.is_empty() {
            // Of rings whose words were none, which were skipped.
            self.commit();
        }
        false
    }

    /// The bytes to write next; none if there is nothing to write.
    #[must_use]
    pub fn unwritten(&self) -> &[u8] {
        &self.batch[self.written..]
    }

    /// The bytes that [`Logger::unwritten`] returned are about to be written.
    pub fn begin_write(&self) {
        self.memory.counter(LoggerCounter::IsWriting).store(1, Ordering::Release);
    }

    /// The output took the first `count` of them.
    pub fn wrote(&mut self, count: usize) {
        self.written += count;
        if self.written < self.batch.len() {
            return;
        }
        self.memory.add(LoggerCounter::Lines, self.batch_lines);
        self.finish_batch();
    }

    /// A write failed.
    pub fn failed(&self) {
        self.memory.add(LoggerCounter::WriteErrors, 1);
    }

    /// The output is another one from now on. A line that the old one has in part is whole in the
    /// new one.
    pub fn changed_output(&mut self) {
        if self.written == 0 || self.written == self.batch.len() {
            return;
        }
        let before = &self.batch[..self.written];
        let line = before.iter().rposition(|&octet| octet == b'\n').map_or(0, |end| end + 1);
        let lines = memchr::memchr_iter(b'\n', before).count() as u64;
        self.memory.add(LoggerCounter::Lines, lines.min(self.batch_lines));
        self.batch_lines = self.batch_lines.saturating_sub(lines);
        self.batch.drain(..line);
        self.written = 0;
    }

    fn commit(&self) {
        for (place, reader) in self.readers.iter().enumerate() {
            let part = self.memory.part(place);
            if !reader.is_committed(part) {
                reader.commit(part);
            }
        }
    }

    fn finish_batch(&mut self) {
        self.commit();
        self.memory.counter(LoggerCounter::IsWriting).store(0, Ordering::Release);
        self.batch.clear();
        (self.written, self.batch_lines) = (0, 0);
    }

    /// The time until the next look at the rings: so long that no ring is filled by more than a
    /// part meanwhile, if requests come as fast as they did.
    pub fn pause(&mut self) -> Duration {
        let used = std::mem::take(&mut self.used_max);
        if used > RING_WORDS / 8 {
            self.pause = (self.pause / 2).max(PAUSE_MIN);
        } else if used < RING_WORDS / 32 {
            self.pause = (self.pause * 2).min(PAUSE_MAX);
        }
        self.pause
    }

    /// Requests without a line.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.memory.dropped()
    }
}

/// A batch is full with so many bytes; the lines of its last record may exceed that.
const BATCH_BYTES: usize = 64 * 1024;
const BATCH_MARGIN: usize = 8 * 1024;
/// A service at rest wakes its logger 20 times a second. Within that time no ring is filled, at
/// whatever rate a worker serves requests with usual heads.
const PAUSE_MAX: Duration = Duration::from_millis(50);
const PAUSE_MIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests;
