//! Short messages about a site that was read.

use super::escape::escaped_path;
use super::make::Shared;
use crate::http::coding::Coding;
use crate::site::tree::rows::CodedBody;
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// Numbers and bytes of the files that were read. `Display` writes them in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Number of files.
    pub files: usize,
    /// Bytes of the files without codings.
    pub bytes: u64,
    /// Files and bytes of each coding other than identity.
    pub coded: Vec<(Coding, usize, u64)>,
    /// The part of the previous generation in the codings.
    pub shared: Option<Shared>,
    /// Time from the listing of the root to the last response built.
    pub took: Duration,
}

impl Summary {
    /// The summary of each file's bodies; the other values are left at their defaults.
    pub(super) fn of(bodies: &[Vec<CodedBody>]) -> Self {
        let mut summary = Self { files: bodies.len(), ..Self::default() };
        for coding in Coding::ALL {
            let coded: Vec<u64> = bodies
                .iter()
                .flatten()
                .filter(|body| body.coding == coding)
                .map(|body| body.span.len)
                .collect();
            let bytes = coded.iter().sum();
            match coding {
                Coding::Identity => summary.bytes = bytes,
                Coding::Gzip | Coding::Zstd | Coding::Brotli if coded.is_empty() => {}
                Coding::Gzip | Coding::Zstd | Coding::Brotli => {
                    summary.coded.push((coding, coded.len(), bytes));
                }
            }
        }
        summary
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} files, {}", self.files, size(self.bytes))?;
        for (coding, files, bytes) in &self.coded {
            write!(f, "; {}: {files} files, {}", coding.name(), size(*bytes))?;
        }
        if let Some(Shared { compressed, taken_over }) = self.shared {
            let all = compressed + taken_over;
            write!(f, "; {compressed} of {all} files compressed anew")?;
        }
        write!(f, "; in {:.2} s", self.took.as_secs_f64())
    }
}

/// The warning about a root without any file or rule.
#[must_use]
pub fn nothing_to_serve(root: &Path) -> String {
    format!("nothing to serve in {}: every path is 404", escaped_path(root))
}

/// A number of bytes for messages, in decimal units.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{:.1} KB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
