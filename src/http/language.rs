//! `Accept-Language` (RFC 9110 12.5.4), as far as one language is concerned: the preferred one.

use super::grammar::{WEIGHT_MAX, list_members, trim_ows, weight};
use httparse::Header;

/// The language range that a client prefers: the first of those with the greatest weight. `*`, a
/// weight of zero and a malformed weight name no language.
#[must_use]
pub fn preferred<'b>(fields: &[Header<'b>]) -> Option<&'b [u8]> {
    let is_own = |field: &&Header<'_>| field.name.eq_ignore_ascii_case("Accept-Language");
    let mut best: Option<(u16, &[u8])> = None;
    for member in fields.iter().filter(is_own).flat_map(|field| list_members(field.value)) {
        let mut parts = member.split(|&octet| octet == b';').map(trim_ows);
        let range = parts.next().unwrap_or_default();
        let Some(weight) = parts.next().map_or(Some(WEIGHT_MAX), weight) else { continue };
        if range.is_empty() || range == b"*" || weight == 0 {
            continue;
        }
        if best.is_none_or(|(greatest, _)| weight > greatest) {
            best = Some((weight, range));
        }
    }
    best.map(|(_, range)| range)
}

/// Whether a language range covers a language tag: they are equal, or the tag continues the range
/// with a subtag, without regard to case ("basic filtering", RFC 4647 3.3.1).
#[must_use]
pub fn covers(range: &[u8], tag: &[u8]) -> bool {
    let Some((start, rest)) = tag.split_at_checked(range.len()) else { return false };
    start.eq_ignore_ascii_case(range) && matches!(rest, [] | [b'-', ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_with_the_greatest_weight_is_preferred() {
        for (values, expected) in [
            // RFC 9110 12.5.4, the example.
            (&["da, en-gb;q=0.8, en;q=0.7"][..], Some("da")),
            (&["en;q=0.8, de"], Some("de")),
            (&["fr-FR,fr;q=0.9,en-US;q=0.8"], Some("fr-FR")),
            (&["de, fr"], Some("de")),
            (&["de;q=0.5", "fr ; q=0.6"], Some("fr")),
            (&["*, de;q=0.1"], Some("de")),
            (&["*"], None),
            (&["de;q=0"], None),
            (&["de;q=2, fr;q=0.1"], Some("fr")),
            (&["", " , "], None),
            (&[], None),
        ] {
            let fields: Vec<_> = values
                .iter()
                .map(|value| Header { name: "accept-language", value: value.as_bytes() })
                .collect();
            assert_eq!(preferred(&fields), expected.map(str::as_bytes), "{values:?}");
        }
    }

    #[test]
    fn range_covers_tags_that_continue_it_with_a_subtag() {
        // RFC 4647 3.3.1: "de-de" covers "de-DE-1996", but not "de-Deva".
        for (range, tag, expected) in [
            ("de-de", "de-DE-1996", true),
            ("de-de", "de-Deva", false),
            ("de-de", "de", false),
            ("de", "de-AT", true),
            ("DE", "de", true),
            ("de", "den", false),
        ] {
            assert_eq!(covers(range.as_bytes(), tag.as_bytes()), expected, "{range} {tag}");
        }
    }
}
