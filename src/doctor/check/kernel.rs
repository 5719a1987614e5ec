//! Whether this kernel lets this process create the ring that the engine on `io_uring` needs.

use super::engine::in_use;
use super::{Finding, Fix, Scope, limits, sysctl, version};
use crate::doctor::Workload;
use crate::doctor::facts::{Capability, Container, MachineFacts, ProcessStatus};
use crate::engine::Errno;
use crate::engine::kernel::EngineKind;
use crate::engine::uring::probe::{Features, KERNEL_MIN, SPAWN_MAX};
use crate::os::privileges::Account;

/// The version of the kernel.
pub(super) fn release(facts: &MachineFacts) -> Finding {
    let why = "Multishot receives, buffer rings and deferred task runs came with Linux 5.19 to \
               6.1; on older kernels the server can serve by epoll only.";
    let release = match &facts.release {
        Ok(release) => release,
        Err(unknown) => return Finding::unknown("kernel", unknown, why),
    };
    let finding = Finding::ok("kernel", format!("Linux {release}"), why);
    match version(facts) {
        Some(version) if version >= KERNEL_MIN => finding,
        Some(_) => finding.fault(newer_kernel()),
        None => finding.warning(newer_kernel()),
    }
}

fn newer_kernel() -> Vec<Fix> {
    let place = "shows the running kernel: boot 6.1 or later, as in Debian 12, Ubuntu 24.04 and \
                 RHEL 10";
    vec![Fix::new("uname -r", place)]
}

/// `kernel.io_uring_disabled`, Linux 6.6 (Documentation/admin-guide/sysctl/kernel.rst).
pub(super) fn disabled(facts: &MachineFacts) -> Finding {
    const NAME: &str = "io_uring_disabled";
    let why = "kernel.io_uring_disabled (Linux 6.6) can forbid io_uring to all users (2, as in \
               RHEL 10) or to all but root and the group kernel.io_uring_group (1); the server \
               creates its ring after it has given up root, so with 1 it needs that group.";
    let value = match &facts.io_uring_disabled {
        Ok(value) => *value,
        Err(unknown) if unknown.is_missing() && facts.smallest_ring.is_ok() => {
            return Finding::ok(NAME, "no such setting here, and a ring can be created", why);
        }
        // A kernel without io_uring lacks the setting, too; the ring check reports that.
        Err(unknown) if unknown.is_missing() && version(facts).is_some_and(|v| v < (6, 6)) => {
            return Finding::ok(NAME, "no such setting before Linux 6.6", why);
        }
        Err(unknown) if unknown.is_missing() => {
            return Finding::unknown(NAME, unknown, why).follows("ring");
        }
        Err(unknown) => return Finding::unknown(NAME, unknown, why),
    };
    let finding = |found: &str| Finding::ok(NAME, format!("{value}: {found}"), why);
    match value {
        0 => finding("every user may create rings"),
        1 => match grant(facts) {
            Grant::Group(group) => finding(&format!("allowed as a member of group {group}")),
            Grant::AfterRoot(group) => finding(&format!(
                "allowed: a server that root starts becomes a member of group {group}"
            )),
            Grant::None if starts_as_root(facts) => finding(&format!(
                "refused: a server that root starts gives up its capabilities and becomes user \
                 {}, group {}, which may not create rings",
                Account::NOBODY.uid,
                Account::NOBODY.gid
            ))
            .fault(permit_after_root(facts)),
            Grant::None => finding("this user may not create rings").fault(permit_group(facts)),
        },
        _ => finding("no user may create rings, not even root").fault(sysctl(
            facts,
            Scope::Machine,
            "kernel.io_uring_disabled",
            "0",
        )),
    }
}

/// The permission to create a ring where `io_uring_disabled` is 1. Capabilities don't matter: the
/// server has none left when it creates its ring.
enum Grant {
    /// The server's user is a member of this group.
    Group(i64),
    /// The user that a server started by root becomes is a member of this group.
    AfterRoot(i64),
    None,
}

fn grant(facts: &MachineFacts) -> Grant {
    let Ok(process) = &facts.process else { return Grant::None };
    match facts.io_uring_group {
        Ok(group) if process.is_root && group == NOBODYS_GROUP => Grant::AfterRoot(group),
        Ok(group) if !process.is_root && group >= 0 && process.groups.contains(&group) => {
            Grant::Group(group)
        }
        _ => Grant::None,
    }
}

fn starts_as_root(facts: &MachineFacts) -> bool {
    facts.process.as_ref().is_ok_and(|process| process.is_root)
}

/// Whether the doctor itself may create rings where `io_uring_disabled` is 1.
fn may_try(facts: &MachineFacts) -> bool {
    let Ok(process) = &facts.process else { return false };
    let is_of = |&group: &i64| group >= 0 && process.groups.contains(&group);
    process.may(Capability::SysAdmin) || facts.io_uring_group.as_ref().is_ok_and(is_of)
}

/// The ways to let a server that root starts create its ring.
fn permit_after_root(facts: &MachineFacts) -> Vec<Fix> {
    let nobody = Account::NOBODY.uid;
    let group = facts.io_uring_group.as_ref().copied().unwrap_or(-1);
    let mut fixes = match group {
        0 => vec![Fix::new(
            "uringstatic --allow-root",
            "keeps root's group, which kernel.io_uring_group names, but no capability",
        )],
        1.. => vec![Fix::new(
            format!("uringstatic --user {nobody}:{group}"),
            "or any other user with the group that kernel.io_uring_group names",
        )],
        _ => {
            let own = NOBODYS_GROUP.to_string();
            let mut own = sysctl(facts, Scope::Machine, "kernel.io_uring_group", &own);
            for fix in &mut own {
                fix.place.push_str("; or the group of the user that --user names");
            }
            own
        }
    };
    fixes.extend(sysctl(facts, Scope::Machine, "kernel.io_uring_disabled", "0"));
    fixes
}

fn permit_group(facts: &MachineFacts) -> Vec<Fix> {
    let own = facts.process.as_ref().ok().and_then(|process| process.groups.last());
    let group = match own {
        Some(&group) if group > 0 => group.to_string(),
        _ => "$(id -g USER)".to_owned(),
    };
    let mut fixes = sysctl(facts, Scope::Machine, "kernel.io_uring_group", &group);
    for fix in &mut fixes {
        fix.place.push_str("; permits the group of the server's user to create rings");
    }
    fixes.extend(sysctl(facts, Scope::Machine, "kernel.io_uring_disabled", "0"));
    fixes
}

/// The seccomp mode (`seccomp(2)`, `proc_pid_status(5)`).
pub(super) fn seccomp(facts: &MachineFacts) -> Finding {
    let why = "A seccomp filter can refuse io_uring, as do the default profiles of Docker (since \
               25) and containerd (since 2.0), and therefore of many Kubernetes clusters.";
    let process = match &facts.process {
        Ok(process) => process,
        Err(unknown) => return Finding::unknown("seccomp", unknown, why),
    };
    let finding = |found: &str| Finding::ok("seccomp", found, why);
    match (process.seccomp, refuser(facts)) {
        (None, _) => finding("this kernel has no seccomp"),
        (Some(0), _) => finding("0: no filter"),
        (Some(mode), Refuser::Filter) => {
            finding(&format!("{mode}: a filter, which refuses io_uring")).fault(allow_calls(facts))
        }
        (Some(mode), Refuser::Setting) => finding(&format!(
            "{mode}: a filter; its effect is not known while io_uring_disabled forbids rings"
        ))
        .warning(Vec::new())
        .follows("io_uring_disabled"),
        (Some(mode), Refuser::Nothing | Refuser::Kernel | Refuser::Unknown) => {
            finding(&format!("{mode}: a filter, which permits io_uring"))
        }
    }
}

fn allow_calls(facts: &MachineFacts) -> Vec<Fix> {
    let profile = "for a trial; permanently, seccomp=FILE with a profile that permits \
                   io_uring_setup, io_uring_enter and io_uring_register";
    let run = |program: &str| {
        vec![Fix::new(format!("{program} run --security-opt seccomp=unconfined"), profile)]
    };
    match facts.container {
        Some(Container::Docker) => run("docker"),
        Some(Container::Podman) => run("podman"),
        Some(Container::Kubernetes) => vec![Fix::new(
            "seccompProfile: {type: Localhost, localhostProfile: FILE}",
            "in the pod's securityContext; FILE must permit io_uring_setup, io_uring_enter and \
             io_uring_register",
        )],
        None => vec![Fix::new(
            "SystemCallFilter=io_uring_setup io_uring_enter io_uring_register",
            "in the server's systemd unit, if that sets the filter",
        )],
    }
}

/// The cause if even the smallest ring can't be created. EPERM and ENOSYS are ambiguous.
enum Refuser {
    Nothing,
    /// `kernel.io_uring_disabled`.
    Setting,
    /// A seccomp filter.
    Filter,
    /// The kernel, which has no `io_uring`.
    Kernel,
    Unknown,
}

fn refuser(facts: &MachineFacts) -> Refuser {
    let Err(Errno(errno)) = facts.smallest_ring else { return Refuser::Nothing };
    let forbidden = match facts.io_uring_disabled {
        Ok(0) | Err(_) => false,
        Ok(1) => !may_try(facts),
        Ok(_) => true,
    };
    let filtered = |process: &ProcessStatus| process.seccomp.is_some_and(|mode| mode > 0);
    let filtered = facts.process.as_ref().is_ok_and(filtered);
    match errno {
        _ if facts.filter_kills() => Refuser::Filter,
        libc::EPERM if forbidden => Refuser::Setting,
        libc::ENOSYS if version(facts).is_some_and(|version| version < (5, 1)) => Refuser::Kernel,
        libc::EPERM | libc::EACCES | libc::ENOSYS if filtered => Refuser::Filter,
        libc::ENOSYS => Refuser::Kernel,
        _ => Refuser::Unknown,
    }
}

/// A ring like the server's.
pub(super) fn ring(workload: &Workload, facts: &MachineFacts) -> Finding {
    let why = "A worker does everything through one ring of this size, with these flags and \
               operations; a missing feature has a slower fallback.";
    let finding = |found: String| Finding::ok("ring", found, why);
    let connections = workload.worker_spawn();
    if connections > SPAWN_MAX && in_use(workload, facts) == EngineKind::IoUring {
        let found = match workload.workers {
            1 => format!("--spawn {connections} is more than a ring can carry ({SPAWN_MAX})"),
            _ => format!(
                "--spawn {} is {connections} for each worker, more than a ring can carry \
                 ({SPAWN_MAX})",
                workload.spawn
            ),
        };
        let workers = workload.spawn.div_ceil(SPAWN_MAX);
        let more = Fix::new(
            format!("uringstatic --spawn {} --workers {workers}", workload.spawn),
            "shares the connections among the rings of more workers",
        );
        return finding(found).fault(vec![more]);
    }
    // Too little memory is rated below, whichever ring didn't fit.
    if let Err(error) = facts.smallest_ring
        && error != Errno(libc::ENOMEM)
    {
        let found = match &facts.ring {
            Err(refusal) if facts.filter_kills() => refusal.what.clone(),
            _ => format!("refused: {error}"),
        };
        let finding = finding(found);
        return match refuser(facts) {
            Refuser::Setting => finding.fault(disabled(facts).fixes).follows("io_uring_disabled"),
            Refuser::Filter => finding.fault(allow_calls(facts)).follows("seccomp"),
            Refuser::Kernel if version(facts).is_none_or(|v| v >= KERNEL_MIN) => {
                finding.fault(vec![Fix::new(
                    "zgrep IO_URING /proc/config.gz /boot/config-$(uname -r)",
                    "must show CONFIG_IO_URING=y, or the kernel was built without io_uring",
                )])
            }
            Refuser::Kernel => finding.fault(newer_kernel()).follows("kernel"),
            Refuser::Nothing | Refuser::Unknown => finding.fault(vec![Fix::new(
                "dmesg | grep -i -e avc: -e apparmor -e lsm",
                "as root; shows whether a security module refuses io_uring",
            )]),
        };
    }
    created_ring(workload, facts, finding)
}

/// A ring like the server's, where the smallest one can be created.
fn created_ring(
    workload: &Workload,
    facts: &MachineFacts,
    finding: impl Fn(String) -> Finding,
) -> Finding {
    match &facts.ring {
        Ok(features) => {
            let missing = features.names_of(false).collect::<Vec<_>>().join(", ");
            if missing.is_empty() {
                return finding(format!("created, with {features}"));
            }
            let lacking = finding(format!("created, but without {missing}"));
            // Kernels before 6.17 lack vectored sends, and nothing but a newer one has them.
            if (Features { send_vector: true, ..*features }) == Features::ALL {
                return lacking;
            }
            lacking.warning(limits::open_files(workload, facts).fixes).follows("open_files")
        }
        Err(refusal) => {
            let memory = limits::locked_memory(workload, facts).fixes;
            match version(facts) {
                Some(version) if version < KERNEL_MIN => {
                    finding(refusal.what.clone()).fault(newer_kernel()).follows("kernel")
                }
                _ if !memory.is_empty() => {
                    finding(refusal.what.clone()).fault(memory).follows("locked_memory")
                }
                _ if refusal.hint.is_empty() => finding(refusal.what.clone()).fault(Vec::new()),
                _ => finding(format!("{}; {}", refusal.what, refusal.hint)).fault(Vec::new()),
            }
        }
    }
}

/// The group of a server that root starts without `--user`.
const NOBODYS_GROUP: i64 = Account::NOBODY.gid as i64;
