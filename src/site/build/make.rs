//! The codings of files that are made at start: those that the previous generation made of the same
//! octets are taken over, and the others are compressed, on all cores.

use super::beside::{Verification, verify};
use super::compress::{self, MADE_AT_START};
use super::escape::escaped;
use super::handover::{MadeCodings, OfferedCoding, Outcomes, PreviousCodings};
use super::lines;
use super::listing::Listing;
use super::options::{BuildRequest, Effort};
use super::site_plan::SitePlan;
use super::threads::on_threads;
use crate::bytes::Span;
use crate::http::coding::Coding;
use crate::site::entity_tag;
use crate::site::tag::Tag;
use crate::site::tree::rows::CodedBody;
use indicatif::ProgressBar;
use std::sync::Mutex;

/// A file to be compressed with a coding.
#[derive(Clone, Copy, Debug)]
pub(super) struct CodingJob {
    pub(super) file: usize,
    pub(super) coding: Coding,
}

/// The codings of all files that are worth it, the longest files first.
pub(super) fn jobs(plan: &SitePlan, lengths: &[u64], request: &BuildRequest) -> Vec<CodingJob> {
    if request.effort == Effort::Off {
        return Vec::new();
    }
    let mut jobs = Vec::new();
    for (file, planned) in plan.files.iter().enumerate() {
        if !planned.is_coded && compress::is_worth_while(&planned.media_type, lengths[file]) {
            jobs.extend(MADE_AT_START.into_iter().map(|coding| CodingJob { file, coding }));
        }
    }
    // The longest first, so that no core ends with a long job while the others are idle.
    jobs.sort_by_key(|job| std::cmp::Reverse(lengths[job.file]));
    jobs
}

/// The files of which codings are made.
pub(super) struct CodingInput<'a> {
    pub(super) request: &'a BuildRequest,
    pub(super) listing: &'a Listing,
    pub(super) plan: &'a SitePlan,
    /// The octets of all files, each behind its lines: the beginning of the buffer.
    pub(super) identity: &'a [u8],
}

/// The codings that were made.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Bytes of all of them.
    pub(super) bytes: usize,
    /// For the next generation.
    pub(super) codings: MadeCodings,
    /// How many files were compressed and how many not, if there was a previous generation.
    pub(super) shared: Option<Shared>,
}

/// The part of the previous generation in the codings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Files that were compressed, with one coding at least.
    pub compressed: usize,
    /// Files whose codings are all those of the previous generation.
    pub taken_over: usize,
}

/// Makes the codings of the jobs, except those that a file has already, in `spare`, which is the
/// part of the buffer behind the files.
pub(super) fn make_all(
    files: &CodingInput<'_>,
    jobs: &[CodingJob],
    previous: Option<PreviousCodings>,
    spare: &mut [u8],
    bodies: &mut [Vec<CodedBody>],
    progress: &ProgressBar,
) -> Made {
    let has = |job: &CodingJob| bodies[job.file].iter().any(|body| body.coding == job.coding);
    let mut jobs: Vec<CodingJob> = jobs.iter().filter(|job| !has(job)).copied().collect();
    let own: Vec<CodedBody> = bodies.iter().map(|bodies| bodies[0]).collect();
    progress.set_position(0);
    progress.set_length(jobs.iter().map(|job| own[job.file].span.len).sum());
    let start = files.identity.len();
    let outcomes = vec![Outcomes::default(); bodies.len()];
    let mut store = CodingStore { files, spare, start, used: 0, bodies, outcomes };
    let mut shared = None;
    if let Some(previous) = previous.filter(|_| !jobs.is_empty()) {
        let all = count_files(&jobs);
        let is_one = take_over(files, &jobs, &own, previous, &mut store, progress);
        jobs.retain(|job| !store.has(job));
        let compressed = count_files(&jobs);
        shared = is_one.then_some(Shared { compressed, taken_over: all - compressed });
    }
    compress_all(files, jobs, &own, &mut store, progress);
    let tags = own.iter().map(|body| body.tag);
    let codings = MadeCodings::new(files.request.effort, tags.zip(store.outcomes));
    Made { bytes: store.used, codings, shared }
}

/// How many files jobs have, which are sorted so that those of a file are adjacent.
fn count_files(jobs: &[CodingJob]) -> usize {
    jobs.chunk_by(|a, b| a.file == b.file).count()
}

/// The codings in the buffer.
struct CodingStore<'a> {
    files: &'a CodingInput<'a>,
    spare: &'a mut [u8],
    /// The offset of `spare` in the buffer.
    start: usize,
    used: usize,
    bodies: &'a mut [Vec<CodedBody>],
    outcomes: Vec<Outcomes>,
}

impl CodingStore<'_> {
    fn outcome(&mut self, job: &CodingJob) -> &mut Option<Span> {
        let number = MADE_AT_START.iter().position(|coding| *coding == job.coding);
        &mut self.outcomes[job.file][number.expect("jobs have these codings only")]
    }

    fn has(&mut self, job: &CodingJob) -> bool {
        self.outcome(job).is_some()
    }

    /// Adds the outcome of a job: bytes with their tag, or none if they save too little.
    fn add(&mut self, job: &CodingJob, coded: Option<(&[u8], Tag)>) {
        let has_body = self.bodies[job.file].iter().any(|body| body.coding == job.coding);
        if has_body || self.has(job) {
            return;
        }
        let Some((bytes, tag)) = coded else {
            *self.outcome(job) = Some(Span::default());
            return;
        };
        let CodingInput { listing, plan, .. } = self.files;
        let lines = lines::of(listing, plan, job.file, job.coding, bytes.len() as u64);
        let len = lines.bytes() + bytes.len();
        // Room can only run out where the machine refused memory for all codings.
        let Some(place) = self.spare.get_mut(self.used..self.used + len) else { return };
        let (before, place) = place.split_at_mut(lines.bytes());
        lines.write(&tag, before);
        place.copy_from_slice(bytes);
        let offset = (self.start + self.used + lines.bytes()) as u64;
        let span = Span { offset, len: bytes.len() as u64 };
        self.used += len;
        self.bodies[job.file].push(CodedBody { coding: job.coding, span, tag, has_lines: true });
        *self.outcome(job) = Some(span);
    }
}

/// Takes over the codings of unchanged files, which are decoded and compared. Returns whether the
/// previous generation has codings that this program would make.
fn take_over(
    files: &CodingInput<'_>,
    jobs: &[CodingJob],
    own: &[CodedBody],
    mut previous: PreviousCodings,
    store: &mut CodingStore<'_>,
    progress: &ProgressBar,
) -> bool {
    let BuildRequest { effort, limits, threads, .. } = *files.request;
    if !previous.begin(effort, limits) {
        return false;
    }
    let mut wanted: Vec<(Tag, usize)> =
        jobs.iter().map(|job| (own[job.file].tag, job.file)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let file_bytes = |tag: &Tag| with_tag(&wanted, tag).next().map(|file| own[file].span.len);
    let (previous, store) = (Mutex::new(previous), Mutex::new(store));
    on_threads(threads, || {
        loop {
            let offered = previous.lock().expect(NO_PANIC).next(file_bytes);
            let Some(OfferedCoding { tag, coding, bytes }) = offered else { return };
            let coded = bytes.as_ref().map(|bytes| (&bytes[..], entity_tag(bytes)));
            for file in with_tag(&wanted, &tag) {
                let identity = &files.identity[own[file].span.range()];
                let is_same = |(bytes, _): &(&[u8], Tag)| {
                    verify(bytes, coding, identity) == Verification::Same
                };
                if coded.as_ref().is_none_or(is_same) {
                    progress.inc(own[file].span.len);
                    store.lock().expect(NO_PANIC).add(&CodingJob { file, coding }, coded);
                }
            }
        }
    });
    true
}

/// The files with a tag, of which several may have the same octets.
fn with_tag(sorted: &[(Tag, usize)], tag: &Tag) -> impl Iterator<Item = usize> {
    let first = sorted.partition_point(|(known, _)| known < tag);
    sorted[first..].iter().take_while(move |(known, _)| known == tag).map(|&(_, file)| file)
}

fn compress_all(
    files: &CodingInput<'_>,
    jobs: Vec<CodingJob>,
    own: &[CodedBody],
    store: &mut CodingStore<'_>,
    progress: &ProgressBar,
) {
    let state = Mutex::new((jobs.into_iter(), store));
    on_threads(files.request.threads, || {
        loop {
            let Some(job) = state.lock().expect(NO_PANIC).0.next() else { return };
            let listed = files.plan.files[job.file].listed;
            let name = escaped(&files.listing.files[listed].name);
            progress.set_message(format!("compressing {name}"));
            let span = own[job.file].span;
            let identity = &files.identity[span.range()];
            let coded = compress::compress(identity, job.coding, files.request.effort);
            progress.inc(span.len);
            let coded = coded.as_ref().map(|bytes| (&bytes[..], entity_tag(bytes)));
            state.lock().expect(NO_PANIC).1.add(&job, coded);
        }
    });
}

const NO_PANIC: &str = "no thread panics while it holds the lock";
