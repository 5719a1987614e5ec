//! Hashes in file names, and what isn't one though it looks like it: words, numbers, sizes, dates
//! and identifiers.

/// The name of a file without its extension, without a second extension that tells what is derived
/// from it (`.map`, `.br`), and without what bundlers write behind a hash (`.min`, `.chunk`).
pub(super) fn stem(name: &[u8]) -> Option<&[u8]> {
    let without = |name: &'_ [u8], ends: &[&[u8]]| {
        let end = ends.iter().find(|end| name.ends_with(end))?;
        Some(name.len() - end.len())
    };
    let derived = without(name, DERIVED).unwrap_or(name.len());
    let name = &name[..derived];
    let stem = &name[..memchr::memrchr(b'.', name)?];
    let end = without(stem, BEHIND).unwrap_or(stem.len());
    (end > 0).then(|| &stem[..end])
}

/// The last part of a name before its extension, between separators, and the parts before it as far
/// as they end with a dot: `1f3a09bc` and `app` of `app.1f3a09bc.js`. The whole name isn't one.
pub(super) fn last_tokens(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let dot = memchr::memrchr(b'.', name);
    let mut rest = dot.map(|dot| &name[..dot]);
    (0..TOKENS_MAX).map_while(move |_| {
        let stem = rest?;
        let at = stem.iter().rposition(|octet| b".-_".contains(octet)).filter(|&at| at > 0)?;
        rest = (stem[at] == b'.').then(|| &stem[..at]);
        let is_identifier = is_uuid(stem);
        Some(if is_identifier { &stem[..0] } else { &stem[at + 1..] })
    })
}

/// Whether a token is a hexadecimal hash: eight or more digits, with at least two decimal digits
/// and one letter. It must not begin with a year if it has eight digits, nor consist of words
/// (`face2face`, `12dec2024`), nor of doubled digits, as colours do (`ff8800aa`). Of a hundred
/// hashes with eight digits, about four are refused.
pub(super) fn is_hexadecimal_hash(token: &[u8]) -> bool {
    let is_year = token.starts_with(b"19") || token.starts_with(b"20");
    let is_date =
        token.len() == DIGITS_MIN && is_year && token[2..4].iter().all(u8::is_ascii_digit);
    let is_doubled = token.chunks(2).all(|pair| pair.first() == pair.last());
    token.len() >= DIGITS_MIN
        && token.iter().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'))
        && token.iter().filter(|octet| octet.is_ascii_digit()).count() >= 2
        && token.iter().any(u8::is_ascii_lowercase)
        && !is_date
        && !is_doubled
        && !consists_of_words(token)
}

/// Whether a hexadecimal token consists of decimal digits and words.
fn consists_of_words(token: &[u8]) -> bool {
    let Some((first, rest)) = token.split_first() else { return true };
    let begins = |word: &&str| token.starts_with(word.as_bytes());
    (first.is_ascii_digit() && consists_of_words(rest))
        || WORDS
            .iter()
            .filter(|word| begins(word))
            .any(|word| consists_of_words(&token[word.len()..]))
}

/// Whether a stem ends with an identifier (RFC 9562 4), which names a thing and not its content.
fn is_uuid(stem: &[u8]) -> bool {
    let Some(at) = stem.len().checked_sub(UUID_BYTES) else { return false };
    stem[at..].iter().enumerate().all(|(index, octet)| match index {
        8 | 13 | 18 | 23 => *octet == b'-',
        _ => octet.is_ascii_hexdigit(),
    })
}

/// Whether a token of letters, digits, dashes and underscores is what a human writes:
///
/// - up to three words, of which one may be short, and up to two numbers: `JohnDoe1`, `my_photo`;
/// - a size: `1024x768`;
/// - a number behind a few letters: `DSC01234`.
///
/// Of random tokens in base64url, 4 of 100 look like that.
pub(super) fn is_word(token: &[u8]) -> bool {
    let runs = runs(token);
    let is_number = |run: &&[u8]| run[0].is_ascii_digit();
    let numbers: Vec<&[u8]> = runs.iter().copied().filter(is_number).collect();
    let words: Vec<&[u8]> = runs.iter().copied().filter(|run| !is_number(run)).collect();
    let digits: usize = numbers.iter().map(|number| number.len()).sum();
    match &words[..] {
        [] => true,
        [b"x" | b"X"] if numbers.len() == 2 => true,
        [letters] if letters.len() <= 4 && digits >= 3 && numbers.len() == 1 => true,
        words if words.len() > 3 || numbers.len() > 2 => false,
        words => {
            let has_cases = token.iter().any(u8::is_ascii_uppercase)
                && token.iter().any(u8::is_ascii_lowercase);
            let inner = runs
                .iter()
                .skip(1)
                .rev()
                .skip(1)
                .any(|run| is_number(run) && !matches!(*run, b"2" | b"4"));
            let is_acronym =
                |word: &[u8]| word.len() == 3 && word.iter().all(u8::is_ascii_uppercase);
            let is_spoken =
                |word: &&&[u8]| (words.len() > 1 && is_acronym(word)) || can_be_spoken(word);
            let short = words.iter().filter(|word| word.len() <= 2).count();
            let is_cut = words.iter().skip(1).any(|word| word.len() == 1);
            let mut long = words.iter().filter(|word| word.len() > 2);
            (has_cases || !inner)
                && short <= 1
                && !is_cut
                && short < words.len()
                && long.all(|word| is_spoken(&word))
        }
    }
}

/// The numbers and the words of a token: `Web`, `2`, `HTTP`, `Get` of `Web2-HTTPGet`.
fn runs(token: &[u8]) -> Vec<&[u8]> {
    let mut runs = Vec::new();
    let mut rest = token;
    while let Some(first) = rest.first() {
        let length_of = |is: fn(&u8) -> bool| rest.iter().take_while(|octet| is(octet)).count();
        let length = match first {
            b'0'..=b'9' => length_of(u8::is_ascii_digit),
            b'a'..=b'z' => length_of(u8::is_ascii_lowercase),
            b'A'..=b'Z' => {
                let capitals = length_of(u8::is_ascii_uppercase);
                let small =
                    rest[capitals..].iter().take_while(|it| it.is_ascii_lowercase()).count();
                match (capitals, small) {
                    (1, _) => 1 + small,
                    (_, 0) => capitals,
                    // The last capital begins the next word.
                    _ => capitals - 1,
                }
            }
            _ => {
                rest = &rest[1..];
                continue;
            }
        };
        runs.push(&rest[..length]);
        rest = &rest[length..];
    }
    runs
}

/// Whether a word of English or a language like it could be written so: with a vowel, with
/// consonants at its begin that go together, and without four vowels or consonants in a row.
fn can_be_spoken(word: &[u8]) -> bool {
    let word = word.to_ascii_lowercase();
    let is_vowel = |octet: &u8| b"aeiouy".contains(octet);
    let onset = word.iter().take_while(|octet| !is_vowel(octet)).count();
    let has_row = word.windows(4).any(|four| {
        let vowels = four.iter().filter(|octet| is_vowel(octet)).count();
        vowels == 0 || vowels == 4
    });
    let has_triple = word.windows(3).any(|three| three[0] == three[1] && three[1] == three[2]);
    onset < word.len()
        && !has_row
        && !has_triple
        && (onset < 2 || ONSETS.iter().any(|known| word[..onset] == *known.as_bytes()))
}

/// Extensions of files that are derived from the file whose name precedes them.
const DERIVED: &[&[u8]] = &[b".map", b".br", b".gz", b".zst", b".LICENSE.txt"];
/// What bundlers write between hash and extension.
const BEHIND: &[&[u8]] = &[b".min", b".chunk", b".lean", b".bundle", b".module", b".worker"];
/// Consonants that begin words.
const ONSETS: &[&str] = &[
    "bl", "br", "ch", "cl", "cr", "dr", "dw", "fl", "fr", "gh", "gl", "gn", "gr", "kl", "kn", "kr",
    "mc", "ph", "pl", "pr", "ps", "rh", "sc", "sch", "scr", "sh", "shr", "sk", "sl", "sm", "sn",
    "sp", "spl", "spr", "sq", "st", "str", "sw", "th", "thr", "tr", "ts", "tw", "wh", "wr",
];
/// Words and months in hexadecimal digits, with digits for letters in the last line.
const WORDS: &[&str] = &[
    "abba", "abed", "accede", "ace", "aced", "add", "added", "baa", "babe", "bad", "bade", "bead",
    "beaded", "bed", "bedded", "bee", "beef", "cab", "cad", "cafe", "cede", "ceded", "dab", "dad",
    "dada", "dead", "deaf", "deb", "dec", "decade", "decaf", "deed", "deface", "ebb", "fab",
    "facade", "face", "faced", "fad", "fade", "faded", "feb", "fed", "fee", "feed", "ad", "be",
    "b00b", "ba11", "ba5e", "c0c0a", "c0de", "c0ffee", "ca11", "d00d", "dec0de", "f00d", "fa11",
];
/// Digits of the shortest hashes.
const DIGITS_MIN: usize = 8;
const UUID_BYTES: usize = 36;
/// Most parts of a name that are looked at: hash, `min` and `js` of `app.1f3a09bc.min.js.map`.
const TOKENS_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_hashes_are_distinguished_from_words_colours_and_dates() {
        let found = |name: &str| last_tokens(name.as_bytes()).any(is_hexadecimal_hash);
        for name in [
            "app.1f3a09bc.js",
            "app-1f3a09bc.js",
            "b_0123456789abcdef.png",
            "b_2024456789abcdef.png",
            "x.1f3a09bc.js.map",
            "x.2100abcd.js",
            "bundle.a5f9d56c.min.js",
            "bundle.a5f9d56c.min.js.map",
            "340.0a502746.chunk.js",
            "profile.04a297d991c4abf2a9fb.svg",
        ] {
            assert!(found(name), "{name}");
        }
        for name in [
            "app.js",
            "notes_2024dec1.txt",
            "notes_1999dec1.txt",
            "report-20240131.pdf",
            "a-deadbeef.js",
            "runtime-deadbee1.js",
            "intro-face2face.mp4",
            "trip-12dec2024.jpg",
            "menu-cafe2024.png",
            "core-deadc0de.js",
            "swatch-ff8800aa.png",
            "swatch-336699cc.png",
            "550e8400-e29b-41d4-a716-4466554400ab.jpg",
            "photo-550e8400-e29b-41d4-a716-4466554400ab.jpg",
            "1f3a09bc.js",
            "a-1f3a09bc",
            "a-1f3a09.js",
            "jquery-3.7.1.min.js",
            ".1f3a09bc.js",
            "a-1F3A09BC.js",
            "",
        ] {
            assert!(!found(name), "{name}");
        }
    }

    /// Of all hashes of eight digits, a 125th has fewer than two decimal digits or no letter.
    #[test]
    fn few_hexadecimal_hashes_are_taken_for_words() {
        let mut state = 1_u32;
        let refused = (0..100_000).filter(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            !is_hexadecimal_hash(format!("{:08x}", state ^ state >> 15).as_bytes())
        });
        let refused = refused.count();
        assert!((1_000..6_000).contains(&refused), "{refused}");
    }

    #[test]
    fn words_numbers_and_sizes_are_no_hashes() {
        for token in "LinkedIn AppStore JohnDoe1 iPhone15 1024x768 version2 UPPERS12 Template \
                      template TEMPLATE YouTube2 PayPal24 McDonald GitHub24 HowTo101 DSC01234 \
                      GOPR0123 IMG_2024 my_photo app-logo OpenSans Facebook WhatsApp 20240131 \
                      dark-low Roboto-2 NotoSans medium-2 QRCode01 Web2Conf SPRING24 FALL2024 \
                      Q3Report Layer-12 Rechnung Download OneDrive BlueSky1 how2play"
            .split_ascii_whitespace()
        {
            assert!(is_word(token.as_bytes()), "{token}");
        }
        for token in "DiwrgTda BkQ9aX2z Cx81bTq0 C5-pQ8_a w1cZ21gg B_E-RY2t ZLMZGSL5 \
                      VVN77L2P mu1p7ov8 0cz1d0mv5g_q7 hmxl533k DL_cPk8Z vCvqh3ej"
            .split_ascii_whitespace()
        {
            assert!(!is_word(token.as_bytes()), "{token}");
        }
    }

    #[test]
    fn stem_ends_with_the_hash() {
        for (name, expected) in [
            ("app-BkQ9aX2z.js", Some("app-BkQ9aX2z")),
            ("app-BkQ9aX2z.js.map", Some("app-BkQ9aX2z")),
            ("app.BkQ9aX2z.lean.js", Some("app.BkQ9aX2z")),
            ("app.BkQ9aX2z.css.br", Some("app.BkQ9aX2z")),
            ("app", None),
            (".js", None),
            (".min.js", None),
        ] {
            let stem = stem(name.as_bytes());
            assert_eq!(stem, expected.map(str::as_bytes), "{name}");
        }
    }
}
