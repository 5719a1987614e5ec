//! The content of a plan's files: read on all cores into one buffer, then compressed behind it
//! where that saves enough.

use super::beside::{self, Verification};
use super::compress;
use super::escape::escaped_path;
use super::handover::{MadeCodings, PreviousCodings};
use super::lines;
use super::listing::Listing;
use super::make::{self, CodingInput, Made, Shared};
use super::opened::OpenRoot;
use super::options::BuildRequest;
use super::site_plan::{Route, RouteKind, SitePlan};
use super::summary::size;
use super::threads::on_threads;
use crate::bytes::Span;
use crate::error::Failure;
use crate::http::coding::Coding;
use crate::http::media_type::{OctetsKind, kind_of};
use crate::os::memory::MemoryRoom;
use crate::os::pages::Pages;
use crate::site::entity_tag;
use crate::site::tree::build::room_for;
use crate::site::tree::composer::composed_bytes_max;
use crate::site::tree::rows::CodedBody;
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Mutex;

/// The bodies of all files in a buffer.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The bodies behind their lines, and room for the scratch, which was never written to.
    pub(super) fixed: Pages,
    /// Bytes of all bodies and their lines.
    pub(super) image_bytes: u64,
    /// The bodies of each file, in the order of the plan; identity first.
    pub(super) bodies: Vec<Vec<CodedBody>>,
    /// Precompressed files that are not used as codings.
    pub(super) unused: Vec<Unused>,
    /// The codings that were made, for the next generation.
    pub(super) codings: MadeCodings,
    /// The part of the previous generation in them.
    pub(super) shared: Option<Shared>,
}

/// A precompressed file that is not used as the coding of the file beside it. Both are indices in
/// the plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unused {
    pub(super) file: usize,
    pub(super) of: usize,
    pub(super) coding: Coding,
    pub(super) reason: UnusedReason,
}

/// The reason why a precompressed file is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnusedReason {
    /// It doesn't decode to the file beside it.
    Other,
    /// Browsers don't decode it, for this reason.
    Refused(&'static str),
    /// It saves less than 5 %.
    TooLarge,
}

/// The files that were read, one behind the other, before any of them is compressed.
pub(super) struct Identities {
    /// The buffer: the files, room for codings, and room for the scratch.
    fixed: Pages,
    /// Bytes of the files and their lines.
    bytes: u64,
    /// Bytes of the files, their lines and the room for codings.
    room: u64,
    /// Each file, in the order of the plan, or the reason why it could not be read.
    files: Vec<Result<Identity, String>>,
}

/// A file that was read.
#[derive(Clone, Copy)]
struct Identity {
    body: CodedBody,
    /// Bytes reserved for lines before the body.
    lines_room: usize,
    octets: OctetsKind,
}

impl Identities {
    /// The files of the plan that could not be read, with the reasons.
    pub(super) fn failed(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.files.iter().enumerate();
        numbered.filter_map(|(file, read)| Some((file, read.as_ref().err()?.as_str())))
    }

    /// The octets of the files that were read, in the order of the plan.
    pub(super) fn bodies(&self) -> Vec<&[u8]> {
        let read = self.files.iter().flatten();
        read.map(|file| &self.fixed[file.body.span.range()]).collect()
    }

    /// The files of the plan that were read, with the kinds of their octets.
    pub(super) fn octets(&self) -> impl Iterator<Item = (usize, OctetsKind)> {
        let numbered = self.files.iter().enumerate();
        numbered.filter_map(|(file, read)| Some((file, read.as_ref().ok()?.octets)))
    }
}

/// Reads the files of a plan. A file that can't be read is recorded in the result.
///
/// # Errors
/// If there is too little memory.
pub(super) fn read(
    request: &BuildRequest,
    root: &OpenRoot,
    listing: &Listing,
    plan: &SitePlan,
) -> Result<Identities, Failure> {
    let lengths = lengths(listing, plan);
    let lines_room = lines::room(listing, plan);
    let file_bytes: u64 = lengths.iter().sum();
    let bytes = file_bytes + lines_room.iter().sum::<usize>() as u64;
    let jobs = make::jobs(plan, &lengths, request);
    // No coding is kept that saves less than 5 %, so this is the upper bound of their bytes. Memory
    // that isn't written to costs nothing, and the rest is given back.
    let made = |job: &make::CodingJob| {
        let len = lengths[job.file] * 19 / 20;
        len + lines::of(listing, plan, job.file, job.coding, len).bytes() as u64
    };
    let made_bytes: u64 = jobs.iter().map(made).sum();
    let behind = room_for(fields_bytes_max(plan), request.slots);
    // The kernel promises more memory than it has, and ends a process when that is written to.
    let left = request.memory.as_ref().map_or(u64::MAX, |room| room.bytes);
    if let Some(room) = request.memory.as_ref().filter(|_| left < bytes) {
        return Err(too_large_for(request, bytes, room));
    }
    let (mut fixed, bodies_room) = reserve(bytes, made_bytes, behind, |bytes| {
        let fits = bytes - behind <= left;
        Pages::zeroed(usize_of(bytes)).ok().filter(|_| fits)
    })
    .ok_or_else(|| too_large(request, bytes + behind))?;
    let progress = bar(request.progress, file_bytes);
    progress.set_message(format!("reading {} files", plan.files.len()));
    let place = &mut fixed[..usize_of(bytes)];
    let files = read_all(request.threads, root, listing, plan, &lines_room, place, &progress);
    progress.finish_and_clear();
    Ok(Identities { fixed, bytes, room: bodies_room, files })
}

/// Adds codings to the files that were read, which are exactly the files of `plan`. Those of the
/// previous generation are taken over as far as the files are the same.
pub(super) fn code(
    request: &BuildRequest,
    listing: &Listing,
    plan: &SitePlan,
    identities: Identities,
    previous: Option<PreviousCodings>,
) -> Loaded {
    let Identities { mut fixed, bytes, room, files } = identities;
    let files: Vec<Identity> = files.into_iter().flatten().collect();
    assert_eq!(files.len(), plan.files.len(), "the plan no longer has files that failed");
    let jobs = make::jobs(plan, &lengths(listing, plan), request);
    let (identity, spare) = fixed[..usize_of(room)].split_at_mut(usize_of(bytes));
    let mut bodies: Vec<Vec<CodedBody>> = files.iter().map(|file| vec![file.body]).collect();
    let unused = add_beside(listing, plan, &files, identity, &mut bodies);
    lines::write(listing, plan, &bodies, identity);
    let identity = &*identity;
    let progress = bar(request.progress, 0);
    let files = CodingInput { request, listing, plan, identity };
    let made = make::make_all(&files, &jobs, previous, spare, &mut bodies, &progress);
    progress.finish_and_clear();
    let Made { bytes: made_bytes, codings, shared } = made;
    Loaded { fixed, image_bytes: bytes + made_bytes as u64, bodies, unused, codings, shared }
}

fn lengths(listing: &Listing, plan: &SitePlan) -> Vec<u64> {
    plan.files.iter().map(|file| listing.files[file.listed].bytes).collect()
}

/// Most bytes of fields of any response, stored or composed.
fn fields_bytes_max(plan: &SitePlan) -> usize {
    let of_route = |route: &Route| match &route.kind {
        RouteKind::File(target) => target.fields.bytes(),
        RouteKind::Folder => 0,
    };
    let pages = plan.not_found.iter().map(|page| &page.target);
    let others = pages.chain(&plan.fallback).map(|target| target.fields.bytes());
    let most = plan.routes.iter().map(of_route).chain(others).max().unwrap_or(0);
    let lists = plan.file_fields.iter().map(|own| &own.defaults).chain([&plan.built_in_fields]);
    let defaults = lists.map(|lists| lists.open.bytes().max(lists.protected.bytes())).max();
    let composed = composed_bytes_max(&plan.field_rules, defaults.unwrap_or(0));
    composed.max(most + VARY.len())
}

/// Reserves memory for identity bodies, codings and scratch; returns it with the bytes for all
/// bodies. A small machine may refuse the upper bound of all codings, of which they take only a
/// part: then half of it is requested, and codings without room are dropped.
fn reserve<M>(
    identity_bytes: u64,
    made_bytes: u64,
    behind: u64,
    zeroed: impl Fn(u64) -> Option<M>,
) -> Option<(M, u64)> {
    let halves = std::iter::successors(Some(made_bytes), |made| (*made > 0).then_some(made / 2));
    halves.map(|made| identity_bytes + made).find_map(|room| Some((zeroed(room + behind)?, room)))
}

fn read_all(
    threads: usize,
    root: &OpenRoot,
    listing: &Listing,
    plan: &SitePlan,
    lines_room: &[usize],
    mut place: &mut [u8],
    progress: &ProgressBar,
) -> Vec<Result<Identity, String>> {
    let mut jobs = Vec::with_capacity(plan.files.len());
    let mut offset = 0;
    for (number, file) in plan.files.iter().enumerate() {
        let listed = &listing.files[file.listed];
        let (_, behind) = std::mem::take(&mut place).split_at_mut(lines_room[number]);
        let len = usize_of(listed.bytes);
        let (own, rest) = behind.split_at_mut(len);
        place = rest;
        offset += lines_room[number];
        jobs.push((number, offset, listed, own));
        offset += len;
    }
    let files: Vec<_> = plan.files.iter().map(|_| Err(String::new())).collect();
    let state = Mutex::new((jobs.into_iter(), files));
    on_threads(threads, || {
        loop {
            let job = state.lock().expect(NO_PANIC).0.next();
            let Some((number, offset, listed, place)) = job else { return };
            let outcome = root.read(listed, place);
            let file = outcome.map(|()| {
                let (span, tag) = (span(offset, place.len()), entity_tag(place));
                let body = CodedBody { coding: Coding::Identity, span, tag, has_lines: true };
                let lines_room = lines_room[number];
                Identity { body, lines_room, octets: kind_of(&listed.name, place) }
            });
            if file.is_err() {
                // A partly read file must not stay in the image.
                place.fill(0);
            }
            progress.inc(listed.bytes);
            state.lock().expect(NO_PANIC).1[number] = file;
        }
    });
    state.into_inner().expect(NO_PANIC).1
}

/// Adds precompressed files to the files beside them if they decode to them and save enough;
/// returns the others.
fn add_beside(
    listing: &Listing,
    plan: &SitePlan,
    files: &[Identity],
    identity: &[u8],
    bodies: &mut [Vec<CodedBody>],
) -> Vec<Unused> {
    let mut unused = Vec::new();
    for (number, file) in plan.files.iter().enumerate() {
        let own = bodies[number][0];
        for &(coding, beside) in &file.beside {
            let coded = bodies[beside][0];
            let saves = compress::saves_enough(coded.span.len, own.span.len);
            let (coded_bytes, own_bytes) =
                (&identity[coded.span.range()], &identity[own.span.range()]);
            let reason = match beside::verify(coded_bytes, coding, own_bytes) {
                Verification::Other => UnusedReason::Other,
                Verification::Refused(why) => UnusedReason::Refused(why),
                Verification::Same if saves => {
                    // The lines are those of the file beside it, which is requested far more often;
                    // they have room unless the plan changed while the files were read.
                    let lines = lines::of(listing, plan, number, coding, coded.span.len);
                    let has_lines = lines.bytes() <= files[beside].lines_room;
                    bodies[beside][0].has_lines = !has_lines;
                    bodies[number].push(CodedBody { coding, has_lines, ..coded });
                    continue;
                }
                Verification::Same => UnusedReason::TooLarge,
            };
            unused.push(Unused { file: beside, of: number, coding, reason });
        }
    }
    unused
}

fn bar(wanted: bool, bytes: u64) -> ProgressBar {
    if !wanted {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {msg}")
        .expect("the template is valid");
    ProgressBar::new(bytes).with_style(style)
}

pub(super) fn too_large(request: &BuildRequest, bytes: u64) -> Failure {
    let what = format!("reserving {} for the root {}", size(bytes), escaped_path(&request.root));
    Failure::new(what, "the machine has too little memory", MORE_MEMORY)
}

fn too_large_for(request: &BuildRequest, bytes: u64, room: &MemoryRoom) -> Failure {
    let what = format!("reading the root {}", escaped_path(&request.root));
    let MemoryRoom { bytes: left, owner } = room;
    let why = format!("its files take {}, and {owner} has {} left", size(bytes), size(*left));
    Failure::new(what, why, MORE_MEMORY)
}

const MORE_MEMORY: &str = "serve a smaller folder, use --compress off, or give the server more \
                           memory; a reload takes it for the old and the new site";

fn span(offset: usize, len: usize) -> Span {
    Span { offset: offset as u64, len: len as u64 }
}

fn usize_of(bytes: u64) -> usize {
    usize::try_from(bytes).expect("addresses have 64 bits")
}

const VARY: &str = "Vary: Accept, Accept-Encoding\r\n";
const NO_PANIC: &str = "no thread panics while it holds the lock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserve_drops_room_for_codings_before_it_fails() {
        let machine = |limit| move |bytes| (bytes <= limit).then(|| vec![0; usize_of(bytes)]);
        let room = |limit| {
            reserve(100, 280, 50, machine(limit)).map(|(fixed, room)| {
                assert_eq!(fixed.len() as u64, room + 50);
                room
            })
        };
        assert_eq!(room(1000), Some(380));
        assert_eq!(room(429), Some(240));
        assert_eq!(room(200), Some(135));
        assert_eq!(room(150), Some(100));
        assert_eq!(room(149), None);
        let attempts = std::cell::RefCell::new(Vec::new());
        let nothing = |bytes| {
            attempts.borrow_mut().push(bytes);
            None::<Vec<u8>>
        };
        assert!(reserve(5 << 30, 3, 2, nothing).is_none(), "every request was refused");
        assert_eq!(attempts.into_inner(), [5, 3, 2].map(|more| (5 << 30) + more), "beyond 4 GiB");
    }
}
