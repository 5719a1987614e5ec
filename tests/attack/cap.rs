//! More clients than slots.

use crate::Form;
use crate::crowd::{crowd, receive_all, receive_until, send_all};
use crate::ground::Ground;
use crate::table::{Fates, Row, Verdict};
use crate::watch::await_that;

/// 200 clients more than the limit: it is never exceeded, no client is refused, all are served.
pub(crate) fn over_the_cap(form: Form) -> Verdict {
    let cap = form.clients(100, 5000);
    let clients = cap + BEYOND;
    let ground = Ground::new(&["--spawn", &cap.to_string()], cap);
    let (watch, page) = (ground.watch.clone(), ground.page.clone());
    // In the middle of a head no connection is idle, so the first ones keep all slots.
    let mut peers = crowd(ground.address, clients, "GET / HTTP/1.1\r\nHo");
    await_that("every slot is in use", || watch.connections().count() >= cap);
    let mut most_by_kernel = ground.while_stopped(|| watch.connections().count());
    assert_eq!(most_by_kernel, cap, "by the kernel's count, with all busy");
    let mut most_by_clients = 0;
    send_all(&mut peers, "st: a\r\n\r\n");
    while peers.iter().any(|peer| peer.pages == 0) {
        receive_all(&mut peers, &page);
        // While the server is stopped, nothing changes, so both counts are exact.
        ground.while_stopped(|| {
            most_by_kernel = most_by_kernel.max(watch.connections().count());
            receive_all(&mut peers, &page);
            let open = |peer: &&_| is_open(peer);
            most_by_clients = most_by_clients.max(peers.iter().filter(open).count());
        });
    }
    assert!(most_by_kernel <= cap, "by the kernel's count {most_by_kernel} at once");
    assert!(most_by_clients <= cap, "by the clients' count {most_by_clients} at once");
    receive_until("all are served", &mut peers, &page, |peer| peer.pages == 1);
    drop(peers);
    let (aftermath, totals) = ground.end(None);
    totals.assert_no_errors_but(&[]);
    assert_eq!((totals.connections, totals.requests), (clients as u64, clients as u64));
    assert_eq!(totals.in_flight_max, cap as u64, "by the server's own count");
    let fates = Fates { served: clients as u64, ..Fates::default() };
    let note = format!(
        "cap {cap}; at most {most_by_kernel} by the kernel, {most_by_clients} by the clients"
    );
    Row::new(clients as u64, fates, aftermath).noted(note)
}

/// Whether the connection is accepted and open, as far as a client can know.
fn is_open(peer: &crate::crowd::Peer) -> bool {
    (peer.pages > 0 || peer.response.has_begun()) && peer.end.is_none()
}

const BEYOND: usize = 200;
