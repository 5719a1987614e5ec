//! Options of `check`.

use std::path::PathBuf;

use crate::sandbox::options::AccountOptions;
use crate::site::build::RootOptions;

/// Options of `uringstatic check`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct CheckOptions {
    /// The folder
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub root: PathBuf,

    /// Options of the folder.
    #[command(flatten)]
    pub options: RootOptions,

    /// The user whose permissions count.
    #[command(flatten)]
    pub account: AccountOptions,

    /// Print JSON (schema uringstatic-check/2)
    #[arg(long)]
    pub json: bool,
}
