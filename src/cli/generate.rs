//! Manual pages and completions, generated from the declaration of a command line.

use clap::{Command, ValueEnum};
use std::io::{self, Write};

/// The values of `--generate`.
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
    /// The generated text. Each subcommand is named with the heading of its options in the manual
    /// page.
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

/// One page for the program and its subcommands: a page per subcommand would be one more file to
/// install.
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
            let subcommand =
                command.find_subcommand(name).expect("the subcommand is declared").clone();
            let about =
                subcommand.get_long_about().or(subcommand.get_about()).map(ToString::to_string);
            writeln!(out, ".SH {}\n{}", name.to_uppercase(), about.unwrap_or_default())?;
            // clap_mangen writes options with a heading into a section of that name.
            let subcommand = subcommand.mut_args(|arg| arg.help_heading(*heading));
            let options = clap_mangen::Man::new(subcommand);
            options.render_options_section(&mut out)?;
        }
        man.render_extra_section(&mut out)?;
        man.render_version_section(&mut out)
    })();
    written.expect("writing to a Vec can't fail");
    out
}
