//! Looking for the files of a root: names, lengths and dates, nothing of their content.

use super::Failure;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The files of a root, in the order of their names, and what isn't served.
#[derive(Debug, Default)]
pub struct Listing {
    /// The files.
    pub files: Vec<Listed>,
    /// What looks as if it should be served and isn't.
    pub left_out: Vec<LeftOut>,
}

/// A file as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its path from the root on, with slashes, none of them first.
    pub name: Vec<u8>,
    /// Its length.
    pub bytes: u64,
    /// When it was modified, in seconds since the Unix epoch.
    pub modified: Option<u64>,
    /// Its name says that it is an SVG in gzip, and so do its first octets.
    pub is_svg_in_gzip: bool,
}

/// Something that isn't served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its path from the root on.
    pub name: Vec<u8>,
    /// Why not.
    pub why: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", String::from_utf8_lossy(&self.name), self.why)
    }
}

/// How much a root may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most files.
    pub files: u32,
    /// The most bytes of all files together.
    pub bytes: u64,
}

/// Lists a root. Names that begin with a dot are left out without a word, but for `.well-known`
/// (RFC 8615).
///
/// # Errors
/// If the root can't be read, or has more than the limits allow.
pub fn walk(root: &Path, limits: Limits) -> Result<Listing, Failure> {
    let unreadable = |error: io::Error| {
        let mend = format!("`ls -ld {}` shows what it is; it must be a folder", root.display());
        Failure::new(format!("reading the root {}", root.display()), error, mend)
    };
    let canonical = root.canonicalize().map_err(unreadable)?;
    fs::read_dir(&canonical).map_err(unreadable)?;
    let mut walk = Walk {
        above: vec![canonical.clone()],
        root: canonical,
        limits,
        bytes: 0,
        listing: Listing::default(),
    };
    let folder = walk.root.clone();
    walk.folder(&folder, &mut Vec::new())?;
    walk.listing.files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(walk.listing)
}

struct Walk {
    root: PathBuf,
    /// The folders that we are in, by their real paths: a link to one of them has no end.
    above: Vec<PathBuf>,
    limits: Limits,
    bytes: u64,
    listing: Listing,
}

impl Walk {
    /// Lists a folder, of which `name` is the path from the root on.
    fn folder(&mut self, folder: &Path, name: &mut Vec<u8>) -> Result<(), Failure> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                self.leave_out(name, &error);
                return Ok(());
            }
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.leave_out(name, &error);
                    continue;
                }
            };
            let own_name = entry.file_name();
            let own_name = own_name.as_bytes();
            if own_name.starts_with(b".") && own_name != WELL_KNOWN {
                continue;
            }
            let before = name.len();
            if before > 0 {
                name.push(b'/');
            }
            name.extend_from_slice(own_name);
            self.entry(&entry.path(), name)?;
            name.truncate(before);
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: &mut Vec<u8>) -> Result<(), Failure> {
        // Follows links.
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => {
                self.leave_out(name, &error);
                return Ok(());
            }
        };
        let is_link = fs::symlink_metadata(path).is_ok_and(|own| own.is_symlink());
        if is_link {
            match path.canonicalize() {
                Ok(target) if target.starts_with(&self.root) => {}
                Ok(target) => {
                    let why = format!("it is a link out of the root, to {}", target.display());
                    self.leave_out(name, &why);
                    return Ok(());
                }
                Err(error) => {
                    self.leave_out(name, &error);
                    return Ok(());
                }
            }
        }
        if metadata.is_dir() {
            return self.inner_folder(path, name, is_link);
        }
        if !metadata.is_file() {
            self.leave_out(name, &"it is neither a file nor a folder");
            return Ok(());
        }
        match File::open(path).map(|file| name.ends_with(b".svgz") && begins_like_gzip(file)) {
            Ok(is_svg_in_gzip) => self.file(name, &metadata, is_svg_in_gzip),
            Err(error) => {
                self.leave_out(name, &error);
                Ok(())
            }
        }
    }

    fn inner_folder(
        &mut self,
        path: &Path,
        name: &mut Vec<u8>,
        is_link: bool,
    ) -> Result<(), Failure> {
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) => {
                self.leave_out(name, &error);
                return Ok(());
            }
        };
        if is_link && self.above.contains(&real) {
            self.leave_out(name, &"it is a link to a folder that it is in");
            return Ok(());
        }
        if self.above.len() > DEPTH_MAX {
            self.leave_out(name, &format_args!("it is more than {DEPTH_MAX} folders deep"));
            return Ok(());
        }
        self.above.push(real);
        let outcome = self.folder(path, name);
        self.above.pop();
        outcome
    }

    fn file(
        &mut self,
        name: &[u8],
        metadata: &Metadata,
        is_svg_in_gzip: bool,
    ) -> Result<(), Failure> {
        let modified = metadata.modified().ok();
        let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        self.listing.files.push(Listed {
            name: name.to_vec(),
            bytes: metadata.size(),
            modified: modified.map(|age| age.as_secs()),
            is_svg_in_gzip,
        });
        self.bytes += metadata.size();
        let Limits { files, bytes } = self.limits;
        if self.listing.files.len() > files as usize {
            return Err(self.too_much(&format_args!("more than {files} files"), "--site-files"));
        }
        if self.bytes > bytes {
            return Err(self.too_much(&format_args!("more than {bytes} bytes"), "--site-bytes"));
        }
        Ok(())
    }

    fn too_much(&self, what: &dyn std::fmt::Display, option: &str) -> Failure {
        let mend = format!("raise {option}, or serve a smaller folder");
        Failure::new(
            format!("reading the root {}", self.root.display()),
            format!("it has {what}"),
            mend,
        )
    }

    fn leave_out(&mut self, name: &[u8], why: &dyn std::fmt::Display) {
        self.listing.left_out.push(LeftOut { name: name.to_vec(), why: why.to_string() });
    }
}

/// RFC 1952 2.3.1.
fn begins_like_gzip(mut file: File) -> bool {
    let mut first = [0; 3];
    file.read_exact(&mut first).is_ok() && first == [0x1f, 0x8b, 8]
}

const WELL_KNOWN: &[u8] = b".well-known";
/// The most folders in each other.
const DEPTH_MAX: usize = 128;
