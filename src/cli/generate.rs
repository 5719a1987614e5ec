//! Texts about a command line that are made from it: manual pages and completions.

use clap::{Command, ValueEnum};
use std::io::{self, Write};

/// What `--generate` can print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Generate {
    /// The manual page, in roff
    Man,
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
    /// Completions for elvish
    Elvish,
    /// Completions for `PowerShell`
    #[value(name = "powershell", help = "Completions for PowerShell")]
    PowerShell,
}

impl Generate {
    /// The text about a program with one subcommand, whose options have this heading in a manual
    /// page.
    pub(crate) fn render(
        self,
        mut command: Command,
        subcommand: &str,
        heading: &'static str,
    ) -> Vec<u8> {
        let shell = match self {
            Self::Man => return man_page(command, subcommand, heading),
            Self::Bash => clap_complete::Shell::Bash,
            Self::Zsh => clap_complete::Shell::Zsh,
            Self::Fish => clap_complete::Shell::Fish,
            Self::Elvish => clap_complete::Shell::Elvish,
            Self::PowerShell => clap_complete::Shell::PowerShell,
        };
        let program = command.get_name().to_owned();
        let mut out = Vec::new();
        clap_complete::generate(shell, &mut command, program, &mut out);
        out
    }
}

/// One page for all: a page of its own for the subcommand would be a second file to install.
fn man_page(mut command: Command, subcommand: &str, heading: &'static str) -> Vec<u8> {
    let man = clap_mangen::Man::new(command.clone());
    command.build();
    let below = command.find_subcommand(subcommand).expect("the program has it").clone();
    let about = below.get_long_about().or(below.get_about()).map(ToString::to_string);
    // Options with a heading come in a section of that name.
    let options = clap_mangen::Man::new(below.mut_args(|arg| arg.help_heading(heading)));
    let mut out = Vec::new();
    let written: io::Result<()> = (|| {
        man.render_title(&mut out)?;
        man.render_name_section(&mut out)?;
        man.render_synopsis_section(&mut out)?;
        man.render_description_section(&mut out)?;
        man.render_options_section(&mut out)?;
        let title = subcommand.to_uppercase();
        writeln!(out, ".SH {title}\n{}", about.unwrap_or_default())?;
        options.render_options_section(&mut out)?;
        man.render_extra_section(&mut out)?;
        man.render_version_section(&mut out)
    })();
    written.expect("a Vec takes every byte");
    out
}
