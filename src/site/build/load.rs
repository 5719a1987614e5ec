//! Reading the files of a plan, on all cores, into one buffer; then compressing those for which it
//! pays, behind them.

use super::beside::{self, Verdict};
use super::compress::{self, MADE};
use super::escape::{escaped, escaped_path};
use super::opened::OpenRoot;
use super::plan::{Plan, Planned, Route, To};
use super::walk::Listing;
use super::{Failure, Request, size};
use crate::bytes::Span;
use crate::http::coding::Coding;
use crate::os::pages::Pages;
use crate::site::entity_tag;
use crate::site::tree::build::{Body, room_for};
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Mutex;
use std::thread;

/// Bodies in a buffer.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The bodies, one behind the other, and room for what slots need: never written to.
    pub(super) fixed: Pages,
    /// How many bytes they are.
    pub(super) body_bytes: u64,
    /// Where each file's lie, in the order of the plan; identity first.
    pub(super) bodies: Vec<Vec<Body>>,
    /// What lies beside files as their codings and isn't used.
    pub(super) unused: Vec<Unused>,
}

/// A file that lies beside another as its coding and isn't used as that. Both are numbers of the
/// plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unused {
    pub(super) file: usize,
    pub(super) of: usize,
    pub(super) coding: Coding,
    pub(super) reason: Reason,
}

/// Why it isn't used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// It doesn't decode to the file.
    Other,
    /// Browsers don't decode it, and why.
    Refused(&'static str),
    /// It does, and is no smaller, or little.
    TooLarge,
}

/// Files that were read, one behind the other, before any of them is coded.
pub(super) struct Identities {
    /// The buffer: the files, room for codings, and room for what slots need.
    fixed: Pages,
    /// The length of the files in it.
    bytes: u64,
    /// The length of the files and the room for codings.
    room: u64,
    /// Each file's body, in the order of the plan, or the reason why it could not be read.
    bodies: Vec<Result<Body, String>>,
}

impl Identities {
    /// The files of the plan that could not be read, with the reasons.
    pub(super) fn failed(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.bodies.iter().enumerate();
        numbered.filter_map(|(file, body)| Some((file, body.as_ref().err()?.as_str())))
    }
}

/// Reads the files of a plan.
pub(super) fn read(
    request: &Request,
    root: &OpenRoot,
    listing: &Listing,
    plan: &Plan,
) -> Result<Identities, Failure> {
    let lengths = lengths(listing, plan);
    let bytes: u64 = lengths.iter().sum();
    let tries = tries(plan, &lengths, request);
    // No coding is kept that saves less than 5 %, so this is the most that there can be. Memory
    // that isn't written to costs nothing, and what is left over is given back.
    let made_bytes: u64 = tries.iter().map(|try_| lengths[try_.file] * 19 / 20).sum();
    let behind = room_for(fields_bytes_max(plan), request.slots);
    let (mut fixed, bodies_room) =
        reserve(bytes, made_bytes, behind, |bytes| Pages::zeroed(usize_of(bytes)).ok())
            .ok_or_else(|| too_large(request, bytes + behind))?;
    let progress = bar(request.progress, bytes);
    progress.set_message(format!("reading {} files", plan.files.len()));
    let bodies = read_all(root, listing, plan, &mut fixed[..usize_of(bytes)], &progress);
    progress.finish_and_clear();
    Ok(Identities { fixed, bytes, room: bodies_room, bodies })
}

/// Adds codings to the files that were read, which are exactly those of `plan`.
pub(super) fn code(
    request: &Request,
    listing: &Listing,
    plan: &Plan,
    identities: Identities,
) -> Loaded {
    let Identities { mut fixed, bytes, room, bodies } = identities;
    let mut bodies: Vec<Vec<Body>> = bodies.into_iter().flatten().map(|body| vec![body]).collect();
    assert_eq!(
        bodies.len(),
        plan.files.len(),
        "files that could not be read are no longer in the plan"
    );
    let tries = tries(plan, &lengths(listing, plan), request);
    let (identity, spare) = fixed[..usize_of(room)].split_at_mut(usize_of(bytes));
    let identity = &*identity;
    let unused = add_beside(plan, identity, &mut bodies);
    let progress = bar(request.progress, 0);
    let made = make_all(request, listing, plan, &tries, identity, spare, &mut bodies, &progress);
    progress.finish_and_clear();
    Loaded { fixed, body_bytes: bytes + made as u64, bodies, unused }
}

fn lengths(listing: &Listing, plan: &Plan) -> Vec<u64> {
    plan.files.iter().map(|file| listing.files[file.listed].bytes).collect()
}

/// A coding of a file, to be tried.
#[derive(Clone, Copy, Debug)]
struct Try {
    file: usize,
    coding: Coding,
}

fn tries(plan: &Plan, lengths: &[u64], request: &Request) -> Vec<Try> {
    if request.effort == compress::Effort::Off {
        return Vec::new();
    }
    let mut tries = Vec::new();
    for (file, planned) in plan.files.iter().enumerate() {
        if !planned.is_coded && compress::is_worth_while(&planned.media_type, lengths[file]) {
            tries.extend(MADE.into_iter().map(|coding| Try { file, coding }));
        }
    }
    // The longest first, so that no core is left with one of them at the end.
    tries.sort_by_key(|try_| std::cmp::Reverse(lengths[try_.file]));
    tries
}

/// The most bytes of fields that a path has.
fn fields_bytes_max(plan: &Plan) -> usize {
    let of_route = |route: &Route| match &route.to {
        To::PlannedTarget(leaf) => leaf.fields.bytes(),
        To::Folder => 0,
    };
    let others = plan.not_found.iter().chain(&plan.fallback).map(|leaf| leaf.fields.bytes());
    let most = plan.routes.iter().map(of_route).chain(others).max().unwrap_or(0);
    most + VARY.len()
}

/// Memory for the bodies as they are, for codings, and for what slots need; and how much of it is
/// for bodies. A small machine promises less than all codings could take, though they take far
/// less than that: then it is asked for half as much, and codings that find no room are dropped.
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
    root: &OpenRoot,
    listing: &Listing,
    plan: &Plan,
    mut place: &mut [u8],
    progress: &ProgressBar,
) -> Vec<Result<Body, String>> {
    let mut jobs = Vec::with_capacity(plan.files.len());
    let mut offset = 0;
    for (number, file) in plan.files.iter().enumerate() {
        let listed = &listing.files[file.listed];
        let len = usize_of(listed.bytes);
        let (own, rest) = std::mem::take(&mut place).split_at_mut(len);
        place = rest;
        jobs.push((number, offset, listed, own));
        offset += len;
    }
    let bodies: Vec<_> = plan.files.iter().map(|_| Err(String::new())).collect();
    let state = Mutex::new((jobs.into_iter(), bodies));
    on_all_cores(|| {
        loop {
            let job = state.lock().expect(NO_PANIC).0.next();
            let Some((number, offset, listed, place)) = job else { return };
            let outcome = root.read(listed, place);
            let body = outcome.map(|()| {
                let (span, tag) = (span(offset, place.len()), entity_tag(place));
                Body { coding: Coding::Identity, span, tag }
            });
            if body.is_err() {
                // A partly read file must not stay in the image.
                place.fill(0);
            }
            progress.inc(listed.bytes);
            state.lock().expect(NO_PANIC).1[number] = body;
        }
    });
    state.into_inner().expect(NO_PANIC).1
}

/// What lies beside a file as its coding is one, if it decodes to it and is small enough; says what
/// isn't.
fn add_beside(plan: &Plan, identity: &[u8], bodies: &mut [Vec<Body>]) -> Vec<Unused> {
    let mut unused = Vec::new();
    for (number, file) in plan.files.iter().enumerate() {
        let own = bodies[number][0];
        for &(coding, beside) in &file.beside {
            let coded = bodies[beside][0];
            let saves = compress::saves_enough(coded.span.len, own.span.len);
            let (coded_bytes, own_bytes) =
                (&identity[coded.span.range()], &identity[own.span.range()]);
            let reason = match beside::judge(coded_bytes, coding, own_bytes) {
                Verdict::Other => Reason::Other,
                Verdict::Refused(why) => Reason::Refused(why),
                Verdict::Same if saves => {
                    bodies[number].push(Body { coding, ..coded });
                    continue;
                }
                Verdict::Same => Reason::TooLarge,
            };
            unused.push(Unused { file: beside, of: number, coding, reason });
        }
    }
    unused
}

/// Makes the codings that aren't there; says how many bytes of `spare` they take.
#[allow(clippy::too_many_arguments, reason = "each is one thing, and it is called once")]
fn make_all(
    request: &Request,
    listing: &Listing,
    plan: &Plan,
    tries: &[Try],
    identity: &[u8],
    spare: &mut [u8],
    bodies: &mut [Vec<Body>],
    progress: &ProgressBar,
) -> usize {
    let has = |try_: &&Try| !bodies[try_.file].iter().any(|body| body.coding == try_.coding);
    let tries: Vec<Try> = tries.iter().filter(has).copied().collect();
    let own: Vec<Span> = bodies.iter().map(|bodies| bodies[0].span).collect();
    progress.set_position(0);
    progress.set_length(tries.iter().map(|try_| own[try_.file].len).sum());
    let state = Mutex::new((tries.into_iter(), 0, spare, bodies));
    on_all_cores(|| {
        loop {
            let Some(Try { file, coding }) = state.lock().expect(NO_PANIC).0.next() else { return };
            progress.set_message(name_of(listing, &plan.files[file]));
            let own = own[file];
            let coded = compress::compress(&identity[own.range()], coding, request.effort);
            progress.inc(own.len);
            let Some(coded) = coded else { continue };
            let tag = entity_tag(&coded);
            let mut state = state.lock().expect(NO_PANIC);
            let (_, used, spare, bodies) = &mut *state;
            // There is no room only where the machine had no memory for all codings.
            let Some(place) = spare.get_mut(*used..*used + coded.len()) else { continue };
            place.copy_from_slice(&coded);
            let span = span(identity.len() + *used, coded.len());
            *used += coded.len();
            bodies[file].push(Body { coding, span, tag });
        }
    });
    state.into_inner().expect(NO_PANIC).1
}

fn on_all_cores(work: impl Fn() + Sync) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 1..cores {
            scope.spawn(&work);
        }
        work();
    });
}

/// A bar on a terminal; what isn't one is left alone.
fn bar(wanted: bool, bytes: u64) -> ProgressBar {
    if !wanted {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {msg}")
        .expect("the template is right");
    ProgressBar::new(bytes).with_style(style)
}

fn name_of(listing: &Listing, file: &Planned) -> String {
    format!("compressing {}", escaped(&listing.files[file.listed].name))
}

pub(super) fn too_large(request: &Request, bytes: u64) -> Failure {
    Failure::new(
        format!("reserving {} for the root {}", size(bytes), escaped_path(&request.root)),
        "the machine has too little memory",
        "serve a smaller folder, use --compress off, or give the machine more memory",
    )
}

fn span(offset: usize, len: usize) -> Span {
    Span { offset: offset as u64, len: len as u64 }
}

fn usize_of(bytes: u64) -> usize {
    usize::try_from(bytes).expect("addresses are of 64 bits")
}

const VARY: &str = "Vary: Accept, Accept-Encoding\r\n";
const NO_PANIC: &str = "no thread panics with the lock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_machine_gives_up_codings_before_bodies() {
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
        let asked = std::cell::RefCell::new(Vec::new());
        let nothing = |bytes| {
            asked.borrow_mut().push(bytes);
            None::<Vec<u8>>
        };
        assert!(reserve(5 << 30, 3, 2, nothing).is_none(), "no machine gives nothing");
        assert_eq!(asked.into_inner(), [5, 3, 2].map(|more| (5 << 30) + more), "beyond 4 GiB");
    }
}
