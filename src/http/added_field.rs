//! Field lines that an operator adds with `--header` or `_headers`: their grammar (RFC 9110 5) and
//! the names that only the server may set.

use super::grammar::is_token_char;

/// Parses a `Name: value` that an operator may add to responses.
pub(crate) fn parse(text: &str) -> Result<(String, String), String> {
    let field = field(text)?;
    match RESERVED.iter().find(|(reserved, _)| field.0.eq_ignore_ascii_case(reserved)) {
        Some((reserved, why)) => Err(format!("{reserved} can't be set here: {why}")),
        None => Ok(field),
    }
}

/// Parses a `Name: value` with any name. The value may be empty and loses its outer whitespace (RFC
/// 9110 5.5).
pub(crate) fn field(text: &str) -> Result<(String, String), String> {
    let Some((name, value)) = text.split_once(':') else {
        return Err("write a name, a colon and a value, as in 'Retry-After: 600'".to_owned());
    };
    check_name(name)?;
    let value = value.trim_matches([' ', '\t']);
    if let Some(control) = value.chars().find(|&c| c.is_control() && c != '\t') {
        return Err(format!("the value can't contain {control:?}: control characters are refused"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// The reason why only the server may set this field, if that is so.
pub(crate) fn reserved_reason(name: &str) -> Option<&'static str> {
    let found = RESERVED.iter().find(|(reserved, _)| name.eq_ignore_ascii_case(reserved));
    found.map(|(_, why)| *why)
}

/// Refuses headers of `--header` that exceed [`ADDED_FIELDS_BYTES_MAX`].
pub(crate) fn check_all(headers: &[(String, String)]) -> Result<(), String> {
    let bytes: usize =
        headers.iter().map(|(name, value)| name.len() + ": \r\n".len() + value.len()).sum();
    if bytes > ADDED_FIELDS_BYTES_MAX {
        return Err(format!(
            "the headers given by --header have {bytes} bytes, and {ADDED_FIELDS_BYTES_MAX} are \
             allowed"
        ));
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("the name before the colon is missing".to_owned());
    }
    if let Some(wrong) = name.chars().find(|&c| !is_token_char(c)) {
        return Err(format!(
            "the name can't contain {wrong:?}: letters, digits and !#$%&'*+-.^_`|~ are allowed"
        ));
    }
    Ok(())
}

const SERVERS_OWN: &str = "the server sets it itself";

const HOP_BY_HOP: &str = "it describes the connection, which the server manages";

/// Names of fields that would contradict the server's own, each with the reason.
const RESERVED: [(&str, &str); 16] = [
    ("Accept-Ranges", SERVERS_OWN),
    ("Allow", SERVERS_OWN),
    ("Basic-Auth", "it protects paths, and stands in _headers below their pattern"),
    ("Connection", HOP_BY_HOP),
    ("Content-Length", SERVERS_OWN),
    ("Content-Range", SERVERS_OWN),
    ("Content-Type", "use --content-type"),
    ("Date", SERVERS_OWN),
    ("ETag", SERVERS_OWN),
    ("Keep-Alive", HOP_BY_HOP),
    ("Last-Modified", SERVERS_OWN),
    ("Server", SERVERS_OWN),
    ("TE", HOP_BY_HOP),
    ("Trailer", HOP_BY_HOP),
    ("Transfer-Encoding", HOP_BY_HOP),
    ("Upgrade", HOP_BY_HOP),
];

/// The most bytes of fields that an operator can add to a response, by `--header` for every
/// response or by `_headers` for a path.
pub(crate) const ADDED_FIELDS_BYTES_MAX: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_trimmed_value_are_returned() {
        for (text, name, value) in [
            ("Retry-After: 600", "Retry-After", "600"),
            ("Retry-After:600", "Retry-After", "600"),
            ("x: \t a\tb \t", "x", "a\tb"),
            ("Empty:", "Empty", ""),
            ("Location: https://example.com/", "Location", "https://example.com/"),
            ("X-Name: Grüße", "X-Name", "Grüße"),
            ("!#$%&'*+-.^_`|~09azAZ: 1", "!#$%&'*+-.^_`|~09azAZ", "1"),
            ("Connections: 1", "Connections", "1"),
        ] {
            assert_eq!(parse(text), Ok((name.to_owned(), value.to_owned())), "{text:?}");
        }
    }

    #[test]
    fn errors_name_the_invalid_part() {
        for (text, hint) in [
            ("", "as in 'Retry-After: 600'"),
            ("Retry-After 600", "as in 'Retry-After: 600'"),
            (": 600", "the name before the colon is missing"),
            ("Retry After: 600", "the name can't contain ' '"),
            ("Retry-After : 600", "the name can't contain ' '"),
            ("\tx: 600", r"the name can't contain '\t'"),
            ("Grüße: 1", "the name can't contain 'ü'"),
            ("x\r\ny: 1", r"the name can't contain '\r'"),
            ("x: 1\r\nSet-Cookie: a=b", r"the value can't contain '\r'"),
            ("x: 1\n", r"the value can't contain '\n'"),
            ("x: a\0b", r"the value can't contain '\0'"),
            ("x: a\u{7f}b", r"the value can't contain '\u{7f}'"),
            ("Content-Type: text/plain", "Content-Type can't be set here: use --content-type"),
            ("content-length: 5", "Content-Length can't be set here: the server sets it"),
            ("TRANSFER-ENCODING: chunked", "Transfer-Encoding can't be set here"),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.contains(hint), "{text:?}: {message}");
        }
    }

    #[test]
    fn reserved_names_are_refused_in_any_case() {
        for (name, why) in RESERVED {
            for name in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
                assert!(parse(&format!("{name}: x")).unwrap_err().ends_with(why), "{name}");
            }
        }
    }

    #[test]
    fn headers_over_8_kib_in_sum_are_refused() {
        let header = |value_len: usize| ("a".to_owned(), "b".repeat(value_len));
        let room = ADDED_FIELDS_BYTES_MAX - "a: \r\n".len();
        assert_eq!(check_all(&[]), Ok(()));
        assert_eq!(check_all(&[header(room)]), Ok(()));
        let message = check_all(&[header(room + 1)]).unwrap_err();
        assert!(message.contains("have 8193 bytes, and 8192 are allowed"), "{message}");
        assert!(check_all(&[header(room), header(0)]).is_err());
    }
}
