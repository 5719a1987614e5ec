//! The single page, its metadata, and the built-in page of the experiment.

use super::tag::{TAG_BYTES, Tag};
use sha2::{Digest, Sha256};
use std::io::Write;

/// The metadata of a page, known before its bytes are read.
#[derive(Clone, Debug)]
pub struct Page {
    /// The value of `Content-Type`.
    pub content_type: String,
    /// The status of responses with the page; only a 200 has validators and ranges.
    pub status: u16,
    /// Fields that the operator added: names and values as they are sent.
    pub headers: Vec<(String, String)>,
    /// `Last-Modified`, in seconds since the Unix epoch.
    pub last_modified: Option<u64>,
}

impl Page {
    /// The metadata of the built-in page.
    #[must_use]
    pub fn built_in() -> Self {
        Self {
            content_type: "text/html; charset=utf-8".to_owned(),
            status: 200,
            headers: Vec::new(),
            last_modified: None,
        }
    }

    /// The built-in page: a heading and ten paragraphs, about 5 kB.
    pub const BUILT_IN: &'static [u8] = include_bytes!("page.html");
}

/// A strong entity tag from the content, so that equal bodies agree on every machine: the first
/// half of their SHA-256, in hexadecimal and quotes.
#[must_use]
pub fn entity_tag(body: &[u8]) -> Tag {
    let mut tag = [b'"'; TAG_BYTES];
    let mut rest = &mut tag[1..];
    for byte in &Sha256::digest(body)[..ETAG_HASH_BYTES] {
        write!(rest, "{byte:02x}").expect("there is room for two digits each");
    }
    tag
}

/// [`entity_tag`] as text.
pub(super) fn etag(body: &[u8]) -> String {
    String::from_utf8_lossy(&entity_tag(body)).into_owned()
}

const ETAG_HASH_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_page_has_a_heading_and_ten_paragraphs() {
        let page = std::str::from_utf8(Page::BUILT_IN).expect("text");
        assert_eq!(page.matches("<h1>Static Content</h1>").count(), 1);
        let paragraphs: Vec<_> = page.lines().filter(|line| line.starts_with("<p>")).collect();
        assert_eq!(paragraphs.len(), 10);
        assert!(paragraphs.iter().all(|p| p == &paragraphs[0] && p.ends_with("</p>")));
        assert!((4_500..5_500).contains(&page.len()));
    }

    #[test]
    fn entity_tags_depend_on_the_content_alone() {
        // sha256("") begins with e3b0c44298fc1c149afbf4c8996fb924.
        assert_eq!(etag(b""), "\"e3b0c44298fc1c149afbf4c8996fb924\"");
        assert_ne!(etag(b"a"), etag(b"b"));
        assert_eq!(etag(b"a").len(), etag(b"").len());
    }
}
