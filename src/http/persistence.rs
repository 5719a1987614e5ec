//! Whether a connection persists after a response (RFC 9112 9.3).

use super::grammar;

/// The persistence of a connection, and how the response announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// The connection persists by the default of HTTP/1.1; the response needs no option.
    Keep,
    /// An HTTP/1.0 client asked for persistence, and the response must confirm it with
    /// `Connection: keep-alive`.
    KeepHttp10,
    /// The connection closes after the response, which announces it with `Connection: close`.
    Close,
}

impl Persistence {
    /// Every variant, for tables with one entry each.
    pub const ALL: [Self; 3] = [Self::Keep, Self::KeepHttp10, Self::Close];
}

/// The connection options that decide about persistence (RFC 9110 7.6.1).
#[derive(Clone, Copy, Default)]
pub(super) struct ConnectionOptions {
    close: bool,
    keep_alive: bool,
}

impl ConnectionOptions {
    /// Adds the options of one `Connection` field line; a message may have several.
    pub(super) fn add(&mut self, value: &[u8]) {
        for option in grammar::list_members(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// Applies RFC 9112 9.3: `close` overrides everything, HTTP/1.1 persists by default, HTTP/1.0
    /// only with `keep-alive`.
    pub(super) fn persistence(self, is_http10: bool) -> Persistence {
        match (is_http10, self.close, self.keep_alive) {
            (_, true, _) | (true, false, false) => Persistence::Close,
            (true, false, true) => Persistence::KeepHttp10,
            (false, false, _) => Persistence::Keep,
        }
    }
}
