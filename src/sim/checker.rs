//! Whether a peer got what it is expected, at the end of a run.

use super::faults::Mark;
use super::peer::{End, Peer};
use super::plan::{Reader, Step};
use super::ring::SimRing;
use super::run::Report;
use crate::engine::Nanos;

/// What a server may have had reasons for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    /// When it was asked to end.
    pub signal_at: Nanos,
    /// How long a connection may be idle, in nanoseconds.
    pub idle_ns: u64,
    /// Sends were under way for long, and kept dates from being written anew.
    pub late_sends: bool,
    /// There may have been peers waiting for a slot.
    pub crowded: bool,
}

/// Judges one peer, and counts what marked to it.
///
/// # Errors
/// What it should have got and didn't.
pub(super) fn check_peer(
    ring: &SimRing,
    peer: &Peer,
    circumstances: &Circumstances,
    report: &mut Report,
) -> Result<(), String> {
    report.responses += peer.responses.len() as u64;
    check_dates(ring, peer, circumstances.late_sends)?;
    let Some((end, end_at)) = peer.end else {
        return if peer.link.is_none() { Ok(()) } else { Err("never saw the end".to_owned()) };
    };
    if peer.harmed || !peer.plan.well_behaved {
        return Ok(());
    }
    if circumstances.crowded
        && end != End::Peer
        && was_unfinished(ring, peer, end_at, circumstances)
    {
        return Ok(());
    }
    let abandoned = peer.link.is_some_and(|link| ring.network.link(link).abandoned);
    if abandoned && end != End::Peer && !peer.was_told_the_end() {
        return Err("it was closed as idle though its bytes waited for a buffer".to_owned());
    }
    let slow = matches!(peer.plan.reader, Reader::Slow { .. });
    if slow && circumstances.crowded && end == End::Reset {
        // It sent a request amidst a response that the server was long done with, and was idle.
        return Ok(());
    }
    if peer.received.len() > peer.responses_end() {
        return Err(format!("the end came amidst a response ({end:?} at {end_at:?})"));
    }
    if peer.plan.reader == Reader::Eager && !circumstances.late_sends {
        check_promptness(peer)?;
    }
    let expected = &peer.plan.expected;
    let whole = peer.responses.len();
    let all = whole == expected.len();
    let mut pairs = peer.responses.iter().zip(expected);
    let right = pairs.all(|(response, expected)| expected.statuses.contains(&response.status));
    if !right {
        let statuses: Vec<u16> = peer.responses.iter().map(|response| response.status).collect();
        return Err(format!("a well-behaved peer got {statuses:?}"));
    }
    let draining = end_at >= circumstances.signal_at;
    let told = peer.was_told_the_end();
    let gave_way = told && !expected[whole - 1].closes && circumstances.crowded;
    if gave_way {
        report.counters.note(Mark::GaveWay);
    }
    if told && !expected[whole - 1].closes && !draining && !gave_way {
        return Err(format!("response {} closes for no reason", whole - 1));
    }
    if all {
        note_end(peer, circumstances, end, end_at, draining, report);
        return Ok(());
    }
    let idle = consumed(ring, peer) == whole.checked_sub(1).map_or(0, |last| expected[last].end);
    let made_room = idle && whole > 0 && circumstances.crowded && end != End::Peer;
    if (draining && (told || idle)) || gave_way || made_room {
        return Ok(());
    }
    Err(format!(
        "{whole} of {} responses; it ended by {end:?} at {end_at:?}, with {} bytes received by the \
         server",
        expected.len(),
        consumed(ring, peer)
    ))
}

/// Whether it was in the middle of a request for so long that another may have got its slot.
fn was_unfinished(
    ring: &SimRing,
    peer: &Peer,
    end_at: Nanos,
    circumstances: &Circumstances,
) -> bool {
    let begun_at = peer.responded_at.last().copied().unwrap_or(Nanos(peer.plan.start_ns));
    let done = peer.responses.len().checked_sub(1).map_or(0, |last| peer.plan.expected[last].end);
    // Less than that, if the body of an answered request is still arriving.
    let is_begun = peer.responses.is_empty() || consumed(ring, peer) != done;
    // A send that is late makes its peer seem slow.
    is_begun && (circumstances.late_sends || end_at.0 - begun_at.0 >= UNFINISHED_NS)
}

fn consumed(ring: &SimRing, peer: &Peer) -> usize {
    peer.link.map_or(0, |link| ring.network.link(link).received)
}

fn note_end(
    peer: &Peer,
    circumstances: &Circumstances,
    end: End,
    end_at: Nanos,
    draining: bool,
    report: &mut Report,
) {
    report.served += 1;
    if peer.plan.steps.contains(&Step::Finish) {
        report.counters.note(Mark::HalfClose);
        return;
    }
    let Some(&last) = peer.responded_at.last() else { return };
    if end != End::Server || draining || peer.was_told_the_end() {
        return;
    }
    if end_at.0 - last.0 >= circumstances.idle_ns {
        report.counters.note(Mark::IdleTimeout);
    } else if circumstances.crowded {
        report.counters.note(Mark::Evicted);
    }
}

/// A response that isn't the first comes soon after its request and the response before it: a
/// request must not lie forgotten until something else wakes the server up.
fn check_promptness(peer: &Peer) -> Result<(), String> {
    for number in 1..peer.responses.len() {
        let Some(&sent) = peer.sent_at.get(number) else { continue };
        // The body of the request before it follows the response to that.
        let begin = number.checked_sub(2).map_or(0, |number| peer.plan.expected[number].end);
        let bytes = peer.plan.expected[number].end - begin;
        if bytes > PROMPT_BYTES_MAX {
            // Received in small buffers, some of them late, this takes its time.
            continue;
        }
        let due = sent.max(peer.responded_at[number - 1]);
        let late = peer.responded_at[number].0.saturating_sub(due.0);
        if late > PROMPT_NS {
            return Err(format!("response {number} came {late} ns after it was due"));
        }
    }
    Ok(())
}

/// A date is not before the request was whole, give or take, nor after the response was.
fn check_dates(ring: &SimRing, peer: &Peer, late_sends: bool) -> Result<(), String> {
    if peer.plan.reader == Reader::Never {
        return Ok(());
    }
    let slack = if late_sends { DATE_SLACK_LATE } else { DATE_SLACK };
    for (number, response) in peer.responses.iter().enumerate() {
        let last = ring.unix_at(peer.responded_at[number]);
        // A request with a body is answered before that is whole.
        let first = peer.sent_at.get(number).map_or(0, |&at| ring.unix_at(at).min(last));
        let early = matches!(response.status, 408 | 400 | 431) || response.closes;
        if response.date > last || (!early && response.date + slack < first) {
            return Err(format!(
                "response {number} is dated {}, though it came between {first} and {last}",
                response.date
            ));
        }
    }
    Ok(())
}

/// A request may take so long while others wait for a slot, counted from when the server was done
/// with the response before it; the peer reads that a little later.
const UNFINISHED_NS: u64 = 1_950_000_000;
/// A date may be so many seconds old: sends under way keep an edition from being written anew.
const DATE_SLACK: u64 = 1;
const DATE_SLACK_LATE: u64 = 6;
/// Less than the shortest idle time, so that a request which waits for that to end is noticed.
const PROMPT_NS: u64 = 2_800_000_000;
const PROMPT_BYTES_MAX: usize = 1000;
