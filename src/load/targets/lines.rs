//! Lines of a reader, of which no longer one is kept than a bound permits.

use super::LINE_BYTES_MAX;
use std::io::{self, BufRead, Read};

/// Reads lines one by one.
pub(super) struct BoundedLines<R> {
    reader: R,
    line: Vec<u8>,
    number: u64,
}

/// A line without its end (LF or CRLF).
pub(super) enum BoundedLine<'a> {
    /// Its bytes.
    Whole(&'a [u8]),
    /// It is longer than [`LINE_BYTES_MAX`], and was read to its end.
    TooLong,
}

impl<R: BufRead> BoundedLines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, line: Vec::new(), number: 0 }
    }

    /// The next line and its number from 1; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, BoundedLine<'_>)>> {
        self.line.clear();
        let limit = LINE_BYTES_MAX as u64 + 1;
        if self.reader.by_ref().take(limit).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.line.len() > LINE_BYTES_MAX && self.line.last() != Some(&b'\n') {
            self.skip_to_end_of_line()?;
            return Ok(Some((self.number, BoundedLine::TooLong)));
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        Ok(Some((self.number, BoundedLine::Whole(line))))
    }

    fn skip_to_end_of_line(&mut self) -> io::Result<()> {
        loop {
            self.line.clear();
            let count = self
                .reader
                .by_ref()
                .take(LINE_BYTES_MAX as u64)
                .read_until(b'\n', &mut self.line)?;
            if count == 0 || self.line.last() == Some(&b'\n') {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_skipped_and_still_counted() {
        let long = vec![b'x'; 3 * LINE_BYTES_MAX];
        let longest = vec![b'y'; LINE_BYTES_MAX];
        let text = [b"a\r\n", &long[..], b"\n", &longest, b"\nb"].concat();
        let mut lines = BoundedLines::new(&text[..]);
        let mut lengths = Vec::new();
        while let Some((number, line)) = lines.next().expect("memory is readable") {
            let length = match line {
                BoundedLine::Whole(line) => Some(line.len()),
                BoundedLine::TooLong => None,
            };
            lengths.push((number, length));
        }
        assert_eq!(lengths, [(1, Some(1)), (2, None), (3, Some(LINE_BYTES_MAX)), (4, Some(1))]);
    }
}
