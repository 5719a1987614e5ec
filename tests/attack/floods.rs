//! Many connections that stay idle or are closed before their response.

use crate::Form;
use crate::common::GET;
use crate::crowd::{End, Peer, count, crowd, receive_until};
use crate::ground::Ground;
use crate::table::{Fates, Row, Verdict};
use crate::totals::Totals;
use std::collections::VecDeque;

/// Connections without a request, and connections that are idle after one.
pub(crate) fn idle(form: Form) -> Verdict {
    let (silent, served) = (form.clients(100, 4000) / 2, form.clients(100, 4000) / 2);
    let clients = silent + served;
    let (spawn, timeout) = ((clients + 100).to_string(), form.of("1s", "5s"));
    let options = ["--spawn", &spawn, "--head-timeout", timeout, "--idle-timeout", timeout];
    let ground = Ground::new(&options, clients);
    let good = ground.good_client();
    let mut quiet = crowd(ground.address, silent, "");
    let mut idle = crowd(ground.address, served, GET);
    receive_until("the requests are served", &mut idle, &ground.page, |peer| peer.pages == 1);
    receive_until("the idle are closed", &mut idle, &ground.page, |peer| peer.end.is_some());
    receive_until("the silent are closed", &mut quiet, &ground.page, |peer| peer.end.is_some());
    let well = |peer: &Peer| peer.end == Some(End::Closed) && !peer.response.has_begun();
    let (late, served) = (count(&quiet, well), count(&idle, well));
    drop((quiet, idle));
    let (aftermath, totals) = ground.end(Some(good));
    totals.assert_no_errors_but(&[]);
    assert_eq!((totals.connections, totals.requests), (clients as u64, served as u64));
    let fates = Fates { served: served as u64, late: late as u64, ..Fates::default() };
    let note = format!("half send nothing; timeouts of {timeout}");
    Row::new(clients as u64, fates, aftermath).noted(note)
}

/// Connections that are closed at once.
pub(crate) fn connect_and_close(form: Form) -> Verdict {
    leave(form, &[], "", drop, |totals, clients| {
        totals.assert_no_errors_but(&[]);
        assert_eq!((totals.connections, totals.requests), (clients, 0));
    })
}

/// Connections that are reset at once. With `TCP_DEFER_ACCEPT` the kernel would never report one;
/// without it, most are reported.
pub(crate) fn connect_and_reset(form: Form) -> Verdict {
    leave(form, &["--without", "defer-accept"], "", Peer::reset, |totals, clients| {
        totals.assert_no_errors_but(&["resets", "failed accepts"]);
        assert!(totals.connections <= clients && totals.requests == 0, "{totals:?}");
    })
}

/// Requests whose clients reset the connection without reading, at once or a little later.
pub(crate) fn request_and_reset(form: Form) -> Verdict {
    leave(form, &[], GET, Peer::reset, |totals, clients| {
        totals.assert_no_errors_but(&["resets", "failed accepts"]);
        assert!(totals.connections <= clients, "{totals:?}");
        assert!(totals.requests <= totals.connections, "{totals:?}");
    })
}

/// Connections that send these bytes and are then ended, at once or after further ones connected.
fn leave(
    form: Form,
    options: &[&str],
    bytes: &str,
    end: fn(Peer),
    check: fn(&Totals, u64),
) -> Verdict {
    let clients: u64 = form.of(1000, 20_000);
    let ground = Ground::new(&[options, &["--spawn", "1000"]].concat(), AT_ONCE);
    let good = ground.good_client();
    let mut open = VecDeque::with_capacity(AT_ONCE);
    for number in 0..clients {
        let mut peer = Peer::connect(ground.address);
        assert!(peer.send(bytes), "the kernel takes it");
        if number % 2 == 0 {
            end(peer);
            continue;
        }
        open.push_back(peer);
        if open.len() == AT_ONCE {
            end(open.pop_front().expect("there are some"));
        }
    }
    open.into_iter().for_each(end);
    let (aftermath, totals) = ground.end(Some(good));
    check(&totals, clients);
    let fates = Fates { left: clients, ..Fates::default() };
    let note = format!(
        "the server saw {} connections, {} requests, {} resets",
        totals.connections,
        totals.requests,
        totals.errors("resets")
    );
    Row::new(clients, fates, aftermath).noted(note)
}

const AT_ONCE: usize = 100;
