//! The kernel's TCP outside the server's control: connections that a send opens (TCP Fast Open),
//! and closed connections that the kernel still has to finish (orphans).

use super::sandbox::no_listener_connects;
use super::{Finding, Fix, Scope, sysctl};
use crate::doctor::Workload;
use crate::doctor::facts::MachineFacts;

/// `net.ipv4.tcp_fastopen` (Documentation/networking/ip-sysctl.rst).
pub(super) fn fast_open(facts: &MachineFacts) -> Finding {
    const NAME: &str = "tcp_fastopen";
    const SETTING: &str = "net.ipv4.tcp_fastopen";
    let why = "With bit 0 (the default) a send can connect a TCP socket: a compromised server \
               could shut down a listener and, through it, connect to a cooperating peer and send \
               a SYN to any other. The server's socket filter doesn't prevent that, so \
               --lockdown=require refuses to start on io_uring; on epoll the filter of system \
               calls prevents it. Clearing bit 0 only disables TCP Fast Open for this machine's \
               own clients.";
    let value = match &facts.tcp_fastopen {
        Ok(value) => *value,
        Err(unknown) => return Finding::unknown(NAME, unknown, why),
    };
    if value & CLIENT == 0 {
        return Finding::ok(NAME, format!("{value}: no send connects a socket"), why);
    }
    if no_listener_connects(facts) {
        let found = format!("{value}: the server's own sends can't connect a socket");
        return Finding::ok(NAME, found, why);
    }
    // The other bits concern servers, which may need them.
    let without = value & !CLIENT | SERVER;
    Finding::ok(NAME, format!("{value}: a send can connect a socket"), why).warning(sysctl(
        facts,
        Scope::Network,
        SETTING,
        &without.to_string(),
    ))
}

/// `net.ipv4.tcp_max_orphans` and `tcp_mem` (Documentation/networking/ip-sysctl.rst).
pub(super) fn orphans(workload: &Workload, facts: &MachineFacts) -> Finding {
    const NAME: &str = "tcp_orphans";
    let why = "A connection that is closed while its peer doesn't read stays in the kernel for \
               minutes as an orphan with the unsent part of the response. It doesn't count in \
               --spawn, and its slot is reused. Over loopback, 600 orphans with 58 KB unsent each \
               took 59 MiB. net.ipv4.tcp_max_orphans bounds their number, beyond which the kernel \
               resets orphans; net.ipv4.tcp_mem bounds the memory of all TCP sockets, beyond \
               which it slows down every connection.";
    let (most, memory) = match (&facts.tcp_max_orphans, &facts.tcp_memory) {
        (Ok(most), Ok(memory)) => (*most, *memory),
        (Err(unknown), _) | (_, Err(unknown)) if unknown.is_missing() => {
            let found = "not visible here: only the first network namespace has the settings";
            return Finding::ok(NAME, found, why);
        }
        (Err(unknown), _) | (_, Err(unknown)) => return Finding::unknown(NAME, unknown, why),
    };
    let spawn = u64::from(workload.spawn);
    let [_, pressure, limit] = memory;
    let needed = spawn * ORPHAN_BYTES;
    let found = format!(
        "at most {most}; {spawn} slow readers leave about {}; TCP is under memory pressure from \
         {}, and limited to {}",
        mib(needed),
        mib(pressure),
        mib(limit)
    );
    let finding = Finding::ok(NAME, found, why);
    let spawn_less =
        |spawn: u64, place: &str| Fix::new(format!("uringstatic --spawn {}", spawn.max(1)), place);
    if most < spawn {
        let more = (2 * spawn).to_string();
        let mut fixes = sysctl(facts, Scope::Machine, "net.ipv4.tcp_max_orphans", &more);
        for fix in &mut fixes {
            fix.place.push_str("; otherwise resets can cut off the last bytes of responses");
        }
        fixes.push(spawn_less(most, "fits the setting"));
        return finding.warning(fixes);
    }
    if needed > pressure {
        return finding.warning(vec![spawn_less(pressure / ORPHAN_BYTES, "fits the memory")]);
    }
    finding
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// `TFO_CLIENT_ENABLE` and `TFO_SERVER_ENABLE` of `include/net/tcp.h`.
const CLIENT: u64 = 1;
const SERVER: u64 = 2;

/// The memory of one orphan by the kernel's documentation (ip-sysctl.rst, `tcp_max_orphans`).
const ORPHAN_BYTES: u64 = 64 * 1024;
