//! `Accept` (RFC 9110 12.5.1), as far as it distinguishes a navigation to a page from a load by
//! one, and the formats of metrics.

use super::grammar::{WEIGHT_MAX, trim_ows, weight};
use httparse::Header;

/// Whether the client accepts `text/html` by name. Browsers name it for a navigation; for scripts,
/// images and other loads of a page they send `*/*` at most, which doesn't count here.
#[must_use]
pub fn names_html(fields: &[Header<'_>]) -> bool {
    let mut accepts = fields.iter().filter(|field| field.name.eq_ignore_ascii_case("Accept"));
    accepts.any(|field| Split { rest: Some(field.value), separator: b',' }.any(is_html))
}

/// Whether the client prefers OpenMetrics 1.0 to the text format of Prometheus, where it accepts
/// both equally well. Wildcards don't count: only a client that names OpenMetrics understands it.
#[must_use]
pub fn prefers_open_metrics(fields: &[Header<'_>]) -> bool {
    let accepts = fields.iter().filter(|field| field.name.eq_ignore_ascii_case("Accept"));
    let (mut open_metrics, mut text) = (0, 0);
    for field in accepts {
        for range in (Split { rest: Some(field.value), separator: b',' }) {
            let of = |name: &str, version: &str| weight_of_version(range, name, version);
            open_metrics =
                open_metrics.max(of("application/openmetrics-text", "1.0.0").unwrap_or(0));
            text = text.max(of("text/plain", "0.0.4").unwrap_or(0));
        }
    }
    open_metrics > 0 && open_metrics >= text
}

/// The weight of a media range that is of this type, and of this version if it names one.
fn weight_of_version(range: &[u8], name: &str, version: &str) -> Option<u16> {
    let mut parts = Split { rest: Some(range), separator: b';' };
    if !parts.next()?.eq_ignore_ascii_case(name.as_bytes()) {
        return None;
    }
    let mut found = WEIGHT_MAX;
    for part in parts {
        if let [b'q' | b'Q', b'=', ..] = part {
            found = weight(part)?;
            continue;
        }
        let (key, value) = part.split_at(part.iter().position(|&it| it == b'=')?);
        let value = value[1..].strip_prefix(b"\"").unwrap_or(&value[1..]);
        let value = value.strip_suffix(b"\"").unwrap_or(value);
        if key.eq_ignore_ascii_case(b"version") && value != version.as_bytes() {
            return None;
        }
    }
    Some(found)
}

/// Whether a media range is `text/html` with a weight above zero. Other parameters are ignored.
fn is_html(range: &[u8]) -> bool {
    let mut parts = Split { rest: Some(range), separator: b';' };
    let is_named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(b"text/html"));
    let is_weight = |part: &&[u8]| matches!(part, [b'q' | b'Q', b'=', ..]);
    // A media range with an invalid weight is not accepted.
    is_named && parts.find(is_weight).is_none_or(|part| weight(part).is_some_and(|w| w > 0))
}

/// The parts of a text between separators, without whitespace around them. A separator in a quoted
/// string (RFC 9110 5.6.4) belongs to its part; a string without a closing quote is its end.
struct Split<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let mut quoted = false;
        let mut escaped = false;
        let end = rest.iter().position(|&octet| {
            match octet {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => return octet == self.separator && !quoted,
            }
            false
        });
        let end = end.unwrap_or(rest.len());
        self.rest = rest.get(end + 1..);
        Some(trim_ows(&rest[..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(values: &[&str]) -> bool {
        let field = |value: &&'_ str| (*value).as_bytes().to_vec();
        let values: Vec<_> = values.iter().map(field).collect();
        let fields: Vec<_> = values.iter().map(|value| Header { name: "accept", value }).collect();
        names_html(&fields)
    }

    #[test]
    fn open_metrics_must_be_named_with_its_version_and_no_lower_weight_than_text() {
        let prefers = |value: &str| {
            let value = value.as_bytes();
            prefers_open_metrics(&[Header { name: "Accept", value }])
        };
        for value in [
            // Prometheus 2.42 and 3.
            "application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;\
             version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; Version=\"1.0.0\", text/plain",
        ] {
            assert!(prefers(value), "{value}");
        }
        for value in [
            "",
            "*/*",
            "application/*",
            "text/plain",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=x",
            "application/openmetrics-text;version=1.0.0;q=0.2,text/plain;q=0.3",
            "application/openmetrics-textual",
        ] {
            assert!(!prefers(value), "{value}");
        }
    }

    #[test]
    fn text_html_must_be_named_with_a_weight_above_zero() {
        for value in [
            // Firefox, Chromium, Safari.
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            "*/*, TEXT/HTML",
            "text/html;q=0.001",
            "text/html ; level=1 ; Q=0.5",
            "a/b;c=\"d,e\\\",\", text/html",
            "text/html;level=\"q=0\"",
            "text/html;q=0, text/html",
        ] {
            assert!(named(&[value]), "{value}");
        }
        for value in [
            "",
            "*/*",
            "text/*",
            "text/html;q=0",
            "text/html; level=1; q=0.000",
            "text/html;q=x",
            "text/html;q=2",
            "text/htmlx",
            "xtext/html",
            "text/html x",
            "a/b;c=text/html",
            "a/b;c=\", text/html\"",
            "application/xhtml+xml",
            "text/css,*/*;q=0.1",
        ] {
            assert!(!named(&[value]), "{value}");
        }
        assert!(named(&["a/b", "text/html"]) && !named(&[]));
    }
}
