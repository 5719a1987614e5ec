//! The beginning of a run: which responses are sent as one.
//!
//! The first response of a run begins like any other. If a whole request lies behind it and a run
//! is free, the responses to up to 15 more requests are assembled in the memory of the run, and the
//! spans of all of them are the payload of one send. A request that has content or ends the
//! connection is answered by itself, after the run. The run is free again when the socket has taken
//! all of it, or the connection has ended.

use super::contract::Context;
use super::runs::Following;
use super::{ConnectionPhase, ServerConnection};
use crate::bytes::{Payload, SpanList, Spans};
use crate::http::request::{FieldBuffer, Framing, Method, Parsed, Persistence, Request, parse};
use crate::site::layout::{RUN_RESPONSES_MAX, RunLayout};
use crate::site::{Answer, Prebuilt, ScratchPlace, Site};
use crate::telemetry::record::{RequestHead, ResponsePlace};

/// A run to which responses are added.
struct GrowingRun {
    layout: RunLayout,
    run: u32,
    list: SpanList,
    /// The bytes of its memory that its responses use.
    used: u32,
    /// The number of its responses.
    count: u32,
}

impl ServerConnection {
    /// Has the responses to the requests at the start of `bytes` sent together with the one that
    /// has just begun, to `first` unless that was recalled, as far as they belong to one run.
    /// Returns how many of the bytes are used up; the request behind them is parsed again once the
    /// responses have been sent.
    pub(super) fn gather(
        &mut self,
        first: Option<&Request<'_, '_>>,
        bytes: &[u8],
        context: &mut Context<'_>,
    ) -> usize {
        let ConnectionPhase::Response { output: Payload::Spans(spans), .. } = self.phase else {
            return 0;
        };
        let Some(layout) = context.site.run_layout().filter(|_| spans.len() < RUN_BYTES_MAX) else {
            return 0;
        };
        let (mut run, mut used) = (None, 0);
        while used < bytes.len() {
            let mut fields = FieldBuffer::new();
            let (left, head_bytes_max) = (&bytes[used..], context.head_bytes_max);
            let next = match first.and_then(|first| first.with_target_of(left, head_bytes_max)) {
                Some(request) => Parsed::Request(request),
                None => parse(left, &mut self.scan, head_bytes_max, &mut fields),
            };
            match next {
                Parsed::Request(request) if may_join(&request) => {
                    if run.is_none() {
                        run = GrowingRun::begin(layout, spans, context);
                    }
                    let Some(run) = &mut run else { break };
                    if !self.join(run, &request, left, context) {
                        break;
                    }
                    used += request.head_len;
                }
                Parsed::Partial | Parsed::Request(_) | Parsed::Reject(_) => break,
            }
        }
        match run {
            Some(GrowingRun { run, count: 1, .. }) => context.runs.give_back(run),
            Some(GrowingRun { run, list, .. }) => self.begin_run(run, list),
            None => {}
        }
        used
    }

    /// Makes a list the payload of the response that has just begun.
    fn begin_run(&mut self, run: u32, list: SpanList) {
        assert_eq!(self.run, None, "a connection has one run at a time");
        self.run = Some(run);
        if let ConnectionPhase::Response { output, .. } = &mut self.phase {
            *output = list.into();
        }
    }

    /// Adds the response to a request, unless the run has no room for it; returns whether it did.
    /// `bytes` begins with the head.
    fn join(
        &mut self,
        run: &mut GrowingRun,
        request: &Request<'_, '_>,
        bytes: &[u8],
        context: &mut Context<'_>,
    ) -> bool {
        let Some(place) = run.next_place() else { return false };
        let pending = context.choose(request, place);
        let spans = context.site.output(pending, place, context.fixed);
        if run.list.len() + spans.len() > RUN_BYTES_MAX {
            return false;
        }
        let head = RequestHead { bytes, fields: request.fields };
        let following = self.observe_following(request.method, spans, run, head, context);
        if let Some(following) = following {
            context.runs.records(run.run).add(following);
        }
        run.add(spans, context.fixed);
        context.stats.requests += 1;
        if let Answer::Whole(Prebuilt::Misdirected) = pending.answer {
            context.stats.errors.refused += 1;
        }
        true
    }

    /// Tells the observer of a response that is added to a run.
    fn observe_following(
        &self,
        method: Method,
        spans: Spans,
        run: &GrowingRun,
        head: RequestHead<'_, '_>,
        context: &mut Context<'_>,
    ) -> Option<Following> {
        let observer = context.observation.observer.as_mut()?;
        let summary = Site::summary(spans, context.fixed);
        let following = Following {
            method,
            status: summary.status,
            head_bytes: summary.head_bytes,
            bytes: u32::try_from(spans.len()).expect("at most RUN_BYTES_MAX"),
        };
        let record = following.record(self.observed.head_began());
        let place = ResponsePlace::in_run(run.run, run.count - 1);
        observer.began(context.observation.slot, place, &record, head);
        Some(following)
    }
}

impl GrowingRun {
    /// Borrows a run, and begins it with the spans of a response.
    fn begin(layout: RunLayout, first: Spans, context: &mut Context<'_>) -> Option<Self> {
        let run = context.runs.borrow()?;
        if context.observation.observer.is_some() {
            let first_bytes = u32::try_from(first.len()).expect("below RUN_BYTES_MAX");
            context.runs.records(run).begin(first_bytes);
        }
        let mut growing = Self { layout, run, list: layout.list(run), used: 0, count: 0 };
        growing.add(first, context.fixed);
        Some(growing)
    }

    fn next_place(&self) -> Option<ScratchPlace> {
        let place = self.layout.place(self.run, self.used)?;
        (self.count < RUN_RESPONSES_MAX).then_some(place)
    }

    fn add(&mut self, spans: Spans, fixed: &mut [u8]) {
        self.used = self.layout.used_with(self.run, self.used, spans);
        self.list.push(spans.first, fixed);
        self.list.push(spans.then, fixed);
        self.count += 1;
    }
}

/// Whether the connection persists after the response, and nothing but it follows the head.
fn may_join(request: &Request<'_, '_>) -> bool {
    request.framing == Framing::None && request.persistence == Persistence::Keep
}

/// The most bytes of a run: one large response is sent by itself, so that each turn is short.
const RUN_BYTES_MAX: u64 = 128 * 1024;
