//! Content codings and the choice among them by `Accept-Encoding` (RFC 9110 8.4.1, 12.5.3).

use super::grammar::trim;
use httparse::Header;

/// A content coding that a response can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coding {
    /// None.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// RFC 7932.
    Brotli,
}

impl Coding {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Identity, Self::Gzip, Self::Zstd, Self::Brotli];

    /// Its name in the IANA registry.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Brotli => "br",
        }
    }

    /// The extension that a file of it has beside the file it was made from.
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

/// What a client takes of each coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The weight of each, in thousandths; 0 is refused.
    weights: [u16; Coding::ALL.len()],
    /// Identity was named, by itself or by `*`, so that its weight counts. Otherwise it is taken
    /// where nothing better is.
    identity_is_named: bool,
}

impl Accepted {
    /// What the fields of a request say. Without `Accept-Encoding`, only identity: the RFC allows
    /// any coding then, but who doesn't say that it decodes one, doesn't.
    #[must_use]
    pub fn of(fields: &[Header<'_>]) -> Self {
        let is_named = |field: &&Header<'_>| {
            field.name.len() == NAME.len() && field.name.eq_ignore_ascii_case(NAME)
        };
        let mut named = fields.iter().filter(is_named);
        let Some(first) = named.next() else { return Reader::default().decide() };
        let second = named.next();
        let usual = USUAL.iter().find(|(value, _)| *value == first.value);
        if let (Some((_, accepted)), None) = (usual, second) {
            return *accepted;
        }
        let mut reader = Reader::default();
        for field in [first].into_iter().chain(second).chain(named) {
            reader.read(field.value);
        }
        reader.decide()
    }

    /// Whether this coding is taken at all.
    #[must_use]
    pub fn takes(&self, coding: Coding) -> bool {
        self.weights[coding as usize] > 0
    }

    /// Which of the codings offered suits best: of the greatest weight, and of several such the
    /// first one offered. `None` if the client takes none.
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

    /// 0 is refused; 1 is identity that nobody named; then come the weights.
    fn rank(&self, coding: Coding) -> u16 {
        match (coding, self.weights[coding as usize]) {
            (_, 0) => 0,
            (Coding::Identity, _) if !self.identity_is_named => 1,
            (_, weight) => weight + 1,
        }
    }
}

#[derive(Default)]
struct Reader {
    named: [Option<u16>; Coding::ALL.len()],
    any: Option<u16>,
}

impl Reader {
    fn read(&mut self, value: &[u8]) {
        let mut rest = value;
        while let Some((&first, behind)) = rest.split_first() {
            if matches!(first, b' ' | b'\t' | b',') {
                rest = behind;
                continue;
            }
            // Read by hand, since every request has this field.
            let is_name = |octet: &u8| !matches!(octet, b' ' | b'\t' | b',' | b';');
            let name_len = rest.iter().position(|octet| !is_name(octet)).unwrap_or(rest.len());
            let (name, behind) = rest.split_at(name_len);
            let (parameters, behind) = match behind.first() {
                None | Some(b',') => (&[][..], behind),
                Some(_) => behind.split_at(memchr::memchr(b',', behind).unwrap_or(behind.len())),
            };
            rest = behind;
            let weight = match trim(parameters) {
                [] => Some(WEIGHT_MAX),
                [b';', parameter @ ..] => weight(trim(parameter)),
                _ => None,
            };
            let Some(weight) = weight.or_else(|| {
                // A weight that isn't one says nothing: what would be taken only if it's named
                // isn't, and what is taken unless it's refused isn't refused.
                let is_refusal = name == b"*" || name.eq_ignore_ascii_case(b"identity");
                (!is_refusal).then_some(0)
            }) else {
                continue;
            };
            let place = match name.len() {
                1 if name == b"*" => &mut self.any,
                2 if name.eq_ignore_ascii_case(b"br") => self.place(Coding::Brotli),
                4 if name.eq_ignore_ascii_case(b"gzip") => self.place(Coding::Gzip),
                4 if name.eq_ignore_ascii_case(b"zstd") => self.place(Coding::Zstd),
                // RFC 9110 8.4.1.3.
                6 if name.eq_ignore_ascii_case(b"x-gzip") => self.place(Coding::Gzip),
                8 if name.eq_ignore_ascii_case(b"identity") => self.place(Coding::Identity),
                _ => continue,
            };
            // Named twice, the greater weight is meant.
            *place = (*place).max(Some(weight));
        }
    }

    fn place(&mut self, coding: Coding) -> &mut Option<u16> {
        &mut self.named[coding as usize]
    }

    fn decide(self) -> Accepted {
        let weights = Coding::ALL.map(|coding| {
            let unnamed = if coding == Coding::Identity { WEIGHT_MAX } else { 0 };
            self.named[coding as usize].or(self.any).unwrap_or(unnamed)
        });
        let identity = self.named[Coding::Identity as usize].or(self.any);
        Accepted { weights, identity_is_named: identity.is_some() }
    }
}

/// A weight in thousandths (RFC 9110 12.4.2), from `q=0.5`.
pub(super) fn weight(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', whole @ (b'0' | b'1'), rest @ ..] = parameter else { return None };
    let digits = match rest {
        [] => rest,
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return None,
    };
    let mut thousandths = u16::from(whole - b'0') * WEIGHT_MAX;
    let mut unit = WEIGHT_MAX / 10;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        thousandths += u16::from(digit - b'0') * unit;
        unit /= 10;
    }
    (thousandths <= WEIGHT_MAX).then_some(thousandths)
}

const NAME: &str = "Accept-Encoding";
/// What browsers send, and what it means: reading it each time takes longer than to find a file.
const USUAL: [(&[u8], Accepted); 3] = [
    (b"gzip, deflate, br, zstd", usual([WEIGHT_MAX; 4])),
    (b"gzip, deflate, br", usual([WEIGHT_MAX, WEIGHT_MAX, 0, WEIGHT_MAX])),
    (b"gzip, deflate", usual([WEIGHT_MAX, WEIGHT_MAX, 0, 0])),
];

const fn usual(weights: [u16; Coding::ALL.len()]) -> Accepted {
    Accepted { weights, identity_is_named: false }
}

const WEIGHT_MAX: u16 = 1000;

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
    fn the_best_is_what_the_client_takes_most_gladly() {
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
    fn the_usual_means_what_it_says() {
        for (value, accepted) in USUAL {
            let mut reader = Reader::default();
            reader.read(value);
            assert_eq!(reader.decide(), accepted, "{}", String::from_utf8_lossy(value));
        }
    }

    #[test]
    fn several_fields_are_one_list() {
        assert_eq!(best(&["br;q=0", "gzip"]), Some("gzip"));
        assert_eq!(best(&[]), Some("identity"));
    }

    #[test]
    fn identity_is_taken_unless_refused() {
        assert!(accepted(&[]).takes(Coding::Identity));
        assert!(accepted(&["br"]).takes(Coding::Identity));
        assert!(!accepted(&["br, identity;q=0"]).takes(Coding::Identity));
        assert!(!accepted(&["br, *;q=0"]).takes(Coding::Identity));
    }
}
