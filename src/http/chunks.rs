//! The chunked transfer coding (RFC 9112 7.1), decoded in whatever pieces it arrives. Requests and
//! responses share it.
//!
//! ```text
//!   ┌──────────────────────── DataEnd ◄── Data ◄──┐
//!   ▼                                             │ size > 0
//!  Size ──┬────────────────────────► SizeEnd ─────┤
//!         └─► Space ─► Extension ───────▲         │ size = 0
//!                                                 ▼
//!                     Over ◄── TrailerEnd ◄── TrailerStart ◄─► Trailer
//! ```

use super::grammar::is_forbidden;
use super::limits::{CHUNK_SIZE_DIGITS_MAX, EXTENSION_BYTES_MAX, TRAILER_BYTES_MAX};

/// The state of a decoder. The default is the beginning of a chunked body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chunks {
    state: ChunkState,
    /// Bytes of content in all chunks that have begun.
    content: u64,
    extensions: u32,
    trailer: u32,
}

/// The progress of a body after a call with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyProgress {
    /// The body isn't complete.
    More,
    /// The body is complete; the next message follows.
    Done,
    /// The content exceeds the limit of the caller.
    TooLong,
    /// The chunked coding is invalid, or exceeds a bound.
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkState {
    /// Among the digits of a chunk size.
    Size {
        size: u64,
        digits: u8,
    },
    /// In whitespace after the size, which only an extension may follow.
    Space {
        size: u64,
    },
    /// In a chunk extension.
    Extension {
        size: u64,
    },
    /// After the CR of a line with a size.
    SizeEnd {
        size: u64,
    },
    /// In the data of a chunk, with the number of bytes left.
    Data(u64),
    /// In the line end after the data.
    DataEnd {
        carriage_return: bool,
    },
    /// At the beginning of a line of the trailer section.
    TrailerStart,
    /// In a trailer field line.
    Trailer,
    /// After the CR of a trailer field line, or of the empty last line.
    TrailerEnd {
        last: bool,
    },
    Over(BodyProgress),
}

impl Default for ChunkState {
    fn default() -> Self {
        Self::Size { size: 0, digits: 0 }
    }
}

impl Chunks {
    /// Consumes bytes up to the end of the body and passes the data of chunks to `content`. Returns
    /// the number of bytes consumed.
    pub(super) fn advance(
        &mut self,
        bytes: &[u8],
        content_bytes_max: u64,
        content: &mut impl FnMut(&[u8]),
    ) -> (usize, BodyProgress) {
        let mut used = 0;
        loop {
            let left = &bytes[used..];
            match self.state {
                ChunkState::Over(progress) => return (used, progress),
                ChunkState::Data(rest) if !left.is_empty() => {
                    let count = left.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
                    content(&left[..count]);
                    self.pass(count as u64);
                    used += count;
                }
                _ => {
                    let Some(&octet) = left.first() else { return (used, BodyProgress::More) };
                    used += 1;
                    self.state = self
                        .after(octet, content_bytes_max)
                        .unwrap_or(ChunkState::Over(BodyProgress::Malformed));
                }
            }
        }
    }

    /// The number of bytes left of the data of the current chunk.
    pub(super) fn data_left(&self) -> u64 {
        if let ChunkState::Data(rest) = self.state { rest } else { 0 }
    }

    /// The length of the content in all chunks that have begun, in bytes.
    pub(super) fn content(&self) -> u64 {
        self.content
    }

    /// Advances by `count` bytes of data, which the caller consumed.
    pub(super) fn pass(&mut self, count: u64) {
        let rest = self.data_left();
        assert!(count <= rest, "only the data of a chunk is passed: {count} of {rest}");
        if count > 0 {
            self.state = if count < rest {
                ChunkState::Data(rest - count)
            } else {
                ChunkState::DataEnd { carriage_return: false }
            };
        }
    }

    /// The state after one octet outside the data; `None` if the grammar forbids the octet.
    fn after(&mut self, octet: u8, content_bytes_max: u64) -> Option<ChunkState> {
        match self.state {
            ChunkState::Size { size, digits } => self.after_size(octet, size, digits),
            ChunkState::Space { size } => {
                self.count_extension()?;
                match octet {
                    b' ' | b'\t' => Some(ChunkState::Space { size }),
                    b';' => Some(ChunkState::Extension { size }),
                    _ => None,
                }
            }
            ChunkState::Extension { size } => match octet {
                b'\r' => Some(ChunkState::SizeEnd { size }),
                b'\n' => None,
                _ if is_forbidden(octet) => None,
                _ => self.count_extension().map(|()| ChunkState::Extension { size }),
            },
            ChunkState::SizeEnd { size } => {
                (octet == b'\n').then(|| self.after_size_line(size, content_bytes_max))
            }
            ChunkState::DataEnd { carriage_return: false } => {
                (octet == b'\r').then_some(ChunkState::DataEnd { carriage_return: true })
            }
            ChunkState::DataEnd { carriage_return: true } => {
                (octet == b'\n').then_some(ChunkState::Size { size: 0, digits: 0 })
            }
            ChunkState::TrailerStart | ChunkState::Trailer => self.after_trailer(octet),
            ChunkState::TrailerEnd { last } => (octet == b'\n').then_some(if last {
                ChunkState::Over(BodyProgress::Done)
            } else {
                ChunkState::TrailerStart
            }),
            ChunkState::Data(_) | ChunkState::Over(_) => None,
        }
    }

    fn after_size(&mut self, octet: u8, size: u64, digits: u8) -> Option<ChunkState> {
        if let Some(digit) = char::from(octet).to_digit(16) {
            if digits == CHUNK_SIZE_DIGITS_MAX {
                return None;
            }
            let size = size.checked_mul(16)?.checked_add(u64::from(digit))?;
            return Some(ChunkState::Size { size, digits: digits + 1 });
        }
        if digits == 0 {
            return None;
        }
        match octet {
            b'\r' => Some(ChunkState::SizeEnd { size }),
            b';' => self.count_extension().map(|()| ChunkState::Extension { size }),
            // `BWS` belongs to an extension and must precede one (RFC 9112 7.1.1).
            b' ' | b'\t' => self.count_extension().map(|()| ChunkState::Space { size }),
            _ => None,
        }
    }

    fn after_size_line(&mut self, size: u64, content_bytes_max: u64) -> ChunkState {
        if size == 0 {
            return ChunkState::TrailerStart;
        }
        match self.content.checked_add(size) {
            Some(content) if content <= content_bytes_max => {
                self.content = content;
                ChunkState::Data(size)
            }
            Some(_) | None => ChunkState::Over(BodyProgress::TooLong),
        }
    }

    /// Trailer fields are bounded, checked for line ends and controls, and otherwise ignored (RFC
    /// 9112 7.1.2).
    fn after_trailer(&mut self, octet: u8) -> Option<ChunkState> {
        self.trailer += 1;
        match octet {
            _ if self.trailer > TRAILER_BYTES_MAX => None,
            b'\r' => Some(ChunkState::TrailerEnd { last: self.state == ChunkState::TrailerStart }),
            b'\n' => None,
            _ if is_forbidden(octet) => None,
            _ => Some(ChunkState::Trailer),
        }
    }

    fn count_extension(&mut self) -> Option<()> {
        self.extensions += 1;
        (self.extensions <= EXTENSION_BYTES_MAX).then_some(())
    }
}
