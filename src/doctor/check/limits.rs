//! The limits of the process: open files and locked memory.

use super::engine::in_use;
use super::{Finding, Fix, Scope, sysctl, version};
use crate::doctor::Workload;
use crate::doctor::facts::{Capability, Container, MachineFacts, ProcessStatus};
use crate::engine::kernel::EngineKind;
use crate::engine::uring::RECEIVE_BUFFERS;
use crate::engine::uring::probe::locked_bytes;
use crate::os::process::{Limit, OPEN_FILES_RESERVE};

/// `RLIMIT_NOFILE` (`getrlimit(2)`), which also bounds the ring's table of files.
pub(super) fn open_files(workload: &Workload, facts: &MachineFacts) -> Finding {
    let why = format!(
        "Each connection is an open file of the worker that has it, the supervisor has a few for \
         each worker, and {OPEN_FILES_RESERVE} are reserved in each process for other files; the \
         server raises its soft limit to the hard limit by itself."
    );
    let limit = match &facts.open_files {
        Ok(limit) => *limit,
        Err(unknown) => return Finding::unknown("open_files", unknown, why),
    };
    let (of_worker, of_supervisor) = (workload.files_needed(), workload.supervisor_files_needed());
    let needed = of_worker.max(of_supervisor);
    let (soft, hard) = (count(limit.soft), count(limit.hard));
    let found = format!(
        "soft limit {soft}, hard limit {hard}; {of_worker} needed by each worker, {of_supervisor} \
         by the supervisor"
    );
    let finding = Finding::ok("open_files", found, why);
    if limit.hard >= needed {
        finding
    } else {
        finding.fault(more_files(workload, facts, limit.hard, needed))
    }
}

fn more_files(workload: &Workload, facts: &MachineFacts, hard: u64, needed: u64) -> Vec<Fix> {
    let mut fixes = Vec::new();
    if let Ok(nr_open) = facts.nr_open
        && nr_open < needed
    {
        fixes.extend(sysctl(facts, Scope::Machine, "fs.nr_open", &needed.to_string()));
        fixes[0].place.push_str("; before the limit, which can't be set above it");
    }
    fixes.extend(raise(facts, "nofile", "LimitNOFILE", needed));
    if hard > OPEN_FILES_RESERVE && hard >= workload.supervisor_files_needed() {
        let spawn = (hard - OPEN_FILES_RESERVE) * u64::from(workload.workers);
        let workers = with_workers(workload);
        fixes.push(Fix::new(format!("uringstatic --spawn {spawn}{workers}"), "fits the limit"));
    }
    fixes
}

/// The option that names the workers, unless it has its default.
fn with_workers(workload: &Workload) -> String {
    match workload.workers {
        1 => String::new(),
        workers => format!(" --workers {workers}"),
    }
}

/// `RLIMIT_MEMLOCK`. The part of a ring that counts as locked memory has changed twice: all of it
/// before Linux 5.12 (26bfa89e25f4), then registered buffers only, of which the server has none,
/// and since 6.14, whose queues are memory regions, the queues again (liburing issue 1408).
pub(super) fn locked_memory(workload: &Workload, facts: &MachineFacts) -> Finding {
    const NAME: &str = "locked_memory";
    let why = "Linux before 5.12 and since 6.14 counts the queues of a worker's ring as locked \
               memory of the user: of all processes of that user together, and until a moment \
               after each ends. While a reload or a restart replaces workers, the rings of both \
               generations count. The server raises its soft limit to the hard limit, and the \
               hard limit as far as it may; starting as root is no exception, because workers \
               are no longer root when they create their rings.";
    let limit = match &facts.locked_memory {
        Ok(limit) => *limit,
        Err(unknown) => return Finding::unknown(NAME, unknown, why),
    };
    if in_use(workload, facts) == EngineKind::Epoll {
        return Finding::ok(NAME, "the engine on epoll locks no memory", why);
    }
    let workers = u64::from(workload.workers);
    let needed = workers * locked_bytes(workload.worker_spawn(), RECEIVE_BUFFERS);
    let kib = |bytes: u64| bytes.div_ceil(1024);
    let hard = if limit.hard == Limit::NONE {
        "no limit".to_owned()
    } else {
        format!("hard limit {} KiB", limit.hard / 1024)
    };
    let finding = |rest: &str| Finding::ok(NAME, format!("{hard}; {rest}"), why);
    if version(facts).is_some_and(|version| ((5, 12)..(6, 14)).contains(&version)) {
        return finding("this kernel doesn't count the rings of workers");
    }
    let by = if workers == 1 { "1 worker".to_owned() } else { format!("{workers} workers") };
    let demand =
        format!("{} KiB needed by {by}, {} KiB during a reload", kib(needed), kib(2 * needed));
    let may_raise = |process: &ProcessStatus| process.may(Capability::SysResource);
    let may_raise = facts.process.as_ref().is_ok_and(may_raise);
    // The rings of the generation that is replaced still count.
    if limit.hard >= 2 * needed {
        return finding(&demand);
    }
    let fixes = raise(facts, "memlock", "LimitMEMLOCK", 2 * kib(needed) * 1024);
    if limit.hard < needed && may_raise {
        finding(&format!("{demand}; the server may raise the limit and does")).warning(fixes)
    } else if limit.hard >= needed {
        let effect = "the server starts, and a reload fails: the new workers have no memory for \
                      their rings beside those of the old ones";
        finding(&format!("{demand}: {effect}")).warning(fixes)
    } else {
        finding(&demand).fault(fixes)
    }
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
