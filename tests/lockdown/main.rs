//! The sandbox, attacked from within. This program starts itself again as a supervisor, a loader or
//! a worker, by the code that starts the server, and this process makes the attempts of an attacker
//! in control of it. Each row of the table states how an attempt fails, and without which layers it
//! succeeds, which proves that each layer works.
//!
//! usage: cargo test --test lockdown [-- NAME]

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints a table")]

mod attempts;
#[path = "../common/mod.rs"]
mod common;
mod epoll;
mod process;
mod raw;
mod rows;
mod service;
mod sockets;
mod trial;

use process::{Attack, Ground, Outcome};
use rows::{ROWS, Row};
use std::process::ExitCode;
use uringstatic::engine::kernel::EngineKind;

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(process::ATTEMPT) {
        process::be_attacked(&name);
    }
    if let Ok(name) = std::env::var(trial::TRIAL) {
        trial::make(&name);
    }
    // Options are those of the test runner; another word selects the names that contain it.
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--list") {
        return ExitCode::SUCCESS;
    }
    let filter = words.iter().find(|word| !word.starts_with('-'));
    let wanted = |name: &str| filter.is_none_or(|part| name.contains(part.as_str()));
    let _ground = Ground::new();
    let (mut passed, mut failed) = (0, 0);
    let mut count = |name: &str, result: Result<String, String>| match result {
        Ok(found) => {
            passed += 1;
            println!("ok    {name}: {found}");
        }
        Err(why) => {
            failed += 1;
            println!("FAIL  {name}: {why}");
            println!("      run again: cargo test --test lockdown -- {name}");
        }
    };
    for (row, &engine) in ROWS.iter().flat_map(|row| row.engines.iter().map(move |it| (row, it))) {
        let name = format!("{} on {}: {}", row.kind.name(), engine.name(), row.name);
        if wanted(&name) {
            count(&name, holds(row, engine));
        }
    }
    for (name, check) in process::CHECKS.iter().filter(|(name, _)| wanted(name)) {
        count(name, check());
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Checks that an attempt fails as stated with all layers and succeeds without those of the row; if
/// the row names several, each of them alone must stop it.
fn holds(row: &Row, engine: EngineKind) -> Result<String, String> {
    if !cfg!(debug_assertions) && row.is_by_ring {
        return Ok("left out of a release build, whose ring takes no foreign entry".to_owned());
    }
    if row.without.contains(&"privileges") && !uringstatic::os::privileges::is_root() {
        return Ok("left out: this user has nothing to give up".to_owned());
    }
    if row.without.contains(&"listeners") && !process::can_drop_answers() {
        return Ok("left out: this kernel lets only root attach a socket filter".to_owned());
    }
    let attempt =
        |without: &[&str]| Attack { engine, without, ..Attack::new(row.kind, row.name) }.outcome();
    let found = attempt(&[]);
    if found != row.stated {
        return Err(format!("{found:?} where {:?} is stated", row.stated));
    }
    let bare = attempt(row.without);
    if bare != Outcome::Succeeded {
        return Err(format!("without {} it comes to {bare:?}", row.without.join(", ")));
    }
    let mut alone = String::new();
    for &layer in row.without.iter().filter(|_| row.without.len() > 1) {
        let others: Vec<_> = row.without.iter().copied().filter(|&other| other != layer).collect();
        let outcome = attempt(&others);
        if outcome == Outcome::Succeeded {
            return Err(format!("{layer} alone does not stop it"));
        }
        alone.extend(["; ", layer, " alone: ", &format!("{outcome:?}")]);
    }
    if row.without.is_empty() {
        return Ok(format!("{found:?}"));
    }
    Ok(format!("{found:?}; succeeds without {}{alone}", row.without.join(" and ")))
}
