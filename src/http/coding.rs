//! Content codings (RFC 9110 8.4.1) and the choice among them by `Accept-Encoding` (RFC 9110
//! 12.5.3).

use super::grammar::{WEIGHT_MAX, trim_ows, weight};
use httparse::Header;

/// A content coding that a response can have, from the least to the most compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coding {
    /// No coding.
    Identity,
    /// `gzip` (RFC 1952).
    Gzip,
    /// `zstd` (RFC 8878).
    Zstd,
    /// `br` (RFC 7932).
    Brotli,
}

impl Coding {
    /// Every coding, by its discriminant.
    pub const ALL: [Self; 4] = [Self::Identity, Self::Gzip, Self::Zstd, Self::Brotli];

    /// The name in the IANA registry, as `Content-Encoding` has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Brotli => "br",
        }
    }

    /// The extension of a precompressed file: `page.html.gz` beside `page.html`.
    #[must_use]
    pub fn extension(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gz"),
            Self::Zstd => Some("zst"),
            Self::Brotli => Some("br"),
        }
    }
}

/// The weights that a client gives to the codings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// In thousandths; the client refuses a coding of weight 0.
    weights: [u16; Coding::ALL.len()],
    /// `identity` or `*` was in the list, so that the weight of identity counts. Otherwise identity
    /// is acceptable, but every other acceptable coding is better.
    identity_is_named: bool,
}

impl Accepted {
    /// Interprets the `Accept-Encoding` fields of a request. Without one, only identity is
    /// acceptable: RFC 9110 12.5.3 permits any coding then, but a client without the field may
    /// decode none.
    ///
    /// # Examples
    ///
    /// ```
    /// use httparse::Header;
    /// use uringstatic::http::coding::{Accepted, Coding};
    ///
    /// let fields = [Header { name: "Accept-Encoding", value: b"gzip, br;q=0.5" }];
    /// let accepted = Accepted::of(&fields);
    /// let offered = [Coding::Brotli, Coding::Gzip, Coding::Identity];
    /// assert_eq!(accepted.best(offered.into_iter()), Some(1));
    /// assert!(!accepted.accepts(Coding::Zstd));
    /// ```
    #[must_use]
    pub fn of(fields: &[Header<'_>]) -> Self {
        let is_named = |field: &&Header<'_>| {
            field.name.len() == NAME.len() && field.name.eq_ignore_ascii_case(NAME)
        };
        let mut named = fields.iter().filter(is_named);
        let Some(first) = named.next() else { return NamedWeights::default().accepted() };
        let second = named.next();
        let usual = USUAL.iter().find(|(value, _)| *value == first.value);
        if let (Some((_, accepted)), None) = (usual, second) {
            return *accepted;
        }
        let mut weights = NamedWeights::default();
        for field in [first].into_iter().chain(second).chain(named) {
            weights.add(field.value);
        }
        weights.accepted()
    }

    /// Whether the client accepts this coding.
    #[must_use]
    pub fn accepts(&self, coding: Coding) -> bool {
        self.weights[coding as usize] > 0
    }

    /// The index of the best coding offered: the one of the greatest weight, or the first of
    /// several. `None` if the client accepts none of them.
    pub fn best(&self, offered: impl Iterator<Item = Coding>) -> Option<usize> {
        let mut best = None;
        let mut best_rank = 0;
        for (index, coding) in offered.enumerate() {
            let rank = self.rank(coding);
            if rank > best_rank {
                best_rank = rank;
                best = Some(index);
            }
        }
        best
    }

    /// 0 for a refused coding, 1 for identity outside the list, else the weight plus 1.
    fn rank(&self, coding: Coding) -> u16 {
        match (coding, self.weights[coding as usize]) {
            (_, 0) => 0,
            (Coding::Identity, _) if !self.identity_is_named => 1,
            (_, weight) => weight + 1,
        }
    }
}

/// The weights in the list, by coding. `None`: not in the list.
#[derive(Default)]
struct NamedWeights {
    named: [Option<u16>; Coding::ALL.len()],
    /// The weight of `*`, which stands for every coding outside the list.
    any: Option<u16>,
}

impl NamedWeights {
    /// Adds the members of one field line.
    fn add(&mut self, value: &[u8]) {
        let mut rest = value;
        while let Some((&first, after)) = rest.split_first() {
            if matches!(first, b' ' | b'\t' | b',') {
                rest = after;
                continue;
            }
            // A loop instead of an iterator over members: nearly every request has this field.
            let is_name = |octet: &u8| !matches!(octet, b' ' | b'\t' | b',' | b';');
            let name_len = rest.iter().position(|octet| !is_name(octet)).unwrap_or(rest.len());
            let (name, after) = rest.split_at(name_len);
            let (parameters, after) = match after.first() {
                None | Some(b',') => (&[][..], after),
                Some(_) => after.split_at(memchr::memchr(b',', after).unwrap_or(after.len())),
            };
            rest = after;
            let weight = match trim_ows(parameters) {
                [] => Some(WEIGHT_MAX),
                [b';', parameter @ ..] => weight(trim_ows(parameter)),
                _ => None,
            };
            let Some(weight) = weight.or_else(|| {
                // A member with an invalid weight has no effect: `*` and `identity` are skipped, so
                // that identity isn't refused, and any other coding counts as refused.
                let is_default = name == b"*" || name.eq_ignore_ascii_case(b"identity");
                (!is_default).then_some(0)
            }) else {
                continue;
            };
            let entry = match name.len() {
                1 if name == b"*" => &mut self.any,
                2 if name.eq_ignore_ascii_case(b"br") => self.named_mut(Coding::Brotli),
                4 if name.eq_ignore_ascii_case(b"gzip") => self.named_mut(Coding::Gzip),
                4 if name.eq_ignore_ascii_case(b"zstd") => self.named_mut(Coding::Zstd),
                // An alias (RFC 9110 8.4.1.3).
                6 if name.eq_ignore_ascii_case(b"x-gzip") => self.named_mut(Coding::Gzip),
                8 if name.eq_ignore_ascii_case(b"identity") => self.named_mut(Coding::Identity),
                _ => continue,
            };
            // RFC 9110 doesn't define repeated members; the greater weight counts.
            *entry = (*entry).max(Some(weight));
        }
    }

    fn named_mut(&mut self, coding: Coding) -> &mut Option<u16> {
        &mut self.named[coding as usize]
    }

    fn accepted(self) -> Accepted {
        let weights = Coding::ALL.map(|coding| {
            let unnamed = if coding == Coding::Identity { WEIGHT_MAX } else { 0 };
            self.named[coding as usize].or(self.any).unwrap_or(unnamed)
        });
        let identity = self.named[Coding::Identity as usize].or(self.any);
        Accepted { weights, identity_is_named: identity.is_some() }
    }
}

const NAME: &str = "Accept-Encoding";
/// The values that browsers send, with their meaning: parsing one takes longer than finding a file.
const USUAL: [(&[u8], Accepted); 3] = [
    (b"gzip, deflate, br, zstd", usual([WEIGHT_MAX; 4])),
    (b"gzip, deflate, br", usual([WEIGHT_MAX, WEIGHT_MAX, 0, WEIGHT_MAX])),
    (b"gzip, deflate", usual([WEIGHT_MAX, WEIGHT_MAX, 0, 0])),
];

const fn usual(weights: [u16; Coding::ALL.len()]) -> Accepted {
    Accepted { weights, identity_is_named: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(values: &[&str]) -> Accepted {
        let fields: Vec<_> = values
            .iter()
            .map(|value| Header { name: "accept-encoding", value: value.as_bytes() })
            .collect();
        Accepted::of(&fields)
    }

    /// Offers brotli, zstd, gzip and identity, in this order.
    fn best(values: &[&str]) -> Option<&'static str> {
        let offered = [Coding::Brotli, Coding::Zstd, Coding::Gzip, Coding::Identity];
        accepted(values).best(offered.into_iter()).map(|index| offered[index].name())
    }

    #[test]
    fn best_coding_has_the_greatest_weight() {
        for (value, expected) in [
            ("gzip, deflate, br, zstd", Some("br")),
            ("gzip", Some("gzip")),
            ("x-gzip", Some("gzip")),
            ("GZIP", Some("gzip")),
            ("deflate", Some("identity")),
            ("", Some("identity")),
            ("*", Some("br")),
            ("*;q=0.5, gzip", Some("gzip")),
            ("br;q=0.5, gzip;q=0.8", Some("gzip")),
            ("br;q=0.5,gzip;q=0.5", Some("br")),
            ("br ; q=0.001", Some("br")),
            ("br x, gzip", Some("gzip")),
            ("br\t;\tq=1 ,gzip;q=0.9", Some("br")),
            ("br;q=0.001, identity", Some("identity")),
            ("br;q=0.001, identity;q=0.001", Some("br")),
            ("br;q=0", Some("identity")),
            ("br;q=0.000, *;q=0.1", Some("zstd")),
            ("identity;q=0", None),
            ("identity;q=0, deflate", None),
            ("identity;q=0, gzip;q=0.1", Some("gzip")),
            ("*;q=0", None),
            ("*;q=0, identity;q=0.1", Some("identity")),
            ("gzip;q=2, br;q=x, zstd;q=0.0001", Some("identity")),
            ("identity;q=x", Some("identity")),
            ("*;q=2", Some("identity")),
            ("*;q=-1, identity;q=0.0000", Some("identity")),
            ("gzip, *;q=x", Some("gzip")),
            ("gzip;q=x, identity;q=0, *", Some("br")),
            ("gzip;q=1.000", Some("gzip")),
            ("gzip;q=1.001", Some("identity")),
            ("gzip;Q=0.3", Some("gzip")),
            (" ,, gzip ,", Some("gzip")),
            ("gzip;q=0, gzip", Some("gzip")),
        ] {
            assert_eq!(best(&[value]), expected, "{value:?}");
        }
    }

    #[test]
    fn usual_values_mean_what_the_parser_finds() {
        for (value, accepted) in USUAL {
            let mut weights = NamedWeights::default();
            weights.add(value);
            assert_eq!(weights.accepted(), accepted, "{}", String::from_utf8_lossy(value));
        }
    }

    #[test]
    fn repeated_field_lines_form_one_list() {
        assert_eq!(best(&["br;q=0", "gzip"]), Some("gzip"));
        assert_eq!(best(&[]), Some("identity"));
    }

    #[test]
    fn identity_is_acceptable_unless_refused() {
        assert!(accepted(&[]).accepts(Coding::Identity));
        assert!(accepted(&["br"]).accepts(Coding::Identity));
        assert!(!accepted(&["br, identity;q=0"]).accepts(Coding::Identity));
        assert!(!accepted(&["br, *;q=0"]).accepts(Coding::Identity));
    }
}
