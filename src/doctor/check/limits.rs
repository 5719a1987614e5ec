//! Limits of the process: open files and locked memory.

use super::{Check, Remedy, Scope, sysctl, version};
use crate::doctor::Purpose;
use crate::doctor::facts::{Capability, Container, Facts, Identity};
use crate::engine::uring::RECEIVE_BUFFERS;
use crate::engine::uring::probe::locked_bytes;
use crate::os::process::{Limit, OPEN_FILES_RESERVE};

/// `RLIMIT_NOFILE` (`getrlimit(2)`), which bounds the ring's table of files, too.
pub(super) fn open_files(purpose: &Purpose, facts: &Facts) -> Check {
    let why = format!(
        "Each connection is an open file, and {OPEN_FILES_RESERVE} are kept for everything else; \
         the server itself raises its soft limit to the hard one."
    );
    let limit = match &facts.open_files {
        Ok(limit) => *limit,
        Err(unread) => return Check::unread("open_files", unread, why),
    };
    let needed = purpose.files_needed();
    let (soft, hard) = (count(limit.soft), count(limit.hard));
    let found = format!("soft limit {soft}, hard limit {hard}; {needed} needed");
    let check = Check::ok("open_files", found, why);
    if limit.hard >= needed { check } else { check.fault(more_files(facts, limit.hard, needed)) }
}

fn more_files(facts: &Facts, hard: u64, needed: u64) -> Vec<Remedy> {
    let mut remedies = Vec::new();
    if let Ok(nr_open) = facts.nr_open
        && nr_open < needed
    {
        remedies.extend(sysctl(facts, Scope::Machine, "fs.nr_open", &needed.to_string()));
        remedies[0].place.push_str("; first of all, as no limit can be set above it");
    }
    remedies.extend(raise(facts, "nofile", "LimitNOFILE", needed));
    if hard > OPEN_FILES_RESERVE {
        let spawn = hard - OPEN_FILES_RESERVE;
        remedies.push(Remedy::new(format!("uringstatic --spawn {spawn}"), "fits the limit"));
    }
    remedies
}

/// `RLIMIT_MEMLOCK`. Which memory of a ring counts has changed twice: all of it before Linux 5.12
/// (26bfa89e25f4), from then on buffers that are registered, of which the server has none, and
/// since 6.14, with the queues as memory regions, the queues again (liburing issue 1408).
pub(super) fn locked_memory(purpose: &Purpose, facts: &Facts) -> Check {
    const NAME: &str = "locked_memory";
    let why = "Linux before 5.12 and since 6.14 counts a ring's queues as locked memory of the \
               user: of all the user's processes together, and until a moment after each ends. \
               The server raises its soft limit to the hard one, and that as far as it may; root \
               is counted too, as the server isn't root any more when it makes its ring.";
    let limit = match &facts.locked_memory {
        Ok(limit) => *limit,
        Err(unread) => return Check::unread(NAME, unread, why),
    };
    let needed = locked_bytes(purpose.spawn, RECEIVE_BUFFERS);
    let needed_kib = needed.div_ceil(1024);
    let hard = if limit.hard == Limit::NONE {
        "no limit".to_owned()
    } else {
        format!("hard limit {} KiB", limit.hard / 1024)
    };
    let check = |rest: &str| Check::ok(NAME, format!("{hard}; {rest}"), why);
    if version(facts).is_some_and(|version| ((5, 12)..(6, 14)).contains(&version)) {
        return check("this kernel doesn't count what the server uses");
    }
    let may_raise = |identity: &Identity| identity.may(Capability::SysResource);
    let may_raise = facts.identity.as_ref().is_ok_and(may_raise);
    let check = if may_raise && limit.hard < needed {
        check(&format!("{needed_kib} KiB needed for each server, which raises it to that"))
    } else {
        check(&format!("{needed_kib} KiB needed for each server"))
    };
    // Twice that, as a server that is started again meets what the last one leaves.
    if limit.hard >= 2 * needed {
        return check;
    }
    let remedies = raise(facts, "memlock", "LimitMEMLOCK", 2 * needed_kib * 1024);
    let is_enough = limit.hard >= needed || may_raise;
    if is_enough { check.warning(remedies) } else { check.fault(remedies) }
}

/// The ways to raise a limit above the hard one.
fn raise(facts: &Facts, name: &str, unit: &str, value: u64) -> Vec<Remedy> {
    let mut remedies = vec![
        Remedy::new(
            format!("sudo prlimit --pid $$ --{name}={value}"),
            "in the shell that starts the server",
        ),
        Remedy::new(format!("{unit}={value}"), "in the server's systemd unit"),
    ];
    let run = |program: &str| {
        let command = format!("{program} run --ulimit {name}={value}:{value}");
        Remedy::new(command, "when the container is started")
    };
    match facts.container {
        Some(Container::Docker) => remedies.insert(0, run("docker")),
        Some(Container::Podman) => remedies.insert(0, run("podman")),
        // A pod can't ask for limits: they are the container runtime's.
        Some(Container::Kubernetes) => {
            "in the systemd unit of the node's container runtime"
                .clone_into(&mut remedies[1].place);
        }
        None => {}
    }
    remedies
}

fn count(limit: u64) -> String {
    if limit == Limit::NONE { "none".to_owned() } else { limit.to_string() }
}
