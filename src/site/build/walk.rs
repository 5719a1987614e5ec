//! The listing of a root's files: names, lengths and dates, without their content.

use super::dates::{CommonTime, last_modified};
use super::listing::{Listed, Listing};
use super::opened::{LinkError, OpenRoot, is_hidden, is_well_known, why};
use super::options::SiteLimits;
use super::rule_files::is_rule_file;
use crate::error::Failure;
use crate::http::media_type::OctetsKind;
use crate::os::beneath::{CHANGED, FileKind, FolderEntry, OpenFolder, Stamp};
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Lists a root. Dot files are left out silently, except `.well-known` and all below it (RFC 8615);
/// links to dot files are left out and reported.
///
/// # Errors
/// If the root can't be read or exceeds a limit; or if `_headers` or `_redirects` would be left
/// out, whose rules may protect other files.
pub(super) fn walk(root: &OpenRoot, limits: SiteLimits) -> Result<Listing, Failure> {
    let folder = root.folder()?;
    let identity = folder.identity().map_err(|error| root.unreadable(&error))?;
    let ancestors = vec![Ancestor { identity, path: None }];
    let mut walk = Walk {
        root,
        ancestors,
        limits,
        bytes: 0,
        folders: 0,
        common_time: CommonTime::default(),
        listing: Listing::default(),
    };
    walk.folder(folder, &mut Vec::new())?;
    if walk.common_time.is_common() {
        walk.listing.files.iter_mut().for_each(|file| file.modified = None);
    }
    // An origin server must not send a Last-Modified later than its Date (RFC 9110 8.8.2.1).
    let now =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |age| age.as_secs());
    let modified = walk.listing.files.iter_mut().filter_map(|file| file.modified.as_mut());
    modified.for_each(|modified| *modified = now.min(*modified));
    walk.listing.files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(walk.listing)
}

struct Walk<'a> {
    root: &'a OpenRoot,
    /// The folders that contain the current one: a link to one of them would be a cycle.
    ancestors: Vec<Ancestor>,
    limits: SiteLimits,
    bytes: u64,
    /// Folders listed so far; a folder behind links counts once per link.
    folders: usize,
    /// The time that all files have, those with rules aside.
    common_time: CommonTime,
    listing: Listing,
}

/// A folder that contains the current one.
struct Ancestor {
    /// Device and inode.
    identity: (u64, u64),
    /// Path from the root with all links resolved, if it differs from the name.
    path: Option<PathBuf>,
}

impl Walk<'_> {
    /// Lists a folder; `name` is its path from the root.
    fn folder(&mut self, mut folder: OpenFolder, name: &mut Vec<u8>) -> Result<(), Failure> {
        while let Some(entry) = folder.next_entry() {
            let entry = match entry {
                Ok(entry) => entry,
                // The rest of the listing is unknown, and `_headers` may be in it.
                Err(error) if name.is_empty() => return Err(self.root.unreadable(&error)),
                Err(error) => return self.leave_out(name, &why(&error)),
            };
            if is_hidden(entry.name()) && !is_well_known(name) {
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
        // In a folder reached through a link, the name differs from the path.
        let own_name = OsStr::from_bytes(entry.name());
        let ancestors = self.ancestors.last().expect("the root is the first");
        let path = ancestors.path.as_ref().map(|path| path.join(own_name));
        match folder.kind(entry) {
            Ok(FileKind::File) => {
                self.file(folder.stamp(entry), name, path, || folder.open_file(entry))
            }
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
            Err(LinkError::Refused(why)) => return self.leave_out(name, &why),
            Err(LinkError::Outside(target)) => {
                self.listing.outside.push(target);
                return self.leave_out(name, &CHANGED);
            }
        };
        match self.root.kind(&target) {
            Ok(FileKind::File) => {
                let (root, path) = (self.root, target.clone());
                self.file(root.stamp(&target), name, Some(path), || root.open_file(&target))
            }
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
        if is_link && self.ancestors.iter().any(|ancestors| ancestors.identity == identity) {
            return self.leave_out(name, &"it is a link to a folder that contains it");
        }
        if self.ancestors.len() > DEPTH_MAX {
            return self.leave_out(name, &format_args!("it is more than {DEPTH_MAX} folders deep"));
        }
        self.folders += 1;
        self.check_count()?;
        self.ancestors.push(Ancestor { identity, path });
        let outcome = self.folder(folder, name);
        self.ancestors.pop();
        outcome
    }

    fn file(
        &mut self,
        stamp: io::Result<Stamp>,
        name: &[u8],
        path: Option<PathBuf>,
        open: impl FnOnce() -> io::Result<File>,
    ) -> Result<(), Failure> {
        let stamp = match stamp {
            Ok(stamp) => stamp,
            Err(error) => return self.leave_out(name, &why(&error)),
        };
        if !is_rule_file(name) {
            self.common_time.add(&stamp);
        }
        self.listing.files.push(Listed {
            name: name.to_vec(),
            bytes: stamp.bytes(),
            modified: last_modified(&stamp),
            is_svg_in_gzip: name.ends_with(b".svgz") && open().is_ok_and(begins_like_gzip),
            octets: OctetsKind::Unread,
            path,
            stamp,
        });
        // Some file systems report absurd lengths, such as 2^63 - 1.
        self.bytes = self.bytes.saturating_add(stamp.bytes());
        self.check_count()?;
        let SiteLimits { bytes, .. } = self.limits;
        if self.bytes > bytes {
            return Err(self.too_much(&format_args!("more than {bytes} bytes"), "--site-bytes"));
        }
        Ok(())
    }

    fn check_count(&self) -> Result<(), Failure> {
        let SiteLimits { files, .. } = self.limits;
        if self.listing.files.len() + self.folders <= files as usize {
            return Ok(());
        }
        let what =
            format_args!("more than {files} files and folders (entries behind links count again)");
        Err(self.too_much(&what, "--site-files"))
    }

    fn too_much(&self, what: &dyn fmt::Display, option: &str) -> Failure {
        let hint = format!("raise {option} or serve a smaller folder");
        Failure::new(
            format!("reading the root {}", self.root.escaped()),
            format!("it has {what}"),
            hint,
        )
    }

    fn leave_out(&mut self, name: &[u8], why: &dyn fmt::Display) -> Result<(), Failure> {
        if is_rule_file(name) {
            return Err(Failure::new(
                format!("reading {}", self.root.shown_file(name)),
                why,
                "its rules may protect other files, so it is never left out: repair or remove it",
            ));
        }
        self.listing.skipped.add(name, why);
        Ok(())
    }
}

/// Whether a file begins with the header of a deflated gzip member (RFC 1952 2.3.1).
fn begins_like_gzip(mut file: File) -> bool {
    let mut first = [0; 3];
    file.read_exact(&mut first).is_ok() && first == [0x1f, 0x8b, 8]
}

const NO_FILE: &str = "it is neither a file nor a folder";
/// Most levels of nested folders.
const DEPTH_MAX: usize = 128;
