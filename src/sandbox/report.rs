//! The report on the sandbox for auditors, made by entering it.

use super::calls::LoggerDescriptors;
use super::error::SandboxError;
use super::layer::{Layer, LayerState, ProcessKind};
use super::record::SandboxConfig;
use super::rehearsal::{Empty, tolerant};
use super::steps::Sandbox;
use super::supervisor::{SupervisorSandbox, SupervisorTasks};
use super::{calls, refusals};
use crate::engine::kernel::{KernelEngine, ReceiveBuffers, Requirements, Restriction};
use crate::error::Failure;
use crate::os::inherited::InheritedDescriptors;
use crate::os::net::{Endpoint, listen};
use crate::os::seccomp::{Call, RefusedCall};
use crate::os::signal;
use crate::text::columns;
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

/// Name and version of the schema of the JSON. A field may be added without a new version, but none
/// changes its meaning.
pub const SCHEMA: &str = "uringstatic-lockdown/2";

/// The states of all layers of all kinds of processes.
#[derive(Clone, Debug, Serialize)]
pub struct SandboxReport {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// `full`, `partial` or `off`: `full` if it is that for every kind.
    pub lockdown: &'static str,
    /// The engine of the workers, as [`EngineKind::name`](crate::engine::kernel::EngineKind::name)
    /// has it.
    pub engine: &'static str,
    /// Why it isn't `io_uring`, if that would have been preferred.
    pub engine_why: Option<String>,
    /// The kinds of processes, each in its sandbox.
    pub processes: Vec<ProcessReport>,
}

/// The sandbox of one kind of process.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessReport {
    /// [`ProcessKind::name`].
    pub process: &'static str,
    /// `full`, `partial` or `off`.
    pub lockdown: &'static str,
    /// The layers, in their order.
    pub layers: Vec<LayerReport>,
}

/// One layer.
#[derive(Clone, Debug, Serialize)]
pub struct LayerReport {
    /// [`Layer::name`].
    pub layer: &'static str,
    /// Whether it is in force.
    pub on: bool,
    /// Whether it is in force without a known way around it.
    pub complete: bool,
    /// Its effect, or why it isn't in force or complete.
    pub why: String,
    /// The items that it permits, if it has a list of them.
    pub allows: Vec<ListedItem>,
    /// The items that it refuses, if it has a list of them and permits all others. An item in both
    /// lists of a process is refused.
    pub refuses: Vec<ListedItem>,
}

/// An operation, a flag or a system call that a layer permits or refuses.
#[derive(Clone, Debug, Serialize)]
pub struct ListedItem {
    /// The kernel's name for it.
    pub name: String,
    /// The conditions on its arguments; empty if there are none.
    pub only: String,
    /// Its purpose if it is permitted, its unwanted effect if it is refused.
    pub why: String,
}

impl SandboxReport {
    /// Whether every layer is complete, as [`SandboxMode::Require`](super::SandboxMode::Require)
    /// demands.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let mut layers = self.processes.iter().flat_map(|process| &process.layers);
        layers.all(|layer| layer.complete)
    }

    /// The report as one JSON object and a line end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).expect("strings and booleans only");
        json.push('\n');
        json
    }

    /// The report as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("lockdown {}; engine {}", self.lockdown, self.engine);
        if let Some(why) = &self.engine_why {
            push(&mut text, format_args!(": {why}"));
        }
        text.push('\n');
        for ProcessReport { process, lockdown, layers } in &self.processes {
            push(&mut text, format_args!("\n{process}: {lockdown}\n"));
            for layer in layers {
                layer.write(&mut text);
            }
        }
        text
    }
}

impl LayerReport {
    fn write(&self, text: &mut String) {
        let Self { layer, on, complete, why, allows, refuses } = self;
        let on = match (on, complete) {
            (false, _) => "off",
            (true, false) => "part",
            (true, true) => "on",
        };
        push(text, format_args!("\n{on:<4} {layer:<12} {why}\n"));
        let row = |ListedItem { name, only, why }: &ListedItem| {
            let only = if only.is_empty() { String::new() } else { format!(" (only {only})") };
            [name.clone(), format!("{why}{only}")]
        };
        let rows: Vec<_> = allows.iter().map(row).collect();
        for line in columns(&rows) {
            push(text, format_args!("     {line}\n"));
        }
        for same in refuses.chunk_by(|a, b| a.why == b.why && a.only == b.only) {
            let names: Vec<_> = same.iter().map(|item| item.name.as_str()).collect();
            let [_, why] = row(&same[0]);
            push(text, format_args!("     not {}: {why}\n", names.join(", ")));
        }
    }
}

/// Enters the sandboxes in the order of the service: that of a supervisor, which its loader
/// inherits, that of the loader, which its worker inherits, and that of the worker. Standard output
/// and the system calls are kept, without which the report could not be printed: whether the kernel
/// could filter the calls of a worker is only checked.
///
/// # Errors
/// If a step fails.
pub fn list<E: KernelEngine>(config: SandboxConfig) -> Result<SandboxReport, SandboxError> {
    // A missing layer belongs into the report, so it must not prevent it.
    let config = tolerant(config);
    let kind = config.engine;
    let inherited = InheritedDescriptors::take().map_err(SandboxError::Descriptors)?;
    let account = config.look_up_account()?;
    let buffers = ReceiveBuffers::SERVER;
    let preparation = E::prepare(&Requirements { kind, slots: 1, buffers, without: &[] })?;
    let any = Endpoint::Tcp(([127, 0, 0, 1], 0).into());
    let listeners = vec![listen(&any, 1, false).map_err(Failure::from)?];
    let program = Path::new("/proc/self/exe");
    let becomes_other = account.is_some();
    let tasks = SupervisorTasks { program, becomes_other, listeners: &listeners, log: None };
    let supervisor = SupervisorSandbox::rehearse(config.clone(), tasks)?;
    let mut sandbox = Sandbox::prepare(config, account, inherited)?;
    sandbox.rehearse();
    let engine: E = sandbox.enter(&mut Empty, listeners, 1, preparation)?;
    // A signal must end the process even if the reader of the report is stalled.
    signal::unblock_signals();
    let report = |process: ProcessKind, states: &[(Layer, LayerState)], word: &'static str| {
        let layers = states.iter().map(|(layer, state)| {
            let is_listed = !matches!(state, LayerState::Off(_));
            let (allows, refuses) =
                if is_listed { lists(process, *layer, &engine) } else { Default::default() };
            LayerReport::new(*layer, state, allows, refuses)
        });
        ProcessReport { process: process.name(), lockdown: word, layers: layers.collect() }
    };
    let processes = vec![
        report(ProcessKind::Supervisor, supervisor.states(), supervisor.word()),
        report(ProcessKind::Loader, sandbox.states_while_reading(), sandbox.word_while_reading()),
        report(ProcessKind::Worker, sandbox.states(), sandbox.word()),
        // An admin process takes the steps of a loader that reads nothing, and then those of a
        // worker, by the same functions; so does a logger, but for those of an engine.
        report(ProcessKind::Admin, sandbox.states(), sandbox.word()),
        report(ProcessKind::Logger, &without_engine(sandbox.states()), sandbox.word()),
    ];
    let is = |word: &str| processes.iter().all(|process| process.lockdown == word);
    let lockdown = if is("full") {
        "full"
    } else if is("off") {
        "off"
    } else {
        "partial"
    };
    let engine = kind.name();
    Ok(SandboxReport { schema: SCHEMA, lockdown, engine, engine_why: None, processes })
}

/// The states of the layers that a process without an engine has.
fn without_engine(states: &[(Layer, LayerState)]) -> Vec<(Layer, LayerState)> {
    states.iter().filter(|(layer, _)| *layer != Layer::Engine).cloned().collect()
}

impl LayerReport {
    fn new(
        layer: Layer,
        state: &LayerState,
        allows: Vec<ListedItem>,
        refuses: Vec<ListedItem>,
    ) -> Self {
        let (on, complete, why) = match state {
            LayerState::On(effect) => (true, true, effect.clone()),
            LayerState::Partial(why) => (true, false, why.clone()),
            LayerState::Off(reason) => (false, false, reason.to_string()),
        };
        Self { layer: layer.name(), on, complete, why, allows, refuses }
    }
}

/// The items that a layer permits and refuses.
fn lists(
    kind: ProcessKind,
    layer: Layer,
    engine: &impl KernelEngine,
) -> (Vec<ListedItem>, Vec<ListedItem>) {
    match (layer, kind) {
        (Layer::Engine, _) => (of_engine(engine.restriction()), Vec::new()),
        (Layer::Seccomp, ProcessKind::Supervisor) => {
            (Vec::new(), of_refusals(refusals::of_supervisor(engine.kind())))
        }
        (Layer::Seccomp, ProcessKind::Loader) => {
            (Vec::new(), of_refusals(refusals::of_loader(engine.kind())))
        }
        (Layer::Seccomp, ProcessKind::Worker | ProcessKind::Admin) => {
            let allowed = calls::allowed(std::process::id(), engine.needed_calls());
            (of_calls(allowed), of_refusals(refusals::of_worker()))
        }
        (Layer::Seccomp, ProcessKind::Logger) => {
            let any = LoggerDescriptors { channel: 0, output: 0 };
            let allowed = calls::of_logger(std::process::id(), any);
            (of_calls(allowed), of_refusals(refusals::of_worker()))
        }
        _ => Default::default(),
    }
}

fn of_engine(restriction: &Restriction) -> Vec<ListedItem> {
    let Restriction::InForce { permissions, .. } = restriction else { return Vec::new() };
    let allowed = permissions.iter().map(|permission| ListedItem {
        name: permission.name.clone(),
        only: String::new(),
        why: permission.purpose.clone(),
    });
    allowed.collect()
}

fn of_calls(calls: Vec<Call>) -> Vec<ListedItem> {
    let allowed = calls.into_iter().map(|call| {
        let only: Vec<_> = call.only.iter().map(|condition| condition.words).collect();
        ListedItem { name: call.name.to_owned(), only: only.join(", "), why: call.why.to_owned() }
    });
    allowed.collect()
}

fn of_refusals(refusals: Vec<RefusedCall>) -> Vec<ListedItem> {
    let refused = refusals.into_iter().map(|refusal| ListedItem {
        name: refusal.name.to_owned(),
        only: refusal.only.map_or_else(String::new, |only| only.words.to_owned()),
        why: refusal.why.to_owned(),
    });
    refused.collect()
}

fn push(text: &mut String, piece: std::fmt::Arguments<'_>) {
    text.write_fmt(piece).expect("a String takes every byte");
}
