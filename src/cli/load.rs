//! The command line of `uringload`: argv in, a checked [`Command`] out.

use super::generate::Generate;
use crate::experiment::sweep;
use crate::load::options::{LoadOptions, WORKER, WorkerArgs};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use std::ffi::OsString;

/// What a command line of `uringload` asks for.
#[derive(Clone, Debug)]
pub enum Command {
    /// Make a load.
    Load(Box<LoadOptions>),
    /// Be one of the processes that make it.
    Worker(WorkerArgs),
    /// Compare servers.
    Sweep(sweep::Args),
    /// Write these bytes (a manual page, a completion script) to stdout and exit.
    Print(Vec<u8>),
}

/// Reads a command line, of which the first argument is the program's own name.
///
/// # Errors
/// What is wrong and what to do about it, or the text of `--help` and `--version`.
pub fn parse<I, T>(argv: I) -> Result<Command, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let argv: Vec<OsString> = argv.into_iter().map(Into::into).collect();
    if argv.get(1).is_some_and(|word| word == WORKER) {
        return Ok(Command::Worker(WorkerArgs::try_parse_from(&argv[1..])?));
    }
    let flags = Flags::try_parse_from(argv)?;
    if let Some(kind) = flags.generate {
        return Ok(Command::Print(kind.render(Flags::command(), &[(SWEEP, "sweep options")])));
    }
    if let Some(Subcommand::Sweep(sweep)) = flags.subcommand {
        return Ok(Command::Sweep(sweep));
    }
    let options = flags.options.expect("without a subcommand there is a URL");
    Ok(Command::Load(Box::new(options.checked().map_err(wrong)?)))
}

/// Wrong usage that shows only when options are seen together, or on this machine.
#[must_use]
pub fn wrong(message: String) -> clap::Error {
    Flags::command().error(ErrorKind::ArgumentConflict, message)
}

#[derive(Parser)]
#[command(name = "uringload", version, about = ABOUT, long_about = None)]
#[command(max_term_width = 100, after_help = EXAMPLES)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
struct Flags {
    #[command(subcommand)]
    subcommand: Option<Subcommand>,
    #[command(flatten)]
    options: Option<LoadOptions>,

    /// Print a manual page or a shell's completion script, and exit
    #[arg(long, value_name = "KIND", exclusive = true)]
    generate: Option<Generate>,
}

#[derive(clap::Subcommand)]
enum Subcommand {
    /// Compare servers: each under each load, in rounds
    Sweep(sweep::Args),
}

const SWEEP: &str = "sweep";
const ABOUT: &str = "Loads an HTTP/1.x server and checks every response";
const EXAMPLES: &str = "Examples:
  uringload -c 64 -d 10s http://127.0.0.1:10001/
  uringload --ab -c 10,100,1000 -n 100000 http://127.0.0.1:10001/
  uringload -c 100 --rate 5000 --json out.json http://127.0.0.1:10001/

Exit status: 0 if nothing failed, 1 if requests failed or a process died, 2 for wrong usage, 130 if
it was interrupted.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declaration_is_sound() {
        Flags::command().debug_assert();
    }

    #[test]
    fn generated_texts_name_the_options_and_the_sweep() {
        for kind in ["man", "bash", "zsh", "fish", "elvish", "powershell"] {
            let Ok(Command::Print(bytes)) = parse(["uringload", "--generate", kind]) else {
                panic!("{kind} prints nothing");
            };
            let text = String::from_utf8(bytes).unwrap().replace('\\', "");
            for word in ["connect-timeout", "sweep", "fresh", "generate"] {
                assert!(text.contains(word), "{kind} lacks {word}: {text}");
            }
            assert!(!text.contains("worker"), "{kind} tells of workers: {text}");
        }
        assert!(parse(["uringload", "--generate", "man", "http://a/"]).is_err());
    }
}
