//! The report on the sandbox for auditors, made by entering it.

use super::calls;
use super::error::SandboxError;
use super::layer::{Layer, LayerState};
use super::steps::{Program, Sandbox, SandboxConfig, SandboxMode};
use crate::engine::kernel::{KernelEngine, ReceiveBuffers, Restriction};
use crate::error::Failure;
use crate::os::net::{Endpoint, Listener, listen};
use crate::os::pages::Pages;
use crate::os::seccomp::Call;
use crate::os::signal;
use crate::text::columns;
use serde::Serialize;
use std::fmt::Write;

/// Name and version of the schema of the JSON. A field may be added without a new version, but none
/// changes its meaning.
pub const SCHEMA: &str = "uringstatic-lockdown/1";

/// The states of all layers, in their order.
#[derive(Clone, Debug, Serialize)]
pub struct SandboxReport {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// `full`, `partial` or `off`.
    pub lockdown: &'static str,
    /// The layers.
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
    pub allows: Vec<PermittedItem>,
}

/// An operation, a flag or a system call that a layer permits.
#[derive(Clone, Debug, Serialize)]
pub struct PermittedItem {
    /// The kernel's name for it.
    pub name: String,
    /// The conditions on its arguments; empty if there are none.
    pub only: String,
    /// Its purpose.
    pub why: String,
}

impl SandboxReport {
    /// Whether every layer is complete, as [`SandboxMode::Require`] demands.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.layers.iter().all(|layer| layer.complete)
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
        let mut text = format!("lockdown {}\n", self.lockdown);
        for LayerReport { layer, on, complete, why, allows } in &self.layers {
            let on = match (on, complete) {
                (false, _) => "off",
                (true, false) => "part",
                (true, true) => "on",
            };
            push(&mut text, format_args!("\n{on:<4} {layer:<12} {why}\n"));
            let row = |PermittedItem { name, only, why }: &PermittedItem| {
                let only = if only.is_empty() { String::new() } else { format!(" (only {only})") };
                [name.clone(), format!("{why}{only}")]
            };
            let rows: Vec<_> = allows.iter().map(row).collect();
            for line in columns(&rows) {
                push(&mut text, format_args!("     {line}\n"));
            }
        }
        text
    }
}

/// Enters the sandbox like a server, but keeps standard output and all system calls, without which
/// the report could not be printed. Whether the kernel could filter system calls is only checked.
///
/// # Errors
/// If a step fails.
pub fn list<E: KernelEngine>(mut config: SandboxConfig) -> Result<SandboxReport, SandboxError> {
    // A missing layer belongs into the report, so it must not prevent it.
    if config.mode == SandboxMode::Require {
        config.mode = SandboxMode::On;
    }
    let mut sandbox = Sandbox::prepare(config)?;
    sandbox.rehearse();
    let preparation = E::prepare(1, ReceiveBuffers::SERVER, &[])?;
    let any = Endpoint::Tcp(([127, 0, 0, 1], 0).into());
    let listeners = vec![listen(&any, 1, false).map_err(Failure::from)?];
    let engine: E = sandbox.enter(&mut Empty, listeners, 1, preparation)?;
    // A signal must end the process even if the reader of the report is stalled.
    signal::unblock_signals();
    let layers =
        sandbox.states().iter().map(|(layer, state)| LayerReport::new(*layer, state, &engine));
    Ok(SandboxReport { schema: SCHEMA, lockdown: sandbox.word(), layers: layers.collect() })
}

/// A program that serves nothing.
struct Empty;

impl<E> Program<E> for Empty {
    type Loaded = ();
    type Assembled = E;

    fn read(&mut self) -> Result<((), Pages), Failure> {
        // The engine derives its restrictions from operations on the first two bytes.
        Ok(((), vec![0; 2].into()))
    }

    fn listen(&mut self, _: &[Listener]) -> Result<(), Failure> {
        Ok(())
    }

    fn assemble(&mut self, engine: E, (): ()) -> E {
        engine
    }
}

impl LayerReport {
    fn new(layer: Layer, state: &LayerState, engine: &impl KernelEngine) -> Self {
        let (on, complete, why) = match state {
            LayerState::On(effect) => (true, true, effect.clone()),
            LayerState::Partial(why) => (true, false, why.clone()),
            LayerState::Off(reason) => (false, false, reason.to_string()),
        };
        let allows = match (layer, on) {
            (Layer::Engine, true) => of_engine(engine.restriction()),
            (Layer::Seccomp, true) => of_calls(engine.needed_calls()),
            _ => Vec::new(),
        };
        Self { layer: layer.name(), on, complete, why, allows }
    }
}

fn of_engine(restriction: &Restriction) -> Vec<PermittedItem> {
    let Restriction::InForce { permissions, .. } = restriction else { return Vec::new() };
    let allowed = permissions.iter().map(|permission| PermittedItem {
        name: permission.name.clone(),
        only: String::new(),
        why: permission.purpose.clone(),
    });
    allowed.collect()
}

fn of_calls(of_engine: Vec<Call>) -> Vec<PermittedItem> {
    let allowed = calls::allowed(std::process::id(), of_engine).into_iter().map(|call| {
        let only: Vec<_> = call.only.iter().map(|condition| condition.words).collect();
        PermittedItem {
            name: call.name.to_owned(),
            only: only.join(", "),
            why: call.why.to_owned(),
        }
    });
    allowed.collect()
}

fn push(text: &mut String, piece: std::fmt::Arguments<'_>) {
    text.write_fmt(piece).expect("a String takes every byte");
}
