//! The command line of `uringload`: argv in, a checked [`LoadCommand`] out.

use super::generate::Generate;
use crate::experiment::sweep;
use crate::load::options::{LoadOptions, WORKER, WorkerArgs};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use std::ffi::OsString;

/// The request of a command line of `uringload`.
#[derive(Clone, Debug)]
pub enum LoadCommand {
    /// Run a load.
    Load(Box<LoadOptions>),
    /// Run as a worker process of a load.
    Worker(WorkerArgs),
    /// Measure servers under loads.
    Sweep(sweep::Args),
    /// Write these bytes (a manual page, a completion script) to stdout and exit.
    Print(Vec<u8>),
}

/// Parses a command line, whose first word is the program's name.
///
/// # Errors
/// A usage error with its remedy, or the text of `--help` or `--version`.
pub fn parse<I, T>(argv: I) -> Result<LoadCommand, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let argv: Vec<OsString> = argv.into_iter().map(Into::into).collect();
    if argv.get(1).is_some_and(|word| word == WORKER) {
        return Ok(LoadCommand::Worker(WorkerArgs::try_parse_from(&argv[1..])?));
    }
    let line = LoadCommandLine::try_parse_from(argv)?;
    if let Some(kind) = line.generate {
        return Ok(LoadCommand::Print(kind.render(
            LoadCommandLine::command(),
            &[(SWEEP, "sweep options")],
            &[],
        )));
    }
    if let Some(Subcommand::Sweep(sweep)) = line.subcommand {
        return Ok(LoadCommand::Sweep(sweep));
    }
    let options = line.options.expect("clap requires a URL without a subcommand");
    Ok(LoadCommand::Load(Box::new(options.checked().map_err(usage_error)?)))
}

/// A usage error about options that are valid by themselves, but not together or on this machine.
#[must_use]
pub fn usage_error(message: String) -> clap::Error {
    LoadCommandLine::command().error(ErrorKind::ArgumentConflict, message)
}

#[derive(Parser)]
#[command(name = "uringload", version, about = ABOUT, long_about = None)]
#[command(max_term_width = 100, after_help = EXAMPLES)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
struct LoadCommandLine {
    #[command(subcommand)]
    subcommand: Option<Subcommand>,
    #[command(flatten)]
    options: Option<LoadOptions>,

    /// Print the manual page or a shell's completion script, and exit
    #[arg(long, value_name = "KIND", exclusive = true)]
    generate: Option<Generate>,
}

#[derive(clap::Subcommand)]
enum Subcommand {
    /// Compare servers: every server under every load, in rounds
    Sweep(sweep::Args),
}

const SWEEP: &str = "sweep";
const ABOUT: &str = "Generate load for an HTTP/1.x server and check every response";
const EXAMPLES: &str = "Examples:
  uringload -c 64 -d 10s http://127.0.0.1:10001/
  uringload --ab -c 10,100,1000 -n 100000 http://127.0.0.1:10001/
  uringload -c 100 --rate 5000 --json out.json http://127.0.0.1:10001/

Exit status: 0 if every request had a correct response; 1 if a request failed, had no response or
was not sent, nothing was measured, a connection failed, the rate was not held or a process died; 2
for wrong usage; 130 if a signal interrupted the load.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declaration_passes_debug_assert() {
        LoadCommandLine::command().debug_assert();
    }

    #[test]
    fn generated_texts_have_the_options_and_the_sweep_but_no_worker() {
        for kind in ["man", "bash", "zsh", "fish", "elvish", "powershell"] {
            let Ok(LoadCommand::Print(bytes)) = parse(["uringload", "--generate", kind]) else {
                panic!("{kind} prints nothing");
            };
            let text = String::from_utf8(bytes).unwrap().replace('\\', "");
            for word in ["connect-timeout", "sweep", "fresh", "generate"] {
                assert!(text.contains(word), "{kind} lacks {word}: {text}");
            }
            assert!(!text.contains("worker"), "{kind} mentions workers: {text}");
        }
        assert!(parse(["uringload", "--generate", "man", "http://a/"]).is_err());
    }
}
