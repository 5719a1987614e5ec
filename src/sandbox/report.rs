//! What of the lockdown is in force on this machine, for an auditor: found out by doing it.

use super::{Layer, Lockdown, Mode, State, Wanted, calls};
use crate::engine::uring::probe::{Features, Obstacles};
use crate::engine::uring::{Restriction, Setup, Uring};
use crate::error::Failure;
use crate::os::inherited;
use crate::os::net::{Endpoint, listen};
use crate::os::seccomp;
use crate::os::signal;
use serde::Serialize;
use std::fmt::Write;
use std::os::fd::RawFd;

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
pub fn list(mut wanted: Wanted) -> Result<Report, Failure> {
    // A layer that is missing is what a report is about, and not the end of it.
    if wanted.mode == Mode::Require {
        wanted.mode = Mode::On;
    }
    let mut lockdown = Lockdown::prepare(wanted)?;
    let any = Endpoint::Tcp(([127, 0, 0, 1], 0).into());
    let listeners = vec![listen(&any, 1, false)?];
    let signals = signal::signals_to_end()?;
    let obstacles = Obstacles::read();
    lockdown.deafen(&listeners)?;
    lockdown.give_up_privileges()?;
    lockdown.deny_files()?;
    let ring = Uring::new(Setup {
        spawn: 1,
        listeners,
        dial: None,
        signals: Some(signals),
        // Entries of sends are about two bytes.
        fixed: vec![0; 2].into(),
        features: Features::ALL,
        buffers: 1,
        buffer_bytes: 1,
        restricted: lockdown.restricts_ring(),
        obstacles,
    })?;
    lockdown.ring_made(ring.restriction())?;
    lockdown.pretend(Layer::Descriptors, || match inherited::can_close() {
        Ok(()) => {
            State::On("closed, but the sockets, the ring, signals, standard error".to_owned())
        }
        Err(why) => State::Off(why.to_string()),
    })?;
    lockdown.pretend(Layer::Environment, || State::On("overwritten".to_owned()))?;
    lockdown.pretend(Layer::Seccomp, || match seccomp::check() {
        Ok(()) => State::On("anything else kills the process".to_owned()),
        Err(why) => State::Off(why),
    })?;
    // A reader of the report that is stalled must not keep a signal from ending it.
    signal::unblock_signals();
    let layers = lockdown.states().iter().map(|(layer, state)| Entry::new(*layer, state, &ring));
    Ok(Report { schema: SCHEMA, lockdown: lockdown.word(), layers: layers.collect() })
}

impl Entry {
    fn new(layer: Layer, state: &State, ring: &Uring) -> Self {
        let (on, complete, why) = match state {
            State::On(what) => (true, true, what.clone()),
            State::Partial(why) => (true, false, why.clone()),
            State::Off(why) => (false, false, why.clone()),
        };
        let allows = match (layer, on) {
            (Layer::Ring, true) => of_ring(ring.restriction()),
            (Layer::Seccomp, true) => of_calls(ring.signals_fd()),
            _ => Vec::new(),
        };
        Self { layer: layer.name(), on, complete, why, allows }
    }
}

fn of_ring(restriction: &Restriction) -> Vec<Allowed> {
    let Restriction::InForce(allowed) = restriction else { return Vec::new() };
    let entry =
        |name: String, why: &str| Allowed { name, only: String::new(), why: why.to_owned() };
    let operations = allowed.named_operations().map(|(name, why)| entry(name.to_owned(), &why));
    let flags = allowed.named_flags().map(|(name, why)| entry(format!("flag {name}"), why));
    operations.chain(flags).collect()
}

fn of_calls(signals: Option<RawFd>) -> Vec<Allowed> {
    let allowed = calls::allowed(std::process::id(), signals).into_iter().map(|call| {
        let only: Vec<_> = call.only.iter().map(|condition| condition.words).collect();
        Allowed { name: call.name.to_owned(), only: only.join(", "), why: call.why.to_owned() }
    });
    allowed.collect()
}

fn push(text: &mut String, piece: std::fmt::Arguments<'_>) {
    text.write_fmt(piece).expect("a String takes every byte");
}
