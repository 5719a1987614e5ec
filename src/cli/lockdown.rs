//! Options about what the server gives up before it serves, alike for serving and for saying it.

use super::Feature;
use clap::ValueEnum;

/// What is given up.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct LockdownOptions {
    /// What to do where the kernel lacks a layer of the lockdown
    ///
    /// Once it serves, the process can't open a file, connect, start a program or become somebody
    /// else; the kernel sees to that. `uringstatic lockdown` lists what is in force here.
    #[arg(long = "lockdown", value_name = "MODE", value_enum, default_value = "on")]
    pub mode: LockdownMode,

    /// Give up nothing, as --lockdown=off
    #[arg(long, conflicts_with = "mode")]
    pub no_lockdown: bool,

    /// The user that serves.
    #[command(flatten)]
    pub account: AccountOptions,
}

/// The user that reads the files and serves them.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct AccountOptions {
    /// User to read the files and serve as, by name or number [default: if root starts it, 65534,
    /// which is nobody]
    ///
    /// Root is given up once the sockets are bound and before any file is read, so this user must
    /// be allowed to read what is to be served. A user of its own is best: processes of one user
    /// can signal each other, and nobody is the user of many programs.
    #[arg(long, value_name = "NAME[:GROUP]")]
    pub user: Option<String>,

    /// Read files and serve as root, if root starts it or --user says so
    #[arg(long)]
    pub allow_root: bool,
}

impl LockdownOptions {
    /// The mode, by whichever option it was said.
    #[must_use]
    pub fn effective_mode(&self) -> LockdownMode {
        if self.no_lockdown { LockdownMode::Off } else { self.mode }
    }
}

/// How strictly the server gives things up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LockdownMode {
    /// Serve with the other layers, and say which is missing
    On,
    /// Refuse to start, also where a send can open a TCP connection (`uringstatic doctor` has more)
    Require,
    /// Give up nothing
    Off,
}

/// What of the lockdown to print.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Lockdown {
    /// Print JSON (schema uringstatic-lockdown/1)
    #[arg(long)]
    pub json: bool,

    /// What would be given up.
    #[command(flatten)]
    pub options: LockdownOptions,

    /// Do without a layer, as on a kernel that lacks it; may be repeated
    #[arg(long, value_name = "FEATURE", value_enum, hide = true)]
    pub without: Vec<Feature>,
}
