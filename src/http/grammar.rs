//! Which octet may stand where: the character classes of RFC 9110 5.6.2 and RFC 3986 in one table.

/// `tchar`: methods and field names.
pub(super) const TOKEN: u8 = 1;
/// `pchar` and `/`, but for percent-encoding: paths.
pub(super) const PATH: u8 = 2;
/// What is taken in a query: a path's octets, `?`, and what browsers leave as it is.
pub(super) const QUERY_TAKEN: u8 = 4;
/// What may stand in a `reg-name`, but for percent-encoding.
pub(super) const NAME: u8 = 8;
/// Hexadecimal digits.
pub(super) const HEX: u8 = 16;
/// What may stand in a scheme, behind its first letter.
pub(super) const SCHEME: u8 = 32;

/// What is taken in a path: [`PATH`], and what browsers leave as it is.
pub(super) const PATH_TAKEN: u8 = 64;

/// Whether the octet is of the class.
pub(super) fn is(octet: u8, class: u8) -> bool {
    CLASSES[octet as usize] & class != 0
}

/// Whether all octets are of the class; `%` must begin a percent-encoding.
pub(super) fn all_or_encoded(text: &[u8], class: u8) -> bool {
    // Most targets have no percent sign: that takes one look at each octet.
    text.iter().all(|&octet| is(octet, class)) || encoded(text, class)
}

/// Whether a character may stand in a token (RFC 9110, section 5.6.2).
pub(crate) fn is_token_char(c: char) -> bool {
    u8::try_from(c).is_ok_and(|octet| is_token(&[octet]))
}

/// Whether it is a token.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&octet| is(octet, TOKEN))
}

/// Whether the octet is forbidden everywhere in a head: controls but for tab and line ends.
pub(super) fn is_forbidden(octet: u8) -> bool {
    matches!(octet, 0..=8 | 11 | 12 | 14..=31 | 127)
}

/// The text without the spaces and tabs around it.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    let is_space = |octet: &u8| matches!(octet, b' ' | b'\t');
    let start = text.iter().position(|octet| !is_space(octet)).unwrap_or(text.len());
    let end = text.iter().rposition(|octet| !is_space(octet)).map_or(start, |last| last + 1);
    &text[start..end]
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
    // The URL standard percent-encodes less than RFC 3986 wants (its "path" and "query
    // percent-encode sets"), and a link that somebody wrote with one of these must not break.
    let left_in_path = matches!(octet, b'[' | b']' | b'|');
    let left_in_query = left_in_path || matches!(octet, b'{' | b'}' | b'^' | b'\\' | b'`');
    if path || left_in_path {
        classes |= PATH_TAKEN;
    }
    if path || octet == b'?' || left_in_query {
        classes |= QUERY_TAKEN;
    }
    if unreserved || sub_delimiter {
        classes |= NAME;
    }
    if octet.is_ascii_hexdigit() {
        classes |= HEX;
    }
    if scheme {
        classes |= SCHEME;
    }
    classes
}
