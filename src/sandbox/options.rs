//! The sandbox's options, shared by the server and the command `lockdown`. The comments on fields
//! are help texts.

use super::{Layer, SandboxConfig, SandboxMode};
use crate::engine::kernel::EngineKind;

/// How strict the sandbox is, and as which user the process serves.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct LockdownOptions {
    /// What to do if the kernel lacks a layer of the sandbox
    ///
    /// Once it serves, the process can't open files, connect, start programs or change its user;
    /// the kernel enforces that. `uringstatic lockdown` lists the layers in force on this machine.
    #[arg(long = "lockdown", value_name = "MODE", value_enum, default_value = "on")]
    pub mode: SandboxMode,

    /// Same as --lockdown=off
    #[arg(long, conflicts_with = "mode")]
    pub no_lockdown: bool,

    /// The user that serves.
    #[command(flatten)]
    pub account: AccountOptions,
}

/// The user that reads the files and serves them.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct AccountOptions {
    /// User to read the files and serve as, by name or number [default: if root starts the server,
    /// 65534 (nobody)]
    ///
    /// Root is given up once the sockets are bound and before any file is read, so this user needs
    /// read permission for the content. A dedicated user is best: processes of one user can signal
    /// each other, and many programs run as nobody.
    #[arg(long, value_name = "NAME[:GROUP]")]
    pub user: Option<String>,

    /// Read files and serve as root, if root starts the server or --user names root
    #[arg(long)]
    pub allow_root: bool,
}

impl LockdownOptions {
    /// The mode, set by either option.
    #[must_use]
    pub fn effective_mode(&self) -> SandboxMode {
        if self.no_lockdown { SandboxMode::Off } else { self.mode }
    }

    /// The sandbox that these options request, with `without` as the layers to leave out, for the
    /// processes of the engine on `io_uring` ([`SandboxConfig::for_engine`]).
    #[must_use]
    pub fn wanted(&self, without: Vec<Layer>) -> SandboxConfig {
        SandboxConfig {
            mode: self.effective_mode(),
            user: self.account.user.clone(),
            allow_root: self.account.allow_root,
            without,
            engine: EngineKind::IoUring,
        }
    }
}
