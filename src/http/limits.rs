//! The bounds on everything that a peer may send, but for the length of a request head, which is an
//! option of the server.

/// The longest request target, in bytes; a longer one gets 414. RFC 9112 3 recommends to support
/// request lines of at least 8000.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;
/// The longest method, in bytes; a longer one gets 501 (RFC 9112 3). The longest registered method
/// has 17.
pub const METHOD_BYTES_MAX: usize = 64;
/// The most field lines in a head; a request with more gets 431.
pub const FIELDS_MAX: usize = 100;
/// The most empty lines before a request line, of which RFC 9112 2.2 wants at least one ignored.
pub const EMPTY_LINES_MAX: u8 = 4;

/// The greatest `Content-Length` of a request; a greater one gets 400. Recipients with signed
/// integers of 64 bits, which are common, read such a length as another one (RFC 9110 8.6).
pub(super) const CONTENT_LENGTH_MAX: u64 = i64::MAX.unsigned_abs();
/// The longest request body that is discarded to keep the connection, in bytes of content.
pub const BODY_BYTES_MAX: u64 = 64 * 1024;
/// The most digits of a chunk size: the grammar allows leading zeros without end (RFC 9112 7.1).
pub const CHUNK_SIZE_DIGITS_MAX: u8 = 32;
/// The most bytes of chunk extensions in one body; RFC 9112 7.1.1 asks for a bound.
pub const EXTENSION_BYTES_MAX: u32 = 4 * 1024;
/// The most bytes of a trailer section, line feeds not counted.
pub const TRAILER_BYTES_MAX: u32 = 8 * 1024;

/// The longest head of one response, in bytes; each interim response has a head of its own.
pub const HEAD_BYTES_MAX: u32 = 64 * 1024;
/// The most interim responses (1xx, RFC 9110 15.2) before a final one.
pub const INTERIM_MAX: u8 = 16;
