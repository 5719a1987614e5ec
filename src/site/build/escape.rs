//! File names and texts of files in messages. A name may have any octet but a slash and a NUL: line
//! ends, which would forge a message, or octets that aren't UTF-8.

use std::fmt::Write;
use std::path::Path;

/// A name with its unprintable octets escaped (`\n`, `\xff`). Backslashes are escaped, too, so that
/// different names look different.
#[must_use]
pub fn escaped(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                _ => push(&mut text, character),
            }
        }
        for octet in chunk.invalid() {
            write!(text, "\\x{octet:02x}").expect("writing to a string doesn't fail");
        }
    }
    text
}

/// A path with its unprintable octets [`escaped`].
#[must_use]
pub fn escaped_path(path: &Path) -> String {
    escaped(path.as_os_str().as_encoded_bytes())
}

/// A text with its unprintable characters escaped; backslashes stay.
#[must_use]
pub fn escape_controls(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    text.chars().for_each(|character| push(&mut escaped, character));
    escaped
}

fn push(text: &mut String, character: char) {
    if character.is_control() || is_invisible(character) {
        text.extend(character.escape_default());
    } else {
        text.push(character);
    }
}

/// Whether a character is invisible or reorders its neighbours: those of Unicode's categories `Cf`,
/// `Zl` and `Zp` that can disguise a text.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_control_characters_cannot_forge_messages() {
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
