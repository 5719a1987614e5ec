//! A whole site: which path has what, and the responses, put together from pieces made at start.
//!
//! The buffer holds the bodies, which are its image and never change; and as its scratch, in this
//! order: a *block* for each slot, into which the head of its response is copied, piece by piece; a
//! *tail* for each slot, for a `Location` that depends on the request; and room to decode one path.
//! A response is the block and the body behind it, or the block and the tail. A slot has one
//! response under way at a time, so what a ring may still read is not written to.
//!
//! Nothing is formatted for a whole file; numbers are, for a part of one.

mod assemble;
pub mod build;
mod heads;
mod route_table;
#[cfg(test)]
mod tests;

use super::layout::Layout;
use super::redirects::{Effect, Redirects};
use super::rendered::Prebuilt;
use super::{Answer, RequestContext, ScratchIndex};
use crate::bytes::Span;
use crate::http::accept::names_html;
use crate::http::coding::{Accepted, Coding};
use crate::http::conditional::{Selection, Validators, select};
use crate::http::path;
use crate::http::request::{Request, TARGET_BYTES_MAX, Target};
use crate::http::response::DATE_BYTES;
use build::{File, RouteTarget, Tag};
use heads::{Heads, Status};
use route_table::{Place, RouteTable};
use std::num::NonZeroU64;

/// A whole site.
#[derive(Debug)]
pub struct Tree {
    route_table: RouteTable,
    resources: Box<[Resource]>,
    representations: Box<[Representation]>,
    blocks: Box<[FieldBlock]>,
    not_found: Option<RouteTarget>,
    fallback: Option<RouteTarget>,
    redirects: Redirects,
    health: Option<Box<[u8]>>,
    heads: Heads,
    layout: Layout,
    blocks_at: u64,
    block_bytes: u32,
    tails_at: u64,
    tail_bytes: u32,
    scratch_at: usize,
}

/// What a file's representations have in common.
#[derive(Clone, Copy, Debug)]
struct Resource {
    /// In seconds since the Unix epoch.
    modified: Option<NonZeroU64>,
    modified_text: [u8; DATE_BYTES],
}

/// A file in one coding, with the values of its fields. A file's lie one behind the other, the one
/// to be preferred first, identity last.
#[derive(Clone, Copy, Debug)]
struct Representation {
    body: Span,
    coding: Coding,
    digits_len: u8,
    /// The length, in decimal, if it has at most so many digits. Longer ones, of terabytes, are
    /// formatted for each response: with room for them, this would no longer be 64 bytes, of which
    /// a site has millions.
    digits: [u8; 12],
    tag: Tag,
}

/// Fields that files have in common, as they stand in a head.
#[derive(Debug, Default)]
struct FieldBlock {
    text: Vec<u8>,
    /// Where those begin that a 304 has, too.
    kept_at: usize,
}

/// A response that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileResponse {
    leaf: RouteTarget,
    representation: u32,
    status: Status,
    select: Select,
}

/// What of a representation is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Select {
    Whole,
    /// The bytes from the first to the second, both included.
    Part(u64, u64),
    NotModified,
    Unsatisfiable,
}

/// A redirect whose `Location` lies in the slot's tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirection {
    status: Status,
    location_bytes: u32,
}

impl Tree {
    /// Brings the dates up to this second.
    pub fn tick(&mut self, unix_seconds: u64) {
        self.heads.tick(unix_seconds);
    }

    /// Which part of the buffer is written to, and which never is.
    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    /// Which response a GET or HEAD gets.
    pub fn choose(
        &self,
        request: &Request<'_, '_>,
        request_context: &mut RequestContext<'_>,
    ) -> Answer {
        let (path, query) = match request.target {
            Target::Origin { path, query } | Target::Absolute { path, query } => (path, query),
            // Of OPTIONS and CONNECT only.
            Target::Asterisk | Target::Authority => return Answer::Whole(Prebuilt::BadRequest),
        };
        let (fixed, scratch) = request_context.fixed.split_at_mut(self.scratch_at);
        assert!(path.len() <= TARGET_BYTES_MAX, "longer targets are refused");
        let Ok(path) = path::decode(path, scratch) else {
            return Answer::Whole(Prebuilt::BadRequest);
        };
        if self.health.as_deref().is_some_and(|health| health == path) {
            let draining = request_context.draining;
            return Answer::Whole(if draining { Prebuilt::Draining } else { Prebuilt::Healthy });
        }
        let tail = &mut fixed[self.tail(request_context.scratch).range()];
        if self.redirects.has(true)
            && let Some(answer) = self.redirected(path, query, true, request, tail)
        {
            return answer;
        }
        match self.route_table.find(path) {
            Some(Place::File(leaf)) => return self.select(leaf, Status::OK, request),
            Some(Place::Folder) => return moved_to_folder(path, query, tail),
            None => {}
        }
        if self.redirects.has(false)
            && let Some(answer) = self.redirected(path, query, false, request, tail)
        {
            return answer;
        }
        self.nothing(path, request)
    }

    /// What a path has that leads nowhere.
    fn nothing(&self, path: &[u8], request: &Request<'_, '_>) -> Answer {
        match (self.fallback, self.not_found) {
            (Some(leaf), _) if is_navigation(path, request) => {
                self.select(leaf, Status::OK, request)
            }
            (_, Some(leaf)) => self.select(leaf, Status::NOT_FOUND, request),
            (_, None) => Answer::Whole(Prebuilt::NotFound),
        }
    }

    /// What the first rule says that applies to the path, if any does. A rewrite to a path that
    /// has nothing is as if it weren't there; a forced one still hides what the path has. So it is
    /// where a placeholder leads to a file that another rule hides.
    fn redirected(
        &self,
        path: &[u8],
        query: Option<&[u8]>,
        forced: bool,
        request: &Request<'_, '_>,
        tail: &mut [u8],
    ) -> Option<Answer> {
        let (number, captures) = self.redirects.find_number(path, forced)?;
        let rule = &self.redirects.rules()[number as usize];
        match rule.effect {
            Effect::Redirect(status) => {
                let status = Status::of(status).expect("rules have statuses that are known");
                let written = rule.to.write(&captures, tail);
                let location_bytes = written.and_then(|len| finish_location(len, query, tail));
                Some(moved(status, location_bytes))
            }
            Effect::Rewrite(status) => {
                let status = Status::of(status).expect("rules have statuses that are known");
                let target = rule.to.write(&captures, tail).map(|len| &tail[..len]);
                let is_named = rule.to.fixed().is_some();
                let open = target.filter(|to| is_named || !self.redirects.hides(to, number));
                match open.and_then(|to| self.route_table.find(to)) {
                    Some(Place::File(leaf)) => Some(self.select(leaf, status, request)),
                    Some(Place::Folder) | None => forced.then(|| self.nothing(path, request)),
                }
            }
        }
    }

    /// Chooses the coding, and what of it is sent.
    fn select(&self, leaf: RouteTarget, status: Status, request: &Request<'_, '_>) -> Answer {
        let File { id, first, codings } = leaf.file;
        let accepted = Accepted::of(request.fields);
        let Some(best) = accepted.best(codings.iter()) else {
            return Answer::Whole(Prebuilt::NotAcceptable);
        };
        let best = u32::try_from(best).expect("four at most");
        let found = |index: u32, select| {
            Answer::FileResponse(FileResponse {
                leaf,
                representation: first + index,
                status,
                select,
            })
        };
        // Validators and ranges belong to a 200.
        if !request.selective || status != Status::OK {
            return found(best, Select::Whole);
        }
        let last_modified = self.resources[id.index()].modified.map(NonZeroU64::get);
        let representation = |index: u32| &self.representations[(first + index) as usize];
        let evaluate = |index: u32, length: Option<u64>| {
            let validators = Validators { etag: &representation(index).tag, last_modified };
            select(request.method, request.fields, &validators, length)
        };
        // A range is one of the identity: then a download can go on whoever began it.
        let identity = codings.len() - 1;
        if accepted.accepts(Coding::Identity) {
            let length = representation(identity).body.len;
            match evaluate(identity, Some(length)) {
                Selection::Partial { first, last } => {
                    return found(identity, Select::Part(first, last));
                }
                Selection::Unsatisfiable => return found(identity, Select::Unsatisfiable),
                Selection::Full | Selection::NotModified | Selection::PreconditionFailed => {}
            }
        }
        match evaluate(best, None) {
            Selection::NotModified => found(best, Select::NotModified),
            Selection::PreconditionFailed => Answer::Whole(Prebuilt::PreconditionFailed),
            Selection::Full | Selection::Partial { .. } | Selection::Unsatisfiable => {
                found(best, Select::Whole)
            }
        }
    }

    fn block(&self, scratch: ScratchIndex) -> Span {
        let len = u64::from(self.block_bytes);
        Span { offset: self.blocks_at + u64::from(scratch.0) * len, len }
    }

    fn tail(&self, scratch: ScratchIndex) -> Span {
        let len = u64::from(self.tail_bytes);
        Span { offset: self.tails_at + u64::from(scratch.0) * len, len }
    }
}

/// `/docs/?q` for `/docs?q`.
fn moved_to_folder(path: &[u8], query: Option<&[u8]>, tail: &mut [u8]) -> Answer {
    let written = path::encode(path, tail).and_then(|len| {
        *tail.get_mut(len)? = b'/';
        finish_location(len + 1, query, tail)
    });
    moved(Status::PERMANENT_REDIRECT, written)
}

fn moved(status: Status, location_bytes: Option<usize>) -> Answer {
    match location_bytes.filter(|&bytes| bytes <= LOCATION_BYTES_MAX) {
        Some(bytes) => {
            let location_bytes = u32::try_from(bytes).expect("a location is short");
            Answer::Redirection(Redirection { status, location_bytes })
        }
        // It was short enough to ask for, and is too long to be told.
        None => Answer::Whole(Prebuilt::UriTooLong),
    }
}

/// Makes what was written so far a `Location`: one slash at its beginning only, since two would
/// lead to another host, and the request's query if it has none. Says how long it is then.
fn finish_location(mut len: usize, query: Option<&[u8]>, tail: &mut [u8]) -> Option<usize> {
    let slashes = tail[..len].iter().take_while(|&&octet| octet == b'/').count();
    if slashes > 1 {
        tail.copy_within(slashes - 1..len, 0);
        len -= slashes - 1;
    }
    let Some(query) = query.filter(|_| !tail[..len].contains(&b'?')) else { return Some(len) };
    let fragment = memchr::memchr(b'#', &tail[..len]).unwrap_or(len);
    let added = path::query_bytes(query) + 1;
    if len + added > tail.len() {
        return None;
    }
    tail.copy_within(fragment..len, fragment + added);
    tail[fragment] = b'?';
    let written = path::encode_query(query, &mut tail[fragment + 1..fragment + added]);
    assert_eq!(written, Some(added - 1), "it was measured");
    Some(len + added)
}

/// Whether a person goes there, rather than a page loads it: its name has no extension, or the
/// client says that it takes HTML.
fn is_navigation(path: &[u8], request: &Request<'_, '_>) -> bool {
    !path::last_segment(path).contains(&b'.') || names_html(request.fields)
}

/// The longest `Location`: as long as the longest target and what a rule puts around it.
const LOCATION_BYTES_MAX: usize = TARGET_BYTES_MAX + 2048;
