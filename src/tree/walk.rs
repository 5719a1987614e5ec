//! Looking for the files of a root: names, lengths and dates, nothing of their content.

use super::Failure;
use super::shown::{shown, shown_path};
use std::ffi::OsStr;
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
    pub left_out: LeftOuts,
}

/// What isn't served: the first of it by name, so that there is an end to it.
#[derive(Debug, Default)]
pub struct LeftOuts {
    named: Vec<LeftOut>,
    more: usize,
}

impl LeftOuts {
    /// Adds one.
    pub fn add(&mut self, name: &[u8], why: &dyn fmt::Display) {
        if self.named.len() < NAMED_MAX {
            self.named.push(LeftOut { name: name.to_vec(), why: why.to_string() });
        } else {
            self.more += 1;
        }
    }

    /// Whether everything is served.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// Those that are named.
    #[must_use]
    pub fn named(&self) -> &[LeftOut] {
        &self.named
    }

    /// How many more there are.
    #[must_use]
    pub fn more(&self) -> usize {
        self.more
    }

    /// What is to be said of them, by line.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let more = (self.more > 0).then(|| format!("{} more", self.more));
        self.named.iter().map(ToString::to_string).chain(more)
    }
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
        write!(f, "{}: {}", shown(&self.name), self.why)
    }
}

/// How much a root may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most files and folders.
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
        let root = shown_path(root);
        let mend = format!("`ls -ld {root}` shows what it is; it must be a folder");
        Failure::new(format!("reading the root {root}"), error, mend)
    };
    let canonical = root.canonicalize().map_err(unreadable)?;
    fs::read_dir(&canonical).map_err(unreadable)?;
    let mut walk = Walk {
        above: vec![canonical.clone()],
        root: canonical,
        limits,
        bytes: 0,
        folders: 0,
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
    /// Those in the root. Through links one folder may be many.
    folders: usize,
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
            if own_name.as_bytes().starts_with(b".") && own_name.as_bytes() != WELL_KNOWN {
                continue;
            }
            let before = name.len();
            if before > 0 {
                name.push(b'/');
            }
            name.extend_from_slice(own_name.as_bytes());
            self.entry(&entry.path(), &own_name, name)?;
            name.truncate(before);
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, own_name: &OsStr, name: &mut Vec<u8>) -> Result<(), Failure> {
        let is_link = fs::symlink_metadata(path).is_ok_and(|own| own.is_symlink());
        // Follows links.
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if is_link && error.kind() == io::ErrorKind::NotFound => {
                self.leave_out(name, &"it is a link that leads nowhere");
                return Ok(());
            }
            Err(error) => {
                self.leave_out(name, &error);
                return Ok(());
            }
        };
        let mut real = self.above.last().expect("the root is there").join(own_name);
        if is_link {
            real = match real.canonicalize() {
                Ok(target) if target.starts_with(&self.root) => target,
                Ok(target) => {
                    let why = format!("it is a link out of the root, to {}", shown_path(&target));
                    self.leave_out(name, &why);
                    return Ok(());
                }
                Err(error) => {
                    self.leave_out(name, &error);
                    return Ok(());
                }
            };
        }
        if metadata.is_dir() {
            return self.inner_folder(path, name, real, is_link);
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
        real: PathBuf,
        is_link: bool,
    ) -> Result<(), Failure> {
        if is_link && self.above.contains(&real) {
            self.leave_out(name, &"it is a link to a folder that it is in");
            return Ok(());
        }
        if self.above.len() > DEPTH_MAX {
            self.leave_out(name, &format_args!("it is more than {DEPTH_MAX} folders deep"));
            return Ok(());
        }
        self.folders += 1;
        self.check_count()?;
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
        self.check_count()?;
        let Limits { bytes, .. } = self.limits;
        if self.bytes > bytes {
            return Err(self.too_much(&format_args!("more than {bytes} bytes"), "--site-bytes"));
        }
        Ok(())
    }

    fn check_count(&self) -> Result<(), Failure> {
        let Limits { files, .. } = self.limits;
        if self.listing.files.len() + self.folders <= files as usize {
            return Ok(());
        }
        let what = format_args!("more than {files} files and folders, those behind links counted");
        Err(self.too_much(&what, "--site-files"))
    }

    fn too_much(&self, what: &dyn std::fmt::Display, option: &str) -> Failure {
        let mend = format!("raise {option}, or serve a smaller folder");
        Failure::new(
            format!("reading the root {}", shown_path(&self.root)),
            format!("it has {what}"),
            mend,
        )
    }

    fn leave_out(&mut self, name: &[u8], why: &dyn std::fmt::Display) {
        self.listing.left_out.add(name, why);
    }
}

/// RFC 1952 2.3.1.
fn begins_like_gzip(mut file: File) -> bool {
    let mut first = [0; 3];
    file.read_exact(&mut first).is_ok() && first == [0x1f, 0x8b, 8]
}

const WELL_KNOWN: &[u8] = b".well-known";
/// The most of what is left out that is named.
const NAMED_MAX: usize = 1_000;
/// The most folders in each other.
const DEPTH_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_named_up_to_a_number() {
        let mut left_out = LeftOuts::default();
        for _ in 0..NAMED_MAX + 7 {
            left_out.add(b"a\n", &"why");
        }
        let lines: Vec<_> = left_out.lines().collect();
        assert_eq!(lines.len(), NAMED_MAX + 1);
        assert_eq!((&*lines[0], &*lines[NAMED_MAX]), ("a\\n: why", "7 more"));
    }
}
