//! One TLS session: ciphertext to plaintext and back.

use super::error::TlsError;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Error, InvalidMessage};
use std::io::{BufRead, Write};
use std::sync::Arc;

/// The TLS session of one connection, from its handshake to its `close_notify`.
///
/// Its memory is bounded: one incomplete record (or handshake message, 64 KiB), and as much
/// ciphertext as [`Self::seal`] was given a region for.
pub struct TlsSession {
    connection: ClientConnection,
    /// The server's `close_notify` was received.
    has_ended: bool,
    has_failed: bool,
}

/// The outcome of [`TlsSession::seal`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Bytes of ciphertext in the region, from its start.
    pub written: usize,
    /// Bytes of the plaintext that were encrypted; they must not be given again.
    pub used: usize,
}

impl TlsSession {
    /// A session with the server of this name. Its first message is ready to be sealed.
    #[must_use]
    pub fn new(config: &Arc<ClientConfig>, name: &ServerName<'static>) -> Self {
        let mut connection = ClientConnection::new(config.clone(), name.clone())
            .expect("the configuration has cipher suites for its versions");
        connection.set_buffer_limit(Some(REGION_MAX));
        Self { connection, has_ended: false, has_failed: false }
    }

    /// Whether requests can't be sent yet.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the server has sent `close_notify`: nothing follows, and what came is complete. The
    /// end of the connection without it may be an attacker's (RFC 8446 6.1).
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether there is ciphertext to be sent.
    #[must_use]
    pub fn wants_to_send(&self) -> bool {
        self.connection.wants_write()
    }

    /// Decrypts received bytes, and appends their plaintext: less than a receive and a record.
    ///
    /// # Errors
    /// If the session has failed; the plaintext before the failure was appended. An alert for the
    /// server is ready to be sealed.
    pub fn feed(&mut self, mut bytes: &[u8], plaintext: &mut Vec<u8>) -> Result<(), TlsError> {
        while !bytes.is_empty() && !self.has_ended && !self.has_failed {
            // At most a few KiB at a time; nothing if an incomplete message is too long.
            let taken = self.connection.read_tls(&mut bytes).unwrap_or(0);
            let is_handshaking = self.is_handshaking();
            let state = self.connection.process_new_packets();
            self.drain(plaintext);
            let failure = match state {
                Ok(state) => {
                    self.has_ended = state.peer_has_closed();
                    let is_stuck = taken == 0 && !self.has_ended;
                    is_stuck
                        .then(|| Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge))
                }
                Err(error) => Some(error),
            };
            if let Some(error) = failure {
                self.has_failed = true;
                return Err(TlsError::of(error, is_handshaking));
            }
        }
        Ok(())
    }

    fn drain(&mut self, plaintext: &mut Vec<u8>) {
        let mut reader = self.connection.reader();
        // An error means that nothing is there.
        while let Ok(piece) = reader.fill_buf() {
            if piece.is_empty() {
                return;
            }
            plaintext.extend_from_slice(piece);
            let count = piece.len();
            reader.consume(count);
        }
    }

    /// Writes pending messages and then the encrypted `plaintext` into `region`, as far as it has
    /// room. The caller sends these bytes, and calls again for the rest. If nothing was written
    /// although plaintext is left, the session can encrypt no more: its keys are used up (TLS 1.2
    /// has no new ones).
    ///
    /// # Panics
    /// If plaintext is given before the handshake is complete.
    pub fn seal(&mut self, plaintext: &[u8], region: &mut [u8]) -> Sealed {
        assert!(plaintext.is_empty() || !self.is_handshaking(), "requests follow the handshake");
        let mut sealed = Sealed::default();
        loop {
            let mut free = &mut region[sealed.written..];
            let room = free.len();
            while self.connection.wants_write() && !free.is_empty() {
                self.connection.write_tls(&mut free).expect("a slice can be written to");
            }
            let left = free.len();
            sealed.written += room - left;
            let rest = &plaintext[sealed.used..];
            if self.connection.wants_write() || rest.is_empty() || left <= RECORD_OVERHEAD {
                return sealed;
            }
            let piece = &rest[..rest.len().min(left - RECORD_OVERHEAD)];
            let count = self.connection.writer().write(piece).unwrap_or(0);
            sealed.used += count;
            if count == 0 && !self.connection.wants_write() {
                return sealed;
            }
        }
    }

    /// Prepares the `close_notify` that precedes the end of the connection (RFC 8446 6.1), if the
    /// handshake is complete and the session has not failed. [`Self::seal`] writes it.
    pub fn close(&mut self) {
        if !self.has_failed && !self.is_handshaking() {
            self.connection.send_close_notify();
        }
    }
}

/// The size of the region that a connection needs in the fixed buffer, for requests of this many
/// bytes together: all of them at once, unless they are long.
#[must_use]
pub fn region_bytes(batch_bytes: usize) -> usize {
    // Records have at most 16 KiB (RFC 8446 5.1).
    let records = batch_bytes.div_ceil(1 << 14);
    (batch_bytes + (records + 1) * RECORD_OVERHEAD).clamp(REGION_MIN, REGION_MAX)
}

/// What a record adds to its plaintext: a header of 5 bytes, a nonce of 8 (TLS 1.2), a type of 1
/// (TLS 1.3), a tag of 16.
const RECORD_OVERHEAD: usize = 32;
/// Room for a PROXY header of at most 232 bytes and a `ClientHello`, whose size is about 250 bytes.
const REGION_MIN: usize = 512;
/// Longer requests are sent in pieces of this size: a load of 1,000 connections has 32 MiB of it.
const REGION_MAX: usize = 32 * 1024;
