//! Basic authentication (RFC 7617): the credentials of a request, and their encoded form.

use httparse::Header;

/// The encoded credentials of a request, the base64 text behind the scheme `Basic`; `None` if the
/// request has no `Authorization` of that form, or several.
///
/// The text isn't decoded: two texts that decode to the same octets differ in padding bits only,
/// and no client sends the other one.
///
/// ```
/// use httparse::Header;
/// use uringstatic::http::basic_auth::encoded_credentials;
///
/// let field = Header { name: "authorization", value: b"basic dXNlcjpwYXNz" };
/// assert_eq!(encoded_credentials(&[field]), Some(&b"dXNlcjpwYXNz"[..]));
/// assert_eq!(encoded_credentials(&[field, field]), None);
/// ```
#[must_use]
pub fn encoded_credentials<'b>(fields: &[Header<'b>]) -> Option<&'b [u8]> {
    let is_own = |field: &&Header<'_>| field.name.eq_ignore_ascii_case("Authorization");
    let mut values = fields.iter().filter(is_own).map(|field| field.value);
    let value = values.next()?;
    // The field isn't a list (RFC 9110 11.6.2), so that two of them contradict each other.
    if values.next().is_some() {
        return None;
    }
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    // The scheme is case-insensitive, and one or more spaces follow it (RFC 9110 11.1, 11.4).
    let encoded = rest.trim_ascii_start();
    let is_basic = scheme.eq_ignore_ascii_case(SCHEME) && encoded.len() < rest.len();
    let encoded = encoded.trim_ascii_end();
    (is_basic && (1..=ENCODED_BYTES_MAX).contains(&encoded.len())).then_some(encoded)
}

/// Encodes `user:password` in base64 with padding (RFC 4648 4), as clients send it; `None` if the
/// result is longer than a request may have it.
#[must_use]
pub fn encode_credentials(text: &[u8]) -> Option<Vec<u8>> {
    let mut encoded = Vec::with_capacity(text.len().div_ceil(3) * 4);
    for group in text.chunks(3) {
        let octet = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 0x3f;
            encoded.push(if digit > group.len() { b'=' } else { DIGITS[value as usize] });
        }
    }
    (encoded.len() <= ENCODED_BYTES_MAX).then_some(encoded)
}

const SCHEME: &[u8] = b"Basic";
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Longest credentials that are compared: a longer text would only cost the time of its digest.
const ENCODED_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 4648 10 and RFC 7617 2 and 2.1.
    #[test]
    fn credentials_are_encoded_as_in_the_examples_of_the_rfcs() {
        for (text, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
            ("Aladdin:open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("test:123\u{a3}", "dGVzdDoxMjPCow=="),
        ] {
            let found = encode_credentials(text.as_bytes());
            assert_eq!(found.as_deref(), Some(encoded.as_bytes()), "{text}");
        }
        assert_eq!(encode_credentials(&[b'a'; 769]), None);
    }

    #[test]
    fn other_schemes_and_forms_have_no_credentials() {
        let long = format!("Basic {}", "a".repeat(ENCODED_BYTES_MAX + 1));
        for (value, expected) in [
            ("Basic YTpi", Some("YTpi")),
            ("bASIC  YTpi ", Some("YTpi")),
            ("Basic", None),
            ("Basic ", None),
            ("", None),
            ("BasicYTpi", None),
            ("Bearer YTpi", None),
            ("Digest YTpi", None),
            (" Basic YTpi", None),
            (&*long, None),
        ] {
            let field = Header { name: "Authorization", value: value.as_bytes() };
            let found = encoded_credentials(&[field]);
            assert_eq!(found, expected.map(str::as_bytes), "{value}");
        }
        assert_eq!(
            encoded_credentials(&[Header { name: "Proxy-Authorization", value: b"x" }]),
            None
        );
    }
}
