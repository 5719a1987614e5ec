//! What the kernel's TCP does beside the server: connections opened by a send, and those that it
//! finishes after they were closed.

use super::{Check, Remedy, Scope, sysctl};
use crate::doctor::Purpose;
use crate::doctor::facts::Facts;

/// `net.ipv4.tcp_fastopen` (Documentation/networking/ip-sysctl.rst).
pub(super) fn fast_open(facts: &Facts) -> Check {
    const NAME: &str = "tcp_fastopen";
    const SETTING: &str = "net.ipv4.tcp_fastopen";
    let why = "With bit 0 (the default) a send can connect a TCP socket, so that a server that was \
               taken over could connect to a peer that cooperates, and send a SYN to any other, by \
               a listener that it shuts down. The server's socket filter doesn't prevent that; \
               --lockdown=require refuses to start with it. Without bit 0 nothing else is lost \
               but fast open of this machine's own clients.";
    let value = match &facts.tcp_fastopen {
        Ok(value) => *value,
        Err(unread) => return Check::unread(NAME, unread, why),
    };
    if value & CLIENT == 0 {
        return Check::ok(NAME, format!("{value}: no send connects a socket"), why);
    }
    // The other bits are about servers, which may want them.
    let without = value & !CLIENT | SERVER;
    Check::ok(NAME, format!("{value}: a send can connect a socket"), why).warning(sysctl(
        facts,
        Scope::Network,
        SETTING,
        &without.to_string(),
    ))
}

/// `net.ipv4.tcp_max_orphans` and `tcp_mem` (Documentation/networking/ip-sysctl.rst).
pub(super) fn orphans(purpose: &Purpose, facts: &Facts) -> Check {
    const NAME: &str = "tcp_orphans";
    let why = "A connection that is closed while its peer doesn't read stays in the kernel as an \
               orphan, with the unsent part of the response, for minutes and outside --spawn, \
               while the next peer has its slot. Over loopback, 600 of them with 58 KB unsent \
               each took 59 MiB. net.ipv4.tcp_max_orphans bounds their number and net.ipv4.tcp_mem \
               the memory of all of TCP; beyond the one the kernel resets orphans, and beyond the \
               other it slows down every connection.";
    let (most, memory) = match (&facts.tcp_max_orphans, &facts.tcp_memory) {
        (Ok(most), Ok(memory)) => (*most, *memory),
        (Err(unread), _) | (_, Err(unread)) if unread.is_missing() => {
            let found = "not shown here: the first network namespace has the settings, for all";
            return Check::ok(NAME, found, why);
        }
        (Err(unread), _) | (_, Err(unread)) => return Check::unread(NAME, unread, why),
    };
    let spawn = u64::from(purpose.spawn);
    let [_, pressure, limit] = memory;
    let needed = spawn * ORPHAN_BYTES;
    let found = format!(
        "at most {most}; {spawn} slow readers leave some {}, and TCP is short of memory from {} \
         on and may have {}",
        mib(needed),
        mib(pressure),
        mib(limit)
    );
    let check = Check::ok(NAME, found, why);
    let spawn_less = |spawn: u64, place: &str| {
        Remedy::new(format!("uringstatic --spawn {}", spawn.max(1)), place)
    };
    if most < spawn {
        let more = (2 * spawn).to_string();
        let mut hint = sysctl(facts, Scope::Machine, "net.ipv4.tcp_max_orphans", &more);
        for remedy in &mut hint {
            remedy.place.push_str("; or the last bytes of responses are cut off by a reset");
        }
        hint.push(spawn_less(most, "fits the setting"));
        return check.warning(hint);
    }
    if needed > pressure {
        return check.warning(vec![spawn_less(pressure / ORPHAN_BYTES, "fits the memory")]);
    }
    check
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// `TFO_CLIENT_ENABLE` and `TFO_SERVER_ENABLE` of `include/net/tcp.h`.
const CLIENT: u64 = 1;
const SERVER: u64 = 2;

/// What the kernel's documentation reckons with for an orphan (ip-sysctl.rst, `tcp_max_orphans`).
const ORPHAN_BYTES: u64 = 64 * 1024;
