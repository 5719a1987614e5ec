//! The files of the root that hold rules, which are read and never served.

/// Name of the file with fields.
pub(super) const HEADERS: &str = "_headers";
/// Name of the file with redirects and rewrites.
pub(super) const REDIRECTS: &str = "_redirects";

/// Whether a path from the root is that of a file with rules.
pub(super) fn is_rule_file(name: &[u8]) -> bool {
    name == HEADERS.as_bytes() || name == REDIRECTS.as_bytes()
}

/// The lines of such a file with their numbers; empty lines and comments (`#`) are left out, and so
/// is a byte order mark, which editors put before UTF-8 (RFC 3629 6).
pub(super) fn lines(text: &str) -> impl Iterator<Item = (u32, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let numbered = (1..).zip(text.lines());
    numbered.filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
}
