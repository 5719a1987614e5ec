//! Requests of an access log (`--replay`): lines in the common or the combined format of Apache and
//! nginx, or JSON objects, one per line.
//!
//! A request is replayed exactly or not at all: a line that has none, or whose target a request
//! can't carry (a space, a control character, an octet beyond ASCII), is skipped and counted.

mod json;
mod text;
pub(super) mod time;

use super::lines::{BoundedLine, BoundedLines};
use super::{ENTRIES_MAX, ListError, MethodAndTarget, Numbering, RequestList};
use crate::load::options::method;
use std::io::BufRead;

/// A log that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// The requests in the order of the log, or of their times if those are asked for.
    pub list: RequestList,
    /// Number of lines that are not blank.
    pub lines: u64,
    /// Number of lines without a request that can be replayed.
    pub skipped: u64,
    /// The first of them: its number from 1, and the reason.
    pub first_skipped: Option<(u64, String)>,
    /// Number of requests whose method has content, which no log has.
    pub without_content: u64,
}

/// A request of a log, and its time in nanoseconds since 1970 if the line has one.
#[derive(Debug, PartialEq, Eq)]
struct LogEntry {
    request: MethodAndTarget,
    time_ns: Option<i128>,
}

/// Reads a log. With a `speed`, the requests get the log's own times, divided by it, and their
/// order; lines without a time are skipped then.
///
/// A log whose times are whole seconds says only in which second a request came; the requests of
/// each second are spread evenly over it.
///
/// # Errors
/// If the log can't be read or has no request, or a bound is exceeded.
pub fn read(reader: impl BufRead, speed: Option<f64>) -> Result<AccessLog, ListError> {
    let mut log = AccessLog {
        list: RequestList::default(),
        lines: 0,
        skipped: 0,
        first_skipped: None,
        without_content: 0,
    };
    let mut numbering = Numbering::default();
    let mut times: Vec<(i128, u32)> = Vec::new();
    let mut lines = BoundedLines::new(reader);
    let failed = |error: std::io::Error| ListError::of_list(format!("reading it: {error}"));
    while let Some((number, line)) = lines.next().map_err(failed)? {
        let entry = match line {
            BoundedLine::Whole(line) if line.trim_ascii().is_empty() => continue,
            BoundedLine::Whole(line) => parse(line, speed.is_some()),
            BoundedLine::TooLong => {
                Err(format!("it is longer than {} bytes", super::LINE_BYTES_MAX))
            }
        };
        log.lines += 1;
        let LogEntry { request, time_ns } = match entry {
            Ok(entry) => entry,
            Err(why) => {
                log.skipped += 1;
                log.first_skipped.get_or_insert((number, why));
                continue;
            }
        };
        log.without_content +=
            u64::from(matches!(request.method.as_str(), "POST" | "PUT" | "PATCH"));
        let wrong = |why: &str| ListError::of_line(number, format!("{why}: cut the log there"));
        let index = numbering.number(request).ok_or_else(|| wrong("too many distinct requests"))?;
        if log.list.sequence.len() + times.len() == ENTRIES_MAX {
            return Err(wrong("a replay has at most 10,000,000 requests"));
        }
        match time_ns.filter(|_| speed.is_some()) {
            Some(time) => times.push((time, index)),
            None => log.list.sequence.push(index),
        }
    }
    if log.lines == log.skipped {
        let first = log.first_skipped.map(|(line, why)| format!(" (line {line}: {why})"));
        let first = first.unwrap_or_default();
        return Err(ListError::of_list(format!("it has no request that can be replayed{first}")));
    }
    if let Some(speed) = speed {
        (log.list.sequence, log.list.due_ns) = in_time(times, speed);
    }
    log.list.requests = numbering.requests;
    Ok(log)
}

fn parse(line: &[u8], needs_time: bool) -> Result<LogEntry, String> {
    let entry = match line.trim_ascii_start().first() {
        Some(b'{') => json::parse(line)?,
        _ => text::parse(line)?,
    };
    if needs_time && entry.time_ns.is_none() {
        return Err("it has no time, which --speed needs".to_owned());
    }
    Ok(entry)
}

/// A request that was logged as a whole request line (RFC 9112 3).
fn of_request_line(line: &[u8]) -> Result<MethodAndTarget, String> {
    let shown = || line[..line.len().min(SHOWN_MAX)].escape_ascii();
    let mut words = line.split(|&octet| octet == b' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let (Some(method), Some(target), Some(version), None) = (method, target, version, words.next())
    else {
        return Err(format!("\"{}\" is not a method, a target and a version", shown()));
    };
    if !version.starts_with(b"HTTP/") {
        return Err(format!("\"{}\" doesn't end with a version of HTTP", shown()));
    }
    of_parts(method, target)
}

/// A request of a method and a target, if a request can carry them as they are.
fn of_parts(name: &[u8], target: &[u8]) -> Result<MethodAndTarget, String> {
    let shown = target[..target.len().min(SHOWN_MAX)].escape_ascii();
    let name = std::str::from_utf8(name).map_err(|_| "the method isn't ASCII".to_owned())?;
    let method = method(name)?;
    let has_form = target.starts_with(b"/")
        || target.starts_with(b"http://")
        || target.starts_with(b"https://")
        || (method == "OPTIONS" && target == b"*");
    if !has_form {
        return Err(format!("\"{shown}\" is not a request target"));
    }
    if !target.iter().all(u8::is_ascii_graphic) {
        return Err(format!("the target \"{shown}\" has an octet that a request can't carry"));
    }
    let target = std::str::from_utf8(target).expect("it is ASCII").to_owned();
    Ok(MethodAndTarget { method, target })
}

/// The sequence in the order of the times, and the nanoseconds of each entry after the first.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a double has microseconds over a century"
)]
fn in_time(mut times: Vec<(i128, u32)>, speed: f64) -> (Vec<u32>, Vec<u64>) {
    // Stable: a log is written at the end of each request, so that neighbours are out of order.
    times.sort_by_key(|&(time, _)| time);
    let Some(&(start, _)) = times.first() else { return (Vec::new(), Vec::new()) };
    let has_fractions = times.iter().any(|(time, _)| time % SECOND_NS != 0);
    let mut due_ns: Vec<u64> = Vec::with_capacity(times.len());
    for group in times.chunk_by(|a, b| a.0 == b.0) {
        let spread = if has_fractions { 0.0 } else { SECOND_NS as f64 / group.len() as f64 };
        let since = (group[0].0 - start) as f64;
        due_ns.extend((0..group.len()).map(|k| ((since + k as f64 * spread) / speed) as u64));
    }
    (times.into_iter().map(|(_, index)| index).collect(), due_ns)
}

const SECOND_NS: i128 = 1_000_000_000;
/// The most octets of a line that a message shows.
const SHOWN_MAX: usize = 60;

#[cfg(test)]
mod tests;
