//! The site: responses as spans of one fixed buffer, and the choice among them.
//!
//! A site is one page for every path (`single`), or a folder ([`tree`]); `rendered` has the
//! responses that both have. This module knows HTTP; it knows no connection, no engine, no clock
//! and no file.
//!
//! # Example
//!
//! ```
//! use uringstatic::http::request::Persistence;
//! use uringstatic::site::{Answer, Page, PendingResponse, Prebuilt, ScratchPlace, Site};
//!
//! # fn main() -> std::io::Result<()> {
//! let (mut site, mut fixed) = Site::build(Page::built_in(), 5, 1, |len| Ok(vec![0; len]), |body| {
//!     body.copy_from_slice(b"hello");
//!     Ok(())
//! })?;
//! site.tick(784_111_777, &mut fixed);
//! let answer = Answer::Whole(Prebuilt::Page);
//! let pending = PendingResponse { answer, persistence: Persistence::Keep, head_only: false };
//! let response = site.output(pending, ScratchPlace::Slot(0), &mut fixed);
//! let text = String::from_utf8_lossy(&fixed[response.first.range()]);
//! assert!(text.starts_with("HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
//! assert!(text.ends_with("\r\n\r\nhello"));
//! # Ok(())
//! # }
//! ```

mod answer;
pub mod build;
pub mod conditions;
pub mod credentials;
pub mod field_class;
pub mod field_rules;
pub mod index;
pub mod layout;
pub mod live;
mod page;
pub mod pattern;
pub mod redirects;
mod rendered;
mod single;
mod summary;
pub mod tag;
pub mod template;
pub mod tree;

pub use answer::{Answer, LiveAnswer, LivePage, PendingResponse, RequestContext, ScratchPlace};
pub use page::{Page, entity_tag};
pub use rendered::Prebuilt;
pub use summary::ResponseSummary;

use crate::bytes::{Payload, Spans};
use crate::http::host::AllowedHosts;
use crate::http::request::{Method, Request, Target};
use layout::{Layout, RunLayout};
use live::{LiveSite, LiveSource};
use single::Single;
use std::io;
use std::ops::DerefMut;
use tree::Tree;

/// A site, and the hosts and the health check for which it answers.
#[derive(Debug)]
pub struct Site {
    kind: SiteKind,
    /// The only path on the listener for health checks.
    health_check: Option<Box<[u8]>>,
    hosts: AllowedHosts,
}

#[derive(Debug)]
enum SiteKind {
    Single(Single),
    Tree(Tree),
    Live(LiveSite),
}

impl Site {
    /// A site of one page for every path, and its fixed buffer, for a page of `body_bytes` and for
    /// `slots` connections. `zeroed` allocates a buffer of the given length, and `read` writes the
    /// page into its place there.
    ///
    /// # Errors
    /// The errors of `zeroed` and `read`.
    pub fn build<M: DerefMut<Target = [u8]>>(
        page: Page,
        body_bytes: u64,
        slots: u32,
        zeroed: impl FnOnce(usize) -> io::Result<M>,
        read: impl FnOnce(&mut [u8]) -> io::Result<()>,
    ) -> io::Result<(Self, M)> {
        let (single, fixed) = Single::build(page, body_bytes, slots, zeroed, read)?;
        Ok((Self::of(SiteKind::Single(single)), fixed))
    }

    /// A site of a folder.
    #[must_use]
    pub fn of_tree(tree: Tree) -> Self {
        Self::of(SiteKind::Tree(tree))
    }

    /// A site of pages that are rendered while the server runs, and its fixed buffer, for `slots`
    /// connections. `zeroed` allocates a buffer of the given length.
    ///
    /// # Errors
    /// The errors of `zeroed`.
    pub fn build_live<M: DerefMut<Target = [u8]>>(
        source: Box<dyn LiveSource>,
        slots: u32,
        zeroed: impl FnOnce(usize) -> io::Result<M>,
    ) -> io::Result<(Self, M)> {
        let (live, fixed) = LiveSite::build(source, slots, zeroed)?;
        Ok((Self::of(SiteKind::Live(live)), fixed))
    }

    fn of(kind: SiteKind) -> Self {
        Self { kind, health_check: None, hosts: AllowedHosts::default() }
    }

    /// The parts of the fixed buffer: the image, which is never written, and the scratch.
    #[must_use]
    pub fn layout(&self) -> Layout {
        match &self.kind {
            SiteKind::Single(single) => single.layout(),
            SiteKind::Tree(tree) => tree.layout(),
            SiteKind::Live(live) => live.layout(),
        }
    }

    /// The memory of runs; `None` if responses are sent one by one, or repeated from the copies of
    /// one response ([`Site::copies_in_a_row`]).
    #[must_use]
    pub fn run_layout(&self) -> Option<RunLayout> {
        match &self.kind {
            SiteKind::Tree(tree) => Some(tree.run_layout()),
            SiteKind::Single(_) | SiteKind::Live(_) => None,
        }
    }

    /// Leaves so many runs at most, for simulations in which there are too few. To be called before
    /// a server has the site.
    pub fn limit_runs(&mut self, count: u32) {
        if let SiteKind::Tree(tree) = &mut self.kind {
            tree.limit_runs(count);
        }
    }

    /// Sets the path of the listener for health checks.
    pub fn check_health_at(&mut self, path: &str) {
        self.health_check = Some(path.as_bytes().into());
    }

    /// Restricts the site to requests for these hosts; others get 421, except health checks.
    pub fn allow_only(&mut self, hosts: AllowedHosts) {
        self.hosts = hosts;
    }

    /// Whether the host of a request is allowed.
    #[must_use]
    pub fn allows(&self, request: &Request<'_, '_>) -> bool {
        self.hosts.allow(request.authority)
    }

    /// Renders the date of this second, unless the bytes that would be written are in flight.
    pub fn tick(&mut self, unix_seconds: u64, fixed: &mut [u8]) {
        match &mut self.kind {
            SiteKind::Single(single) => single.tick(unix_seconds, fixed),
            SiteKind::Tree(tree) => tree.tick(unix_seconds),
            SiteKind::Live(live) => live.tick(unix_seconds, fixed),
        }
    }

    /// Counts a send of these bytes as in flight: the engine may read them. A list has none that
    /// could change.
    pub fn mark_in_flight(&mut self, payload: Payload) {
        let Payload::Spans(spans) = payload else { return };
        match &mut self.kind {
            SiteKind::Single(single) => single.mark_in_flight(spans),
            SiteKind::Live(live) => live.errors_mut().mark_in_flight(spans),
            // Only the memory of slots and runs is written, and only for their next responses.
            SiteKind::Tree(_) => {}
        }
    }

    /// Counts a send of these bytes as completed.
    ///
    /// # Panics
    /// If none was in flight.
    pub fn mark_sent(&mut self, payload: Payload) {
        let Payload::Spans(spans) = payload else { return };
        match &mut self.kind {
            SiteKind::Single(single) => single.mark_sent(spans),
            SiteKind::Live(live) => live.errors_mut().mark_sent(spans),
            SiteKind::Tree(_) => {}
        }
    }

    /// Chooses the response to a request.
    #[must_use]
    pub fn choose(
        &self,
        request: &Request<'_, '_>,
        request_context: &mut RequestContext<'_>,
    ) -> Answer {
        let answer = match (request.method, &self.kind) {
            (Method::Unknown, _) => Answer::Whole(Prebuilt::NotImplemented),
            (_, SiteKind::Tree(tree)) => tree.choose(request, request_context),
            (Method::Get | Method::Head, SiteKind::Single(single)) => single.choose(request),
            (Method::Get | Method::Head, SiteKind::Live(live)) => live.choose(request),
            (Method::Options, _) => Answer::Whole(Prebuilt::Allow),
            (Method::NotAllowed, _) => Answer::Whole(Prebuilt::MethodNotAllowed),
        };
        match answer {
            // A probe has the address as its host, and its response shows nothing of the site.
            Answer::Whole(Prebuilt::Healthy | Prebuilt::Draining) => answer,
            _ if self.allows(request) => answer,
            _ => Answer::Whole(Prebuilt::Misdirected),
        }
    }

    /// Chooses the response to a request on the listener for health checks, which has one path.
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
            SiteKind::Single(single) => single.copies_in_a_row(pending),
            SiteKind::Tree(_) | SiteKind::Live(_) => 1,
        }
    }

    /// The spans of a response. Its head may be written into the scratch memory, of which nothing
    /// may be in flight.
    #[must_use]
    pub fn output(
        &self,
        pending: PendingResponse,
        scratch: ScratchPlace,
        fixed: &mut [u8],
    ) -> Spans {
        match &self.kind {
            SiteKind::Single(single) => single.output(pending, scratch, fixed),
            SiteKind::Tree(tree) => tree.output(pending, scratch, fixed),
            SiteKind::Live(live) => live.output(pending, scratch, fixed),
        }
    }

    /// Prepares the rest of a response, after a short send, for being sent later. To be called
    /// before the next [`Site::tick`].
    #[must_use]
    pub fn keep(&self, left: Spans, scratch: ScratchPlace, fixed: &mut [u8]) -> Spans {
        match &self.kind {
            SiteKind::Single(single) => single.keep(left, scratch, fixed),
            SiteKind::Live(live) => live.keep(left, scratch, fixed),
            // The head is in the slot's block already.
            SiteKind::Tree(_) => left,
        }
    }
}
