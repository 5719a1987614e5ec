//! The settings of a folder: the options of the command line, and the request that they make.

use crate::os::beneath::Resolver;
use crate::os::memory::MemoryRoom;
use crate::value_parsers::size;
use clap::{Args, FromArgMatches, ValueEnum};
use std::path::{Path, PathBuf};

/// The options of a folder, alike for serving it and for checking it. The attributes hold their
/// defaults.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct RootOptions {
    /// Effort for compressing text-like files at start, with brotli, zstd and gzip
    ///
    /// A coding is kept if it saves at least 5 %. Whatever the effort, a file with the extension
    /// .br, .zst or .gz beside another file is used as its coding if it decodes to that file.
    #[arg(long, value_name = "EFFORT", value_enum, default_value = "good")]
    pub compress: Effort,

    /// Serve about.html for /about
    #[arg(long, value_name = "on|off", default_value = "on", value_parser = switch)]
    #[arg(action = clap::ArgAction::Set)]
    pub clean_urls: bool,

    /// Serve this file with status 200 for navigations to paths without a file, for single-page
    /// applications [default without FILE: index.html]
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "index.html")]
    pub spa: Option<String>,

    /// Path of health checks: 200, or 503 once SIGTERM or SIGINT has arrived
    #[arg(long, value_name = "PATH", value_parser = health)]
    pub health: Option<String>,

    /// Follow symbolic links out of the folder
    ///
    /// A user who may write to the folder can then publish any file that the serving user can read.
    /// Dot files stay left out. The targets are those at the start or reload: before anything is
    /// read, the process gives up access to all other files.
    #[arg(long)]
    pub follow_links: bool,

    /// Refuse to start if anything has to be left out of the folder
    ///
    /// Left out are lines of _headers and _redirects that can't be honoured; links that lead out of
    /// the folder without --follow-links, to dot files or nowhere; entries that the serving user
    /// can't read or that are neither files nor folders; files that keep changing while they are
    /// read; and files with the extension .br, .zst or .gz that don't decode to the file beside
    /// them.
    #[arg(long)]
    pub strict: bool,

    /// Most bytes in the folder's files, all of which are kept in memory
    #[arg(long, value_name = "SIZE", default_value = "1g")]
    #[arg(value_parser = site_bytes)]
    pub site_bytes: u64,

    /// Most files and folders in the folder; entries behind links count again
    #[arg(long, value_name = "N", default_value = "200000")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub site_files: u32,
}

impl Default for RootOptions {
    /// The values of a command line without any of these options.
    fn default() -> Self {
        let command = Self::augment_args(clap::Command::new("").no_binary_name(true));
        let matches = command.get_matches_from(std::iter::empty::<&str>());
        Self::from_arg_matches(&matches).expect("every option has a default or is optional")
    }
}

/// Effort of compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Effort {
    /// No compression; precompressed files are used all the same
    Off,
    /// Lowest levels
    Fast,
    /// Middle levels; a few seconds for a thousand files
    Good,
    /// Highest levels; some minutes for a thousand files
    Best,
}

/// Parses the value of `--health`.
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

/// A folder to be read, and everything that the result depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildRequest {
    /// The folder.
    pub root: PathBuf,
    /// Rules for paths and fields.
    pub options: SiteOptions,
    /// Limits on the folder's size.
    pub limits: SiteLimits,
    /// Effort of compression.
    pub effort: Effort,
    /// Whether to fail if anything is left out.
    pub strict: bool,
    /// Whether to follow symbolic links out of the folder.
    pub follow_links: bool,
    /// Number of connections that need scratch memory.
    pub slots: u32,
    /// Whether to draw a progress bar on standard error.
    pub progress: bool,
    /// Method of resolving paths beneath the root.
    pub resolver: Resolver,
    /// The number of threads that read and compress. The default is that of the CPUs which this
    /// process may use, as far as it may read the quota of its control group.
    pub threads: usize,
    /// The memory that the site must fit in, if it is known ([`MemoryRoom::at_present`]).
    pub memory: Option<MemoryRoom>,
}

impl BuildRequest {
    /// A request for a folder with these options; `fields` are added to the responses of all files.
    #[must_use]
    pub fn new(
        root: &Path,
        options: &RootOptions,
        fields: &[(String, String)],
        slots: u32,
    ) -> Self {
        Self {
            root: root.to_owned(),
            options: SiteOptions {
                clean_urls: options.clean_urls,
                fallback: options.spa.clone(),
                health: options.health.clone(),
                fields: fields.to_vec(),
            },
            limits: SiteLimits { files: options.site_files, bytes: options.site_bytes },
            effort: options.compress,
            strict: options.strict,
            follow_links: options.follow_links,
            slots,
            progress: false,
            resolver: Resolver::default(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            memory: None,
        }
    }
}

/// Rules for the paths and the fields of a site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteOptions {
    /// Whether `/about` leads to `about.html`.
    pub clean_urls: bool,
    /// Path from the root of the file that navigations to missing paths get.
    pub fallback: Option<String>,
    /// Path of health checks.
    pub health: Option<String>,
    /// Fields of the responses of all files, as names and values.
    pub fields: Vec<(String, String)>,
}

/// Limits on the size of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteLimits {
    /// Most files and folders.
    pub files: u32,
    /// Most bytes of all files together.
    pub bytes: u64,
}

/// Parses the most bytes of a site (`--site-bytes`), at least one.
fn site_bytes(text: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    if bytes == 0 {
        return Err("the limit must be at least one byte".to_owned());
    }
    Ok(bytes)
}

/// Parses `on` or `off`.
fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("write on or off".to_owned()),
    }
}
