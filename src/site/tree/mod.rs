//! A site of many files: its paths, and responses assembled from pieces prepared at start.
//!
//! The image of the buffer holds the bodies, which never change, each behind the lines of its head
//! that no request changes ([`lines`]). The scratch holds, in this order: a *block* for each slot,
//! into which the rest of a head is copied piece by piece; a *tail* for each slot, for a `Location`
//! that depends on the request; the memory of runs, in which the responses behind the first of a
//! run have block and tail; and room to decode one path. A response is a block and a part of the
//! image behind it, or a block and a tail. A slot has one response or one run in
//! progress at a time, so nothing is written to bytes that the kernel may still read, and no
//! function here writes to the image.
//!
//! The fields of a path that leads to a file are prepared at start. Those of other responses, which
//! depend on the requested path, are composed in the block when the response is chosen.
//!
//! Heads of whole files need no formatting; ranges need numbers to be formatted.

mod access;
mod assemble;
pub mod build;
pub(super) mod chosen;
pub mod composer;
mod guard;
mod heads;
pub mod lines;
mod missing;
mod route_table;
pub mod rows;
mod ruled;
mod sender;
#[cfg(test)]
mod tests;

use super::answer::{Answer, RequestContext, ScratchPlace};
use super::conditions::RequestConditions;
use super::layout::{Layout, RunLayout};
use super::pattern::Captures;
use super::redirects::{Effect, Redirect, Redirects};
use super::rendered::Prebuilt;
use super::tag::{TAG_BYTES, Tag};
use crate::bytes::Span;
use crate::http::accept::names_html;
use crate::http::coding::{Accepted, Coding};
use crate::http::conditional::{Selection, Validators, select};
use crate::http::path;
use crate::http::request::{Method, Request, TARGET_BYTES_MAX, Target};
use access::PathAccess;
use chosen::{FileResponse, Redirection, Select, TargetOrigin};
use composer::Composer;
use foldhash::fast::FixedState;
use heads::{Heads, StatusIndex};
use lines::{ETAG, validators_bytes};
use missing::NotFoundPages;
use route_table::RouteTable;
use rows::{FieldBlock, Representation, RouteEntry, RouteTarget, SiteFile};
use sender::{LOCATION_BYTES_MAX, Sender};
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::ops::Range;

/// A site of many files.
#[derive(Debug)]
pub struct Tree {
    route_table: RouteTable,
    representations: Box<[Representation]>,
    /// The tags of representations without lines, by their indices.
    tags_apart: HashMap<u32, Tag, FixedState>,
    /// By the index of a file, in seconds since the Unix epoch.
    modified: Box<[Option<NonZeroU64>]>,
    field_blocks: Box<[FieldBlock]>,
    not_found: NotFoundPages,
    fallback: Option<RouteTarget>,
    redirects: Redirects,
    health: Option<Box<[u8]>>,
    /// The rules for fields; `None` if responses without a route have the fields of every site.
    composer: Option<Box<Composer>>,
    /// Most bytes of composed lines.
    composed_bytes: usize,
    heads: Heads,
    /// The blocks begin where the scratch does.
    layout: Layout,
    block_bytes: u32,
    tails_at: u64,
    tail_bytes: u32,
    runs: RunLayout,
    decode_at: u64,
}

impl Tree {
    /// Updates the dates to this second. The kernel reads none of them.
    pub fn tick(&mut self, unix_seconds: u64) {
        self.heads.tick(unix_seconds);
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    pub(super) fn run_layout(&self) -> RunLayout {
        self.runs
    }

    pub(super) fn limit_runs(&mut self, count: u32) {
        self.runs = self.runs.limited_to(count);
    }

    /// Chooses the response to a request. Of the buffer, only the scratch is written to: a
    /// `Location` goes into the tail of the place, and composed fields into its block.
    pub fn choose(
        &self,
        request: &Request<'_, '_>,
        request_context: &mut RequestContext<'_>,
    ) -> Answer {
        let place = request_context.scratch;
        let (image, scratch) = self.parts(request_context.fixed);
        let decode_at = self.in_scratch(Span { offset: self.decode_at, len: 0 }).start;
        let (places, decode) = scratch.split_at_mut(decode_at);
        let (path, query, entry) = match request.target {
            Target::Origin { path, query } | Target::Absolute { path, query } => {
                assert!(path.len() <= TARGET_BYTES_MAX, "longer targets are refused");
                // Forced rules come before files.
                let is_file_first = !self.redirects.has(true);
                match is_file_first.then(|| self.route_table.find_literal(path)).flatten() {
                    Some(entry) => (Some(path), query, Some(entry)),
                    None => (path::decode(path, decode).ok(), query, None),
                }
            }
            // Only OPTIONS and CONNECT have these forms (RFC 9112 3.2.3, 3.2.4).
            Target::Asterisk | Target::Authority => (None, None, None),
        };
        let [block, tail] = [self.block(place), self.tail(place)].map(|it| self.in_scratch(it));
        // A block lies before its tail.
        let (front, back) = places.split_at_mut(tail.start);
        let block = &mut front[block.start..block.start + self.composed_bytes];
        let tail = &mut back[..tail.len()];
        if !matches!(request.method, Method::Get | Method::Head) {
            return self.other_method(path, request, block);
        }
        let Some(path) = path else { return Answer::Whole(Prebuilt::BadRequest) };
        if self.health.as_deref().is_some_and(|health| health == path) {
            let draining = request_context.draining;
            return Answer::Whole(if draining { Prebuilt::Draining } else { Prebuilt::Healthy });
        }
        let access = self.access_to_path(path, request);
        let mut by_language = false;
        let answer = match access {
            // Nothing else of the path may show, not even a redirect.
            PathAccess::Refused => Answer::Whole(Prebuilt::Unauthorized),
            PathAccess::Open | PathAccess::Granted => {
                self.resolve(path, entry, query, request, tail, &mut by_language)
            }
        };
        let answer = if by_language { answer.varying_by_language() } else { answer };
        let answer = match answer {
            Answer::FileResponse(chosen) if request.selective => {
                Answer::FileResponse(self.select(chosen, request, image))
            }
            _ => answer,
        };
        self.with_fields(answer, path, access, request, block)
    }

    /// The answer for a decoded path, with its entry if that is known: forced rules first, then
    /// files, then the other rules. Sets `by_language` if the language of the request was compared
    /// for it.
    fn resolve(
        &self,
        path: &[u8],
        entry: Option<RouteEntry>,
        query: Option<&[u8]>,
        request: &Request<'_, '_>,
        tail: &mut [u8],
        by_language: &mut bool,
    ) -> Answer {
        if self.redirects.has(true)
            && let Some(answer) = self.redirected(path, query, true, request, tail, by_language)
        {
            return answer;
        }
        match entry.or_else(|| self.route_table.find(path)) {
            Some(RouteEntry::File(target)) => {
                return self.represent(target, StatusIndex::OK, TargetOrigin::Route, request);
            }
            Some(RouteEntry::Folder) => {
                if self.access_to_folder(path, request, tail) == PathAccess::Refused {
                    return Answer::Whole(Prebuilt::Unauthorized);
                }
                return moved_to_folder(path, query, tail);
            }
            None => {}
        }
        if self.redirects.has(false)
            && let Some(answer) = self.redirected(path, query, false, request, tail, by_language)
        {
            return answer;
        }
        self.missing(path, request)
    }

    /// The answer for a path without a destination.
    fn missing(&self, path: &[u8], request: &Request<'_, '_>) -> Answer {
        let origin = TargetOrigin::Missing;
        if let Some(target) = self.fallback
            && is_navigation(path, request)
        {
            return self.represent(target, StatusIndex::OK, origin, request);
        }
        match self.not_found.nearest(path) {
            Some(target) => self.represent(target, StatusIndex::NOT_FOUND, origin, request),
            None => Answer::Whole(Prebuilt::NotFound),
        }
    }

    /// The answer of the first rule that applies to the path. A rewrite to a path without a file is
    /// skipped, unless it is forced: then it still hides the file of the request's own path. A
    /// rewrite by placeholder to a file that another rule hides is treated alike.
    fn redirected(
        &self,
        path: &[u8],
        query: Option<&[u8]>,
        forced: bool,
        request: &Request<'_, '_>,
        tail: &mut [u8],
        by_language: &mut bool,
    ) -> Option<Answer> {
        let conditions = RequestConditions::of(request, query);
        let Self { redirects, route_table, .. } = self;
        let sender = Sender { redirects, route_table, path, conditions };
        let mut is_sent =
            |rule: &Redirect, captures: &Captures<'_>| sender.is_sent(rule, captures, tail);
        let found = self.redirects.find(path, forced, &conditions, &mut is_sent);
        *by_language |= found.by_language;
        let (number, captures) = found.rule?;
        let rule = &self.redirects.rules()[number as usize];
        match rule.effect {
            Effect::Redirect(status) => {
                let status = StatusIndex::of(status).expect("rules have statuses of this table");
                // The parameters of a rule are its own: with them, the query is not passed on
                // (netlify/cli, pull request 2017, from Netlify's production).
                let query = query.filter(|_| rule.conditions.query.is_empty());
                let written = rule.to.write(&captures, tail);
                let location_bytes = written.and_then(|len| finish_location(len, query, tail));
                Some(moved(status, location_bytes))
            }
            Effect::Rewrite(status) => {
                let status = StatusIndex::of(status).expect("rules have statuses of this table");
                let len = rule.to.write(&captures, tail);
                let is_named = rule.to.fixed().is_some();
                let is_open =
                    |to: &&[u8]| is_named || !self.redirects.hides(to, number, &conditions);
                match len.and_then(|len| self.file_of(tail, len, is_open)) {
                    Some(target) => {
                        Some(self.represent(target, status, TargetOrigin::Rule, request))
                    }
                    None => forced.then(|| self.missing(path, request)),
                }
            }
        }
    }

    /// The file that a rewrite leads to, whose path is the first `len` bytes of the tail: for a
    /// folder, that of its index.
    fn file_of(
        &self,
        tail: &mut [u8],
        len: usize,
        is_open: impl Fn(&&[u8]) -> bool,
    ) -> Option<RouteTarget> {
        let entry =
            |path: &[u8]| Some(path).filter(&is_open).and_then(|p| self.route_table.find(p));
        match entry(&tail[..len])? {
            RouteEntry::File(target) => Some(target),
            RouteEntry::Folder => {
                *tail.get_mut(len)? = b'/';
                match entry(&tail[..=len])? {
                    RouteEntry::File(target) => Some(target),
                    RouteEntry::Folder => None,
                }
            }
        }
    }

    /// Chooses the coding in which a file is sent.
    fn represent(
        &self,
        target: RouteTarget,
        status: StatusIndex,
        origin: TargetOrigin,
        request: &Request<'_, '_>,
    ) -> Answer {
        if target.file.is_protected
            && self.access_to_file(target.file, request) == PathAccess::Refused
        {
            return Answer::Whole(Prebuilt::Unauthorized);
        }
        let SiteFile { first, codings, .. } = target.file;
        let (index, select) = match Accepted::of(request.fields).best(codings.iter()) {
            Some(best) => (u32::try_from(best).expect("four at most"), Select::Whole),
            None => (0, Select::NotAcceptable),
        };
        Answer::FileResponse(FileResponse {
            target,
            representation: first + index,
            status,
            select,
            origin,
            by_language: false,
            fields: None,
        })
    }

    /// Chooses the part of a file that is sent, by the preconditions and the range of the request.
    fn select(
        &self,
        chosen: FileResponse,
        request: &Request<'_, '_>,
        image: &[u8],
    ) -> FileResponse {
        // They apply to a 200 only (RFC 9110 13.2.1, 14.2).
        if chosen.select != Select::Whole || chosen.status != StatusIndex::OK {
            return chosen;
        }
        let SiteFile { id, first, codings, .. } = chosen.target.file;
        let last_modified = self.modified[id.index()].map(NonZeroU64::get);
        let evaluate = |representation: u32, length: Option<u64>| {
            let etag = self.tag(representation, last_modified.is_some(), image);
            let validators = Validators { etag, last_modified };
            select(request.method, request.fields, &validators, length)
        };
        // A range selects from the identity, so that a download can be resumed whatever coding it
        // began with.
        let identity = first + codings.len() - 1;
        if Accepted::of(request.fields).accepts(Coding::Identity) {
            let part = |select| FileResponse { representation: identity, select, ..chosen };
            match evaluate(identity, Some(self.representations[identity as usize].body.len)) {
                Selection::Partial { first, last } => return part(Select::Part(first, last)),
                Selection::Unsatisfiable => return part(Select::Unsatisfiable),
                Selection::Full | Selection::NotModified | Selection::PreconditionFailed => {}
            }
        }
        let select = match evaluate(chosen.representation, None) {
            Selection::NotModified => Select::NotModified,
            Selection::PreconditionFailed => Select::PreconditionFailed,
            Selection::Full | Selection::Partial { .. } | Selection::Unsatisfiable => Select::Whole,
        };
        FileResponse { select, ..chosen }
    }

    /// The entity tag of a representation, which lies among its lines if it has any.
    fn tag<'a>(&'a self, representation: u32, has_date: bool, image: &'a [u8]) -> &'a [u8] {
        let Representation { body, lines_bytes } = self.representations[representation as usize];
        if lines_bytes == 0 {
            return &self.tags_apart[&representation];
        }
        let at = body.range().start - validators_bytes(has_date) + ETAG.len();
        &image[at..at + TAG_BYTES]
    }

    /// The image, and the scratch, of which every span that a tree writes to is a part.
    fn parts<'a>(&self, fixed: &'a mut [u8]) -> (&'a [u8], &'a mut [u8]) {
        let Range { start, end } = self.layout.scratch().range();
        let (image, scratch) = fixed[..end].split_at_mut(start);
        (image, scratch)
    }

    /// The position within the scratch of a span of the buffer.
    fn in_scratch(&self, span: Span) -> Range<usize> {
        let Span { offset, len } = span;
        Span { offset: offset - self.layout.scratch().offset, len }.range()
    }

    fn block(&self, place: ScratchPlace) -> Span {
        match place {
            ScratchPlace::Slot(slot) => {
                let len = u64::from(self.block_bytes);
                Span { offset: self.layout.scratch().offset + u64::from(slot) * len, len }
            }
            ScratchPlace::Run { run, used } => self.runs.block_and_tail(run, used)[0],
        }
    }

    fn tail(&self, place: ScratchPlace) -> Span {
        match place {
            ScratchPlace::Slot(slot) => {
                let len = u64::from(self.tail_bytes);
                Span { offset: self.tails_at + u64::from(slot) * len, len }
            }
            ScratchPlace::Run { run, used } => self.runs.block_and_tail(run, used)[1],
        }
    }
}

/// A redirect from `/docs?q` to `/docs/?q`, as a reference relative to the path (RFC 3986 5.2): it
/// holds for a proxy that serves the site below a prefix, too.
fn moved_to_folder(path: &[u8], query: Option<&[u8]>, tail: &mut [u8]) -> Answer {
    let name = path::last_segment(path);
    // A colon in the first segment of a reference would end a scheme (RFC 3986 4.2).
    let start: &[u8] = if name.contains(&b':') { b"./" } else { b"" };
    tail[..start.len()].copy_from_slice(start);
    let written = path::encode(name, &mut tail[start.len()..]).and_then(|len| {
        let end = start.len() + len;
        *tail.get_mut(end)? = b'/';
        finish_location(end + 1, query, tail)
    });
    moved(StatusIndex::PERMANENT_REDIRECT, written)
}

fn moved(status: StatusIndex, location_bytes: Option<usize>) -> Answer {
    match location_bytes.filter(|&bytes| bytes <= LOCATION_BYTES_MAX) {
        Some(bytes) => {
            let location_bytes = u32::try_from(bytes).expect("LOCATION_BYTES_MAX has 32 bits");
            let (by_language, fields) = (false, None);
            Answer::Redirection(Redirection { status, location_bytes, by_language, fields })
        }
        // Percent-encoding and the rule made a target of permitted length too long.
        None => Answer::Whole(Prebuilt::UriTooLong),
    }
}

/// Turns the first `len` bytes of the tail into a `Location` and returns its length: one slash at
/// its beginning, since two would begin a host (RFC 3986 4.2), and the request's query unless the
/// rule has one.
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
    assert_eq!(written, Some(added - 1), "query_bytes measured it");
    Some(len + added)
}

/// Whether a request is a navigation rather than a subresource of a page: the last segment of its
/// path has no dot, or its `Accept` names `text/html`.
fn is_navigation(path: &[u8], request: &Request<'_, '_>) -> bool {
    !path::last_segment(path).contains(&b'.') || names_html(request.fields)
}
