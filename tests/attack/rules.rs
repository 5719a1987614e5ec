//! Paths that nearly match hundreds of rules. The cost of a path must not depend on the number of
//! rules, or a few long paths would occupy the core.

use crate::Form;
use crate::common::{PAGE, Server, TemporaryFolder};
use crate::crowd::{crowd, receive_until, send_all};
use crate::ground::Ground;
use crate::table::{Aftermath, Fates, Row, Verdict};
use std::fmt::Write;

/// Long paths for servers with rules of one kind each, and for one without rules.
pub(crate) fn near_misses(form: Form) -> Verdict {
    let rounds: usize = form.of(10, 100);
    let mut fates = Fates::default();
    let (mut note, mut sent, mut last) = ("CPU a request:".to_owned(), 0, None);
    for (kind, rule) in KINDS {
        let (refused, micros, aftermath) = attack(*rule, rounds);
        fates.refused += refused;
        sent += (rounds * AT_ONCE) as u64;
        write!(note, " {kind} {micros:.0} us,").expect("writing to a string does not fail");
        last = Some(aftermath);
    }
    Row::new(sent, fates, last).noted(note.trim_end_matches(',').to_owned())
}

/// The number of 404 responses, and the CPU time per request in microseconds.
fn attack(rule: Option<Rule>, rounds: usize) -> (u64, f64, Aftermath) {
    let rules: String = (0..RULES).filter_map(|number| Some(rule?(number) + " /to\n")).collect();
    let folder = TemporaryFolder::with(&[("index.html", PAGE), ("_redirects", rules.as_bytes())]);
    let server = Server::start(&["--root", folder.path(), "--spawn", "200"]);
    let ground = Ground::of(server, PAGE, AT_ONCE);
    let good = ground.good_client();
    let mut peers = crowd(ground.address, AT_ONCE, "");
    let pid = ground.watch.pid;
    let before = cpu_ns(pid);
    for round in 0..rounds {
        let path = PATHS[round % PATHS.len()]();
        send_all(&mut peers, format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        receive_until("each path gets 404", &mut peers, &ground.page, |peer| {
            peer.others.len() == round + 1
        });
    }
    let requests = u32::try_from(rounds * AT_ONCE).expect("fewer than 2^32");
    let micros = (cpu_ns(pid) - before) / 1e3 / f64::from(requests);
    let refused = peers.iter().flat_map(|peer| &peer.others).filter(|&&status| status == 404);
    let refused = refused.count() as u64;
    drop(peers);
    let (aftermath, totals) = ground.end(Some(good));
    totals.assert_no_errors_but(&[]);
    let expected = (rounds * AT_ONCE) as u64;
    assert_eq!((totals.connections, totals.requests), (AT_ONCE as u64, expected));
    assert_eq!(refused, expected);
    (refused, micros, aftermath)
}

/// The CPU time of the server's thread (proc(5), schedstat).
fn cpu_ns(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(f64::NAN)
}

/// The pattern of a rule, from its number.
type Rule = fn(usize) -> String;

/// Kinds of patterns, none of which matches one of [`PATHS`].
const KINDS: &[(&str, Option<Rule>)] = &[
    ("no rules", None),
    ("ends of segments", Some(|number| format!("/:page.ht{number:03}ml/z"))),
    ("before a splat", Some(|number| format!("/:page.ht{number:03}ml/z/*"))),
    ("within a segment", Some(|number| format!("/:page.ht{number:03}lm*"))),
    ("second segments", Some(|number| format!("/:lang/old-{number}/:id"))),
    ("behind a splat", Some(|number| format!("/*/old-{number}/:id"))),
    ("in one another", Some(|number| format!("/{}*z/z", "a".repeat(number + 1)))),
];

/// Long paths.
const PATHS: [fn() -> String; 4] = [
    || format!("/{}.ht199ml/y", "a".repeat(7000)),
    || format!("/{}/old-199", "a".repeat(7000)),
    || "/a".repeat(3500),
    || format!("/{}", ".ht199ml".repeat(900)),
];
/// The most rules with placeholders that a site may have.
const RULES: usize = 200;
const AT_ONCE: usize = 50;
