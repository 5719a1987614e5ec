//! The checks: pure functions from facts to judgements. They read nothing and write nothing.

mod kernel;
mod limits;
mod load;
mod queues;
mod tcp;
#[cfg(test)]
mod tests;

use super::Purpose;
use super::facts::{Container, Facts, Unread};
use super::report::{Check, Remedy, Report, Status};
use crate::os::process::parse_version;

/// Judges the facts for a purpose.
#[must_use]
pub fn examine(purpose: &Purpose, facts: &Facts) -> Report {
    let mut checks = vec![
        kernel::release(facts),
        kernel::disabled(facts),
        kernel::seccomp(facts),
        kernel::ring(purpose, facts),
        kernel::lockdown(facts),
        limits::open_files(purpose, facts),
        limits::locked_memory(purpose, facts),
        queues::somaxconn(purpose, facts),
        queues::tcp_max_syn_backlog(purpose, facts),
        tcp::orphans(purpose, facts),
        tcp::fast_open(facts),
    ];
    if let Some(load) = &facts.load {
        checks.extend([
            queues::tcp_syncookies(facts),
            load::local_ports(purpose, facts, load),
            load::tcp_tw_reuse(facts, load),
            load::conntrack(purpose, facts, load),
            load::governor(facts, load),
        ]);
    }
    Report::new(*purpose, facts.container.map(Container::name), checks)
}

impl Check {
    fn ok(name: &str, found: impl Into<String>, why: impl Into<String>) -> Self {
        let (name, found, why) = (name.to_owned(), found.into(), why.into());
        Self { name, status: Status::Ok, found, why, hint: Vec::new() }
    }

    fn warning(self, hint: Vec<Remedy>) -> Self {
        Self { status: Status::Warning, hint, ..self }
    }

    fn fault(self, hint: Vec<Remedy>) -> Self {
        Self { status: Status::Fault, hint, ..self }
    }

    /// A fact that could not be found out, with a look at it as the remedy.
    fn unread(name: &str, unread: &Unread, why: impl Into<String>) -> Self {
        let look = Remedy::new(format!("cat {}", unread.path), "shows what is there");
        let hint = if unread.path.starts_with('/') { vec![look] } else { Vec::new() };
        Self::ok(name, unread.to_string(), why).warning(hint)
    }
}

/// Whom a setting of the kernel belongs to.
#[derive(Clone, Copy)]
enum Scope {
    /// Each network namespace has its own, and so each container.
    Network,
    /// There is one for all.
    Machine,
}

/// The ways to change a setting; the value is written as for a shell.
fn sysctl(facts: &Facts, scope: Scope, name: &str, value: &str) -> Vec<Remedy> {
    let here = format!("sysctl -w {name}={value}");
    let run = |program: &str| {
        Remedy::new(
            format!("{program} run --sysctl {name}={value}"),
            "when the container is started: it has settings of its own",
        )
    };
    match (facts.container, scope) {
        (None, _) => vec![Remedy::new(here, "as root")],
        (Some(_), Scope::Machine) => vec![Remedy::new(here, "as root, on the container's host")],
        (Some(Container::Docker), Scope::Network) => {
            vec![run("docker"), Remedy::new(here, "as root, in a privileged container")]
        }
        (Some(Container::Podman), Scope::Network) => {
            vec![run("podman"), Remedy::new(here, "as root, in a privileged container")]
        }
        (Some(Container::Kubernetes), Scope::Network) => vec![Remedy::new(
            format!("sysctls: [{{name: {name}, value: \"{}\"}}]", value.trim_matches('\'')),
            "in the pod's securityContext; the kubelet may have to allow it with \
             --allowed-unsafe-sysctls",
        )],
    }
}

/// Major and minor of the running kernel, if it says.
fn version(facts: &Facts) -> Option<(u32, u32)> {
    let release = facts.release.as_ref().ok()?;
    Some(parse_version(release)).filter(|&version| version != (0, 0))
}
