//! The steps that only connections with TLS have. Between `Connecting` and `Open` they are
//! `Handshaking`; from then on, received bytes are decrypted before they are parsed, and requests
//! are encrypted before they are sent.
//!
//! ```text
//!   Connecting ─► Handshaking ─► Open ─► ...
//!                      │
//!                      └─► Ending: the attempt to connect has failed, and is repeated
//! ```

use super::Client;
use super::connection::{ClientPhase, ReceiveOutcome};
use crate::bytes::Span;
use crate::engine::{BufferId, Completion, Engine, Errno, Received, Slot};
use crate::load::counters::LatencyKind;
use crate::load::report::FailureKind;
use crate::load::tls::TlsError;
use crate::socket::Transmit;

impl<E: Engine> Client<'_, E> {
    /// Begins the handshake of a connection that was established; its timeout goes on.
    pub(super) fn begin_handshake(&mut self, slot: Slot) {
        let tls = self.tls.as_ref().expect("the connection has TLS");
        let connection = &mut self.connections[slot.0 as usize];
        connection.phase = ClientPhase::Handshaking;
        connection.secure = Some(tls.begin(self.now));
        self.receive(slot);
        self.flush(slot);
    }

    /// Sends the next piece of ciphertext, if there is any. The first one follows the PROXY header,
    /// which a server reads before TLS. If a send is in flight, its completion continues.
    pub(super) fn flush(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot.0 as usize];
        connection.unseal_next(&self.shared.requests);
        let is_followed = connection.to_send > 0;
        let (Some(tls), Some(secure)) = (&self.tls, &mut connection.secure) else { return };
        if !secure.has_more() {
            return;
        }
        if connection.socket.transmitting() != Transmit::Idle {
            self.poll_now = true;
            return;
        }
        let region = tls.region(slot);
        let header = self.shared.requests.header(slot.0);
        let header = header.filter(|_| std::mem::take(&mut connection.lacks_header));
        let header = header.map_or(&[][..], |span| &tls.requests[span.range()]);
        let fixed = self.engine.memory(None).fixed;
        let (before, free) = fixed[region.range()].split_at_mut(header.len());
        before.copy_from_slice(header);
        let written = secure.seal(&tls.requests, free);
        if written == 0 {
            // The session has no new keys (TLS 1.2). The batch is sent on the next connection.
            return self.end(slot);
        }
        let is_last = !secure.has_more() && !is_followed;
        let span = Span { offset: region.offset, len: (header.len() + written) as u64 };
        self.send(slot, span.into(), is_last);
    }

    /// Handles a completion of the receive, and returns its consequence.
    pub(super) fn received_secure(&mut self, slot: Slot, completion: Completion) -> ReceiveOutcome {
        match (completion.result, completion.buffer) {
            (Err(Errno(libc::ENOBUFS | libc::ECANCELED | libc::EINTR | libc::EAGAIN)), _) => {
                ReceiveOutcome::More
            }
            (Ok(0), _) => self.stream_ended(slot, &TlsError::Closed),
            (Ok(len), Some(buffer)) => self.received_ciphertext(slot, buffer, len),
            (Ok(_), None) => unreachable!("ciphertext is never discarded"),
            (Err(_), _) => self.stream_ended(slot, &TlsError::Reset),
        }
    }

    /// Handles the end of the TCP connection.
    fn stream_ended(&mut self, slot: Slot, error: &TlsError) -> ReceiveOutcome {
        let connection = &mut self.connections[slot.0 as usize];
        match (connection.phase, error) {
            (ClientPhase::Handshaking, error) => {
                self.fail_handshake(slot, error);
                return ReceiveOutcome::More;
            }
            (ClientPhase::AwaitClose, _) => {}
            // Without `close_notify`: an attacker may have cut the stream (RFC 9112 9.8).
            (_, TlsError::Closed) => {
                connection.received_end(true, &mut self.shared, self.now);
            }
            _ => connection.broke(&mut self.shared, self.now),
        }
        ReceiveOutcome::Broken
    }

    fn received_ciphertext(&mut self, slot: Slot, buffer: BufferId, len: u32) -> ReceiveOutcome {
        let fed = self.decrypt(slot, buffer, len);
        if self.connections[slot.0 as usize].phase == ClientPhase::Handshaking {
            let failure = fed.clone().err();
            let is_open = self.follow_handshake(slot, failure);
            if !is_open {
                return ReceiveOutcome::More;
            }
        }
        let connection = &mut self.connections[slot.0 as usize];
        let (Some(tls), Some(secure)) = (&self.tls, &connection.secure) else {
            unreachable!("its bytes were decrypted")
        };
        let has_ended = secure.session.has_ended();
        let (plaintext, shared, now) = (&tls.plaintext[..], &mut self.shared, self.now);
        let outcome = match connection.phase {
            _ if plaintext.is_empty() => ReceiveOutcome::More,
            ClientPhase::Open => connection.received(plaintext, shared, now),
            // After the last response, only the end of the stream is due.
            _ => {
                connection.received_surplus(plaintext, plaintext.len() as u64, shared, now);
                ReceiveOutcome::Broken
            }
        };
        let is_answered = matches!(outcome, ReceiveOutcome::Last | ReceiveOutcome::Broken)
            || connection.phase != ClientPhase::Open;
        match fed {
            Err(error) if !is_answered => connection.broke_off(&error, shared, now),
            Ok(()) if has_ended && !is_answered => connection.received_end(false, shared, now),
            Ok(()) if !has_ended => {
                if outcome != ReceiveOutcome::Broken {
                    self.flush(slot);
                }
                // A session without keys has ended its connection.
                let has_left = self.connections[slot.0 as usize].phase == ClientPhase::Ending;
                return if has_left { ReceiveOutcome::More } else { outcome };
            }
            _ => {}
        }
        ReceiveOutcome::Broken
    }

    /// Counts what is received on a connection that the client has given up.
    pub(super) fn received_late(&mut self, slot: Slot, completion: Completion) {
        let (Ok(len), Some(buffer)) = (completion.result, completion.buffer) else { return };
        // Nothing follows from an error: the connection is ending.
        let _ = self.decrypt(slot, buffer, len);
        let (connection, tls) = (&mut self.connections[slot.0 as usize], self.tls.as_ref());
        let plaintext = tls.map_or(&[][..], |tls| &tls.plaintext);
        if !plaintext.is_empty() {
            let count = plaintext.len() as u64;
            connection.received_surplus(plaintext, count, &mut self.shared, self.now);
        }
    }

    /// Decrypts one receive into `ClientTls::plaintext`.
    fn decrypt(&mut self, slot: Slot, buffer: BufferId, len: u32) -> Result<(), TlsError> {
        let connection = &mut self.connections[slot.0 as usize];
        let (Some(tls), Some(secure)) = (&mut self.tls, &mut connection.secure) else {
            unreachable!("only connections with TLS have bytes to be decrypted")
        };
        let memory = self.engine.memory(Some(Received { buffer, len }));
        secure.feed(memory.received, &mut tls.plaintext)
    }

    /// Continues a handshake after received bytes. Returns whether the connection is open.
    fn follow_handshake(&mut self, slot: Slot, failure: Option<TlsError>) -> bool {
        if let Some(error) = failure {
            self.fail_handshake(slot, &error);
            return false;
        }
        if self.is_handshaking(slot) {
            self.flush(slot);
            return false;
        }
        if self.tls.as_ref().is_some_and(|tls| !tls.plaintext.is_empty()) {
            // The server doesn't wait for a request.
            self.open_secure(slot);
            return true;
        }
        // The verification of the certificate took longer than most responses do. It is part of the
        // handshake, so the connection is opened at the time of the next wake-up.
        self.secured.push(slot);
        self.poll_now = true;
        false
    }

    fn is_handshaking(&self, slot: Slot) -> bool {
        let secure = &self.connections[slot.0 as usize].secure;
        secure.as_ref().is_some_and(|secure| secure.session.is_handshaking())
    }

    /// Opens the connections whose handshake was completed by the last turn, and submits their
    /// requests before other handshakes take time.
    pub(super) fn open_secured(&mut self) -> Result<(), Errno> {
        if self.secured.is_empty() {
            return Ok(());
        }
        let mut secured = std::mem::take(&mut self.secured);
        for slot in secured.drain(..) {
            let connection = &self.connections[slot.0 as usize];
            let has_left = connection.secure.as_ref().is_some_and(|it| it.session.has_ended());
            match connection.phase {
                ClientPhase::Handshaking if has_left => {
                    self.fail_handshake(slot, &TlsError::Closed);
                }
                ClientPhase::Handshaking => self.open_secure(slot),
                // Its timeout, or the end of the load, has ended it.
                _ => {}
            }
        }
        self.secured = secured;
        self.engine.submit_and_wait(Some(self.now))?;
        // Responses may have come with it.
        self.now = self.engine.now();
        Ok(())
    }

    fn open_secure(&mut self, slot: Slot) {
        let connection = &self.connections[slot.0 as usize];
        if let Some(secure) = &connection.secure
            && connection.counts_connect(&self.shared)
        {
            self.shared.counters.record(LatencyKind::Handshake, secure.since, self.now);
        }
        self.opened(slot);
        // The last message of the handshake, if no request follows it at once.
        self.flush(slot);
    }

    fn fail_handshake(&mut self, slot: Slot, error: &TlsError) {
        let connection = &self.connections[slot.0 as usize];
        let counts = connection.counts_connect(&self.shared);
        self.shared.handshake_failed(FailureKind::TlsFailed, error, counts, self.now);
        self.fail_to_connect(slot);
        self.first_is_done(slot);
    }

    /// Closes a connection on which nothing is in flight any more, once it has ended: with the last
    /// alert of its session, if it has one.
    pub(super) fn close_if_joined(&mut self, slot: Slot) {
        let connection = &mut self.connections[slot.0 as usize];
        if let Some(tls) = &self.tls
            && connection.socket.is_joined()
            && let Some(mut secure) = connection.secure.take()
        {
            secure.session.close();
            let region = tls.region(slot);
            let fixed = self.engine.memory(None).fixed;
            let written = secure.session.seal(&[], &mut fixed[region.range()]).written;
            if written > 0 {
                let span = Span { offset: region.offset, len: written as u64 };
                let entry = connection.socket.send_close(span.into());
                return self.push(entry);
            }
        }
        let entry = self.connections[slot.0 as usize].socket.close_if_joined();
        self.push_all(entry);
    }
}
