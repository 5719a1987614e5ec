//! Default caching, by media type and name alone.

/// The default `Cache-Control` of a file by its path from the root and its media type.
pub(super) fn caching(path: &[u8], media_type: &str) -> Option<&'static str> {
    if media_type.starts_with("text/html") {
        Some("no-cache")
    } else if has_content_hash(path) {
        Some("public, max-age=31536000, immutable")
    } else {
        None
    }
}

/// Whether a name has a hash of its content, so that the file never changes. `immutable` can't be
/// revoked: a cache doesn't revalidate. So a part that may be a word, a size or a date doesn't
/// count. The part before the extension (or before both, in `app.1f3a09bc.js.map`), after the last
/// dot, dash or underscore, must be
///
/// - 8 or more lower-case hexadecimal digits, at least one letter and one digit among them; exactly
///   8 must not begin with a year; or
/// - below a folder named `assets` or one whose name begins with an underscore: 8 letters and
///   digits with at least two capitals and one small letter.
fn has_content_hash(path: &[u8]) -> bool {
    let (folders, name) = match memchr::memrchr(b'/', path) {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&path[..0], path),
    };
    let is_built = folders
        .split(|&octet| octet == b'/')
        .any(|folder| folder == b"assets" || folder.starts_with(b"_"));
    let mut stem = name;
    for _ in 0..2 {
        let Some(dot) = memchr::memrchr(b'.', stem) else { return false };
        stem = &stem[..dot];
        let at = stem.iter().rposition(|octet| matches!(octet, b'.' | b'-' | b'_'));
        let Some(at) = at.filter(|&at| at > 0) else { return false };
        let token = &stem[at + 1..];
        if is_hexadecimal_hash(token) || (is_built && is_mixed_hash(token)) {
            return true;
        }
        if stem[at] != b'.' {
            return false;
        }
    }
    false
}

fn is_hexadecimal_hash(token: &[u8]) -> bool {
    let is_year = token.starts_with(b"19") || token.starts_with(b"20");
    let is_date = token.len() == DIGITS && is_year && token[2..4].iter().all(u8::is_ascii_digit);
    token.len() >= DIGITS
        && token.iter().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'))
        && token.iter().any(u8::is_ascii_digit)
        && token.iter().any(u8::is_ascii_lowercase)
        && !is_date
}

fn is_mixed_hash(token: &[u8]) -> bool {
    token.len() == DIGITS
        && token.iter().all(u8::is_ascii_alphanumeric)
        && token.iter().filter(|octet| octet.is_ascii_uppercase()).count() >= 2
        && token.iter().any(u8::is_ascii_lowercase)
}

/// Length of the hashes of bundlers, or the shortest of them.
const DIGITS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_hashes_are_distinguished_from_words_sizes_and_dates() {
        for name in [
            "app.1f3a09bc.js",
            "app-1f3a09bc.js",
            "a/b_0123456789abcdef.png",
            "a/b_2024456789abcdef.png",
            "x.1f3a09bc.js.map",
            "x.2100abcd.js",
            "assets/index-DiwrgTda.js",
            "assets/index-BkQ9aX2z.css",
            "_astro/page.Cx81bTq0.css",
        ] {
            assert!(has_content_hash(name.as_bytes()), "{name}");
        }
        for name in [
            "app.js",
            "photo-iPhone15.jpg",
            "assets/photo-iPhone15.jpg",
            "assets/banner-1024x768.png",
            "assets/logo-version2.svg",
            "notes_2024dec1.txt",
            "notes_1999dec1.txt",
            "report-20240131.pdf",
            "a-deadbeef.js",
            "1f3a09bc.js",
            "a-1f3a09bc",
            "index-DiwrgTda.js",
            "assets/index-template.js",
            "assets/index-Template.js",
            "assets/index-UPPERS12.js",
            "a-1f3a09.js",
            "jquery-3.7.1.min.js",
            ".1f3a09bc.js",
            "a-1F3A09BC.js",
            "",
        ] {
            assert!(!has_content_hash(name.as_bytes()), "{name}");
        }
    }
}
