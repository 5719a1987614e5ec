//! The sandbox of a server on this machine, as the program itself enters it: the command
//! `lockdown`, run in a process of its own, because entering changes a process for good.

use super::facts::{LayerFact, SandboxFacts};
use crate::engine::chosen::EngineChoice;
use serde::Deserialize;
use std::path::Path;
use std::process::{Command, Stdio};

/// Has `program`, which is this one, list the layers that a server with this engine would have.
///
/// # Errors
/// Why there is no list: the message of the program, or the error of running it.
pub fn enter_sandbox(program: &Path, engine: EngineChoice) -> Result<SandboxFacts, String> {
    let name = engine.kind().map_or("auto", |kind| kind.name());
    let mut command = Command::new(program);
    command.args(["lockdown", "--json", "--engine", name]).stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("{}: {error}", program.display()))?;
    // A list is printed only if every step succeeds.
    if let Ok(list) = serde_json::from_slice::<LockdownOutput>(&output.stdout) {
        return Ok(list.into());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let why = said.lines().next().unwrap_or_default().trim_start_matches("uringstatic: ").trim();
    Err(if why.is_empty() { output.status.to_string() } else { why.to_owned() })
}

/// The part of the JSON of `lockdown` that the doctor rates.
#[derive(Deserialize)]
struct LockdownOutput {
    lockdown: String,
    processes: Vec<ProcessOutput>,
}

#[derive(Deserialize)]
struct ProcessOutput {
    layers: Vec<LayerOutput>,
}

#[derive(Deserialize)]
struct LayerOutput {
    layer: String,
    complete: bool,
    why: String,
}

impl From<LockdownOutput> for SandboxFacts {
    fn from(LockdownOutput { lockdown, processes }: LockdownOutput) -> Self {
        let layers = processes.into_iter().flat_map(|process| process.layers);
        let fact = |LayerOutput { layer, complete, why }| LayerFact {
            name: layer,
            is_complete: complete,
            why,
        };
        Self { lockdown, layers: layers.map(fact).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_lists_no_layers_is_an_error_with_its_message() {
        let of = |program: &str| enter_sandbox(Path::new(program), EngineChoice::Auto).unwrap_err();
        assert!(of("/nowhere/uringstatic").contains("/nowhere/uringstatic: No such file"));
        assert_eq!(of("/bin/false"), "exit status: 1");
    }

    #[test]
    fn layers_of_all_processes_are_facts() {
        let json = r#"{"schema": "uringstatic-lockdown/2", "lockdown": "partial", "processes": [
            {"process": "loader", "layers": [{"layer": "seccomp", "complete": true, "why": "a",
              "on": true, "allows": []}]},
            {"process": "worker", "layers": [{"layer": "ring", "complete": false, "why": "b"}]}]}"#;
        let facts: SandboxFacts = serde_json::from_str::<LockdownOutput>(json).unwrap().into();
        assert_eq!(facts.lockdown, "partial");
        let layers: Vec<_> =
            facts.layers.iter().map(|it| (&*it.name, it.is_complete, &*it.why)).collect();
        assert_eq!(layers, [("seccomp", true, "a"), ("ring", false, "b")]);
    }
}
