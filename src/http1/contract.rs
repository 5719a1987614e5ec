//! The vocabulary between a [`ServerConnection`](super::ServerConnection) and its driver.

use super::head_buffers::HeadBuffers;
use super::runs::Runs;
use crate::bytes::Payload;
use crate::site::{RequestContext, ScratchPlace, Site};
use crate::stats::Stats;
use crate::telemetry::record::Observation;

/// An event on the socket of a connection, or on its timer.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Bytes arrived. They may arrive in any state.
    Bytes(&'a [u8]),
    /// The client has shut down its sending side; no [`Input::Bytes`] follows.
    EndOfStream,
    /// The send of [`Output::Send`] completed: the socket took this many bytes from the front of
    /// its payload.
    Taken(u32),
    /// The timeout of the latest output has passed, or the client takes a response too slowly.
    Deadline,
    /// Another connection needs the slot.
    Displaced,
}

/// The need of a connection, from one input to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Receive, and report [`Input::Deadline`] when the timeout has passed: one of
    /// [`Timeout::Head`], [`Timeout::Idle`] and [`Timeout::Body`].
    Receive(Timeout),
    /// Send, then report [`Input::Taken`]. If this send is in flight already, it goes on. While it
    /// waits for room in the socket, and [`Then::Linger`] follows, also receive: the client may
    /// read only after it has sent everything.
    Send(Transmission),
    /// Shut down the sending side, if that is not done yet, and receive under [`Timeout::Linger`]:
    /// a close at once could destroy the last response with a reset (RFC 9112 9.6). The received
    /// bytes are of no use, and their number has no bound here.
    Linger,
    /// Close. The connection is not to be used again.
    Close,
}

/// A response, a run of them, or the part that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmission {
    /// The bytes to offer to the socket.
    pub payload: Payload,
    /// The response goes on behind them (`MSG_MORE`): the next output is another [`Output::Send`].
    pub more: bool,
    /// The step after the response.
    pub then: Then,
    /// Bytes that arrived meanwhile fill a head buffer: receive no more before this is sent.
    pub input_is_full: bool,
}

/// The step after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// [`Timeout::Idle`], unless another input comes before: the completion of the send need not
    /// cause a wake-up.
    Idle,
    /// The next request or the rest of a body, of which bytes have arrived or are due.
    Continue,
    /// [`Output::Linger`]: the client may still be sending.
    Linger,
    /// [`Output::Close`]: nothing that the client could send would be answered with a reset.
    Close,
}

/// The timeouts of a connection; the driver knows how long each is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Until a head is complete: the first one, with the PROXY header before it, or one that has
    /// begun.
    Head,
    /// Until the first byte of the next request.
    Idle,
    /// Until the rest of a body.
    Body,
    /// Until the client takes bytes of a response: of [`Output::Send`].
    Response,
    /// Until the client sends more or closes, after the last response: of [`Output::Linger`].
    /// It starts anew when bytes arrive, within a bound that the driver has.
    Linger,
}

impl Output {
    /// Whether no further request is answered on the connection.
    #[must_use]
    pub fn is_last(&self) -> bool {
        match self {
            Self::Send(transmission) => matches!(transmission.then, Then::Close | Then::Linger),
            Self::Linger | Self::Close => true,
            Self::Receive(_) => false,
        }
    }
}

/// The state that a connection borrows from its driver for one input.
pub struct Context<'a> {
    /// The responses.
    pub site: &'a Site,
    /// The buffer that their spans refer to.
    pub fixed: &'a mut [u8],
    /// Memory for incomplete heads.
    pub head_buffers: &'a mut HeadBuffers,
    /// The runs of pipelined requests.
    pub runs: &'a mut Runs,
    /// The counters to add to.
    pub stats: &'a mut Stats,
    /// The connection's scratch memory within `fixed`: that of its slot.
    pub scratch: ScratchPlace,
    /// The longest head that is accepted, in bytes.
    pub head_bytes_max: usize,
    /// Whether the server drains or is about to: health checks then get 503.
    pub draining: bool,
    /// Whether the next response ends the connection, whatever the request says.
    pub is_last: bool,
    /// Whether the connection came from the listener for health checks.
    pub health_only: bool,
    /// What is told of each response, if anything is.
    pub observation: Observation<'a>,
}

impl Context<'_> {
    pub(super) fn request_context(&mut self, scratch: ScratchPlace) -> RequestContext<'_> {
        RequestContext { scratch, fixed: self.fixed, draining: self.draining }
    }
}
