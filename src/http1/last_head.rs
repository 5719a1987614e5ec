//! The last plain head of all connections, and the response that was chosen for it.
//!
//! Health checks, pollers and load generators send the same request again and again. A comparison
//! tells as much about such a head as parsing it would: its length and the response follow from its
//! bytes alone, as long as the server doesn't drain.
//!
//! The memory has one head, within a bound, and never one with credentials: the requests of other
//! clients are compared with it.

use crate::http::request::{Framing, Method, Persistence, Request};
use crate::site::PendingResponse;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct LastHead {
    bytes: Vec<u8>,
    pending: Option<PendingResponse>,
    /// Requests since the last one that could have been stored, modulo [`STORE_EVERY`].
    since_stored: u8,
}

impl LastHead {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::with_capacity(BYTES_MAX), pending: None, since_stored: 0 }
    }

    /// The length of the head at the start of `bytes`, and its response, if it is the stored one.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<(usize, PendingResponse)> {
        let pending = self.pending?;
        bytes.starts_with(&self.bytes).then_some((self.bytes.len(), pending))
    }

    /// Stores a head that was parsed, with the response that was chosen for it, if it is plain.
    pub(super) fn note(
        &mut self,
        head: &[u8],
        request: &Request<'_, '_>,
        pending: &PendingResponse,
    ) {
        let number = self.since_stored;
        self.since_stored = (number + 1) % STORE_EVERY;
        if number == 0 && head.len() <= BYTES_MAX && is_plain(request, pending) {
            self.bytes.clear();
            self.bytes.extend_from_slice(head);
            self.pending = Some(*pending);
        }
    }
}

fn is_plain(request: &Request<'_, '_>, pending: &PendingResponse) -> bool {
    let is_private = |name: &str| {
        let private = ["Cookie", "Authorization", "Proxy-Authorization"];
        private.iter().any(|it| name.eq_ignore_ascii_case(it))
    };
    request.method == Method::Get
        && request.framing == Framing::None
        && request.persistence != Persistence::Close
        && pending.answer.follows_from_head()
        && !request.fields.iter().any(|field| is_private(field.name))
}

/// The heads of browsers have 500 to 1,500 bytes.
const BYTES_MAX: usize = 2048;
/// Of heads that differ from the stored one, every 16th is stored: requests that aren't repeated
/// then hardly pay for a copy.
const STORE_EVERY: u8 = 16;

#[cfg(test)]
mod tests;
