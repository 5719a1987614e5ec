//! The parts that scenarios have in common: the server's settings, the page and the site.

use crate::engine::Nanos;
use crate::engine::sim::{FaultLevel, ListenerId, Random, SimSetup};
use crate::http::coding::Coding;
use crate::server::{ProxiedListeners, ServerConfig};
use crate::site::conditions::Conditions;
use crate::site::pattern::Pattern;
use crate::site::redirects::{Effect, Redirect, Redirects};
use crate::site::template::{Template, TemplateKind};
use crate::site::tree::build::Builder;
use crate::site::tree::rows::{CodedBody, RouteTarget};
use crate::site::{Page, Site};
use std::time::Duration;

/// The engine of a server that has ample buffers and meets no faults.
pub(super) fn setup_of_server(slots: u32, listeners: Vec<ListenerId>, fixed: Vec<u8>) -> SimSetup {
    SimSetup {
        name: "server",
        slots,
        listeners,
        targets: Vec::new(),
        fixed,
        buffers: 16,
        buffer_bytes: 4096,
        entries: 1024,
        unix_seconds: UNIX_START,
        faults: FaultLevel::None,
        polls_lazy_sends: true,
        wants_peers: true,
        trace: None,
    }
}

/// Draws a site whose every path has the page: a site of one page, or a folder with a rewrite.
/// Returns it with its fixed buffer.
pub(super) fn draw_site(
    page: &[u8],
    spawn: u32,
    random: &mut Random,
) -> Result<(Site, Vec<u8>), String> {
    if random.chance(400) {
        return Ok(build_folder(page, spawn));
    }
    let built = Site::build(
        Page::built_in(),
        page.len() as u64,
        spawn,
        |bytes| Ok(vec![0; bytes]),
        |place| {
            place.copy_from_slice(page);
            Ok(())
        },
    );
    built.map_err(|error| error.to_string())
}

fn build_folder(page: &[u8], spawn: u32) -> (Site, Vec<u8>) {
    let mut builder = Builder::default();
    let (mut fixed, modified) = (Vec::new(), Some(UNIX_START - 1000));
    let body = CodedBody::append(&mut fixed, Coding::Identity, page, modified);
    let file = builder.file(vec![body], modified);
    let fields = builder.fields([("Content-Type", "text/html")].into_iter());
    builder.path(b"/page", RouteTarget { file, fields });
    let from = Pattern::parse("/*").expect("a pattern");
    let to = Template::parse("/page", &from, TemplateKind::Location).expect("a template");
    let effect = Effect::Rewrite(200);
    let (conditions, may_cycle) = (Conditions::default(), false);
    let rule = Redirect {
        from,
        to,
        effect,
        forced: true,
        conditions,
        may_cycle,
        line: 1,
        text: "".into(),
    };
    builder.redirects(Redirects::new(vec![rule]));
    let (tree, layout) = builder.build(fixed.len() as u64, spawn);
    fixed.resize(layout.buffer_bytes(), 0);
    let mut site = Site::of_tree(tree);
    // Too few for all connections, so that some have to do without.
    site.limit_runs(spawn / 2);
    (site, fixed)
}

/// Draws the settings of a server.
pub(super) fn draw_config(random: &mut Random, listeners: u32) -> ServerConfig {
    let mut config = ServerConfig {
        spawn: u32::try_from(random.between(1, 8)).expect("few"),
        listeners,
        accepts: u32::try_from(random.between(1, 5)).expect("few"),
        accepts_at_rest: 1,
        head_timeout: Duration::from_secs(random.between(5, 10)),
        idle_timeout: Duration::from_secs(random.between(3, 20)),
        send_timeout: Duration::from_secs(random.between(4, 10)),
        body_timeout: Duration::from_secs(10),
        min_rate: 240,
        health_listener: false,
        proxied: ProxiedListeners::default(),
        drain_delay: Duration::ZERO,
        reload_grace: Duration::from_secs(2),
        drain_grace: Duration::ZERO,
        drain_timeout: Duration::from_secs(3600),
        head_bytes_max: random.pick(&[8192, 2048, 16_384]),
        recv_many: !random.chance(250),
        send_close: !random.chance(250),
        trim_memory: || {},
    };
    if config.accepts % 2 == 1 {
        config.accepts_at_rest = config.accepts;
    }
    config
}

/// Draws a page: the built-in one, or up to 600 kB of random bytes.
pub(super) fn draw_page(random: &mut Random) -> Vec<u8> {
    let len = match random.below(8) {
        0..=3 => return Page::BUILT_IN.to_vec(),
        4 => random.count(1, 20),
        5 => random.count(1000, 60_000),
        6 => random.count(60_000, 150_000),
        _ => random.count(500_000, 600_000),
    };
    let mut text = Random::from_seed(len as u64);
    (0..len).map(|_| u8::try_from(text.below(256)).expect("below 256")).collect()
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("a timeout is below 584 years")
}

/// Seconds since the Unix epoch at a virtual time.
pub(super) fn unix_at(at: Nanos) -> u64 {
    UNIX_START + at.0 / 1_000_000_000
}

/// Seconds since the Unix epoch at the virtual time 0.
pub(super) const UNIX_START: u64 = 1_700_000_000;
/// Faults strike until this many turns were taken, or until [`FAULTY_TIME`]; afterwards every run
/// has to come to its end.
pub(super) const FAULTY_TURNS: u64 = 8000;
/// See [`FAULTY_TURNS`].
pub(super) const FAULTY_TIME: Nanos = Nanos(8_000_000_000);
