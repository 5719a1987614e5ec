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
    /// The text about a program with these subcommands; beside each is the heading that its options
    /// have in a manual page.
    pub(crate) fn render(
        self,
        mut command: Command,
        subcommands: &[(&str, &'static str)],
    ) -> Vec<u8> {
        let shell = match self {
            Self::Man => return man_page(command, subcommands),
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

/// One page for all: a page of its own for a subcommand would be one more file to install.
fn man_page(mut command: Command, subcommands: &[(&str, &'static str)]) -> Vec<u8> {
    let man = clap_mangen::Man::new(command.clone());
    command.build();
    let mut out = Vec::new();
    let written: io::Result<()> = (|| {
        man.render_title(&mut out)?;
        man.render_name_section(&mut out)?;
        man.render_synopsis_section(&mut out)?;
        man.render_description_section(&mut out)?;
        man.render_options_section(&mut out)?;
        for (name, heading) in subcommands {
            let below = command.find_subcommand(name).expect("the program has it").clone();
            let about = below.get_long_about().or(below.get_about()).map(ToString::to_string);
            writeln!(out, ".SH {}\n{}", name.to_uppercase(), about.unwrap_or_default())?;
            // Options with a heading come in a section of that name.
            let options = clap_mangen::Man::new(below.mut_args(|arg| arg.help_heading(*heading)));
            options.render_options_section(&mut out)?;
        }
        man.render_extra_section(&mut out)?;
        man.render_version_section(&mut out)
    })();
    written.expect("a Vec takes every byte");
    out
}
