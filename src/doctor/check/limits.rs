//! The limits of the process: open files and locked memory.

use super::{Finding, Fix, Scope, sysctl, version};
use crate::doctor::Workload;
use crate::doctor::facts::{Capability, Container, MachineFacts, ProcessStatus};
use crate::engine::uring::RECEIVE_BUFFERS;
use crate::engine::uring::probe::locked_bytes;
use crate::os::process::{Limit, OPEN_FILES_RESERVE};

/// `RLIMIT_NOFILE` (`getrlimit(2)`), which also bounds the ring's table of files.
pub(super) fn open_files(workload: &Workload, facts: &MachineFacts) -> Finding {
    let why = format!(
        "Each connection is an open file, and {OPEN_FILES_RESERVE} are reserved for other files; \
         the server raises its soft limit to the hard limit by itself."
    );
    let limit = match &facts.open_files {
        Ok(limit) => *limit,
        Err(unknown) => return Finding::unknown("open_files", unknown, why),
    };
    let needed = workload.files_needed();
    let (soft, hard) = (count(limit.soft), count(limit.hard));
    let found = format!("soft limit {soft}, hard limit {hard}; {needed} needed");
    let finding = Finding::ok("open_files", found, why);
    if limit.hard >= needed {
        finding
    } else {
        finding.fault(more_files(facts, limit.hard, needed))
    }
}

fn more_files(facts: &MachineFacts, hard: u64, needed: u64) -> Vec<Fix> {
    let mut fixes = Vec::new();
    if let Ok(nr_open) = facts.nr_open
        && nr_open < needed
    {
        fixes.extend(sysctl(facts, Scope::Machine, "fs.nr_open", &needed.to_string()));
        fixes[0].place.push_str("; before the limit, which can't be set above it");
    }
    fixes.extend(raise(facts, "nofile", "LimitNOFILE", needed));
    if hard > OPEN_FILES_RESERVE {
        let spawn = hard - OPEN_FILES_RESERVE;
        fixes.push(Fix::new(format!("uringstatic --spawn {spawn}"), "fits the limit"));
    }
    fixes
}

/// `RLIMIT_MEMLOCK`. The part of a ring that counts as locked memory has changed twice: all of it
/// before Linux 5.12 (26bfa89e25f4), then registered buffers only, of which the server has none,
/// and since 6.14, whose queues are memory regions, the queues again (liburing issue 1408).
pub(super) fn locked_memory(workload: &Workload, facts: &MachineFacts) -> Finding {
    const NAME: &str = "locked_memory";
    let why = "Linux before 5.12 and since 6.14 counts a ring's queues as locked memory of the \
               user: of all processes of that user together, and until a moment after each ends. \
               The server raises its soft limit to the hard limit, and the hard limit as far as \
               it may; starting as root is no exception, because the server gives up root before \
               it creates its ring.";
    let limit = match &facts.locked_memory {
        Ok(limit) => *limit,
        Err(unknown) => return Finding::unknown(NAME, unknown, why),
    };
    let needed = locked_bytes(workload.spawn, RECEIVE_BUFFERS);
    let needed_kib = needed.div_ceil(1024);
    let hard = if limit.hard == Limit::NONE {
        "no limit".to_owned()
    } else {
        format!("hard limit {} KiB", limit.hard / 1024)
    };
    let finding = |rest: &str| Finding::ok(NAME, format!("{hard}; {rest}"), why);
    if version(facts).is_some_and(|version| ((5, 12)..(6, 14)).contains(&version)) {
        return finding("this kernel doesn't count the server's ring");
    }
    let may_raise = |process: &ProcessStatus| process.may(Capability::SysResource);
    let may_raise = facts.process.as_ref().is_ok_and(may_raise);
    let finding = if may_raise && limit.hard < needed {
        finding(&format!("{needed_kib} KiB needed per server, which raises the limit to that"))
    } else {
        finding(&format!("{needed_kib} KiB needed per server"))
    };
    // Twice that, because the ring of the previous process still counts when a server restarts.
    if limit.hard >= 2 * needed {
        return finding;
    }
    let fixes = raise(facts, "memlock", "LimitMEMLOCK", 2 * needed_kib * 1024);
    let is_enough = limit.hard >= needed || may_raise;
    if is_enough { finding.warning(fixes) } else { finding.fault(fixes) }
}

/// The ways to raise the hard limit.
fn raise(facts: &MachineFacts, name: &str, unit: &str, value: u64) -> Vec<Fix> {
    let mut fixes = vec![
        Fix::new(
            format!("sudo prlimit --pid $$ --{name}={value}"),
            "in the shell that starts the server",
        ),
        Fix::new(format!("{unit}={value}"), "in the server's systemd unit"),
    ];
    let run = |program: &str| {
        let command = format!("{program} run --ulimit {name}={value}:{value}");
        Fix::new(command, "when the container is started")
    };
    match facts.container {
        Some(Container::Docker) => fixes.insert(0, run("docker")),
        Some(Container::Podman) => fixes.insert(0, run("podman")),
        // A pod can't set limits; it inherits those of the container runtime.
        Some(Container::Kubernetes) => {
            "in the systemd unit of the node's container runtime".clone_into(&mut fixes[1].place);
        }
        None => {}
    }
    fixes
}

fn count(limit: u64) -> String {
    if limit == Limit::NONE { "none".to_owned() } else { limit.to_string() }
}
