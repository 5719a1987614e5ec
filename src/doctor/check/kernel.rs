//! Whether this kernel lets this process have the ring that the server needs.

use super::{Check, Remedy, Scope, limits, sysctl, version};
use crate::doctor::Purpose;
use crate::doctor::facts::{Capability, Container, Facts, Identity, Lockdown};
use crate::engine::Errno;
use crate::engine::uring::probe::{Features, KERNEL_MIN, SPAWN_MAX, TaskRun};
use crate::os::privileges::Account;

/// The version of the kernel.
pub(super) fn release(facts: &Facts) -> Check {
    let why = "Multishot receives, rings of buffers and deferred task runs came with Linux 5.19 \
               to 6.1; the server refuses older kernels.";
    let release = match &facts.release {
        Ok(release) => release,
        Err(unread) => return Check::unread("kernel", unread, why),
    };
    let check = Check::ok("kernel", format!("Linux {release}"), why);
    match version(facts) {
        Some(version) if version >= KERNEL_MIN => check,
        Some(_) => check.fault(newer_kernel()),
        None => check.warning(newer_kernel()),
    }
}

fn newer_kernel() -> Vec<Remedy> {
    let place = "shows the kernel that runs: boot 6.1 or later, as Debian 12, Ubuntu 24.04 and \
                 RHEL 10 have it";
    vec![Remedy::new("uname -r", place)]
}

/// `kernel.io_uring_disabled`, Linux 6.6 (Documentation/admin-guide/sysctl/kernel.rst).
pub(super) fn disabled(facts: &Facts) -> Check {
    const NAME: &str = "io_uring_disabled";
    let why = "kernel.io_uring_disabled (Linux 6.6) can forbid io_uring to everybody (2, as in \
               RHEL 10) or to all but root and a group (1); the server makes its ring when it \
               has given up being root, so it can't start then unless it is of that group.";
    let value = match &facts.io_uring_disabled {
        Ok(value) => *value,
        Err(unread) if unread.is_missing() && facts.smallest_ring.is_ok() => {
            return Check::ok(NAME, "no such setting here, so nobody is forbidden", why);
        }
        // Kernels without io_uring don't have it either: the check of the ring says so.
        Err(unread) if unread.is_missing() && version(facts).is_some_and(|v| v < (6, 6)) => {
            return Check::ok(NAME, "no such setting before Linux 6.6", why);
        }
        Err(unread) => return Check::unread(NAME, unread, why),
    };
    let check = |found: &str| Check::ok(NAME, format!("{value}: {found}"), why);
    match value {
        0 => check("everybody may make rings"),
        1 => match grant(facts) {
            Grant::Group(group) => check(&format!("allowed, as a member of group {group}")),
            Grant::AfterRoot(group) => check(&format!(
                "allowed, as a server that root starts becomes a member of group {group}"
            )),
            Grant::None if starts_as_root(facts) => check(&format!(
                "refused: a server that root starts gives up its capabilities and becomes user \
                 {}, group {}, who may make no ring",
                Account::NOBODY.uid,
                Account::NOBODY.gid
            ))
            .fault(let_root(facts)),
            Grant::None => check("this user may make no ring").fault(let_group(facts)),
        },
        _ => check("nobody may make rings, not even root").fault(sysctl(
            facts,
            Scope::Machine,
            "kernel.io_uring_disabled",
            "0",
        )),
    }
}

/// What lets a server make its ring where `io_uring_disabled` is 1. No capability does, as it has
/// none by then.
enum Grant {
    /// It is of the group.
    Group(i64),
    /// Who it becomes is of the group.
    AfterRoot(i64),
    None,
}

fn grant(facts: &Facts) -> Grant {
    let Ok(identity) = &facts.identity else { return Grant::None };
    match facts.io_uring_group {
        Ok(group) if identity.is_root && group == NOBODYS_GROUP => Grant::AfterRoot(group),
        Ok(group) if !identity.is_root && group >= 0 && identity.groups.contains(&group) => {
            Grant::Group(group)
        }
        _ => Grant::None,
    }
}

fn starts_as_root(facts: &Facts) -> bool {
    facts.identity.as_ref().is_ok_and(|identity| identity.is_root)
}

/// Whether this very process may make rings where `io_uring_disabled` is 1.
fn may_try(facts: &Facts) -> bool {
    let Ok(identity) = &facts.identity else { return false };
    let is_of = |&group: &i64| group >= 0 && identity.groups.contains(&group);
    identity.may(Capability::SysAdmin) || facts.io_uring_group.as_ref().is_ok_and(is_of)
}

/// What lets a server make its ring that root starts.
fn let_root(facts: &Facts) -> Vec<Remedy> {
    let nobody = Account::NOBODY.uid;
    let group = facts.io_uring_group.as_ref().copied().unwrap_or(-1);
    let mut remedies = match group {
        0 => vec![Remedy::new(
            "uringstatic --allow-root",
            "it stays of root's group, which kernel.io_uring_group names, though without a \
             capability",
        )],
        1.. => vec![Remedy::new(
            format!("uringstatic --user {nobody}:{group}"),
            "any user will do, if it is of the group that kernel.io_uring_group names",
        )],
        _ => {
            let own = NOBODYS_GROUP.to_string();
            let mut own = sysctl(facts, Scope::Machine, "kernel.io_uring_group", &own);
            for remedy in &mut own {
                remedy.place.push_str("; or the group of the user that --user names");
            }
            own
        }
    };
    remedies.extend(sysctl(facts, Scope::Machine, "kernel.io_uring_disabled", "0"));
    remedies
}

fn let_group(facts: &Facts) -> Vec<Remedy> {
    let own = facts.identity.as_ref().ok().and_then(|identity| identity.groups.last());
    let group = match own {
        Some(&group) if group > 0 => group.to_string(),
        _ => "$(id -g USER)".to_owned(),
    };
    let mut remedies = sysctl(facts, Scope::Machine, "kernel.io_uring_group", &group);
    for remedy in &mut remedies {
        remedy.place.push_str("; lets the group of the server's user make rings");
    }
    remedies.extend(sysctl(facts, Scope::Machine, "kernel.io_uring_disabled", "0"));
    remedies
}

/// The seccomp mode (`seccomp(2)`, `proc_pid_status(5)`).
pub(super) fn seccomp(facts: &Facts) -> Check {
    let why = "A seccomp filter can refuse io_uring: the default profiles of Docker (since 25) \
               and containerd (since 2.0), and so of many Kubernetes clusters, do.";
    let identity = match &facts.identity {
        Ok(identity) => identity,
        Err(unread) => return Check::unread("seccomp", unread, why),
    };
    let check = |found: &str| Check::ok("seccomp", found, why);
    match (identity.seccomp, refuser(facts)) {
        (None, _) => check("this kernel has none"),
        (Some(0), _) => check("0: no filter"),
        (Some(mode), Refuser::Filter) => {
            check(&format!("{mode}: a filter, which refuses io_uring")).fault(allow_calls(facts))
        }
        (Some(mode), Refuser::Setting) => {
            check(&format!("{mode}: a filter; ask again when io_uring_disabled is mended"))
                .warning(Vec::new())
        }
        (Some(mode), Refuser::Nobody | Refuser::Kernel | Refuser::Unknown) => {
            check(&format!("{mode}: a filter, which doesn't stand in the way"))
        }
    }
}

fn allow_calls(facts: &Facts) -> Vec<Remedy> {
    let profile = "for a try; for good, a profile that allows io_uring_setup, io_uring_enter and \
                   io_uring_register, as seccomp=FILE";
    let run = |program: &str| {
        vec![Remedy::new(format!("{program} run --security-opt seccomp=unconfined"), profile)]
    };
    match facts.container {
        Some(Container::Docker) => run("docker"),
        Some(Container::Podman) => run("podman"),
        Some(Container::Kubernetes) => vec![Remedy::new(
            "seccompProfile: {type: Localhost, localhostProfile: FILE}",
            "in the pod's securityContext; FILE allows io_uring_setup, io_uring_enter and \
             io_uring_register",
        )],
        None => vec![Remedy::new(
            "SystemCallFilter=io_uring_setup io_uring_enter io_uring_register",
            "in the server's systemd unit, if the filter is its",
        )],
    }
}

/// Who is to blame if not even the smallest ring can be made. EPERM and ENOSYS are ambiguous.
enum Refuser {
    Nobody,
    /// `kernel.io_uring_disabled`.
    Setting,
    /// Seccomp.
    Filter,
    /// It has no `io_uring`.
    Kernel,
    Unknown,
}

fn refuser(facts: &Facts) -> Refuser {
    let Err(Errno(errno)) = facts.smallest_ring else { return Refuser::Nobody };
    let forbidden = match facts.io_uring_disabled {
        Ok(0) | Err(_) => false,
        Ok(1) => !may_try(facts),
        Ok(_) => true,
    };
    let filtered = |identity: &Identity| identity.seccomp.is_some_and(|mode| mode > 0);
    let filtered = facts.identity.as_ref().is_ok_and(filtered);
    match errno {
        libc::EPERM if forbidden => Refuser::Setting,
        libc::ENOSYS if version(facts).is_some_and(|version| version < (5, 1)) => Refuser::Kernel,
        libc::EPERM | libc::EACCES | libc::ENOSYS if filtered => Refuser::Filter,
        libc::ENOSYS => Refuser::Kernel,
        _ => Refuser::Unknown,
    }
}

/// The server's ring, made for a try.
pub(super) fn ring(purpose: &Purpose, facts: &Facts) -> Check {
    let why = "The server does everything through one ring of this size, with these flags and \
               operations; where a feature is missing it takes a slower way.";
    let check = |found: String| Check::ok("ring", found, why);
    if purpose.spawn > SPAWN_MAX {
        let found = format!("--spawn {} is more than a ring carries ({SPAWN_MAX})", purpose.spawn);
        let fewer = Remedy::new(
            format!("uringstatic --spawn {SPAWN_MAX}"),
            "and a second server for the rest",
        );
        return check(found).fault(vec![fewer]);
    }
    // Too little memory is judged below, whichever ring it was that didn't fit.
    if let Err(error) = facts.smallest_ring
        && error != Errno(libc::ENOMEM)
    {
        let found = format!("refused: {error}");
        return check(found).fault(match refuser(facts) {
            Refuser::Setting => disabled(facts).hint,
            Refuser::Filter => allow_calls(facts),
            Refuser::Kernel if version(facts).is_none_or(|v| v >= KERNEL_MIN) => {
                vec![Remedy::new(
                    "zgrep IO_URING /proc/config.gz /boot/config-$(uname -r)",
                    "shows whether io_uring is part of the kernel: it must be CONFIG_IO_URING=y",
                )]
            }
            Refuser::Kernel => newer_kernel(),
            Refuser::Nobody | Refuser::Unknown => vec![Remedy::new(
                "dmesg | grep -i -e avc: -e apparmor -e lsm",
                "as root; a security module may refuse it, too",
            )],
        });
    }
    match &facts.ring {
        Ok(features) => {
            let missing = missing(*features);
            if missing.is_empty() {
                return check(format!("made, with {features}"));
            }
            let files = limits::open_files(purpose, facts).hint;
            check(format!("made, but without {}", missing.join(", "))).warning(files)
        }
        Err(refusal) => {
            let memory = limits::locked_memory(purpose, facts).hint;
            match version(facts) {
                Some(version) if version < KERNEL_MIN => {
                    check(refusal.what.clone()).fault(newer_kernel())
                }
                _ if !memory.is_empty() => check(refusal.what.clone()).fault(memory),
                _ if refusal.hint.is_empty() => check(refusal.what.clone()).fault(Vec::new()),
                _ => check(format!("{}; {}", refusal.what, refusal.hint)).fault(Vec::new()),
            }
        }
    }
}

/// What a server gives up before it serves, as far as that depends on the kernel.
pub(super) fn lockdown(facts: &Facts) -> Check {
    let why = "The server gives up what it doesn't need before it serves; where the kernel lacks \
               a layer it goes on with the others and says so, and --lockdown=require refuses.";
    let Lockdown { landlock, ring, seccomp } = &facts.lockdown;
    let mut has = vec!["privileges".to_owned()];
    let mut lacks = Vec::new();
    let mut hint = Vec::new();
    match landlock {
        Ok(version) => has.push(format!("Landlock (ABI {version})")),
        Err(why) => {
            lacks.push(format!("Landlock: {why}"));
            hint.push(Remedy::new(
                "cat /sys/kernel/security/lsm",
                "shows the modules that are chosen: put landlock before them, as in \
                 lsm=landlock,..., on the kernel's command line",
            ));
        }
    }
    match ring {
        Some(Ok(())) => has.push("restricted rings".to_owned()),
        Some(Err(why)) => lacks.push(format!("restricted rings: {why}")),
        None => lacks.push("restricted rings: not known without a ring".to_owned()),
    }
    match seccomp {
        Ok(()) => has.push("seccomp filters that kill".to_owned()),
        Err(why) => lacks.push(format!("seccomp: {why}")),
    }
    if lacks.is_empty() {
        return Check::ok("lockdown", has.join(", "), why);
    }
    let found = format!("{}; without {}", has.join(", "), lacks.join("; "));
    Check::ok("lockdown", found, why).warning(hint)
}

/// The group of who a server becomes that root starts.
const NOBODYS_GROUP: i64 = Account::NOBODY.gid as i64;

/// The features for which there would be a fallback.
fn missing(features: Features) -> Vec<&'static str> {
    [
        (features.task_run == TaskRun::Deferred, "deferred task run"),
        (features.direct_descriptors, "direct descriptors"),
        (features.recv_many, "multishot receive"),
        (features.silent_send, "silent send"),
        (features.send_close, "linked close"),
    ]
    .into_iter()
    .filter(|(there, _)| !there)
    .map(|(_, name)| name)
    .collect()
}
