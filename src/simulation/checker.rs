//! Decides at the end of a run whether a peer received its responses.

use super::coverage::Mark;
use super::draw::unix_at;
use super::peer::{ConnectionEnd, PeerState};
use super::peer_plan::{PeerStep, ReadPace};
use super::report::SimulationReport;
use super::responses::ExpectedContent;
use crate::engine::Nanos;
use crate::engine::sim::{Network, SimSocket};

/// The circumstances in which a server may respond less or later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    /// When the drain began: the time of SIGTERM plus the drain delay.
    pub(super) drain_at: Nanos,
    /// The idle timeout, in nanoseconds.
    pub(super) idle_ns: u64,
    /// Completions of sends were late, so responses with an older `Date` stayed in use.
    pub(super) late_sends: bool,
    /// Connections may have waited for a slot.
    pub(super) crowded: bool,
}

/// Checks one peer, and counts its responses and marks.
///
/// # Errors
/// If a well-behaved peer did not receive a response, or received it too late.
pub(super) fn check_peer(
    network: &Network,
    peer: &PeerState,
    circumstances: &Circumstances,
    report: &mut SimulationReport,
) -> Result<(), String> {
    report.responses += peer.responses.len() as u64;
    check_dates(peer, circumstances.late_sends)?;
    let Some((end, end_at)) = peer.end else {
        return if peer.socket.is_none() { Ok(()) } else { Err("its connection is open".into()) };
    };
    let accepted = peer.socket.map(|socket| network.socket(socket.remote()));
    let consumed = accepted.map_or(0, SimSocket::received);
    if accepted.is_some_and(SimSocket::is_broken_by_fault) || !peer.plan.well_behaved {
        return Ok(());
    }
    let crowded = circumstances.crowded;
    let server_ended_it = end != ConnectionEnd::Peer;
    if crowded && server_ended_it && was_unfinished(peer, consumed, end_at, circumstances) {
        return Ok(());
    }
    let abandoned = accepted.is_some_and(SimSocket::was_abandoned);
    if abandoned && server_ended_it && !peer.has_last_response() {
        return Err("closed as idle while its bytes waited for a receive buffer".to_owned());
    }
    let slow = matches!(peer.plan.pace, ReadPace::Slow { .. });
    if slow && crowded && end == ConnectionEnd::Reset {
        // The server had sent its response and was idle when the next request arrived.
        return Ok(());
    }
    if end == ConnectionEnd::Reset && took_no_response(peer, end_at) {
        return Ok(());
    }
    if peer.received.len() > peer.responses_end() {
        return Err(format!("the end is within a response ({end:?} at {end_at:?})"));
    }
    if peer.plan.pace == ReadPace::Eager && !circumstances.late_sends {
        check_promptness(peer)?;
    }
    check_responses(peer, consumed, (end, end_at), circumstances, report)
}

/// Checks the statuses of a well-behaved peer, and that a missing response has a reason.
fn check_responses(
    peer: &PeerState,
    consumed: usize,
    (end, end_at): (ConnectionEnd, Nanos),
    circumstances: &Circumstances,
    report: &mut SimulationReport,
) -> Result<(), String> {
    let expected = &peer.plan.expected;
    let complete = peer.responses.len();
    let mut pairs = peer.responses.iter().zip(expected);
    if !pairs.all(|(response, expected)| expected.statuses.contains(&response.status)) {
        let statuses: Vec<u16> = peer.responses.iter().map(|response| response.status).collect();
        return Err(format!("a well-behaved peer received the statuses {statuses:?}"));
    }
    let draining = end_at >= circumstances.drain_at;
    let closing = peer.has_last_response();
    let is_unexpected = closing && !expected[complete - 1].closes;
    let gave_way = is_unexpected && circumstances.crowded;
    if gave_way {
        report.coverage.count(Mark::GaveWay, 1);
    }
    let is_early = is_unexpected && peer.responded_at[complete - 1] < circumstances.drain_at;
    if is_early && !gave_way {
        return Err(format!("response {} has Connection: close for no reason", complete - 1));
    }
    if complete == expected.len() {
        let lingered = peer.plan.pace == ReadPace::BetweenSends && consumed > LINGERED_MIN;
        report.coverage.count(Mark::Lingered, u64::from(lingered));
        count_end(peer, circumstances, (end, end_at), draining, report);
        return Ok(());
    }
    let idle = consumed == answered_bytes(peer);
    let made_room = idle && complete > 0 && circumstances.crowded && end != ConnectionEnd::Peer;
    if (draining && (closing || idle)) || gave_way || made_room {
        return Ok(());
    }
    Err(format!(
        "{complete} of {} responses; ended by {end:?} at {end_at:?}; the server has received \
         {consumed} bytes",
        expected.len(),
    ))
}

/// The index behind the last request that got a response.
fn answered_bytes(peer: &PeerState) -> usize {
    peer.responses.len().checked_sub(1).map_or(0, |last| peer.plan.expected[last].end)
}

/// Whether a request was incomplete for so long that the server may have closed the connection to
/// make room.
fn was_unfinished(
    peer: &PeerState,
    consumed: usize,
    end_at: Nanos,
    circumstances: &Circumstances,
) -> bool {
    // One send may have the responses to several pipelined requests, which count as one.
    let mut first = peer.responses.len();
    while first > 0
        && peer.responses.len() - first < RESPONSES_IN_A_ROW
        && peer.sent_at.get(first).is_some_and(|&sent| sent <= peer.responded_at[first - 1])
    {
        first -= 1;
    }
    let begun_at = match first {
        0 => Nanos(peer.plan.start_ns),
        // The body of an answered request belongs to it.
        _ if consumed < answered_bytes(peer) => peer.begun_at[first - 1],
        _ => peer.responded_at[first - 1],
    };
    // Fewer bytes are consumed while the body of an answered request is still arriving.
    let is_begun = peer.responses.is_empty() || consumed != answered_bytes(peer);
    // A late completion of a send makes its peer seem slow.
    is_begun && (circumstances.late_sends || end_at.0 - begun_at.0 >= UNFINISHED_NS)
}

/// Whether the response doesn't fit into the peer's queue, and the peer went on sending for so long
/// that it was below the lowest rate of taking it.
fn took_no_response(peer: &PeerState, end_at: Nanos) -> bool {
    let reads_late = peer.plan.pace == ReadPace::BetweenSends;
    let content = peer.plan.expected.first().map(|expected| expected.content);
    let is_long =
        matches!(content, Some(ExpectedContent::Page { to, .. }) if to > peer.plan.window / 2);
    let begun_at = peer.begun_at.first().copied().unwrap_or(end_at);
    reads_late && is_long && end_at.0 - begun_at.0 >= GRACE_NS
}

fn count_end(
    peer: &PeerState,
    circumstances: &Circumstances,
    (end, end_at): (ConnectionEnd, Nanos),
    draining: bool,
    report: &mut SimulationReport,
) {
    report.served += 1;
    if peer.plan.steps.contains(&PeerStep::Finish) {
        report.coverage.count(Mark::HalfClose, 1);
        return;
    }
    let Some(&last) = peer.responded_at.last() else { return };
    if end != ConnectionEnd::Server || draining || peer.has_last_response() {
        return;
    }
    if end_at.0 - last.0 >= circumstances.idle_ns {
        report.coverage.count(Mark::IdleTimeout, 1);
    } else if circumstances.crowded {
        report.coverage.count(Mark::Evicted, 1);
    }
}

/// Checks that each response but the first follows soon after its request and the response before
/// it: a request that the server overlooks is answered only after an unrelated event.
fn check_promptness(peer: &PeerState) -> Result<(), String> {
    for number in 1..peer.responses.len() {
        let Some(&sent) = peer.sent_at.get(number) else { continue };
        // The body of the request before it may arrive after the response to that request.
        let begin = number.checked_sub(2).map_or(0, |number| peer.plan.expected[number].end);
        let bytes = peer.plan.expected[number].end - begin;
        if bytes > PROMPT_BYTES_MAX {
            // Many receives into small buffers, some of them late.
            continue;
        }
        let due = sent.max(peer.responded_at[number - 1]);
        let late = peer.responded_at[number].0.saturating_sub(due.0);
        if late > PROMPT_NS {
            return Err(format!("response {number} was received {late} ns after it was due"));
        }
    }
    Ok(())
}

/// Checks that a `Date` is not before the end of the request, but for the slack, nor after the
/// end of the response.
fn check_dates(peer: &PeerState, late_sends: bool) -> Result<(), String> {
    if peer.plan.pace == ReadPace::Never {
        return Ok(());
    }
    let slack = if late_sends { DATE_SLACK_LATE } else { DATE_SLACK };
    for (number, response) in peer.responses.iter().enumerate() {
        let last = unix_at(peer.responded_at[number]);
        // A request with a body is answered before the end of the body.
        let has_body = peer.plan.expected.get(number).is_some_and(|expected| expected.has_body);
        let requested = if has_body { &peer.begun_at } else { &peer.sent_at };
        let first = requested.get(number).map_or(0, |&at| unix_at(at).min(last));
        let early = matches!(response.status, 408 | 400 | 431) || response.closes;
        if response.date > last || (!early && response.date + slack < first) {
            return Err(format!(
                "the date of response {number} is {}, outside {first} to {last}",
                response.date
            ));
        }
    }
    Ok(())
}

/// How long a request may take while connections wait for a slot (2 s from the server's last send,
/// which the peer receives a little later), in nanoseconds.
const UNFINISHED_NS: u64 = 1_950_000_000;
/// How long a peer may take a response below the lowest rate: 4 s by the shortest send timeout.
const GRACE_NS: u64 = 3_900_000_000;
/// The most responses in one send.
const RESPONSES_IN_A_ROW: usize = 32;
/// How old a date may be, in seconds: responses with sends in flight are not updated.
const DATE_SLACK: u64 = 1;
const DATE_SLACK_LATE: u64 = 6;
/// Received bytes of a peer of which more than 64 KiB are behind its head.
const LINGERED_MIN: usize = 80 * 1024;
/// Below the shortest idle timeout, so that a request which is noticed only then is an error.
const PROMPT_NS: u64 = 2_800_000_000;
const PROMPT_BYTES_MAX: usize = 1000;
