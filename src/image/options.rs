//! Options of `uringstatic image`. The comments on fields are help texts.

use super::name::ImageName;
use crate::sandbox::options::AccountOptions;
use std::path::PathBuf;

/// Options of `uringstatic image`.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct ImageOptions {
    /// Folder to put into the image, as /srv/www [default: an image of the program alone]
    ///
    /// It is checked first, as by `uringstatic check`. The image has the files that the server
    /// would read, with the content of links in their place, and no others.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub root: Option<PathBuf>,

    /// File to write the archive to; - for standard output
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub output: PathBuf,

    /// Name of the image [default: site:latest, or uringstatic with the version as tag]
    #[arg(long, value_name = "NAME[:TAG]")]
    pub tag: Option<ImageName>,

    /// Label of the image, such as org.opencontainers.image.revision=1f3a09b; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,

    /// Server to put into the image, of this or of another architecture [default: this program]
    ///
    /// It has to be an executable without shared libraries.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub program: Option<PathBuf>,

    /// The user whose permissions count.
    #[command(flatten)]
    pub account: AccountOptions,

    /// Options of the server in the container, after --
    ///
    /// Without --listen, it listens on 0.0.0.0:8080. Arguments of the container replace these
    /// options.
    #[arg(last = true, value_name = "SERVER OPTIONS")]
    pub server: Vec<String>,
}

/// Parses a label.
fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write a key and a value with an equals sign between them".to_owned()),
    }
}
