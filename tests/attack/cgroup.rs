//! A control group with little memory (cgroups(7), version 1 or 2), where this user may create one.

use std::fs;
use std::io::Error;
use std::path::{Path, PathBuf};

/// A group, removed when this is dropped. Its processes must have ended by then.
pub(crate) struct Group {
    folder: PathBuf,
    files: &'static Files,
}

/// The names of its files.
struct Files {
    limit: &'static str,
    /// The limit of socket buffers, where they are counted separately.
    sockets: Option<&'static str>,
    /// Name, file of the peak, and file of the number of times that the limit was hit.
    usages: &'static [(&'static str, &'static str, &'static str)],
}

impl Group {
    /// A group limited to this memory, or the reason why there is none.
    pub(crate) fn new(bytes: u64) -> Result<Self, String> {
        let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.subtree_control");
        let (parent, files) = if Path::new("/sys/fs/cgroup/memory").is_dir() {
            ("/sys/fs/cgroup/memory", &VERSION_1)
        } else if controllers.is_ok_and(|names| names.split_whitespace().any(|n| n == "memory")) {
            ("/sys/fs/cgroup", &VERSION_2)
        } else {
            return Err("no control groups of memory here".to_owned());
        };
        let folder = Path::new(parent).join(format!("uringstatic-{}", std::process::id()));
        let fail = |what: &str, error: &Error| format!("{what} {}: {error}", folder.display());
        fs::create_dir(&folder).map_err(|error| fail("creating the control group", &error))?;
        let group = Self { folder: folder.clone(), files };
        let (all, sockets) = match files.sockets {
            Some(name) => (bytes - bytes / 4, Some((name, bytes / 4))),
            None => (bytes, None),
        };
        for (name, bytes) in [(files.limit, all)].into_iter().chain(sockets) {
            fs::write(folder.join(name), bytes.to_string())
                .map_err(|error| fail("limiting the control group", &error))?;
        }
        Ok(group)
    }

    /// The command that runs the program named by its further arguments in the group.
    pub(crate) fn words(&self) -> [String; 4] {
        let enter = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.folder.display());
        ["sh".to_owned(), "-c".to_owned(), enter, "sh".to_owned()]
    }

    /// Peaks, and the number of times at the limit.
    pub(crate) fn usage(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).ok();
        let usage = |peak: &str, refusals: &str| {
            let peak: u64 = read(peak)?.trim().parse().ok()?;
            let refusals = read(refusals)?;
            let count = refusals.lines().find_map(|line| line.strip_prefix("max "));
            let count = count.unwrap_or(&refusals).trim();
            Some(format!("at most {} MiB, {count} times at the limit", peak >> 20))
        };
        let usages = self.files.usages.iter().filter_map(|(what, peak, refusals)| {
            Some(format!("{what} {}", usage(peak, refusals)?))
        });
        usages.collect::<Vec<_>>().join("; ")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A group that a process still uses stays, which does no harm.
        let _ = fs::remove_dir(&self.folder);
    }
}

const VERSION_1: Files = Files {
    limit: "memory.limit_in_bytes",
    sockets: Some("memory.kmem.tcp.limit_in_bytes"),
    usages: &[
        ("memory", "memory.max_usage_in_bytes", "memory.failcnt"),
        ("sockets", "memory.kmem.tcp.max_usage_in_bytes", "memory.kmem.tcp.failcnt"),
    ],
};
const VERSION_2: Files = Files {
    limit: "memory.max",
    sockets: None,
    usages: &[("memory", "memory.peak", "memory.events")],
};
