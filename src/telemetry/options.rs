//! The options of the access log.

use clap::ValueEnum;
use std::path::{Path, PathBuf};

/// Whether there is an access log, and its form.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct AccessLogOptions {
    /// File to append a line to for each request, or - for standard output
    ///
    /// A process of its own writes the lines, in batches. If it can't keep up, lines are dropped
    /// and counted, and requests don't wait. SIGUSR1 opens the file anew, for logrotate(8).
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    #[arg(conflicts_with = "single_process")]
    pub access_log: Option<PathBuf>,

    /// Form of the lines
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "combined")]
    #[arg(conflicts_with = "single_process", requires = "access_log")]
    pub log_format: LogFormat,
}

impl AccessLogOptions {
    /// The file of the log, unless it is standard output.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.access_log.as_deref().filter(|path| path.as_os_str() != "-")
    }
}

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// The combined format of Apache and nginx
    #[default]
    Combined,
    /// A JSON object with the schema `uringstatic-access/1`
    Json,
}
