//! Names of files as people are escaped them. A name may hold anything but a slash and a NUL: line
//! ends that would forge a message, or octets that are no text.

use std::fmt::Write;
use std::path::Path;

/// The name with what can't be seen escaped, and so that no two names look the same: a backslash
/// is escaped, too.
#[must_use]
pub fn escaped(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for sign in chunk.valid().chars() {
            match sign {
                '\\' => text.push_str("\\\\"),
                _ => push(&mut text, sign),
            }
        }
        for octet in chunk.invalid() {
            write!(text, "\\x{octet:02x}").expect("writing to a string does not fail");
        }
    }
    text
}

/// A path as [`escaped`].
#[must_use]
pub fn escaped_path(path: &Path) -> String {
    escaped(path.as_os_str().as_encoded_bytes())
}

/// Text of ours and of files with what can't be seen escaped.
#[must_use]
pub fn escape_controls(text: &str) -> String {
    let mut escape_controls = String::with_capacity(text.len());
    text.chars().for_each(|sign| push(&mut escape_controls, sign));
    escape_controls
}

fn push(text: &mut String, sign: char) {
    if sign.is_control() || is_unseen(sign) {
        text.extend(sign.escape_default());
    } else {
        text.push(sign);
    }
}

/// Signs that say how others are escaped, or that a line ends (Unicode's `Cf`, `Zl` and `Zp`, as
/// far as they hide something).
fn is_unseen(sign: char) -> bool {
    matches!(
        sign,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_forges_nothing() {
        for (name, expected) in [
            (&b"a b.txt"[..], "a b.txt"),
            ("\u{e4}.txt".as_bytes(), "\u{e4}.txt"),
            (b"a\nuringstatic: ready\r", "a\\nuringstatic: ready\\r"),
            (b"\x1b[2Ja\x7f", "\\u{1b}[2Ja\\u{7f}"),
            (b"\xff.txt", "\\xff.txt"),
            (b"\xfe.txt", "\\xfe.txt"),
            (b"\\xff.txt", "\\\\xff.txt"),
            ("\u{202e}txt.\u{200b}\u{9b}".as_bytes(), "\\u{202e}txt.\\u{200b}\\u{9b}"),
        ] {
            assert_eq!(escaped(name), expected);
        }
        assert_eq!(escape_controls("a\\b\u{1b}"), "a\\b\\u{1b}");
    }
}
