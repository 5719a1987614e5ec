//! The metrics of a service: their names, types and meanings, and their values in a snapshot.
//!
//! No label comes from a request: methods are of a fixed set, codes are those of responses, and
//! the rest is configuration. The number of series is bounded therefore, whatever clients send.

use super::counters::{DURATIONS, TURNS, requests, response_bytes};
use super::exposition::{Exposition, Format, MetricType, seconds_of_ms};
use super::snapshot::{ServiceIdentity, ServiceSnapshot};
use crate::stats::Errors;
use std::fmt::Display;

use MetricType::{Counter, Gauge, Histogram, Info};

/// Writes all metrics of a service into `out`.
pub fn render(
    out: &mut String,
    format: Format,
    identity: &ServiceIdentity,
    snapshot: &ServiceSnapshot,
) {
    let mut text = Exposition::begin(out, format);
    of_requests(&mut text, snapshot);
    of_connections(&mut text, identity, snapshot);
    of_listeners(&mut text, identity, snapshot);
    of_workers(&mut text, identity, snapshot);
    of_reloads(&mut text, snapshot);
    of_log(&mut text, identity, snapshot);
    of_program(&mut text, identity, snapshot);
    text.end();
}

/// The length that [`render`] doesn't exceed for a service, in bytes.
#[must_use]
pub fn bytes_max(identity: &ServiceIdentity) -> usize {
    let listeners: usize = identity.listeners.iter().map(|it| it.to_string().len()).sum();
    let workers = identity.workers as usize * SAMPLE_BYTES_MAX;
    FIXED_BYTES_MAX + REQUEST_SERIES_MAX * SAMPLE_BYTES_MAX + workers
        // A label's value may be escaped, and a listener has two series.
        + 2 * (2 * listeners + identity.listeners.len() * SAMPLE_BYTES_MAX)
}

/// A family of one sample without labels.
fn single(
    text: &mut Exposition<'_>,
    (name, kind): (&str, MetricType),
    help: &str,
    value: impl Display,
) {
    text.family(name, kind, help);
    text.sample(name, &[], value);
}

fn of_requests(text: &mut Exposition<'_>, snapshot: &ServiceSnapshot) {
    let words = &snapshot.counters;
    let name = "uringstatic_http_requests_total";
    text.family(
        name,
        Counter,
        "Requests whose response has begun, by method and status code. A method other than GET, \
         HEAD and OPTIONS, and that of an invalid request, is other.",
    );
    for (method, code, count) in requests(words) {
        text.sample(name, &[("method", &method), ("code", &code)], count);
    }
    single(
        text,
        ("uringstatic_http_response_bytes_total", Counter),
        "Bytes of responses that sockets have taken, heads included.",
        response_bytes(words),
    );
    let name = "uringstatic_http_request_duration_seconds";
    text.family(
        name,
        Histogram,
        "Time from the first byte of a request to the last byte of its response that the socket \
         took. Slow readers and slow senders show here.",
    );
    text.histogram(name, &DURATIONS, words);
    let name = "uringstatic_turn_duration_seconds";
    text.family(
        name,
        Histogram,
        "Time from a wake-up of a worker's loop to its next wait, for which further requests wait.",
    );
    text.histogram(name, &TURNS, words);
}

fn of_connections(
    text: &mut Exposition<'_>,
    identity: &ServiceIdentity,
    snapshot: &ServiceSnapshot,
) {
    let stats = &snapshot.stats;
    single(
        text,
        ("uringstatic_connections_active", Gauge),
        "Connections that are open, idle ones included, without those for health checks.",
        snapshot.connections(),
    );
    single(
        text,
        ("uringstatic_connections_limit", Gauge),
        "The most connections open at once (--spawn).",
        identity.connection_limit,
    );
    single(
        text,
        ("uringstatic_connections_accepted_total", Counter),
        "Connections accepted, those for health checks included.",
        stats.connections,
    );
    single(
        text,
        ("uringstatic_connections_evicted_total", Counter),
        "Connections closed in the middle of a request because another connection needed the slot.",
        stats.errors.displaced,
    );
    let Errors {
        refused,
        request_timeouts,
        send_timeouts,
        proxy_headers,
        resets,
        failures,
        accepts,
        overruns,
        displaced: _,
        cut_off,
    } = stats.errors;
    let name = "uringstatic_errors_total";
    text.family(
        name,
        Counter,
        "Errors by kind: refused (invalid requests, and hosts that are not allowed), \
         request_timeout, send_timeout (a client took too few bytes for too long), proxy_header (a \
         connection had to begin with a PROXY header and didn't), reset (by the client), failure \
         (of a connection), accept (a failed accept), overrun (a client sent too much and read \
         nothing), cut_off (open at the end of a drain).",
    );
    for (kind, count) in [
        ("refused", refused),
        ("request_timeout", request_timeouts),
        ("send_timeout", send_timeouts),
        ("proxy_header", proxy_headers),
        ("reset", resets),
        ("failure", failures),
        ("accept", accepts),
        ("overrun", overruns),
        ("cut_off", cut_off),
    ] {
        text.sample(name, &[("kind", &kind)], count);
    }
}

fn of_listeners(text: &mut Exposition<'_>, identity: &ServiceIdentity, snapshot: &ServiceSnapshot) {
    let addresses = snapshot.addresses(identity);
    let queues: Vec<_> = addresses
        .iter()
        .zip(&snapshot.listeners)
        .filter_map(|(address, listener)| Some((address, listener.queue?)))
        .collect();
    let name = "uringstatic_accept_queue";
    text.family(
        name,
        Gauge,
        "Connections of a TCP listener that are established and wait to be accepted (TCP_INFO), \
         as of the last second.",
    );
    for (address, (queue, _)) in &queues {
        text.sample(name, &[("listener", address)], queue);
    }
    let name = "uringstatic_accept_queue_limit";
    text.family(
        name,
        Gauge,
        "The most connections that may wait: --backlog, which net.core.somaxconn may lower. The \
         kernel drops further ones.",
    );
    for (address, (_, limit)) in &queues {
        text.sample(name, &[("listener", address)], limit);
    }
}

fn of_workers(text: &mut Exposition<'_>, identity: &ServiceIdentity, snapshot: &ServiceSnapshot) {
    let name = "uringstatic_worker_up";
    text.family(name, Gauge, "Whether a worker of the serving generation accepts connections.");
    for worker in 0..identity.workers {
        text.sample(name, &[("worker", &worker)], u8::from(snapshot.is_up(worker)));
    }
    single(
        text,
        ("uringstatic_worker_restarts_total", Counter),
        "Workers forked in place of others that had died.",
        snapshot.restarts,
    );
}

fn of_reloads(text: &mut Exposition<'_>, snapshot: &ServiceSnapshot) {
    let reloads = &snapshot.reloads;
    single(
        text,
        ("uringstatic_generation", Gauge),
        "The number of the generation that serves, from 1; it grows with each reload.",
        snapshot.generation,
    );
    single(
        text,
        ("uringstatic_generations", Gauge),
        "Generations that have workers: more than 1 while the workers of an old one drain.",
        snapshot.generations(),
    );
    let name = "uringstatic_reloads_total";
    text.family(
        name,
        Counter,
        "Generations that have begun to serve (success), the first included, or failed before \
         (failure).",
    );
    text.sample(name, &[("outcome", &"success")], reloads.succeeded);
    text.sample(name, &[("outcome", &"failure")], reloads.failed);
    single(
        text,
        ("uringstatic_reload_last_successful", Gauge),
        "Whether the latest reload succeeded. /status has the error of one that failed.",
        u8::from(reloads.is_last_successful),
    );
    single(
        text,
        ("uringstatic_reload_last_success_timestamp_seconds", Gauge),
        "When the serving generation began to serve, in seconds since the Unix epoch.",
        seconds_of_ms(reloads.last_success_ms),
    );
}

fn of_log(text: &mut Exposition<'_>, identity: &ServiceIdentity, snapshot: &ServiceSnapshot) {
    if !identity.has_access_log {
        return;
    }
    single(
        text,
        ("uringstatic_access_log_dropped_records_total", Counter),
        "Records of the access log that are lost because the logger didn't keep up, or its output \
         took nothing.",
        snapshot.log.dropped,
    );
    single(
        text,
        ("uringstatic_access_log_write_errors_total", Counter),
        "Writes to the output of the access log that failed.",
        snapshot.log.write_errors,
    );
}

fn of_program(text: &mut Exposition<'_>, identity: &ServiceIdentity, snapshot: &ServiceSnapshot) {
    let name = "uringstatic_build_info";
    text.family(name, Info, "The version of the program, and the kernel interface that it uses.");
    text.sample(name, &[("version", &identity.version), ("engine", &identity.engine)], 1);
    single(
        text,
        ("process_start_time_seconds", Gauge),
        "When the supervisor started, in seconds since the Unix epoch.",
        seconds_of_ms(snapshot.started_ms),
    );
}

/// The longest sample without an address: its name, its labels, a number of 64 bits.
const SAMPLE_BYTES_MAX: usize = 128;
/// Each method with each code.
const REQUEST_SERIES_MAX: usize = 4 * 500;
/// The families, the samples without labels and the histograms.
const FIXED_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests;
