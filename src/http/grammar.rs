//! The rules of the grammar that more than one module needs, each defined once: character classes
//! of RFC 9110 5.6 and RFC 3986 in one table, lists, decimal numbers, weights and quoted strings.
//!
//! Only `model_tests` repeats them, on purpose: an oracle that shares the code shares its mistakes.

/// `tchar`, of which methods and field names consist (RFC 9110 5.6.2).
pub(super) const TOKEN: u8 = 1;
/// The octets of a path besides percent-encoding: `pchar` and `/` (RFC 3986 3.3).
pub(super) const PATH: u8 = 2;
/// The octets accepted in a query: [`PATH_ACCEPTED`], `?`, and further octets that browsers leave
/// unencoded there. `%` is one of them whatever follows it: a form that is typed into a link, as in
/// `?q=50%`, reaches servers so (URL standard, query state).
pub(super) const QUERY_ACCEPTED: u8 = 4;
/// The octets of a `reg-name` besides percent-encoding (RFC 3986 3.2.2).
pub(super) const REG_NAME: u8 = 8;
/// `HEXDIG` in either case.
pub(super) const HEX: u8 = 16;
/// The octets of a scheme after its first letter (RFC 3986 3.1).
pub(super) const SCHEME: u8 = 32;
/// The octets accepted in a path: [`PATH`], and octets that browsers leave unencoded there.
pub(super) const PATH_ACCEPTED: u8 = 64;

/// Whether the octet belongs to the class.
pub(super) fn is(octet: u8, class: u8) -> bool {
    CLASSES[octet as usize] & class != 0
}

/// The index of the first such octet. Most hosts and targets are so short that a loop is done
/// before `memchr` has chosen its vector instructions.
pub(super) fn find(octet: u8, text: &[u8]) -> Option<usize> {
    match text.len() {
        0..32 => text.iter().position(|&other| other == octet),
        _ => memchr::memchr(octet, text),
    }
}

/// Whether the text consists of octets of the class. One table look-up and no branch per octet.
pub(super) fn all(text: &[u8], class: u8) -> bool {
    let common = text.iter().fold(u8::MAX, |common, &octet| common & CLASSES[octet as usize]);
    common & class != 0
}

/// Whether the text consists of octets of the class, of which `%` isn't one, and percent-encoded
/// octets (RFC 3986 2.1).
pub(super) fn all_or_encoded(text: &[u8], class: u8) -> bool {
    // Most texts have no percent-encoding.
    all(text, class) || encoded(text, class)
}

/// Whether the character is a `tchar` (RFC 9110 5.6.2).
pub(crate) fn is_token_char(c: char) -> bool {
    u8::try_from(c).is_ok_and(|octet| is_token(&[octet]))
}

/// Whether the text is a token, which isn't empty (RFC 9110 5.6.2).
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&octet| is(octet, TOKEN))
}

/// Whether the octet is a control that no part of a head may have (RFC 9110 5.5). Tab, CR and LF
/// depend on their place and are checked there.
pub(super) fn is_forbidden(octet: u8) -> bool {
    matches!(octet, 0..=8 | 11 | 12 | 14..=31 | 127)
}

/// The text without optional whitespace (`OWS`, RFC 9110 5.6.3) around it.
pub(super) fn trim_ows(text: &[u8]) -> &[u8] {
    let is_space = |octet: &u8| matches!(octet, b' ' | b'\t');
    let start = text.iter().position(|octet| !is_space(octet)).unwrap_or(text.len());
    let end = text.iter().rposition(|octet| !is_space(octet)).map_or(start, |last| last + 1);
    &text[start..end]
}

/// The members of a list, empty ones included (RFC 9110 5.6.1). Only for lists whose members have
/// no quoted strings.
pub(super) fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&octet| octet == b',').map(trim_ows)
}

/// `1*DIGIT`, as in `Content-Length` (RFC 9110 8.6). `None` for any other text, such as one with a
/// sign, and for a number over 64 bits.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, octet| {
        let digit = octet.is_ascii_digit().then(|| u64::from(octet - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// The weight of a member without one, in thousandths, which is also the greatest (RFC 9110
/// 12.4.2).
pub(super) const WEIGHT_MAX: u16 = 1000;

/// The weight of a parameter such as `q=0.5`, in thousandths (`qvalue`, RFC 9110 12.4.2).
pub(super) fn weight(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', units @ (b'0' | b'1'), rest @ ..] = parameter else { return None };
    let digits = match rest {
        [] => rest,
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return None,
    };
    let mut thousandths = u16::from(units - b'0') * WEIGHT_MAX;
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

/// The text after the quoted string that it begins with (RFC 9110 5.6.4). Octets beyond ASCII
/// (`obs-text`) are refused: their encoding isn't defined.
pub(super) fn after_quoted_string(text: &str) -> Option<&str> {
    let mut chars = text.strip_prefix('"')?.chars();
    let is_text = |c: char| c == '\t' || c == ' ' || c.is_ascii_graphic();
    loop {
        match chars.next()? {
            '"' => return Some(chars.as_str()),
            // A quoted pair: the backslash stands for the next character.
            '\\' => chars.next().filter(|&c| is_text(c)).map(drop)?,
            c if is_text(c) => {}
            _ => return None,
        }
    }
}

fn encoded(text: &[u8], class: u8) -> bool {
    let mut octets = text.iter();
    while let Some(&octet) = octets.next() {
        if octet == b'%' {
            let mut hex = || octets.next().is_some_and(|&digit| is(digit, HEX));
            if !(hex() && hex()) {
                return false;
            }
        } else if !is(octet, class) {
            return false;
        }
    }
    true
}

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut octet: u8 = 0;
    loop {
        classes[octet as usize] = classes_of(octet);
        if octet == 255 {
            return classes;
        }
        octet += 1;
    }
}

const fn classes_of(octet: u8) -> u8 {
    // RFC 3986 2.2 and 2.3.
    let unreserved = octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~');
    let sub_delimiter = matches!(
        octet,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
    );
    let path = unreserved || sub_delimiter || matches!(octet, b':' | b'@' | b'/');
    let token = octet.is_ascii_alphanumeric()
        || matches!(octet, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-')
        || matches!(octet, b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
    let scheme = octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.');
    let mut classes = 0;
    if token {
        classes |= TOKEN;
    }
    if path {
        classes |= PATH;
    }
    // The URL standard has browsers encode less than RFC 3986 requires (its path and query
    // percent-encode sets), so that links with these octets exist and must work.
    let left_in_path = matches!(octet, b'[' | b']' | b'|');
    let left_in_query = left_in_path || matches!(octet, b'{' | b'}' | b'^' | b'\\' | b'`' | b'%');
    if path || left_in_path {
        classes |= PATH_ACCEPTED;
    }
    if path || octet == b'?' || left_in_query {
        classes |= QUERY_ACCEPTED;
    }
    if unreserved || sub_delimiter {
        classes |= REG_NAME;
    }
    if octet.is_ascii_hexdigit() {
        classes |= HEX;
    }
    if scheme {
        classes |= SCHEME;
    }
    classes
}
