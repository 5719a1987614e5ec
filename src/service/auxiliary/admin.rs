//! The process that answers questions about the service.

use super::beginning::{Beginning, report_failure, report_ready};
use crate::error::Failure;
use crate::os::net::Listener;
use crate::os::signal;
use crate::service::board_layout::BoardLayout;
use crate::service::board_state::ScoreboardView;
use crate::service::loader::DRAIN;
use crate::service::serving::serve_to_the_end;
use crate::start::serve_live;
use crate::telemetry::pages::AdminPages;
use crate::telemetry::snapshot::ServiceIdentity;

/// Runs the process until the supervisor ends it. Returns the exit status.
pub(super) fn run(mut beginning: Beginning<'_>) -> u8 {
    match try_to_serve(&mut beginning) {
        Ok(code) => code,
        Err(failure) => report_failure(&beginning.channel, &failure),
    }
}

fn try_to_serve(beginning: &mut Beginning<'_>) -> Result<u8, Failure> {
    let socket = beginning.claim(0)?;
    let Beginning { settings, spec, channel, inherited } = beginning;
    let lost = |what: &str| Failure::new("inheriting from the supervisor", what, "");
    let address = settings.admin.admin.as_ref().ok_or_else(|| lost("there is no --admin"))?;
    let listener =
        Listener::inherited(socket, address).map_err(|error| lost(&error.to_string()))?;
    let scoreboard = inherited.claim(spec.scoreboard).ok_or_else(|| lost("no scoreboard"))?;
    let places = spec.places as usize;
    let layout = BoardLayout { places, has_counters: true };
    let view = ScoreboardView::inherited(scoreboard, layout, settings.spawn)?;
    let listeners = settings.addresses().map(|address| address.endpoint.clone());
    let identity = ServiceIdentity {
        version: env!("CARGO_PKG_VERSION"),
        engine: spec.engine.name(),
        process: spec.supervisor,
        listeners: listeners.collect(),
        workers: spec.workers,
        connection_limit: settings.spawn,
        has_access_log: settings.log.access_log.is_some(),
    };
    let signals = signal::receive(&[DRAIN])?;
    let (server, sandbox) = serve_live(
        settings,
        spec.account.clone(),
        std::mem::take(inherited),
        (vec![listener], signals),
        Box::new(AdminPages::new(view, identity, places)),
        || drop(report_ready(channel)),
    )?;
    Ok(serve_to_the_end(server, &sandbox, "the engine of the admin process"))
}
