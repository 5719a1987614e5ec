//! The sandbox of a server, by the states of its layers.

use super::engine::refused_by;
use super::{Finding, Fix};
use crate::doctor::facts::{LayerFact, MachineFacts, SandboxFacts};
use crate::sandbox::Layer;

/// The layers of the sandbox, as the program entered them.
pub(super) fn lockdown(facts: &MachineFacts) -> Finding {
    const NAME: &str = "lockdown";
    let why = "The server enters a sandbox before it serves, whose layers `uringstatic lockdown` \
               lists. If a layer is missing or incomplete, the server reports that in its ready \
               line and serves with the others, or, with --lockdown=require, refuses to start.";
    let sandbox = match &facts.sandbox {
        Ok(sandbox) => sandbox,
        // Entering needs an engine as the server's.
        Err(error) => {
            let finding = Finding::ok(NAME, format!("not known: {error}"), why);
            return finding.warning(Vec::new()).follows(refused_by(facts));
        }
    };
    let word = &sandbox.lockdown;
    let incomplete = lacks(sandbox);
    if incomplete.is_empty() {
        return Finding::ok(NAME, format!("{word}: {}", names(sandbox).join(", ")), why);
    }
    let mut names: Vec<_> = incomplete.iter().map(|layer| &*layer.name).collect();
    names.dedup();
    let reasons: Vec<_> = incomplete.iter().map(|layer| &*layer.why).collect();
    let found = format!("{word} ({}): {}", names.join(", "), reasons.join("; "));
    let finding = Finding::ok(NAME, found, why).warning(fixes(&names));
    match names[..] {
        [name] if name == Layer::Listeners.name() => finding.follows("tcp_fastopen"),
        [name] if name == Layer::Engine.name() => finding.follows("ring"),
        _ => finding,
    }
}

/// Whether every listening socket is kept from opening connections.
pub(super) fn no_listener_connects(facts: &MachineFacts) -> bool {
    let name = Layer::Listeners.name();
    facts.sandbox.as_ref().is_ok_and(|sandbox| {
        let mut layers = sandbox.layers.iter().filter(|layer| layer.name == name).peekable();
        layers.peek().is_some() && layers.all(|layer| layer.is_complete)
    })
}

/// The layers that are missing or incomplete, once for each reason.
fn lacks(sandbox: &SandboxFacts) -> Vec<&LayerFact> {
    let mut found: Vec<&LayerFact> = Vec::new();
    for name in Layer::ALL.map(Layer::name) {
        for layer in sandbox.layers.iter().filter(|it| it.name == name && !it.is_complete) {
            if !found.contains(&layer) {
                found.push(layer);
            }
        }
    }
    found
}

/// The names of the layers in their order, and the version of Landlock that the program uses, which
/// may be an older one than the kernel's.
fn names(sandbox: &SandboxFacts) -> Vec<String> {
    let named = |layer: Layer| {
        let fact = sandbox.layers.iter().find(|fact| fact.name == layer.name())?;
        let version = fact.why.split_once(':').filter(|_| layer == Layer::Landlock);
        Some(match version {
            Some((version, _)) => format!("{} ({version})", fact.name),
            None => fact.name.clone(),
        })
    };
    Layer::ALL.into_iter().filter_map(named).collect()
}

/// The ways to have these layers; the listeners have theirs in the check of TCP Fast Open.
fn fixes(names: &[&str]) -> Vec<Fix> {
    let landlock = || {
        Fix::new(
            "cat /sys/kernel/security/lsm",
            "shows the active modules: add landlock in front, as in lsm=landlock,..., on the \
             kernel's command line",
        )
    };
    names.contains(&Layer::Landlock.name()).then(landlock).into_iter().collect()
}
