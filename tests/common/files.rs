//! Files and folders for one test.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A path in the temporary directory that no other test uses, removed at the end.
pub(crate) struct TemporaryFile(pub(crate) PathBuf);

impl TemporaryFile {
    /// A path at which nothing exists.
    pub(crate) fn vacant(extension: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("uringstatic-{}-{number}.{extension}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    /// A file with this content.
    pub(crate) fn with(extension: &str, content: &[u8]) -> Self {
        let file = Self::vacant(extension);
        std::fs::write(&file.0, content).expect("the temporary directory is writable");
        file
    }

    /// The path as the value of an option.
    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("the path is text")
    }
}

/// A folder in the temporary directory, removed at the end with its content.
pub(crate) struct TemporaryFolder(TemporaryFile);

impl TemporaryFolder {
    /// A folder with these files; parent folders are created.
    pub(crate) fn with(files: &[(&str, &[u8])]) -> Self {
        let folder = Self(TemporaryFile::vacant("folder"));
        std::fs::create_dir(&folder.0.0).expect("the temporary directory is writable");
        for (name, content) in files {
            folder.add(name, content);
        }
        folder
    }

    /// Adds a file; parent folders are created.
    pub(crate) fn add(&self, name: impl AsRef<std::path::Path>, content: &[u8]) {
        let path = self.0.0.join(name);
        let parent = path.parent().expect("it is in the folder");
        std::fs::create_dir_all(parent).expect("the folder is writable");
        std::fs::write(path, content).expect("the folder is writable");
    }

    /// The path as the value of an option.
    pub(crate) fn path(&self) -> &str {
        self.0.path()
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0.0);
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
