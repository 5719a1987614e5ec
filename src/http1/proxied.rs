//! The beginning of a connection on a listener for proxies: the PROXY header.

use super::contract::Context;
use super::{ConnectionPhase, ServerConnection};
use crate::http::proxy_header::{ParsedProxyHeader, parse};
use crate::peer_address::PeerAddress;

impl ServerConnection {
    /// Takes bytes of the header. The bytes behind it are those of the client, and may be the first
    /// requests.
    pub(super) fn header_bytes(&mut self, bytes: &[u8], context: &mut Context<'_>) {
        if !self.kept.is_empty() {
            return self.more_header_bytes(bytes, context);
        }
        match parse(bytes) {
            ParsedProxyHeader::Partial => {
                self.keep(bytes, context);
            }
            ParsedProxyHeader::Complete { len, client } => {
                self.begin_for(client, context);
                if len < bytes.len() {
                    self.bytes(&bytes[len..], context);
                }
            }
            ParsedProxyHeader::Invalid => self.abort(context),
        }
    }

    /// Takes bytes that follow the kept beginning of a header.
    fn more_header_bytes(&mut self, bytes: &[u8], context: &mut Context<'_>) {
        if !self.keep(bytes, context) {
            return;
        }
        match parse(&self.kept) {
            ParsedProxyHeader::Partial => {}
            ParsedProxyHeader::Complete { len, client } => {
                self.begin_for(client, context);
                if len == self.kept.len() {
                    context.head_buffers.give_back(&mut self.kept);
                } else {
                    self.kept.drain(..len);
                    self.observed.head_begins(&context.observation);
                    self.parse_kept(context);
                }
            }
            ParsedProxyHeader::Invalid => self.abort(context),
        }
    }

    /// The header is complete: the first request may follow.
    fn begin_for(&mut self, client: Option<PeerAddress>, context: &mut Context<'_>) {
        self.phase = ConnectionPhase::Head;
        if let Some(client) = client {
            context.observation.named(client);
        }
    }

    /// Closes at once and without a response, as the specification demands (2.1): there is no
    /// client that could read it. The proxy notices a reset.
    fn abort(&mut self, context: &mut Context<'_>) {
        context.stats.errors.proxy_headers += 1;
        self.phase = ConnectionPhase::Over;
    }

    /// No more bytes of the header come, or none in time. A balancer may connect and send none, to
    /// learn that the server accepts.
    pub(super) fn end_in_header(&mut self, context: &mut Context<'_>) {
        if self.kept.is_empty() {
            self.phase = ConnectionPhase::Over;
        } else {
            self.abort(context);
        }
    }
}
