//! What of the lockdown is in force on this machine, for an auditor: found out by doing it.

use super::{Layer, Lockdown, Mode, Program, State, Wanted, calls};
use crate::engine::kernel::{KernelEngine, Restriction};
use crate::error::Failure;
use crate::os::net::{Endpoint, Listener, listen};
use crate::os::pages::Pages;
use crate::os::seccomp::Call;
use crate::os::signal;
use serde::Serialize;
use std::fmt::Write;

/// Name and version of the schema of the JSON. A field may be added without a new version, but none
/// changes its meaning.
pub const SCHEMA: &str = "uringstatic-lockdown/1";

/// Every layer, in its order.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// `full`, `partial` or `off`.
    pub lockdown: &'static str,
    /// The layers.
    pub layers: Vec<Entry>,
}

/// One layer.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Its name.
    pub layer: &'static str,
    /// Whether it is in force.
    pub on: bool,
    /// Whether it is in force without a way round it that is known.
    pub complete: bool,
    /// What it comes to, or why it isn't in force.
    pub why: String,
    /// What it lets through, if it has a list.
    pub allows: Vec<Allowed>,
}

/// Something that is let through.
#[derive(Clone, Debug, Serialize)]
pub struct Allowed {
    /// Its name.
    pub name: String,
    /// On which condition; empty if on none.
    pub only: String,
    /// Why it is needed.
    pub why: String,
}

impl Report {
    /// Whether no layer is missing, and none has a way round it: what `--lockdown=require` asks.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.layers.iter().all(|layer| layer.complete)
    }

    /// The report for a program: one JSON object and a line end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).expect("strings and booleans only");
        json.push('\n');
        json
    }

    /// The report for a person.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("lockdown {}\n", self.lockdown);
        for Entry { layer, on, complete, why, allows } in &self.layers {
            let on = match (on, complete) {
                (false, _) => "off",
                (true, false) => "part",
                (true, true) => "on",
            };
            push(&mut text, format_args!("\n{on:<4} {layer:<12} {why}\n"));
            let width = allows.iter().map(|allowed| allowed.name.len()).max().unwrap_or(0);
            for Allowed { name, only, why } in allows {
                let only = if only.is_empty() { String::new() } else { format!(" (only {only})") };
                push(&mut text, format_args!("     {name:<width$}  {why}{only}\n"));
            }
        }
        text
    }
}

/// Gives up what a server would, all but what would keep this from being printed: standard output
/// and system calls. Whether those could be filtered, the kernel says.
///
/// # Errors
/// If a step fails.
pub fn list<E: KernelEngine>(mut wanted: Wanted) -> Result<Report, Failure> {
    // A layer that is missing is what a report is about, and not the end of it.
    if wanted.mode == Mode::Require {
        wanted.mode = Mode::On;
    }
    let mut lockdown = Lockdown::prepare(wanted)?;
    lockdown.rehearse();
    let preparation = E::prepare(1, &[])?;
    let any = Endpoint::Tcp(([127, 0, 0, 1], 0).into());
    let listeners = vec![listen(&any, 1, false)?];
    let engine: E = lockdown.enter(&mut Empty, listeners, 1, preparation)?;
    // A reader of the report that is stalled must not keep a signal from ending it.
    signal::unblock_signals();
    let layers = lockdown.states().iter().map(|(layer, state)| Entry::new(*layer, state, &engine));
    Ok(Report { schema: SCHEMA, lockdown: lockdown.word(), layers: layers.collect() })
}

/// A program that serves nothing.
struct Empty;

impl<E> Program<E> for Empty {
    type Content = ();
    type Ready = E;

    fn read(&mut self) -> Result<((), Pages), Failure> {
        // The engine's lists are made from operations about the first two bytes.
        Ok(((), vec![0; 2].into()))
    }

    fn listen(&mut self, _: &[Listener]) -> Result<(), Failure> {
        Ok(())
    }

    fn assemble(&mut self, engine: E, (): ()) -> E {
        engine
    }
}

impl Entry {
    fn new(layer: Layer, state: &State, engine: &impl KernelEngine) -> Self {
        let (on, complete, why) = match state {
            State::On(what) => (true, true, what.clone()),
            State::Partial(why) => (true, false, why.clone()),
            State::Off(why) => (false, false, why.clone()),
        };
        let allows = match (layer, on) {
            (Layer::Ring, true) => of_engine(engine.restriction()),
            (Layer::Seccomp, true) => of_calls(engine.needed_calls()),
            _ => Vec::new(),
        };
        Self { layer: layer.name(), on, complete, why, allows }
    }
}

fn of_engine(restriction: &Restriction) -> Vec<Allowed> {
    let Restriction::InForce { permissions, .. } = restriction else { return Vec::new() };
    let allowed = permissions.iter().map(|permission| Allowed {
        name: permission.name.clone(),
        only: String::new(),
        why: permission.purpose.clone(),
    });
    allowed.collect()
}

fn of_calls(of_engine: Vec<Call>) -> Vec<Allowed> {
    let allowed = calls::allowed(std::process::id(), of_engine).into_iter().map(|call| {
        let only: Vec<_> = call.only.iter().map(|condition| condition.words).collect();
        Allowed { name: call.name.to_owned(), only: only.join(", "), why: call.why.to_owned() }
    });
    allowed.collect()
}

fn push(text: &mut String, piece: std::fmt::Arguments<'_>) {
    text.write_fmt(piece).expect("a String takes every byte");
}
