//! Options about a folder that is served, alike for serving it and for checking it.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::sandbox::options::AccountOptions;
use crate::value_parsers;

/// How a folder is served.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct RootOptions {
    /// Compress text and the like at start, with brotli, zstd and gzip
    ///
    /// A coding is kept if it saves 5 %. Files that lie beside one and end in .br, .zst or .gz are
    /// used in any case, if they decode to it.
    #[arg(long, value_name = "EFFORT", value_enum, default_value = "good")]
    pub compress: Compress,

    /// Whether /about finds about.html
    #[arg(long, value_name = "on|off", default_value = "on", value_parser = value_parsers::switch)]
    #[arg(action = clap::ArgAction::Set)]
    pub clean_urls: bool,

    /// Answer navigations to paths that have nothing with this file and 200, as an application of
    /// one page wants it; index.html, if none is named
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "index.html")]
    pub spa: Option<String>,

    /// Path that answers 200 while the server is well, and 503 while it drains
    #[arg(long, value_name = "PATH", value_parser = health)]
    pub health: Option<String>,

    /// Refuse to start if anything has to be left out of the folder
    ///
    /// Links out of it, to dot files and to nothing, entries that the serving user can't read or
    /// that are neither file nor folder, files that keep changing while they are read, and files
    /// that end in .br, .zst or .gz and don't decode to the one that they lie beside.
    #[arg(long)]
    pub strict: bool,

    /// Most bytes that the folder's files may have; all are kept in memory
    #[arg(long, value_name = "SIZE", default_value = "1g")]
    #[arg(value_parser = value_parsers::site_bytes)]
    pub site_bytes: u64,

    /// Most files and folders that the folder may have, those behind links counted
    #[arg(long, value_name = "N", default_value = "200000")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub site_files: u32,
}

impl Default for RootOptions {
    fn default() -> Self {
        Self {
            compress: Compress::Good,
            clean_urls: true,
            spa: None,
            health: None,
            strict: false,
            site_bytes: 1 << 30,
            site_files: 200_000,
        }
    }
}

/// How hard to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compress {
    /// Not at all
    Off,
    /// Quickly
    Fast,
    /// Well, within a few seconds for a thousand files
    Good,
    /// As small as can be; some minutes for a thousand files
    Best,
}

/// What to check.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct CheckOptions {
    /// The folder
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub root: PathBuf,

    /// How it would be served.
    #[command(flatten)]
    pub options: RootOptions,

    /// The user whose permissions count.
    #[command(flatten)]
    pub account: AccountOptions,

    /// Print JSON (schema uringstatic-check/1)
    #[arg(long)]
    pub json: bool,
}

/// Reads `--health`.
fn health(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
    match text.strip_prefix('/') {
        None => Err("a path begins with a slash, as in /healthz".to_owned()),
        Some(_) if !text.chars().all(is_plain) => {
            Err("letters, digits, and /-._~ are allowed".to_owned())
        }
        Some(rest) if rest.split('/').any(|segment| segment == "." || segment == "..") => {
            Err("a path without . and .. is needed".to_owned())
        }
        Some(_) => Ok(text.to_owned()),
    }
}
