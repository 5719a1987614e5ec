//! The TLS of a client: the sessions of its connections, and the regions of the fixed buffer from
//! which they send.
//!
//! Under TLS the fixed buffer has no requests, but one region for each slot. A region is written
//! only while no send of its slot is in flight.

use crate::bytes::Span;
use crate::engine::{Nanos, Slot};
use crate::error::Failure;
use crate::load::tls::{TlsError, TlsPlan, TlsSession, region_bytes};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::ops::Range;
use std::sync::Arc;

/// The TLS of a client.
pub struct ClientTls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    /// The plain bytes of all requests and headers, as a [`super::RequestBuffer`] lays them out.
    pub(super) requests: Vec<u8>,
    /// The plaintext of the latest receive.
    pub(super) plaintext: Vec<u8>,
    region_bytes: usize,
}

impl ClientTls {
    /// TLS as planned, for these requests, of which at most `batch_bytes` are sent together.
    ///
    /// # Errors
    /// If the trusted certificates can't be read.
    pub fn new(plan: &TlsPlan, requests: Vec<u8>, batch_bytes: usize) -> Result<Self, Failure> {
        let (config, name) = plan.load()?;
        let region_bytes = region_bytes(batch_bytes);
        Ok(Self { config, name, requests, plaintext: Vec::new(), region_bytes })
    }

    /// The size of the fixed buffer that a client with this many connections needs.
    #[must_use]
    pub fn fixed_bytes(&self, slots: u32) -> usize {
        slots as usize * self.region_bytes
    }

    /// The region of a slot.
    pub(super) fn region(&self, slot: Slot) -> Span {
        let len = self.region_bytes as u64;
        Span { offset: u64::from(slot.0) * len, len }
    }

    /// A session whose handshake begins at `now`.
    pub(super) fn begin(&self, now: Nanos) -> Box<SecureConnection> {
        let session = TlsSession::new(&self.config, &self.name);
        Box::new(SecureConnection { session, since: now, unsealed: 0..0 })
    }
}

/// The session of one connection.
pub(super) struct SecureConnection {
    pub(super) session: TlsSession,
    /// When the handshake began.
    pub(super) since: Nanos,
    /// The part of `requests` that is to be encrypted next.
    pub(super) unsealed: Range<usize>,
}

impl SecureConnection {
    /// Whether anything is left to be sent.
    pub(super) fn has_more(&self) -> bool {
        !self.unsealed.is_empty() || self.session.wants_to_send()
    }

    /// Fills a region with ciphertext; returns its length.
    pub(super) fn seal(&mut self, requests: &[u8], region: &mut [u8]) -> usize {
        let sealed = self.session.seal(&requests[self.unsealed.clone()], region);
        self.unsealed.start += sealed.used;
        sealed.written
    }

    /// Decrypts received bytes into `plaintext`, which is emptied first.
    pub(super) fn feed(&mut self, bytes: &[u8], plaintext: &mut Vec<u8>) -> Result<(), TlsError> {
        plaintext.clear();
        self.session.feed(bytes, plaintext)
    }
}
