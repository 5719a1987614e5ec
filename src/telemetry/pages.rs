//! The pages of the admin listener: which path has which, and with which status.

use super::counters::COUNTER_WORDS;
use super::exposition::Format;
use super::snapshot::{ServiceIdentity, ServiceSnapshot, ServiceView};
use super::{metrics, status};
use crate::http::accept;
use crate::http::request::Request;
use crate::site::live::{LiveContent, LiveSource};
use crate::site::{LiveAnswer, LivePage};

/// The pages, each as it was rendered last. The answers to probes are those of the moment.
#[derive(Debug)]
pub struct AdminPages<V> {
    view: V,
    identity: ServiceIdentity,
    bytes_max: usize,
    /// The latest snapshot, until there is a newer one.
    snapshot: ServiceSnapshot,
    metrics: String,
    open_metrics: String,
    status: String,
}

impl<V: ServiceView> AdminPages<V> {
    /// The pages about a service with so many places for workers.
    pub fn new(view: V, identity: ServiceIdentity, places: usize) -> Self {
        let bytes_max = metrics::bytes_max(&identity).max(status::bytes_max(&identity, places));
        let text = || String::with_capacity(TEXT_BYTES);
        let counters = vec![0; COUNTER_WORDS];
        let snapshot = ServiceSnapshot { counters, ..ServiceSnapshot::default() };
        Self {
            view,
            identity,
            bytes_max,
            snapshot,
            metrics: text(),
            open_metrics: text(),
            status: text(),
        }
    }
}

impl<V: ServiceView> LiveSource for AdminPages<V> {
    fn render(&mut self) {
        if let Some(snapshot) = self.view.snapshot() {
            self.snapshot = snapshot;
        }
        let Self { identity, snapshot, .. } = self;
        metrics::render(&mut self.metrics, Format::Prometheus, identity, snapshot);
        metrics::render(&mut self.open_metrics, Format::OpenMetrics, identity, snapshot);
        let probes = (self.view.is_live(), self.view.is_ready());
        status::render(&mut self.status, identity, snapshot, probes);
    }

    fn choose(&self, path: &[u8], request: &Request<'_, '_>) -> Option<LiveAnswer> {
        let probe = |holds: bool| {
            let (page, status) = if holds { (YES, 200) } else { (NO, 503) };
            LiveAnswer { page, status }
        };
        let found = |page| LiveAnswer { page, status: 200 };
        Some(match path {
            b"/live" => probe(self.view.is_live()),
            b"/ready" => probe(self.view.is_ready()),
            b"/metrics" if accept::prefers_open_metrics(request.fields) => found(OPEN_METRICS),
            b"/metrics" => found(METRICS),
            b"/status" => found(STATUS),
            _ => return None,
        })
    }

    fn content(&self, page: LivePage) -> LiveContent<'_> {
        let (media_type, text) = match page {
            METRICS => (Format::Prometheus.media_type(), &*self.metrics),
            OPEN_METRICS => (Format::OpenMetrics.media_type(), &*self.open_metrics),
            STATUS => ("application/json", &*self.status),
            YES => (PLAIN, "ok\n"),
            _ => (PLAIN, "unavailable\n"),
        };
        LiveContent { media_type, bytes: text.as_bytes() }
    }

    fn bytes_max(&self) -> usize {
        self.bytes_max
    }
}

const YES: LivePage = LivePage(0);
const NO: LivePage = LivePage(1);
const METRICS: LivePage = LivePage(2);
const OPEN_METRICS: LivePage = LivePage(3);
const STATUS: LivePage = LivePage(4);
const PLAIN: &str = "text/plain; charset=utf-8";
/// The pages of a usual service fit in.
const TEXT_BYTES: usize = 16 * 1024;
