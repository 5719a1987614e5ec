//! Looking for the files of a root: names, lengths and dates, nothing of their content.

use super::Failure;
use super::escape::escaped;
use super::opened::{OpenRoot, is_hidden, why};
use super::plan::is_rules;
use crate::os::beneath::{CHANGED, FileKind, FolderEntry, OpenFolder, Stamp};
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
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
    pub skipped: SkippedFiles,
}

/// What isn't served: the first of it by name, so that there is an end to it.
#[derive(Debug, Default)]
pub struct SkippedFiles {
    named: Vec<SkippedFile>,
    more: usize,
}

impl SkippedFiles {
    /// Adds one.
    pub fn add(&mut self, name: &[u8], why: &dyn fmt::Display) {
        if self.named.len() < NAMED_MAX {
            self.named.push(SkippedFile { name: name.to_vec(), why: why.to_string() });
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
    pub fn named(&self) -> &[SkippedFile] {
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Its path from the root on, with slashes, none of them first.
    pub name: Vec<u8>,
    /// Its length.
    pub bytes: u64,
    /// When it was modified, in seconds since the Unix epoch.
    pub modified: Option<u64>,
    /// Its name says that it is an SVG in gzip, and so do its first octets.
    pub is_svg_in_gzip: bool,
    /// Its path from the root on, free of links, if that differs from its name.
    pub path: Option<PathBuf>,
    /// Its identity and version: no other file is read in its place.
    pub stamp: Stamp,
}

/// Something that isn't served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedFile {
    /// Its path from the root on.
    pub name: Vec<u8>,
    /// Why not.
    pub why: String,
}

impl fmt::Display for SkippedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", escaped(&self.name), self.why)
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
/// (RFC 8615); links to them are left out, too, and reported.
///
/// # Errors
/// If the root can't be read, or exceeds the limits; or if `_headers` or `_redirects` would be left
/// out, whose rules may protect other files.
pub(super) fn walk(root: &OpenRoot, limits: Limits) -> Result<Listing, Failure> {
    let folder = root.folder()?;
    let identity = folder.identity().map_err(|error| root.unreadable(&error))?;
    let above = vec![Above { identity, path: None }];
    let mut walk = Walk { root, above, limits, bytes: 0, folders: 0, listing: Listing::default() };
    walk.folder(folder, &mut Vec::new())?;
    walk.listing.files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(walk.listing)
}

struct Walk<'a> {
    root: &'a OpenRoot,
    /// The folders on the way to the current one: a link to one of them would have no end.
    above: Vec<Above>,
    limits: Limits,
    bytes: u64,
    /// Those in the root. Through links one folder may be many.
    folders: usize,
    listing: Listing,
}

/// A folder on the way.
struct Above {
    /// Its device and inode.
    identity: (u64, u64),
    /// Its path from the root on, free of links, if that differs from its name.
    path: Option<PathBuf>,
}

impl Walk<'_> {
    /// Lists a folder, of which `name` is the path from the root on.
    fn folder(&mut self, mut folder: OpenFolder, name: &mut Vec<u8>) -> Result<(), Failure> {
        while let Some(entry) = folder.next_entry() {
            let entry = match entry {
                Ok(entry) => entry,
                // The rest of the root is unknown, rules included.
                Err(error) if name.is_empty() => return Err(self.root.unreadable(&error)),
                Err(error) => return self.leave_out(name, &why(&error)),
            };
            if is_hidden(entry.name()) {
                continue;
            }
            let before = name.len();
            if before > 0 {
                name.push(b'/');
            }
            name.extend_from_slice(entry.name());
            self.entry(&folder, &entry, name)?;
            name.truncate(before);
        }
        Ok(())
    }

    fn entry(
        &mut self,
        folder: &OpenFolder,
        entry: &FolderEntry,
        name: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        // In a folder reached through a link, the name is not the path.
        let own_name = OsStr::from_bytes(entry.name());
        let above = self.above.last().expect("the root is there");
        let path = above.path.as_ref().map(|path| path.join(own_name));
        match folder.kind(entry) {
            Ok(FileKind::File) => self.file(folder.open_file(entry), name, path),
            Ok(FileKind::Folder) => self.inner_folder(folder.open_folder(entry), name, path, false),
            Ok(FileKind::Link) => self.link(name, path.as_deref()),
            Ok(FileKind::Other) => self.leave_out(name, &NO_FILE),
            Err(error) => self.leave_out(name, &why(&error)),
        }
    }

    /// Lists the target of a link under the link's name.
    fn link(&mut self, name: &mut Vec<u8>, path: Option<&Path>) -> Result<(), Failure> {
        let link = path.unwrap_or(Path::new(OsStr::from_bytes(name)));
        let target = match self.root.target(link) {
            Ok(target) => target,
            Err(why) => return self.leave_out(name, &why),
        };
        match self.root.kind(&target) {
            Ok(FileKind::File) => self.file(self.root.open_file(&target), name, Some(target)),
            Ok(FileKind::Folder) => {
                self.inner_folder(self.root.open_folder(&target), name, Some(target), true)
            }
            Ok(FileKind::Link) => self.leave_out(name, &CHANGED),
            Ok(FileKind::Other) => self.leave_out(name, &NO_FILE),
            Err(error) => self.leave_out(name, &why(&error)),
        }
    }

    fn inner_folder(
        &mut self,
        folder: io::Result<OpenFolder>,
        name: &mut Vec<u8>,
        path: Option<PathBuf>,
        is_link: bool,
    ) -> Result<(), Failure> {
        let opened = folder.and_then(|folder| Ok((folder.identity()?, folder)));
        let (identity, folder) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.leave_out(name, &why(&error)),
        };
        if is_link && self.above.iter().any(|above| above.identity == identity) {
            return self.leave_out(name, &"it is a link to a folder that it is in");
        }
        if self.above.len() > DEPTH_MAX {
            return self.leave_out(name, &format_args!("it is more than {DEPTH_MAX} folders deep"));
        }
        self.folders += 1;
        self.check_count()?;
        self.above.push(Above { identity, path });
        let outcome = self.folder(folder, name);
        self.above.pop();
        outcome
    }

    fn file(
        &mut self,
        file: io::Result<File>,
        name: &[u8],
        path: Option<PathBuf>,
    ) -> Result<(), Failure> {
        let opened = file.and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = match opened {
            Ok(opened) => opened,
            Err(error) => return self.leave_out(name, &why(&error)),
        };
        if !metadata.is_file() {
            return self.leave_out(name, &CHANGED);
        }
        let modified = metadata.modified().ok();
        let modified = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        self.listing.files.push(Listed {
            name: name.to_vec(),
            bytes: metadata.size(),
            modified: modified.map(|age| age.as_secs()),
            is_svg_in_gzip: name.ends_with(b".svgz") && begins_like_gzip(file),
            path,
            stamp: Stamp::of(&metadata),
        });
        // Some file systems state absurd lengths.
        self.bytes = self.bytes.saturating_add(metadata.size());
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

    fn too_much(&self, what: &dyn fmt::Display, option: &str) -> Failure {
        let hint = format!("raise {option}, or serve a smaller folder");
        Failure::new(
            format!("reading the root {}", self.root.escaped()),
            format!("it has {what}"),
            hint,
        )
    }

    fn leave_out(&mut self, name: &[u8], why: &dyn fmt::Display) -> Result<(), Failure> {
        if is_rules(name) {
            return Err(Failure::new(
                format!("reading {}", self.root.shown_file(name)),
                why,
                "its rules may protect other files, so it is not left out: repair or remove it",
            ));
        }
        self.listing.skipped.add(name, why);
        Ok(())
    }
}

/// RFC 1952 2.3.1.
fn begins_like_gzip(mut file: File) -> bool {
    let mut first = [0; 3];
    file.read_exact(&mut first).is_ok() && first == [0x1f, 0x8b, 8]
}

const NO_FILE: &str = "it is neither a file nor a folder";
/// The most of what is left out that is named.
const NAMED_MAX: usize = 1_000;
/// The most folders in each other.
const DEPTH_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_named_up_to_a_number() {
        let mut skipped = SkippedFiles::default();
        for _ in 0..NAMED_MAX + 7 {
            skipped.add(b"a\n", &"why");
        }
        let lines: Vec<_> = skipped.lines().collect();
        assert_eq!(lines.len(), NAMED_MAX + 1);
        assert_eq!((&*lines[0], &*lines[NAMED_MAX]), ("a\\n: why", "7 more"));
    }
}
