//! The command line of `uringload`: argv in, a checked [`LoadCommand`] out.

use super::generate::Generate;
use crate::experiment::compare::CompareArgs;
use crate::experiment::sweep;
use crate::load::merge::MergeArgs;
use crate::load::options::{LoadOptions, WORKER, WorkerArgs};
use clap::error::{ContextKind, ErrorKind};
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
    /// Compare the reports of several loads.
    Compare(CompareArgs),
    /// Merge the reports of several clients.
    Merge(MergeArgs),
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
    let line = LoadCommandLine::try_parse_from(argv).map_err(|mut error| {
        // clap advises to pass an unknown option as a URL: `use '-- -X'`.
        error.remove(ContextKind::Suggested);
        error
    })?;
    if let Some(kind) = line.generate {
        return Ok(LoadCommand::Print(kind.render(LoadCommandLine::command(), &SUBCOMMANDS, &[])));
    }
    match line.subcommand {
        Some(Subcommand::Sweep(sweep)) => return Ok(LoadCommand::Sweep(sweep)),
        Some(Subcommand::Compare(compare)) => return Ok(LoadCommand::Compare(compare)),
        Some(Subcommand::Merge(merge)) => return Ok(LoadCommand::Merge(merge)),
        None => {}
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

    /// Compare reports: ratios to the first one, and what is noise
    ///
    /// Runs are matched by their connections and their rate. Repetitions (--repeat) are compared by
    /// a permutation test, and the ratio of their medians has an interval; single runs have
    /// intervals of their percentiles only.
    #[command(max_term_width = 100)]
    Compare(CompareArgs),

    /// Merge the reports of clients that made a load together, on several machines
    ///
    /// Counts and histograms are added, and the figures computed from the sums, as if one client
    /// had made the whole load. The clients begin together by --start-at.
    #[command(max_term_width = 100)]
    Merge(MergeArgs),
}

/// The subcommands, with the headings of their options in the manual page.
const SUBCOMMANDS: [(&str, &str); 3] =
    [("sweep", "sweep options"), ("compare", "compare options"), ("merge", "merge options")];
const ABOUT: &str = "Generate load for an HTTP/1.x server and check every response";
const EXAMPLES: &str = "Examples:
  uringload -c 64 -d 10s http://127.0.0.1:10001/
  uringload --ab -c 10,100,1000 -n 100000 http://127.0.0.1:10001/
  uringload -c 100 --rate 5000 --json out.json http://127.0.0.1:10001/
  uringload -c 100 --find-limit --slo 10ms@p99 http://127.0.0.1:10001/
  uringload compare before.json after.json

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
    fn unknown_options_are_not_taken_for_urls() {
        let error = parse(["uringload", "-X", "http://a/"]).expect_err("there is no -X");
        let text = error.to_string();
        assert!(text.contains("'-X'") && !text.contains("-- -X"), "{text}");
    }

    #[test]
    fn generated_texts_have_the_options_and_the_subcommands_but_no_worker() {
        for kind in ["man", "bash", "zsh", "fish", "elvish", "powershell"] {
            let Ok(LoadCommand::Print(bytes)) = parse(["uringload", "--generate", kind]) else {
                panic!("{kind} prints nothing");
            };
            let text = String::from_utf8(bytes).unwrap().replace('\\', "");
            for word in [
                "connect-timeout",
                "sweep",
                "fresh",
                "generate",
                "compare",
                "svg",
                "merge",
                "force",
                "find-limit",
                "start-at",
            ] {
                assert!(text.contains(word), "{kind} lacks {word}: {text}");
            }
            assert!(!text.contains("worker"), "{kind} mentions workers: {text}");
        }
        assert!(parse(["uringload", "--generate", "man", "http://a/"]).is_err());
    }

    /// A group of options within the others would make clap forget that there are any.
    #[test]
    fn command_lines_are_loads_or_subcommands() {
        let load = parse(["uringload", "--find-limit", "--slo", "10ms@p99", "http://a/"]);
        assert!(matches!(load, Ok(LoadCommand::Load(_))));
        let compare = parse(["uringload", "compare", "a.json", "b.json", "--svg", "c.svg"]);
        assert!(matches!(compare, Ok(LoadCommand::Compare(_))));
        let merge = parse(["uringload", "merge", "--force", "a.json", "-"]);
        assert!(matches!(merge, Ok(LoadCommand::Merge(_))));
        for words in [["uringload", "merge"], ["uringload", "compare"]] {
            assert!(parse(words).is_err_and(|error| error.exit_code() == 2), "{words:?}");
        }
    }
}
