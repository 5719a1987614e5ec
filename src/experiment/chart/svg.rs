//! Writes SVG: escaped text, short numbers, and how wide a word will be. Knows no chart.

use std::fmt::{self, Write as _};

/// The body of a picture, as far as it has been written.
#[derive(Debug, Default)]
pub(super) struct Svg {
    text: String,
}

/// Where a text stands relative to its x.
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

    /// A text that shows its title to whoever points at it.
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

    /// This body, and then that one.
    pub(super) fn followed_by(mut self, other: &Self) -> Self {
        self.text += &other.text;
        self
    }

    fn write(&mut self, arguments: fmt::Arguments) {
        self.text.write_fmt(arguments).expect("writing to a string does not fail");
    }
}

/// What is around the body of a picture.
pub(super) struct Frame<'a> {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) title: &'a str,
    pub(super) description: &'a str,
    /// CSS without characters that XML knows.
    pub(super) sheet: &'a str,
}

/// A coordinate: two decimals at most.
#[derive(Clone, Copy)]
pub(super) struct Number(pub(super) f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert!(self.0.is_finite(), "a coordinate is finite");
        f.write_str(&plain(self.0, 2))
    }
}

/// Text in an element.
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
                // XML 1.0 has no way to write these.
                '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// How wide a text may be, in the widest of the usual sans-serif fonts: nothing here can ask the
/// font of a reader.
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
        // Also the control characters, which are written as a replacement.
        _ => 1.0,
    }
}

/// The text, or what is left of it in that width: names differ at their beginnings or at their
/// ends, so it loses its middle.
pub(super) fn shortened(text: &str, size: f64, width_max: f64) -> Option<String> {
    // The room was often made for this very text, but sums of fractions can differ.
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

/// The lines of a paragraph, cut between words where there are any.
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

/// A value in few characters: `20k`, `1.5M`.
pub(super) fn compact(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".into()
    } else if !(1e-3..1e10).contains(&size) {
        let exponent = (size.log10() + 1e-9).floor();
        let mantissa = plain(value / 10_f64.powf(exponent), 2);
        format!("{mantissa}e{exponent}")
    } else if size >= 1e9 {
        plain(value / 1e9, 3) + "G"
    } else if size >= 1e6 {
        plain(value / 1e6, 3) + "M"
    } else if size >= 1e3 {
        plain(value / 1e3, 3) + "k"
    } else {
        plain(value, 4)
    }
}

/// A value in full: `10,000`; in few characters if it would be long.
pub(super) fn grouped(value: f64) -> String {
    let size = value.abs();
    if !(1e3..1e9).contains(&size) {
        return compact(value);
    }
    let text = plain(value, 3);
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (at, digit) in whole.char_indices() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

/// Microseconds with the unit that suits them.
pub(super) fn duration(us: f64) -> String {
    let size = us.abs();
    if size == 0.0 {
        "0".into()
    } else if size >= 1e6 {
        grouped(us / 1e6) + " s"
    } else if size >= 1e3 {
        plain(us / 1e3, 3) + " ms"
    } else {
        compact(us) + " µs"
    }
}

fn plain(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, in_few, in_full) in [
            (0.0, "0", "0"),
            (0.25, "0.25", "0.25"),
            (64.0, "64", "64"),
            (1000.0, "1k", "1,000"),
            (12_500.0, "12.5k", "12,500"),
            (-123_456.0, "-123.456k", "-123,456"),
            (1e6, "1M", "1,000,000"),
            (2e9, "2G", "2G"),
            (1e12, "1e12", "1e12"),
            (2e-5, "2e-5", "2e-5"),
        ] {
            assert_eq!(compact(value), in_few);
            assert_eq!(grouped(value), in_full);
        }
        assert_eq!(
            [0.0, 50.0, 1500.0, 2e6, 5e9].map(duration),
            ["0", "50 µs", "1.5 ms", "2 s", "5,000 s"]
        );
        assert_eq!([-0.001, 1.0, 2.345].map(|value| Number(value).to_string()), ["0", "1", "2.35"]);
    }

    #[test]
    fn a_long_name_keeps_both_its_ends() {
        assert_eq!(shortened("nginx", 14.0, 100.0), None);
        let name = "threads of Python 3.11, four processes, tuned";
        let short = shortened(name, 14.0, 150.0).expect("it is too long");
        assert!(short.starts_with("threads") && short.ends_with("tuned"), "{short}");
        assert!(width(&short, 14.0) <= 150.0);
        assert_eq!(shortened("nginx", 14.0, 0.0).as_deref(), Some("…"));
    }

    #[test]
    fn paragraphs_are_cut_between_words_and_words_if_they_must() {
        assert_eq!(wrapped("nnn nnn  nnn", 10.0, 50.0), ["nnn nnn", "nnn"]);
        assert_eq!(wrapped("nnnnnnnnnn n", 10.0, 50.0), ["nnnnnnn", "nnn n"]);
        assert_eq!(wrapped(" ", 10.0, 50.0), [""; 0]);
    }
}
