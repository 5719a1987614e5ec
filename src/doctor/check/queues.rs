//! The queues of a listener: half-open connections, and connections to be accepted.

use super::{Finding, Fix, Scope, sysctl};
use crate::doctor::Workload;
use crate::doctor::facts::MachineFacts;

/// `net.core.somaxconn` (`listen(2)`).
pub(super) fn somaxconn(workload: &Workload, facts: &MachineFacts) -> Finding {
    let why = "The kernel lowers a listener's backlog to net.core.somaxconn (4096 since Linux \
               5.4, 128 before). While the backlog is full, further connections are dropped, and \
               their clients retry a second later.";
    let value = match &facts.somaxconn {
        Ok(value) => *value,
        Err(unknown) => return Finding::unknown("somaxconn", unknown, why),
    };
    let backlog = workload.backlog;
    if value >= u64::from(backlog) {
        let found = format!("{value}, enough for --backlog {backlog}");
        return Finding::ok("somaxconn", found, why);
    }
    let found = format!("{value}: lowers --backlog {backlog}");
    let fixes = sysctl(facts, Scope::Network, "net.core.somaxconn", &backlog.to_string());
    Finding::ok("somaxconn", found, why).warning(before_start(fixes))
}

/// Adds to the `sysctl` fixes that listen(2) reads the setting only once.
fn before_start(mut fixes: Vec<Fix>) -> Vec<Fix> {
    for fix in fixes.iter_mut().filter(|fix| fix.command.starts_with("sysctl")) {
        fix.place.push_str(", before the server is started");
    }
    fixes
}

/// `net.ipv4.tcp_max_syn_backlog`. Since Linux 4.4 (ef547f2ac16b) a single condition of
/// `tcp_conn_request` uses it: without SYN cookies, the last quarter is reserved for peers with
/// cached metrics. The queue itself is bounded by the backlog.
pub(super) fn tcp_max_syn_backlog(workload: &Workload, facts: &MachineFacts) -> Finding {
    const NAME: &str = "tcp_max_syn_backlog";
    let why = "The listener's backlog bounds half-open connections. net.ipv4.tcp_max_syn_backlog \
               matters only if tcp_syncookies is 0: then new peers are dropped while more than \
               three quarters of it are half-open.";
    let value = match &facts.tcp_max_syn_backlog {
        Ok(value) => *value,
        Err(unknown) => return Finding::unknown(NAME, unknown, why),
    };
    let cookies = match facts.tcp_syncookies {
        Ok(0) => "tcp_syncookies is 0".to_owned(),
        Ok(cookies) => {
            let found = format!("{value}, without effect because tcp_syncookies is {cookies}");
            return Finding::ok(NAME, found, why);
        }
        Err(_) => "tcp_syncookies is not known".to_owned(),
    };
    let room = value - value / 4 + 1;
    let backlog = match facts.somaxconn {
        Ok(somaxconn) => somaxconn.min(u64::from(workload.backlog)),
        Err(_) => u64::from(workload.backlog),
    };
    let finding = |found: String| Finding::ok(NAME, found, why);
    if room >= backlog {
        return finding(format!("{value}, room for {room} new peers; {cookies}"));
    }
    let enough = (4 * backlog).div_ceil(3).to_string();
    let mut fixes = sysctl(facts, Scope::Network, "net.ipv4.tcp_syncookies", "1");
    fixes.extend(sysctl(facts, Scope::Network, "net.ipv4.tcp_max_syn_backlog", &enough));
    let found =
        format!("{value}: room for {room} new peers, and the backlog is {backlog}; {cookies}");
    // With --load, that setting has a check of its own, with the same fix.
    finding(found).warning(fixes).follows("tcp_syncookies")
}

/// `net.ipv4.tcp_syncookies` (Documentation/networking/ip-sysctl.rst).
pub(super) fn tcp_syncookies(facts: &MachineFacts) -> Finding {
    const NAME: &str = "tcp_syncookies";
    let why = "When half-open connections fill the backlog, 1 accepts further ones statelessly, \
               and 0 drops them, so that clients wait a second. 2, which is for tests, is always \
               stateless, so accepts aren't deferred.";
    let value = match &facts.tcp_syncookies {
        Ok(value) => *value,
        Err(unknown) => return Finding::unknown(NAME, unknown, why),
    };
    let on = || sysctl(facts, Scope::Network, "net.ipv4.tcp_syncookies", "1");
    match value {
        0 => Finding::ok(NAME, "0: off", why).warning(on()),
        2 => Finding::ok(NAME, "2: for every connection", why).warning(on()),
        _ => Finding::ok(NAME, format!("{value}: when the backlog is full"), why),
    }
}
