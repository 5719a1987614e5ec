//! The text of a client in a line of the log: printable ASCII, whatever the octets are.
//!
//! An octet outside of 0x20 to 0x7e, `"` and `\` become `\xHH`, with upper-case digits, as in
//! nginx's logs. So a text can neither end its field or its line nor send a sequence to a terminal
//! (bytes from 0x80 on include the C1 controls), and it has one reading: a backslash always begins
//! an escape. In JSON, the backslash of the escape is doubled, so that the decoded string is the
//! same text.

use super::options::LogFormat;

/// Appends a text with its escapes.
pub fn push_escaped(to: &mut Vec<u8>, text: &[u8], format: LogFormat) {
    // Nearly all texts are plain, and the compiler checks many octets at a time.
    if text.iter().fold(true, |plain, &octet| plain & is_plain(octet)) {
        to.extend_from_slice(text);
        return;
    }
    let begin: &[u8] = match format {
        LogFormat::Combined => b"\\x",
        LogFormat::Json => b"\\\\x",
    };
    for &octet in text {
        if is_plain(octet) {
            to.push(octet);
        } else {
            to.extend_from_slice(begin);
            to.extend([octet >> 4, octet & 15].map(|digit| DIGITS[usize::from(digit)]));
        }
    }
}

/// The octets of an escaped text.
///
/// # Errors
/// If it isn't one that [`push_escaped`] has written, as [`LogFormat::Combined`] or decoded from
/// JSON.
pub fn unescape(text: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [octet, behind @ ..] = rest {
        rest = behind;
        octets.push(match (octet, behind) {
            (b'\\', [b'x', high, low, behind @ ..]) => {
                rest = behind;
                let digit = |octet: &u8| DIGITS.iter().position(|digit| digit == octet);
                let (high, low) = (digit(high), digit(low));
                let value = high.zip(low).map(|(high, low)| 16 * high + low);
                let value = value.ok_or("\\x without two upper-case hexadecimal digits")?;
                u8::try_from(value).expect("two digits are a byte")
            }
            (b'\\', _) => return Err("a backslash that begins no escape"),
            (octet, _) if is_plain(*octet) => *octet,
            _ => return Err("an octet that should be escaped"),
        });
    }
    Ok(octets)
}

/// The most bytes that an octet becomes.
pub(super) const ESCAPED_BYTES_MAX: usize = 5;

fn is_plain(octet: u8) -> bool {
    (0x20..0x7f).contains(&octet) && octet != b'"' && octet != b'\\'
}

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

/// Asserts what holds for any text in a line of either format: the bytes are printable ASCII
/// without a quote, they decode to the text, and JSON's reader agrees. For a fuzz target, and the
/// tests over its corpus.
///
/// # Panics
/// If the property doesn't hold.
pub fn property(text: &[u8]) {
    let mut combined = Vec::new();
    push_escaped(&mut combined, text, LogFormat::Combined);
    assert!(combined.iter().all(|octet| (0x20..0x7f).contains(octet) && *octet != b'"'));
    assert_eq!(unescape(&combined).as_deref(), Ok(text), "it has one reading");
    assert_eq!(combined, model(text), "the escapes are those of nginx");
    let mut json = b"\"".to_vec();
    push_escaped(&mut json, text, LogFormat::Json);
    json.push(b'"');
    let decoded: String = serde_json::from_slice(&json).expect("it is a JSON string");
    assert_eq!(decoded.as_bytes(), combined, "both formats have the same text");
    assert!(json.len() <= ESCAPED_BYTES_MAX * text.len() + 2);
}

/// The escapes as nginx describes them (`log_format`, `escape=default`), octet by octet.
fn model(text: &[u8]) -> Vec<u8> {
    let escaped = text.iter().map(|&octet| match octet {
        b'"' | b'\\' | 0..32 | 127.. => format!("\\x{octet:02X}"),
        _ => char::from(octet).to_string(),
    });
    escaped.collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forged_fields_lines_and_terminal_sequences_become_escapes() {
        let escaped = |text: &[u8]| {
            let mut line = Vec::new();
            push_escaped(&mut line, text, LogFormat::Combined);
            String::from_utf8(line).expect("it is ASCII")
        };
        assert_eq!(escaped(b"GET /a?b HTTP/1.1"), "GET /a?b HTTP/1.1");
        assert_eq!(escaped(b"a\" 200 5 \"-\r\nb"), r"a\x22 200 5 \x22-\x0D\x0Ab");
        assert_eq!(escaped(b"\x1b[2J\x9b\xc2\x9b\x7f\0"), r"\x1B[2J\x9B\xC2\x9B\x7F\x00");
        assert_eq!(escaped(b"\\x22"), r"\x5Cx22");
        assert_eq!(unescape(br"\x5Cx22"), Ok(b"\\x22".to_vec()));
        for wrong in [r"\x5c", r"\n", r"\x", "\\", "\"", "\u{e4}"] {
            assert!(unescape(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_have_one_reading_in_both_formats(
            text in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            property(&text);
        }
    }
}
