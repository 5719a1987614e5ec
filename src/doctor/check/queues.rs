//! The queues in which connections wait: for the end of their handshake, and to be accepted.

use super::{Check, Remedy, Scope, sysctl};
use crate::doctor::Purpose;
use crate::doctor::facts::Facts;

/// `net.core.somaxconn` (`listen(2)`).
pub(super) fn somaxconn(purpose: &Purpose, facts: &Facts) -> Check {
    let why = "The kernel lowers a listener's backlog to net.core.somaxconn (4096 since Linux \
               5.4, 128 before); while as many wait to be accepted, further connections are \
               dropped, and their peers try again a second later.";
    let value = match &facts.somaxconn {
        Ok(value) => *value,
        Err(unread) => return Check::unread("somaxconn", unread, why),
    };
    let backlog = purpose.backlog;
    if value >= u64::from(backlog) {
        let found = format!("{value}, so that --backlog {backlog} holds");
        return Check::ok("somaxconn", found, why);
    }
    let found = format!("{value}: lowers --backlog {backlog}");
    let hint = sysctl(facts, Scope::Network, "net.core.somaxconn", &backlog.to_string());
    Check::ok("somaxconn", found, why).warning(before_start(hint))
}

/// listen(2) reads the setting once.
fn before_start(mut remedies: Vec<Remedy>) -> Vec<Remedy> {
    for remedy in remedies.iter_mut().filter(|remedy| remedy.command.starts_with("sysctl")) {
        remedy.place.push_str(", before the server is started");
    }
    remedies
}

/// `net.ipv4.tcp_max_syn_backlog`, which since Linux 4.4 (ef547f2ac16b) is looked at by a single
/// condition of `tcp_conn_request`: without SYN cookies, the last quarter is kept for peers that
/// are known from earlier. What bounds the queue is the backlog.
pub(super) fn tcp_max_syn_backlog(purpose: &Purpose, facts: &Facts) -> Check {
    const NAME: &str = "tcp_max_syn_backlog";
    let why = "Half-open connections are bounded by the listener's backlog; \
               net.ipv4.tcp_max_syn_backlog counts only while tcp_syncookies is 0, and then new \
               peers are dropped while more than three quarters of it are half-open.";
    let value = match &facts.tcp_max_syn_backlog {
        Ok(value) => *value,
        Err(unread) => return Check::unread(NAME, unread, why),
    };
    let cookies = match facts.tcp_syncookies {
        Ok(0) => "tcp_syncookies is 0".to_owned(),
        Ok(cookies) => {
            let found = format!("{value}, without effect as tcp_syncookies is {cookies}");
            return Check::ok(NAME, found, why);
        }
        Err(_) => "tcp_syncookies isn't known".to_owned(),
    };
    let room = value - value / 4 + 1;
    let backlog = match facts.somaxconn {
        Ok(somaxconn) => somaxconn.min(u64::from(purpose.backlog)),
        Err(_) => u64::from(purpose.backlog),
    };
    let check = |found: String| Check::ok(NAME, found, why);
    if room >= backlog {
        return check(format!("{value}, room for {room} new peers; {cookies}"));
    }
    let enough = (4 * backlog).div_ceil(3).to_string();
    let mut hint = sysctl(facts, Scope::Network, "net.ipv4.tcp_syncookies", "1");
    hint.extend(sysctl(facts, Scope::Network, "net.ipv4.tcp_max_syn_backlog", &enough));
    check(format!("{value}: room for {room} new peers, and the backlog is {backlog}; {cookies}"))
        .warning(hint)
}

/// `net.ipv4.tcp_syncookies` (Documentation/networking/ip-sysctl.rst).
pub(super) fn tcp_syncookies(facts: &Facts) -> Check {
    const NAME: &str = "tcp_syncookies";
    let why = "When half-open connections fill the backlog, 1 goes on without keeping them and 0 \
               (the only value that is off) drops them, so that clients wait a second; 2, which \
               is for tests, never keeps them, so that accepts aren't deferred.";
    let value = match &facts.tcp_syncookies {
        Ok(value) => *value,
        Err(unread) => return Check::unread(NAME, unread, why),
    };
    let on = || sysctl(facts, Scope::Network, "net.ipv4.tcp_syncookies", "1");
    match value {
        0 => Check::ok(NAME, "0: off", why).warning(on()),
        2 => Check::ok(NAME, "2: for every connection", why).warning(on()),
        _ => Check::ok(NAME, format!("{value}: when the backlog is full"), why),
    }
}
