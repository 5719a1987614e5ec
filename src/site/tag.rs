//! The type of entity tags, which pages and files have in common.

/// A strong entity tag (RFC 9110 8.8.3), quotes included: 32 hexadecimal digits of the SHA-256 of
/// the content.
pub type Tag = [u8; TAG_BYTES];

/// Length of a [`Tag`] in bytes.
pub const TAG_BYTES: usize = 34;
