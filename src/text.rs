//! Plain text for people: aligned columns and wrapped paragraphs.

use textwrap::{Options, WordSplitter};

/// One line per row: each column is as wide as its widest cell, with two spaces between columns and
/// none at the end of a line. Widths are counted in characters.
///
/// ```
/// let rows = [["path", "status"], ["/about", "200"]].map(|row| row.map(str::to_owned));
/// assert_eq!(uringstatic::text::columns(&rows), ["path    status", "/about  200"]);
/// ```
#[must_use]
pub fn columns<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// A paragraph of lines of at most `width` columns, with a line end after each: `first` stands
/// before the first line, and `indent` spaces before the others. Words are never broken, so that a
/// path or a URL can be copied; escape sequences for colours count as nothing.
#[must_use]
pub fn paragraph(first: &str, indent: usize, words: &str, width: usize) -> String {
    let indent = " ".repeat(indent);
    let options = Options::new(width)
        .initial_indent(first)
        .subsequent_indent(&indent)
        .break_words(false)
        .word_splitter(WordSplitter::NoHyphenation);
    let mut text = textwrap::fill(words, options);
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_hangs_and_keeps_words_whole() {
        let text =
            paragraph("\x1b[31mfault\x1b[0m ", 6, "one well-known /a/very/long/path two", 16);
        assert_eq!(
            text,
            "\x1b[31mfault\x1b[0m one\n      well-known\n      /a/very/long/path\n      two\n"
        );
    }
}
