//! Content in chunks (RFC 9112 7.1), found to its end in whatever pieces it comes. Knows neither
//! whose content it is nor what becomes of it.

use super::grammar::is_forbidden;

/// The most digits of a chunk's size; leading zeros would go on for ever.
pub const CHUNK_SIZE_DIGITS_MAX: u8 = 32;
/// The most bytes of chunk extensions in one body.
pub const EXTENSION_BYTES_MAX: u32 = 4 * 1024;
/// The most bytes of a trailer section, line feeds aside.
pub const TRAILER_BYTES_MAX: u32 = 8 * 1024;

/// How far content in chunks has come. The default is: nothing has come yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chunks {
    state: State,
    /// Content announced so far.
    content: u64,
    extensions: u32,
    trailer: u32,
}

/// What has become of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It goes on.
    More,
    /// It is over; what follows is the next message.
    Done,
    /// It is longer than is wanted.
    TooLong,
    /// Its chunks are not valid.
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the digits of a chunk's size.
    Size {
        size: u64,
        digits: u8,
    },
    /// Behind the size, before an extension: white space that only an extension may follow.
    Space {
        size: u64,
    },
    /// In an extension.
    Extension {
        size: u64,
    },
    /// Behind the CR that ends the line of a size.
    SizeEnd {
        size: u64,
    },
    /// In a chunk's data, of which so many bytes are left.
    Data(u64),
    /// Behind the data.
    DataEnd {
        carriage_return: bool,
    },
    /// At the beginning of a trailer line.
    TrailerStart,
    /// In a trailer line.
    Trailer,
    /// Behind the CR of a trailer line, or of the empty one that ends all.
    TrailerEnd {
        last: bool,
    },
    Over(Progress),
}

impl Default for State {
    fn default() -> Self {
        Self::Size { size: 0, digits: 0 }
    }
}

impl Chunks {
    /// Takes bytes up to the end; says how many. The data of chunks goes to `content`.
    pub(super) fn advance(
        &mut self,
        bytes: &[u8],
        content_bytes_max: u64,
        content: &mut impl FnMut(&[u8]),
    ) -> (usize, Progress) {
        let mut used = 0;
        loop {
            let left = &bytes[used..];
            match self.state {
                State::Over(progress) => return (used, progress),
                State::Data(rest) if !left.is_empty() => {
                    let count = left.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
                    content(&left[..count]);
                    self.pass(count as u64);
                    used += count;
                }
                _ => {
                    let Some(&octet) = left.first() else { return (used, Progress::More) };
                    used += 1;
                    self.state = self
                        .after(octet, content_bytes_max)
                        .unwrap_or(State::Over(Progress::Malformed));
                }
            }
        }
    }

    /// How many of the next bytes are data of the chunk that has begun.
    pub(super) fn data_left(&self) -> u64 {
        if let State::Data(rest) = self.state { rest } else { 0 }
    }

    /// The content of all chunks that have begun, in bytes.
    pub(super) fn content(&self) -> u64 {
        self.content
    }

    /// Leaves so many bytes of data behind.
    pub(super) fn pass(&mut self, count: u64) {
        let rest = self.data_left();
        assert!(count <= rest, "only a chunk's data is passed: {count} of {rest}");
        if count > 0 {
            self.state = if count < rest {
                State::Data(rest - count)
            } else {
                State::DataEnd { carriage_return: false }
            };
        }
    }

    /// The state after one octet of framing; `None` if it may not stand there.
    fn after(&mut self, octet: u8, content_bytes_max: u64) -> Option<State> {
        match self.state {
            State::Size { size, digits } => self.after_size(octet, size, digits),
            State::Space { size } => {
                self.count_extension()?;
                match octet {
                    b' ' | b'\t' => Some(State::Space { size }),
                    b';' => Some(State::Extension { size }),
                    _ => None,
                }
            }
            State::Extension { size } => match octet {
                b'\r' => Some(State::SizeEnd { size }),
                b'\n' => None,
                _ if is_forbidden(octet) => None,
                _ => self.count_extension().map(|()| State::Extension { size }),
            },
            State::SizeEnd { size } => {
                (octet == b'\n').then(|| self.after_size_line(size, content_bytes_max))
            }
            State::DataEnd { carriage_return: false } => {
                (octet == b'\r').then_some(State::DataEnd { carriage_return: true })
            }
            State::DataEnd { carriage_return: true } => {
                (octet == b'\n').then_some(State::Size { size: 0, digits: 0 })
            }
            State::TrailerStart | State::Trailer => self.after_trailer(octet),
            State::TrailerEnd { last } => (octet == b'\n').then_some(if last {
                State::Over(Progress::Done)
            } else {
                State::TrailerStart
            }),
            State::Data(_) | State::Over(_) => None,
        }
    }

    fn after_size(&mut self, octet: u8, size: u64, digits: u8) -> Option<State> {
        if let Some(digit) = char::from(octet).to_digit(16) {
            if digits == CHUNK_SIZE_DIGITS_MAX {
                return None;
            }
            let size = size.checked_mul(16)?.checked_add(u64::from(digit))?;
            return Some(State::Size { size, digits: digits + 1 });
        }
        if digits == 0 {
            return None;
        }
        match octet {
            b'\r' => Some(State::SizeEnd { size }),
            b';' => self.count_extension().map(|()| State::Extension { size }),
            // White space is bad unless an extension follows it.
            b' ' | b'\t' => self.count_extension().map(|()| State::Space { size }),
            _ => None,
        }
    }

    fn after_size_line(&mut self, size: u64, content_bytes_max: u64) -> State {
        if size == 0 {
            return State::TrailerStart;
        }
        match self.content.checked_add(size) {
            Some(content) if content <= content_bytes_max => {
                self.content = content;
                State::Data(size)
            }
            Some(_) | None => State::Over(Progress::TooLong),
        }
    }

    /// Trailers are bounded, checked for line ends and controls, and otherwise ignored.
    fn after_trailer(&mut self, octet: u8) -> Option<State> {
        self.trailer += 1;
        match octet {
            _ if self.trailer > TRAILER_BYTES_MAX => None,
            b'\r' => Some(State::TrailerEnd { last: self.state == State::TrailerStart }),
            b'\n' => None,
            _ if is_forbidden(octet) => None,
            _ => Some(State::Trailer),
        }
    }

    fn count_extension(&mut self) -> Option<()> {
        self.extensions += 1;
        (self.extensions <= EXTENSION_BYTES_MAX).then_some(())
    }
}
