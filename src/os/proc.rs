//! The one reader of `/proc`: its files, its `sysctl` settings and its `key: value` lines. Tests
//! and sweeps may point it at a folder of the same layout.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A `/proc` file system, or a folder with its layout (proc(5)).
#[derive(Clone, Copy, Debug)]
pub struct Proc<'a>(&'a Path);

impl Proc<'static> {
    /// The one that this machine mounts at `/proc`.
    #[must_use]
    pub fn system() -> Self {
        Self(Path::new("/proc"))
    }
}

impl<'a> Proc<'a> {
    /// A folder with the layout of `/proc`.
    #[must_use]
    pub fn at(folder: &'a Path) -> Self {
        Self(folder)
    }

    /// The path of a `sysctl` setting: `net.core.somaxconn` is `/proc/sys/net/core/somaxconn`.
    #[must_use]
    pub fn sysctl_path(self, name: &str) -> PathBuf {
        self.0.join("sys").join(name.replace('.', "/"))
    }

    /// The text of a file, named relative to the root: `self/status`.
    ///
    /// # Errors
    /// If the file is missing or unreadable, or isn't UTF-8.
    pub fn read(self, file: &str) -> io::Result<String> {
        fs::read_to_string(self.0.join(file))
    }

    /// The number of entries of a folder, named as in [`Proc::read`].
    ///
    /// # Errors
    /// If the folder is missing or unreadable.
    pub fn entries(self, folder: &str) -> io::Result<usize> {
        Ok(fs::read_dir(self.0.join(folder))?.count())
    }

    /// The value of a `sysctl` setting, without the line end.
    ///
    /// # Errors
    /// If the kernel has no such setting, or it is unreadable.
    pub fn sysctl(self, name: &str) -> io::Result<String> {
        Ok(fs::read_to_string(self.sysctl_path(name))?.trim().to_owned())
    }
}

/// The values of a key in lines of the form `key : value`, as in `/proc/cpuinfo` and
/// `/proc/self/status`.
pub fn values<'a>(text: &'a str, key: &str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| {
        let (name, value) = line.split_once(':')?;
        (name.trim_end() == key).then_some(value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_values_are_read_without_white_space() {
        let proc = Proc::system();
        assert_eq!(proc.sysctl("kernel.ostype").unwrap(), "Linux");
        assert!(proc.sysctl("kernel.no_such_setting").is_err());
        let status = proc.read("self/status").unwrap();
        let pid = std::process::id().to_string();
        assert_eq!(values(&status, "Pid").collect::<Vec<_>>(), [pid.as_str()]);
        assert_eq!(values("a : 1\nab: 2\na:3", "a").collect::<Vec<_>>(), ["1", "3"]);
    }
}
