//! What is served: the responses, as spans of one fixed buffer, and the choice among them.
//!
//! Either one page for every path (`single`), or a whole site ([`tree`]); `rendered` has the
//! responses that don't depend on which. Knows HTTP; knows no connection, no engine, no clock, no
//! file.

pub mod build;
pub mod index;
pub mod layout;
mod page;
pub mod pattern;
pub mod redirects;
mod rendered;
mod single;
pub mod template;
pub mod tree;

pub use page::{Page, entity_tag};
pub use rendered::Prebuilt;

use crate::bytes::Spans;
use crate::http::host::AllowedHosts;
use crate::http::request::{Method, Persistence, Request, Target};
use layout::Layout;
use single::Single;
use std::io;
use std::ops::DerefMut;
use tree::{FileResponse, Redirection, Tree};

/// What is served.
#[derive(Debug)]
pub struct Site {
    kind: Kind,
    /// The one path of the listener for health checks.
    health_check: Option<Box<[u8]>>,
    hosts: AllowedHosts,
}

#[derive(Debug)]
enum Kind {
    Single(Single),
    Tree(Tree),
}

/// Which response a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// One that was built at start.
    Whole(Prebuilt),
    /// The bytes of the one page from `first` to `last`, both included.
    Part {
        /// Offset of the first byte.
        first: u64,
        /// Offset of the last byte.
        last: u64,
    },
    /// A file of a tree, or what its validators make of it.
    FileResponse(FileResponse),
    /// Somewhere else in a tree.
    Redirection(Redirection),
}

/// A response that was chosen, and how it is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingResponse {
    /// Which it is.
    pub answer: Answer,
    /// Whether the connection persists after it.
    pub persistence: Persistence,
    /// Without its body, for HEAD.
    pub head_only: bool,
}

impl PendingResponse {
    /// The same as the last response of its connection.
    #[must_use]
    pub fn closing(self) -> Self {
        Self { persistence: Persistence::Close, ..self }
    }
}

/// Number of the scratch memory that the head of a response is written into: one for each
/// connection, since a connection has one response under way at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScratchIndex(pub u32);

/// Where a request comes from, and when.
#[derive(Debug)]
pub struct RequestContext<'a> {
    /// The connection's scratch memory, of which no response is under way.
    pub scratch: ScratchIndex,
    /// The buffer.
    pub fixed: &'a mut [u8],
    /// Whether the server is about to end.
    pub draining: bool,
}

impl Site {
    /// One page for every path: lays out the fixed buffer for a page of `body_bytes` and `slots`
    /// connections. `zeroed` makes a buffer of so many bytes, and `read` puts the page's bytes
    /// where they will stay.
    ///
    /// # Errors
    /// What `zeroed` and `read` return.
    pub fn build<M: DerefMut<Target = [u8]>>(
        page: Page,
        body_bytes: u64,
        slots: u32,
        zeroed: impl FnOnce(usize) -> io::Result<M>,
        read: impl FnOnce(&mut [u8]) -> io::Result<()>,
    ) -> io::Result<(Self, M)> {
        let (single, fixed) = Single::build(page, body_bytes, slots, zeroed, read)?;
        Ok((Self::of(Kind::Single(single)), fixed))
    }

    /// A whole site.
    #[must_use]
    pub fn of_tree(tree: Tree) -> Self {
        Self::of(Kind::Tree(tree))
    }

    fn of(kind: Kind) -> Self {
        Self { kind, health_check: None, hosts: AllowedHosts::default() }
    }

    /// Which part of the buffer is written to, and which never is.
    #[must_use]
    pub fn layout(&self) -> Layout {
        match &self.kind {
            Kind::Single(single) => single.layout(),
            Kind::Tree(tree) => tree.layout(),
        }
    }

    /// Answers health checks at this path, on the listener that is for them alone.
    pub fn check_health_at(&mut self, path: &str) {
        self.health_check = Some(path.as_bytes().into());
    }

    /// Answers requests for these hosts only, but for those about its health.
    pub fn allow_only(&mut self, hosts: AllowedHosts) {
        self.hosts = hosts;
    }

    /// Whether a request names a host that is answered for.
    #[must_use]
    pub fn allows(&self, request: &Request<'_, '_>) -> bool {
        self.hosts.allow(request.authority)
    }

    /// Brings the dates up to this second, as far as no ring reads what would be written.
    pub fn tick(&mut self, unix_seconds: u64, fixed: &mut [u8]) {
        match &mut self.kind {
            Kind::Single(single) => single.tick(unix_seconds, fixed),
            Kind::Tree(tree) => tree.tick(unix_seconds),
        }
    }

    /// Notes that a ring may read these spans from now on.
    pub fn mark_in_flight(&mut self, spans: Spans) {
        match &mut self.kind {
            Kind::Single(single) => single.mark_in_flight(spans),
            // Only a slot's own block is ever written, and only for its next response.
            Kind::Tree(_) => {}
        }
    }

    /// Notes that the ring is done with spans that were in flight.
    ///
    /// # Panics
    /// If they weren't.
    pub fn mark_sent(&mut self, spans: Spans) {
        match &mut self.kind {
            Kind::Single(single) => single.mark_sent(spans),
            Kind::Tree(_) => {}
        }
    }

    /// Which response a request gets.
    #[must_use]
    pub fn choose(
        &self,
        request: &Request<'_, '_>,
        request_context: &mut RequestContext<'_>,
    ) -> Answer {
        let answer = match (request.method, &self.kind) {
            (Method::Get | Method::Head, Kind::Single(single)) => single.choose(request),
            (Method::Get | Method::Head, Kind::Tree(tree)) => tree.choose(request, request_context),
            (Method::Options, _) => Answer::Whole(Prebuilt::Allow),
            (Method::NotAllowed, _) => Answer::Whole(Prebuilt::MethodNotAllowed),
            (Method::Unknown, _) => Answer::Whole(Prebuilt::NotImplemented),
        };
        match answer {
            // A probe names an address that it was given, and learns nothing of the site.
            Answer::Whole(Prebuilt::Healthy | Prebuilt::Draining) => answer,
            _ if self.allows(request) => answer,
            _ => Answer::Whole(Prebuilt::Misdirected),
        }
    }

    /// Which response a request on the listener for health checks gets: one path alone is there.
    #[must_use]
    pub fn choose_health(&self, request: &Request<'_, '_>, draining: bool) -> Answer {
        let is_health = match request.target {
            Target::Origin { path, .. } | Target::Absolute { path, .. } => {
                self.health_check.as_deref() == Some(path)
            }
            Target::Asterisk | Target::Authority => false,
        };
        Answer::Whole(match request.method {
            Method::Options => Prebuilt::Allow,
            Method::NotAllowed => Prebuilt::MethodNotAllowed,
            Method::Unknown => Prebuilt::NotImplemented,
            Method::Get | Method::Head if !is_health => Prebuilt::NotFound,
            Method::Get | Method::Head if draining => Prebuilt::Draining,
            Method::Get | Method::Head => Prebuilt::Healthy,
        })
    }

    /// How many copies of a response lie in the buffer one behind the other, so that one send can
    /// answer as many consecutive requests: [`Spans::repeated`] makes that run of
    /// [`Site::output`].
    #[must_use]
    pub fn copies_in_a_row(&self, pending: &PendingResponse) -> u32 {
        match &self.kind {
            Kind::Single(single) => single.copies_in_a_row(pending),
            Kind::Tree(_) => 1,
        }
    }

    /// A response; its head may be written into the connection's block, of which nothing may be in
    /// flight.
    #[must_use]
    pub fn output(
        &self,
        pending: PendingResponse,
        scratch: ScratchIndex,
        fixed: &mut [u8],
    ) -> Spans {
        match &self.kind {
            Kind::Single(single) => single.output(pending, scratch, fixed),
            Kind::Tree(tree) => tree.output(pending, scratch, fixed),
        }
    }

    /// Makes what is left of an output after a short send fit to wait.
    #[must_use]
    pub fn keep(&self, left: Spans, scratch: ScratchIndex, fixed: &mut [u8]) -> Spans {
        match &self.kind {
            Kind::Single(single) => single.keep(left, scratch, fixed),
            // Its head is in the slot's block already.
            Kind::Tree(_) => left,
        }
    }
}
