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

/// A section of a manual page that no declaration of options implies, such as SIGNALS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ManSection {
    /// The heading, in capitals by convention (man-pages(7)).
    pub(crate) heading: &'static str,
    /// The paragraph before the entries.
    pub(crate) introduction: &'static str,
    /// Terms, each with its explanation.
    pub(crate) entries: &'static [(&'static str, &'static str)],
}

impl Generate {
    /// The generated text. Each subcommand is named with the heading of its options in the manual
    /// page, which ends with `sections` and the examples.
    pub(crate) fn render(
        self,
        mut command: Command,
        subcommands: &[(&str, &'static str)],
        sections: &[ManSection],
    ) -> Vec<u8> {
        let shell = match self {
            Self::Man => return man_page(command, subcommands, sections),
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
fn man_page(
    mut command: Command,
    subcommands: &[(&str, &'static str)],
    sections: &[ManSection],
) -> Vec<u8> {
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
        for section in sections {
            section.render(&mut out)?;
        }
        man.render_extra_section(&mut out)?;
        man.render_version_section(&mut out)
    })();
    written.expect("writing to a Vec can't fail");
    out
}

impl ManSection {
    fn render(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, ".SH {}\n{}", self.heading, escaped(self.introduction))?;
        for (term, text) in self.entries {
            writeln!(out, ".TP\n\\fB{}\\fR\n{}", escaped(term), escaped(text))?;
        }
        Ok(())
    }
}

/// A line of text in roff: a plain hyphen would be printed as one of typography, which can't be
/// searched for or copied into a shell (man(7)).
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_of_a_manual_page_has_its_terms_in_bold_and_hyphens_that_can_be_copied() {
        let section = ManSection {
            heading: "SIGNALS",
            introduction: "To the server:",
            entries: &[("SIGTERM", "As --drain-delay says.")],
        };
        let page = Generate::Man.render(Command::new("server").version("1"), &[], &[section]);
        let page = String::from_utf8(page).expect("the page is ASCII");
        let expected =
            ".SH SIGNALS\nTo the server:\n.TP\n\\fBSIGTERM\\fR\nAs \\-\\-drain\\-delay says.\n";
        assert!(page.contains(expected), "{page}");
    }
}
