//! What a cache is told where nobody said anything, by type and name alone.

/// `Cache-Control` of a file with this path from the root on, and this type.
pub(super) fn caching(path: &[u8], media_type: &str) -> Option<&'static str> {
    if media_type.starts_with("text/html") {
        Some("no-cache")
    } else if has_content_hash(path) {
        Some("public, max-age=31536000, immutable")
    } else {
        None
    }
}

/// Whether a name says that its file never changes. A cache that was told so never asks again, and
/// nobody can take it back, so what may be a word, a size or a date doesn't count. The part before
/// its extension (of both, in `app.1f3a09bc.js.map`), behind the last dot, dash or underscore, must
/// be
///
/// - 8 or more lower-case hexadecimal digits, some of them letters and some not; no year first, if
///   they are 8; or
/// - in a folder called `assets` or one that begins with an underscore: 8 letters and digits, two
///   of them or more in upper case and one or more in lower case.
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

/// As many as bundlers put into a name, or the least of them.
const DIGITS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_a_content_hash_are_told_from_others() {
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
