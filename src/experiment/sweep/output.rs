//! The last lines of what a program printed, bounded and without control characters, which would
//! act on a terminal.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// The last lines of a file; `None` if it is empty or missing.
pub(super) fn tail(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let len = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(BYTES_MAX))).ok()?;
    let mut bytes = Vec::new();
    // A server may print while this reads.
    file.take(BYTES_MAX).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.trim_end().lines().map(printable).collect();
    let last = lines[lines.len().saturating_sub(LINES_MAX)..].join("\n");
    (!last.is_empty()).then_some(last)
}

/// The lines, each after `indent`.
pub(super) fn indented(lines: &str, indent: &str) -> String {
    lines.lines().flat_map(|line| [indent.to_owned(), printable(line), "\n".to_owned()]).collect()
}

/// A line without control characters, and cut after [`CHARS_MAX`] characters.
fn printable(line: &str) -> String {
    let line = line.trim_end();
    let plain = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    let mut text: String = line.chars().take(CHARS_MAX).map(plain).collect();
    if line.chars().nth(CHARS_MAX).is_some() {
        text.push('…');
    }
    text
}

const BYTES_MAX: u64 = 4096;
const LINES_MAX: usize = 12;
const CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::sweep::tests::TempFolder;

    #[test]
    fn only_the_last_lines_are_kept_and_none_is_long() {
        let folder = TempFolder::new();
        let path = folder.path().join("output");
        assert_eq!(tail(&path), None);
        let of = |text: &str| {
            std::fs::write(&path, text).unwrap();
            tail(&path)
        };
        assert_eq!(of(" \n\n"), None);
        assert_eq!(of("a\n\x1b[31mred\tb\r\n"), Some("a\n\u{fffd}[31mred b".to_owned()));
        let many: String = (1..=5000).flat_map(|n| [n.to_string(), "\n".to_owned()]).collect();
        let last = of(&many).unwrap();
        assert_eq!(last.lines().next(), Some("4989"));
        assert_eq!(last.lines().last(), Some("5000"));
        let long = of(&"x".repeat(9999)).unwrap();
        assert_eq!(long.chars().count(), CHARS_MAX + 1);
        assert_eq!(indented("a\nb", "  "), "  a\n  b\n");
    }
}
