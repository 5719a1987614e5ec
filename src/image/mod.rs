//! Container images of this program and a site, made without a container engine, and without
//! network: `uringstatic image`.
//!
//! ```text
//! program ──► examined: without shared libraries ──► layer /uringstatic ┐
//!                                                                       ├─► config, manifest
//! root ──► checked ──► files that the server reads ─► layer /srv/www/.. ┘      │
//!                                                                              ▼
//!                                                            a tar archive, for OCI and Docker
//! ```
//!
//! The same program, folder and options make the same archive, octet by octet: entries are sorted
//! and belong to root, and all have the time `SOURCE_DATE_EPOCH`, or the epoch itself.

mod archive;
mod blob;
mod config;
mod layer;
mod name;
pub mod options;
mod program;
mod tar;

use crate::error::Failure;
use crate::os::memory::MemoryRoom;
use crate::os::net::Endpoint;
use crate::site::build::escape::{escaped, escaped_path};
use crate::site::build::{BuildRequest, CheckedRoot, Effort, check_root};
use crate::start::settings::StartSettings;
use crate::start::{ListenAddress, become_reader};
use archive::ImageParts;
use config::ContainerSettings;
use layer::{ImageLayer, LayerBuilder};
pub use name::ImageName;
use options::ImageOptions;
use program::PackedProgram;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};
use tar::{EntryKind, SECONDS_MAX};

/// An image to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRequest {
    /// The options of the command.
    pub options: ImageOptions,
    /// The words of the server in the container, behind the program and [`ROOT_WORDS`].
    pub arguments: Vec<String>,
    /// The settings that all of these words make.
    pub settings: StartSettings,
    /// The time of the image, in seconds since the Unix epoch.
    pub seconds: u64,
}

/// The words for the folder in the container. They belong to the entry point, so that a container
/// that is started with other arguments serves the same folder.
pub const ROOT_WORDS: [&str; 2] = ["--root", "/srv/www"];

/// The words for the address in the container, unless the server's options have one. Port 80 would
/// take a privilege in some container engines.
pub const LISTEN_WORDS: [&str; 2] = ["--listen", "0.0.0.0:8080"];

/// An image that was made.
#[derive(Debug)]
pub struct MadeImage {
    /// Everything in the folder that isn't in the image, a line each.
    pub left_out: Vec<String>,
    /// The line for the operator.
    pub summary: String,
}

/// Makes an image and writes it. A failure leaves a file that existed as it was, unless the file
/// system is at fault.
///
/// # Errors
/// If the program isn't fit for an image, the folder has a problem, or a file can't be read or
/// written.
pub fn make(request: &ImageRequest) -> Result<MadeImage, Failure> {
    let ImageRequest { options, settings, seconds, .. } = request;
    let program = PackedProgram::read(options.program.as_deref())?;
    let output = ArchiveFile::open(&options.output)?;
    let mut layers = vec![program_layer(&program, *seconds)];
    let mut left_out = Vec::new();
    if let Some(root) = &options.root {
        // As the server does: no file is published that this user can't read.
        become_reader(&options.account)?;
        let checked = check(root, settings)?;
        layers.push(site_layer(&checked, *seconds)?);
        left_out = checked.report.left_out;
    }
    let name = options.tag.clone().unwrap_or_else(|| default_name(options.root.is_some()));
    let container = container_settings(request, &name);
    let architecture = program.architecture;
    let config = container.config(architecture, &layers);
    let parts = ImageParts { name, architecture, config, layers };
    let digest = output.write(|out| parts.write(out, *seconds))?;
    let sizes = parts.layers.iter().map(|layer| layer.blob.octets.len().to_string());
    let summary = format!(
        "{}: linux/{}, {digest}, layers of {} bytes",
        parts.name,
        architecture.name(),
        sizes.collect::<Vec<_>>().join(" and ")
    );
    Ok(MadeImage { left_out, summary })
}

fn program_layer(program: &PackedProgram, seconds: u64) -> ImageLayer {
    let mut builder = LayerBuilder::new("uringstatic image: the program", seconds);
    builder.add(b"uringstatic", EntryKind::Program, &program.octets);
    builder.finish()
}

/// Reads the folder as the server in the container would.
fn check(root: &Path, settings: &StartSettings) -> Result<CheckedRoot, Failure> {
    let fields = settings.added_fields();
    let mut request = BuildRequest::new(root, &settings.root_options, &fields, 1);
    // The server compresses at each start.
    request.effort = Effort::Off;
    request.memory = MemoryRoom::at_present();
    let checked = check_root(&request)?;
    let report = &checked.report;
    let left_out = report.left_out.iter().filter(|_| settings.root_options.strict);
    let problems: Vec<&str> = report.problems.iter().chain(left_out).map(|it| &**it).collect();
    if problems.is_empty() {
        return Ok(checked);
    }
    let shown = escaped_path(root);
    let hint = format!("`uringstatic check {shown}` lists every path and every problem");
    Err(Failure::new(format!("checking the root {shown}"), problems.join("\n  "), hint))
}

fn site_layer(root: &CheckedRoot, seconds: u64) -> Result<ImageLayer, Failure> {
    let mut builder = LayerBuilder::new("uringstatic image: the site", seconds);
    for file in root.files() {
        let mut parts = file.name.split(|&octet| octet == b'/');
        if parts.any(|part| part.starts_with(WHITEOUT)) {
            let why = "in a layer, a name that begins with .wh. removes another file";
            let hint = "rename the file";
            return Err(Failure::new(format!("packing {}", escaped(&file.name)), why, hint));
        }
        let path = [SITE, &file.name].concat();
        builder.add(&path, EntryKind::File, &root.read(file)?);
    }
    Ok(builder.finish())
}

fn default_name(has_site: bool) -> ImageName {
    let name = if has_site { "site" } else { concat!("uringstatic:", env!("CARGO_PKG_VERSION")) };
    name.parse().expect("the default names are names")
}

fn container_settings(request: &ImageRequest, name: &ImageName) -> ContainerSettings {
    let ImageRequest { options, arguments, settings, seconds } = request;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(*seconds);
    let created = humantime::format_rfc3339_seconds(time).to_string();
    let mut entrypoint = vec!["/uringstatic".to_owned()];
    let mut labels = BTreeMap::from([
        ("org.opencontainers.image.created", created.clone()),
        ("org.opencontainers.image.title", name.title().to_owned()),
    ]);
    if options.root.is_some() {
        entrypoint.extend(ROOT_WORDS.map(str::to_owned));
    } else {
        // The licences of a site are its own.
        labels.extend([
            ("org.opencontainers.image.description", env!("CARGO_PKG_DESCRIPTION").to_owned()),
            ("org.opencontainers.image.licenses", env!("CARGO_PKG_LICENSE").to_owned()),
            ("org.opencontainers.image.version", env!("CARGO_PKG_VERSION").to_owned()),
        ]);
    }
    let mut labels: BTreeMap<_, _> =
        labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    labels.extend(options.labels.iter().cloned());
    let port = |address: &ListenAddress| match &address.endpoint {
        Endpoint::Tcp(address) if !address.ip().is_loopback() => Some(address.port()),
        Endpoint::Tcp(_) | Endpoint::Unix(_) => None,
    };
    let ports: BTreeSet<u16> = settings.listen.iter().filter_map(port).collect();
    let ports = ports.into_iter().filter(|&port| port != 0).collect();
    let arguments = arguments.clone();
    ContainerSettings { entrypoint, arguments, ports, labels, created }
}

/// The place of the archive. It is opened before root is given up, and emptied only when the image
/// is complete.
struct ArchiveFile<'a> {
    path: &'a Path,
    /// `None` for standard output.
    file: Option<File>,
}

impl<'a> ArchiveFile<'a> {
    fn open(path: &'a Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self { path, file: None });
        }
        let file = File::options().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| {
            Failure::new(format!("opening {}", escaped_path(path)), error, "--output names a file")
        })?;
        Ok(Self { path, file: Some(file) })
    }

    fn write<T>(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<T>) -> Result<T, Failure> {
        let written = match &self.file {
            Some(file) => empty(file).and_then(|()| {
                let mut out = BufWriter::new(file);
                let outcome = write(&mut out)?;
                out.flush()?;
                Ok(outcome)
            }),
            None => write(&mut BufWriter::new(io::stdout().lock())),
        };
        let what = || format!("writing the image to {}", escaped_path(self.path));
        written.map_err(|error| Failure::new(what(), error, ""))
    }
}

/// Empties a file; a device or a pipe has nothing to be emptied.
fn empty(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { file.set_len(0) } else { Ok(()) }
}

/// Parses `SOURCE_DATE_EPOCH` (reproducible-builds.org); without it, the time of an image is the
/// epoch.
///
/// # Errors
/// If it isn't a number of seconds that an archive has room for.
pub fn seconds_of(variable: Option<&str>) -> Result<u64, String> {
    let Some(text) = variable.filter(|text| !text.is_empty()) else { return Ok(0) };
    let seconds = text.parse().ok().filter(|&seconds| seconds <= SECONDS_MAX);
    seconds.ok_or_else(|| format!("SOURCE_DATE_EPOCH is {text:?}, and no number of seconds"))
}

/// The folder of the site in the image.
const SITE: &[u8] = b"srv/www/";
/// The prefix of names that remove a file of a lower layer (OCI Image Specification, "Whiteouts").
const WHITEOUT: &[u8] = b".wh.";
