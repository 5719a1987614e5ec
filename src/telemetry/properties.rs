//! The properties of the access log that hold for any text of a client and for any words of a
//! hostile worker. The fuzzer calls [`log`], and so do the tests over its corpus.

use super::access_record::RecordCopy;
use super::escape;
use super::format::AccessLineWriter;
use super::options::LogFormat;

/// Asserts the properties of a text, and of the words that the same bytes are.
///
/// # Panics
/// If one doesn't hold.
pub fn log(data: &[u8]) {
    escape::property(data);
    let (words, _) = data.as_chunks::<8>();
    let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    lines_of(&words);
}

/// Any words are a record of a bounded number of lines, each of which is one line of printable
/// ASCII; each of JSON is an object of the schema.
pub(super) fn lines_of(words: &[u64]) {
    let mut copy = RecordCopy::default();
    let entry = copy.decode(words.iter().copied());
    for format in [LogFormat::Combined, LogFormat::Json] {
        let mut writer = AccessLineWriter::new(format);
        writer.set_clocks(1_795_836_792_000_000_000, 5_000_000_000);
        let mut bytes = Vec::new();
        let count = writer.push(&mut bytes, &entry);
        let text = String::from_utf8(bytes).expect("it is ASCII");
        assert_eq!(text.lines().count(), count as usize, "a line for each request");
        assert!((1..=64).contains(&count), "the words of one record are bounded");
        let is_plain = |octet: u8| octet == b'\n' || (0x20..0x7f).contains(&octet);
        assert!(text.ends_with('\n') && text.bytes().all(is_plain), "{text:?}");
        for line in text.lines() {
            match format {
                LogFormat::Combined => assert_eq!(line.matches('"').count(), 6, "{line}"),
                LogFormat::Json => {
                    let value: serde_json::Value =
                        serde_json::from_str(line).expect("a line is an object");
                    assert_eq!(value["schema"], "uringstatic-access/1");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_words_become_whole_lines(words in prop::collection::vec(any::<u64>(), 0..70)) {
            lines_of(&words);
        }
    }
}
