//! A root that was checked, and the octets of the files that a server of it would read.

use super::check::{CheckReport, report};
use super::gather::gather;
use super::links;
use super::listing::Listed;
use super::opened::OpenRoot;
use super::options::BuildRequest;
use crate::error::Failure;

/// A root that was checked. A copy of its [`CheckedRoot::files`] serves the same as the root: the
/// files with rules are among them, links are files with the content of their targets, and dot
/// files and everything else that a server leaves out are missing.
pub struct CheckedRoot {
    /// The report, with problems and everything that is left out.
    pub report: CheckReport,
    files: Vec<Listed>,
    root: OpenRoot,
}

/// Reads a root, and reports what a server of it would serve.
///
/// # Errors
/// If the root can't be read or exceeds a limit. Problems are part of the report.
///
/// ```
/// use uringstatic::site::build::{BuildRequest, RootOptions, check_root};
///
/// let folder = std::env::temp_dir().join(format!("checked-{}", std::process::id()));
/// std::fs::create_dir(&folder)?;
/// std::fs::write(folder.join("index.html"), "<h1>home</h1>")?;
/// std::fs::write(folder.join(".env"), "SECRET=1")?;
/// let root = check_root(&BuildRequest::new(&folder, &RootOptions::default(), &[], 1));
/// let root = root.map_err(|failure| failure.to_string())?;
/// let names: Vec<_> = root.files().iter().map(|file| &*file.name).collect();
/// assert_eq!(names, [b"index.html"]);
/// assert_eq!(root.read(&root.files()[0]).map_err(|failure| failure.to_string())?.len(), 13);
/// std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn check_root(request: &BuildRequest) -> Result<CheckedRoot, Failure> {
    let root = links::open(request)?;
    let gathered = gather(request, &root, None, |_| Ok(()))?;
    let report = report(request, &gathered);
    Ok(CheckedRoot { report, files: gathered.listing.files, root })
}

impl CheckedRoot {
    /// The files that a server of this root reads, sorted by name.
    #[must_use]
    pub fn files(&self) -> &[Listed] {
        &self.files
    }

    /// The octets of one of the files.
    ///
    /// # Errors
    /// If it isn't the file any more that was checked, or can't be read.
    pub fn read(&self, file: &Listed) -> Result<Vec<u8>, Failure> {
        let mut octets = vec![0; usize::try_from(file.bytes).expect("addresses have 64 bits")];
        self.root.read(file, &mut octets).map_err(|why| {
            let hint = "start again when the folder is stable";
            Failure::new(format!("reading {}", self.root.shown_file(&file.name)), why, hint)
        })?;
        Ok(octets)
    }
}
