//! The handover of codings at a reload, so that unchanged files aren't compressed again: the loader
//! of the old generation writes them into a pipe, and that of the new one reads them.
//!
//! ```text
//! header   "uringstatic", version and effort: other ones mean other codings
//! coding   tag of the file (34 bytes), number of the coding (1), length (8, little-endian),
//!          bytes; a length of 0 stands for a coding that saves too little
//! …        until the end of the stream
//! ```
//!
//! The new loader trusts none of it, as an old one may have been taken over by what it decoded, and
//! the reload may bring the program that isn't. A coding is kept only if it decodes to the file;
//! numbers, lengths and times are bounded. What remains is a file that is sent with a worse coding
//! or without one, until the next start.

use super::compress::{MADE_AT_START, saves_enough};
use super::options::{Effort, SiteLimits};
use crate::bytes::Span;
use crate::http::coding::Coding;
use crate::os::poll::wait_readable;
use crate::site::tag::{TAG_BYTES, Tag};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// The codings that were made of files at the start of a generation.
#[derive(Debug, Default)]
pub struct MadeCodings {
    effort: Option<Effort>,
    files: Box<[FileCodings]>,
}

/// The codings that were made of a file.
#[derive(Clone, Copy, Debug)]
struct FileCodings {
    tag: Tag,
    outcomes: Outcomes,
}

/// The outcome of each coding in [`MADE_AT_START`]: none if the file wasn't compressed with it; an
/// empty span if that saves too little.
pub(super) type Outcomes = [Option<Span>; MADE_AT_START.len()];

impl MadeCodings {
    /// The outcomes for files with these tags, by this effort. Files without any are left out.
    pub(super) fn new(effort: Effort, files: impl Iterator<Item = (Tag, Outcomes)>) -> Self {
        let made = files.filter(|(_, outcomes)| outcomes.iter().any(Option::is_some));
        let files = made.map(|(tag, outcomes)| FileCodings { tag, outcomes });
        Self { effort: Some(effort), files: files.collect() }
    }

    /// Writes them, with their bytes from the buffer of the site.
    ///
    /// # Errors
    /// Those of writing, such as `EPIPE` if the reader has ended.
    pub fn write(&self, fixed: &[u8], to: impl Write) -> io::Result<()> {
        let Some(effort) = self.effort else { return Ok(()) };
        let mut to = BufWriter::with_capacity(BUFFER_BYTES, to);
        to.write_all(&header(effort))?;
        for FileCodings { tag, outcomes } in &self.files {
            for (number, span) in (0..).zip(outcomes) {
                let Some(span) = span else { continue };
                to.write_all(tag)?;
                to.write_all(&[number])?;
                to.write_all(&span.len.to_le_bytes())?;
                to.write_all(&fixed[span.range()])?;
            }
        }
        to.flush()
    }
}

fn header(effort: Effort) -> Vec<u8> {
    format!("uringstatic {} {effort:?}\n", env!("CARGO_PKG_VERSION")).into_bytes()
}

/// The codings of the previous generation, as a stream.
pub struct PreviousCodings {
    from: BufReader<TimedPipe>,
    /// How many bytes are read at most.
    left: u64,
}

/// A coding from the stream. Nothing of it is verified.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OfferedCoding {
    /// The tag of the file.
    pub(super) tag: Tag,
    pub(super) coding: Coding,
    /// The coded bytes; none if they save too little.
    pub(super) bytes: Option<Vec<u8>>,
}

impl PreviousCodings {
    /// Those that another process writes into this pipe.
    #[must_use]
    pub fn new(pipe: OwnedFd) -> Self {
        let from = TimedPipe { pipe: pipe.into(), until: None };
        Self { from: BufReader::with_capacity(BUFFER_BYTES, from), left: 0 }
    }

    /// Reads the header. Returns whether the codings are those that this program would make.
    pub(super) fn begin(&mut self, effort: Effort, limits: SiteLimits) -> bool {
        let entries = u64::from(limits.files) * MADE_AT_START.len() as u64;
        let bytes = limits.bytes.saturating_mul(MADE_AT_START.len() as u64);
        self.left = bytes.saturating_add(entries * ENTRY_BYTES as u64);
        let expected = header(effort);
        let mut found = vec![0; expected.len()];
        self.from.read_exact(&mut found).is_ok() && found == expected
    }

    /// The next coding of which `file_bytes` knows the length of the file, by its tag. Returns
    /// `None` at the end, and where the stream isn't what it should be.
    pub(super) fn next(
        &mut self,
        file_bytes: impl Fn(&Tag) -> Option<u64>,
    ) -> Option<OfferedCoding> {
        loop {
            let mut entry = [0; ENTRY_BYTES];
            self.read(&mut entry)?;
            let (tag, rest) = entry.split_first_chunk()?;
            let (&number, length) = rest.split_first()?;
            let length = u64::from_le_bytes(length.try_into().ok()?);
            let coding = *MADE_AT_START.get(usize::from(number))?;
            self.left.checked_sub(length)?;
            match file_bytes(tag) {
                Some(_) if length == 0 => {
                    return Some(OfferedCoding { tag: *tag, coding, bytes: None });
                }
                Some(bytes) if saves_enough(length, bytes) => {
                    let mut bytes = vec![0; usize::try_from(length).ok()?];
                    self.read(&mut bytes)?;
                    return Some(OfferedCoding { tag: *tag, coding, bytes: Some(bytes) });
                }
                Some(_) | None => {
                    let mut skipped = self.from.by_ref().take(length);
                    let count = io::copy(&mut skipped, &mut io::sink()).ok()?;
                    self.left -= count;
                    (count == length).then_some(())?;
                }
            }
        }
    }

    fn read(&mut self, place: &mut [u8]) -> Option<()> {
        self.left = self.left.checked_sub(place.len() as u64)?;
        self.from.read_exact(place).ok()
    }
}

/// A pipe whose writer must go on.
struct TimedPipe {
    pipe: File,
    until: Option<Instant>,
}

impl Read for TimedPipe {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        let now = Instant::now();
        let left = self.until.get_or_insert(now + WHOLE_TIME_MAX).saturating_duration_since(now);
        if !wait_readable(self.pipe.as_fd(), left.min(SILENCE_MAX))? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.pipe.read(place)
    }
}

const ENTRY_BYTES: usize = TAG_BYTES + 1 + 8;
const BUFFER_BYTES: usize = 64 * 1024;
/// A loader writes as fast as memory is copied.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Longer than decoding of the largest sites takes, as the writer waits for that.
const WHOLE_TIME_MAX: Duration = Duration::from_secs(5 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SiteLimits = SiteLimits { files: 10, bytes: 1000 };
    const TAG: Tag = [b'a'; TAG_BYTES];

    /// What is read of a stream.
    fn read(stream: &[u8]) -> Option<Vec<OfferedCoding>> {
        let (reader, mut writer) = io::pipe().expect("there are descriptors");
        writer.write_all(stream).expect("it is shorter than the pipe");
        drop(writer);
        let mut previous = PreviousCodings::new(reader.into());
        previous.begin(Effort::Good, LIMITS).then_some(())?;
        let known = |tag: &Tag| (*tag == TAG).then_some(100);
        Some(std::iter::from_fn(|| previous.next(known)).collect())
    }

    fn written(files: &[(Tag, Outcomes)]) -> Vec<u8> {
        let mut stream = Vec::new();
        let made = MadeCodings::new(Effort::Good, files.iter().copied());
        made.write(b"0123456789", &mut stream).expect("it is a vector");
        stream
    }

    fn span(offset: u64, len: u64) -> Span {
        Span { offset, len }
    }

    #[test]
    fn what_is_written_is_read_except_codings_of_unknown_files() {
        let other = [b'b'; TAG_BYTES];
        let stream = written(&[
            (other, [Some(span(0, 9)), None, Some(span(0, 0))]),
            (TAG, [Some(span(2, 3)), None, Some(span(0, 0))]),
            (other, [None; 3]),
        ]);
        let offered = |coding, bytes: Option<&[u8]>| OfferedCoding {
            tag: TAG,
            coding,
            bytes: bytes.map(<[u8]>::to_vec),
        };
        let expected = vec![offered(Coding::Brotli, Some(b"234")), offered(Coding::Gzip, None)];
        assert_eq!(read(&stream), Some(expected));
        // Wherever it is cut off, what is whole is taken.
        for end in 0..stream.len() {
            let found = read(&stream[..end]);
            assert_eq!(found.is_none(), end < header(Effort::Good).len());
            assert!(found.unwrap_or_default().len() < 2);
        }
    }

    #[test]
    fn streams_of_others_and_absurd_lengths_are_refused() {
        let mut stream = written(&[(TAG, [Some(span(0, 5)), Some(span(0, 5)), None])]);
        assert_eq!(read(&stream).map(|offered| offered.len()), Some(2));
        stream[12] ^= 1;
        assert_eq!(read(&stream), None, "another version");
        let entry = |number: u8, length: u64| {
            [&header(Effort::Good)[..], &TAG, &[number], &length.to_le_bytes()].concat()
        };
        for (number, length) in [(3, 0), (0, u64::MAX), (0, 1 << 40), (0, 5)] {
            assert_eq!(read(&entry(number, length)), Some(Vec::new()), "{number} {length}");
        }
        assert_eq!(read(&entry(2, 0)).map(|offered| offered.len()), Some(1));
    }
}
