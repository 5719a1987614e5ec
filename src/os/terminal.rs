//! Messages for people, on standard output and standard error.
//!
//! The reader of a pipe may have exited or be stalled, and neither may stop the program. So nothing
//! here panics, unlike `println!` and `eprintln!`, and a message to standard error waits only a
//! moment for a stalled reader; then it is dropped and counted. A message of up to `PIPE_BUF` bytes
//! is one write, so that messages of several processes don't mix (pipe(7)).

use crate::os::poll::{PIPE_BUF, wait_writable};
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Writes results to standard output, and waits for its reader without limit. A reader that is gone
/// is no failure.
///
/// # Errors
/// If the results can't be written, as to a full disk.
pub fn out(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Writes a line to standard error, or drops it if the reader is stalled. The next line that is
/// written ends with the number of dropped lines.
pub fn err(text: impl Display) {
    static STDERR: Messages = Messages::new();
    STDERR.write(io::stderr().lock(), text);
}

/// The messages to one descriptor.
struct Messages {
    /// The number of messages dropped since the last one that was written.
    dropped: AtomicU64,
    /// Whether the last write was the beginning of a message that was cut off.
    ends_within_line: AtomicBool,
}

impl Messages {
    const fn new() -> Self {
        Self { dropped: AtomicU64::new(0), ends_within_line: AtomicBool::new(false) }
    }

    /// The descriptor's `O_NONBLOCK` would be simpler, but it belongs to the open file description,
    /// which the parent and other programs share. A race remains: another process that fills the
    /// same pipe between poll(2) and write(2) makes the write block.
    fn write(&self, mut sink: impl Write + AsFd, text: impl Display) {
        let dropped = self.dropped.load(Ordering::Relaxed);
        // Many messages to a stalled reader cost one wait altogether, not one each.
        let patience = if dropped == 0 { PATIENCE } else { Duration::ZERO };
        let begin = if self.ends_within_line.load(Ordering::Relaxed) { "\n" } else { "" };
        let note = match dropped {
            0 => String::new(),
            1 => " [1 earlier message was dropped: its reader was stalled]".to_owned(),
            _ => format!(" [{dropped} earlier messages were dropped: their reader was stalled]"),
        };
        let line = format!("{begin}{text}{note}\n");
        let written = write_within(&mut sink, line.as_bytes(), patience);
        if written == line.len() {
            self.dropped.fetch_sub(dropped, Ordering::Relaxed);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        if written > 0 {
            self.ends_within_line.store(written < line.len(), Ordering::Relaxed);
        }
    }
}

/// Writes until the time is over or the sink fails, and returns how many bytes were written.
fn write_within(sink: &mut (impl Write + AsFd), bytes: &[u8], time: Duration) -> usize {
    let deadline = Instant::now() + time;
    let mut written = 0;
    while written < bytes.len() {
        let left = deadline.saturating_duration_since(Instant::now());
        match wait_writable(sink.as_fd(), left) {
            Ok(true) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted && !left.is_zero() => continue,
            Ok(false) | Err(_) => break,
        }
        // A longer write would block until the reader has made room for the rest.
        let end = bytes.len().min(written + PIPE_BUF);
        match sink.write(&bytes[written..end]) {
            Ok(count @ 1..) => written += count,
            Err(error) if is_transient(error.kind()) && !left.is_zero() => {}
            Ok(0) | Err(_) => break,
        }
    }
    written
}

fn is_transient(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Interrupted | ErrorKind::WouldBlock)
}

/// The longest that a message waits for a stalled reader.
const PATIENCE: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{PipeReader, PipeWriter, Read, pipe};

    /// Fills a pipe except for `free_pages`, and returns the number of bytes in it.
    fn fill(reader: &mut PipeReader, writer: &mut PipeWriter, free_pages: usize) -> usize {
        let mut bytes = 0;
        while wait_writable(writer.as_fd(), Duration::ZERO).unwrap() {
            bytes += writer.write(&[b'.'; PIPE_BUF]).unwrap();
        }
        let freed = free_pages * PIPE_BUF;
        reader.read_exact(&mut vec![0; freed]).unwrap();
        bytes - freed
    }

    fn rest(reader: &mut PipeReader, writer: PipeWriter, filled: usize) -> String {
        drop(writer);
        reader.read_exact(&mut vec![0; filled]).unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn dropped_messages_are_counted_once() {
        let (mut reader, mut writer) = pipe().unwrap();
        let filled = fill(&mut reader, &mut writer, 0);
        let messages = Messages::new();
        for text in ["a", "b"] {
            messages.write(&mut writer, text);
        }
        // A pipe is writable only if it has a free page.
        reader.read_exact(&mut [0; 2 * PIPE_BUF]).unwrap();
        for text in ["c", "d"] {
            messages.write(&mut writer, text);
        }
        let note = "[2 earlier messages were dropped: their reader was stalled]";
        let text = rest(&mut reader, writer, filled - 2 * PIPE_BUF);
        assert_eq!(text, format!("c {note}\nd\n"));
    }

    #[test]
    fn a_message_after_a_truncated_one_starts_on_a_new_line() {
        let (mut reader, mut writer) = pipe().unwrap();
        let filled = fill(&mut reader, &mut writer, 1);
        let messages = Messages::new();
        messages.write(&mut writer, "x".repeat(2 * PIPE_BUF));
        reader.read_exact(&mut vec![0; filled]).unwrap();
        messages.write(&mut writer, "y");
        let text = rest(&mut reader, writer, PIPE_BUF);
        assert_eq!(text, "\ny [1 earlier message was dropped: its reader was stalled]\n");
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let (reader, mut writer) = pipe().unwrap();
        drop(reader);
        let messages = Messages::new();
        messages.write(&mut writer, "a");
        assert_eq!(messages.dropped.load(Ordering::Relaxed), 1);
    }
}
