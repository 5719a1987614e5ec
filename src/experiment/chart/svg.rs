//! Writes SVG: paths, escaped text, coordinates, and estimates of text widths.

use crate::experiment::numbers::trimmed;
use std::fmt::{self, Write as _};

/// The elements of a picture written so far.
#[derive(Debug, Default)]
pub(super) struct Svg {
    text: String,
}

/// The alignment of a text to its x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    pub(super) fn path(&mut self, class: &str, shape: &str) {
        self.write(format_args!("<path class=\"{class}\" d=\"{shape}\"/>\n"));
    }

    pub(super) fn rectangle(&mut self, class: &str, x: f64, y: f64, width: f64, height: f64) {
        let [x, y, width, height] = [x, y, width, height].map(Number);
        self.write(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>\n"
        ));
    }

    pub(super) fn text(&mut self, class: &str, anchor: Anchor, (x, y): (f64, f64), text: &str) {
        self.titled_text(class, anchor, (x, y), text, None);
    }

    /// A text with a tooltip.
    pub(super) fn titled_text(
        &mut self,
        class: &str,
        anchor: Anchor,
        (x, y): (f64, f64),
        text: &str,
        title: Option<&str>,
    ) {
        if text.is_empty() {
            return;
        }
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let (x, y, text) = (Number(x), Number(y), Escaped(text));
        self.write(format_args!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\"{anchor}>"));
        if let Some(title) = title {
            self.write(format_args!("<title>{}</title>", Escaped(title)));
        }
        self.write(format_args!("{text}</text>\n"));
    }

    pub(super) fn finish(self, frame: &Frame) -> String {
        let (width, height) = (Number(frame.width), Number(frame.height));
        let (title, description) = (Escaped(frame.title), Escaped(frame.description));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\" \
             aria-labelledby=\"chart-title chart-description\" width=\"{width}\" \
             height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n\
             <title id=\"chart-title\">{title}</title>\n\
             <desc id=\"chart-description\">{description}</desc>\n\
             <style>\n{}</style>\n{}</svg>\n",
            frame.sheet, self.text
        )
    }

    /// Appends the elements of `other`.
    pub(super) fn followed_by(mut self, other: &Self) -> Self {
        self.text += &other.text;
        self
    }

    fn write(&mut self, arguments: fmt::Arguments) {
        self.text.write_fmt(arguments).expect("writing to a string does not fail");
    }
}

/// The root element of a picture: its size, title, description and style sheet.
pub(super) struct Frame<'a> {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) title: &'a str,
    pub(super) description: &'a str,
    /// CSS without characters that need escaping in XML.
    pub(super) sheet: &'a str,
}

/// A coordinate with at most two decimals.
#[derive(Clone, Copy)]
pub(super) struct Number(pub(super) f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert!(self.0.is_finite(), "a coordinate is finite");
        f.write_str(&trimmed(self.0, 2))
    }
}

/// Text with XML escapes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\t' | '\n' | '\r' => f.write_char(' ')?,
                // Not permitted in XML 1.0, not even as a reference (2.2).
                '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// An upper estimate of the width of a text, for the widest common sans-serif font: the reader's
/// font isn't known.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(character_width).sum::<f64>() * size
}

fn character_width(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '\'' | '|' => 0.3,
        ' ' | '.' | ',' | ':' | ';' | '!' | 'f' | 't' | 'r' | 'I' | 'J' | '(' | ')' | '-' | '/' => {
            0.41
        }
        'm' | 'M' | 'w' | 'W' | '%' | '@' | 'O' | 'Q' => 0.98,
        'A'..='Z' | '&' | '+' | '=' | '<' | '>' | '~' | '#' => 0.78,
        ' '..='\u{2ff}' => 0.635,
        // Including control characters, which are written as U+FFFD.
        _ => 1.0,
    }
}

/// The text shortened to this width by an ellipsis in its middle, as names differ at their
/// beginnings or ends; `None` if it fits.
pub(super) fn shortened(text: &str, size: f64, width_max: f64) -> Option<String> {
    // Half a pixel of tolerance for rounding, as the width was often computed from this very text.
    if width(text, size) <= width_max + 0.5 {
        return None;
    }
    let (mut front, mut back) = (text.chars(), text.chars().rev());
    let (mut start, mut end) = (String::new(), Vec::new());
    let mut left = width_max - width("…", size);
    loop {
        let is_front = width(&start, size) <= width_of_all(&end, size);
        let Some(c) = (if is_front { front.next() } else { back.next() }) else { break };
        left -= character_width(c) * size;
        if left < 0.0 {
            break;
        }
        if is_front { start.push(c) } else { end.push(c) }
    }
    let end: String = end.into_iter().rev().collect();
    Some(format!("{}…{}", start.trim_end(), end.trim_start()))
}

fn width_of_all(chars: &[char], size: f64) -> f64 {
    chars.iter().map(|&c| character_width(c)).sum::<f64>() * size
}

/// The lines of a paragraph, broken between words; longer words are broken within.
pub(super) fn wrapped(text: &str, size: f64, width_max: f64) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && width(&line, size) + width(word, size) + size / 2.0 > width_max {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        let mut at = width(&line, size);
        for c in word.chars() {
            let wide = character_width(c) * size;
            if at + wide > width_max {
                lines.push(std::mem::take(&mut line));
                at = 0.0;
            }
            line.push(c);
            at += wide;
        }
    }
    lines.extend((!line.is_empty()).then_some(line));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_have_two_decimals_at_most() {
        let texts = [-0.001, 1.0, 2.345].map(|value| Number(value).to_string());
        assert_eq!(texts, ["0", "1", "2.35"]);
    }

    #[test]
    fn long_name_keeps_both_ends() {
        assert_eq!(shortened("nginx", 14.0, 100.0), None);
        let name = "threads of Python 3.11, four processes, tuned";
        let short = shortened(name, 14.0, 150.0).expect("the name is too long");
        assert!(short.starts_with("threads") && short.ends_with("tuned"), "{short}");
        assert!(width(&short, 14.0) <= 150.0);
        assert_eq!(shortened("nginx", 14.0, 0.0).as_deref(), Some("…"));
    }

    #[test]
    fn paragraphs_break_between_words_and_within_long_words() {
        assert_eq!(wrapped("nnn nnn  nnn", 10.0, 50.0), ["nnn nnn", "nnn"]);
        assert_eq!(wrapped("nnnnnnnnnn n", 10.0, 50.0), ["nnnnnnn", "nnn n"]);
        assert_eq!(wrapped(" ", 10.0, 50.0), [""; 0]);
    }
}
