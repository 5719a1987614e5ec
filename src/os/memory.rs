//! The memory that is left for this process: beyond it, the kernel ends a process, which may be
//! another one (cgroups(7), `oom_score_adj` in proc(5)).

use super::proc::{Proc, values};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The least of the memory that the machine and the control groups of this process have left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryRoom {
    /// Bytes that can be used, including those of files in the page cache and of swap, which the
    /// kernel can free.
    pub bytes: u64,
    /// The machine or the control group that has no more, in words.
    pub owner: MemoryOwner,
}

/// The owner of a limit of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemoryOwner {
    /// The machine.
    Machine,
    /// The control group in this folder.
    Group(PathBuf),
}

impl fmt::Display for MemoryOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine => f.write_str("the machine"),
            Self::Group(folder) => write!(f, "the control group {}", folder.display()),
        }
    }
}

impl MemoryRoom {
    /// The room at present; `None` if neither `/proc` nor `/sys/fs/cgroup` tells.
    #[must_use]
    pub fn at_present() -> Option<Self> {
        Self::read(Proc::system(), Path::new("/sys/fs/cgroup"))
    }

    /// The room according to folders of these layouts.
    fn read(proc: Proc<'_>, groups: &Path) -> Option<Self> {
        let machine = proc.read("meminfo").unwrap_or_default();
        let kib = |key: &str| values(&machine, key).next()?.strip_suffix(" kB")?.parse().ok();
        let swap = kib("SwapFree").unwrap_or(0) * 1024;
        let of_machine = kib("MemAvailable").map(|available: u64| Self {
            bytes: available * 1024 + swap,
            owner: MemoryOwner::Machine,
        });
        let of_groups = folders(&proc.read("self/cgroup").unwrap_or_default(), groups)
            .into_iter()
            .filter_map(|(folder, names)| {
                let bytes = names.left_in(&folder)?.saturating_add(swap);
                Some(Self { bytes, owner: MemoryOwner::Group(folder) })
            });
        of_groups.chain(of_machine).min_by_key(|room| room.bytes)
    }
}

/// The names of the files of a control group, in one of the two versions.
#[derive(Clone, Copy)]
struct GroupFiles {
    limit: &'static str,
    usage: &'static str,
    /// What of the usage are pages of files, in `memory.stat`.
    cache: [&'static str; 2],
}

const VERSION_1: GroupFiles = GroupFiles {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    cache: ["total_inactive_file", "total_active_file"],
};
const VERSION_2: GroupFiles = GroupFiles {
    limit: "memory.max",
    usage: "memory.current",
    cache: ["inactive_file", "active_file"],
};

impl GroupFiles {
    /// What is left in a group; `None` without a limit, which a group of version 2 states as `max`.
    fn left_in(self, folder: &Path) -> Option<u64> {
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
        let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
        let (limit, usage) = (number(self.limit)?, number(self.usage)?);
        let stat = read("memory.stat").unwrap_or_default();
        let value =
            |key| stat.lines().find_map(|line| line.strip_prefix(key)?.trim().parse::<u64>().ok());
        let cache: u64 = self.cache.iter().filter_map(|key| value(*key)).sum();
        Some(limit.saturating_sub(usage.saturating_sub(cache)))
    }
}

/// The folders of the groups that limit a process with this `/proc/self/cgroup`, the innermost
/// first. In a container, the path may be that of another mount: then only its root exists here.
fn folders(memberships: &str, root: &Path) -> Vec<(PathBuf, GroupFiles)> {
    let mut found = Vec::new();
    for line in memberships.lines() {
        // hierarchy-ID:controller-list:cgroup-path
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (base, names) = match controllers {
            "" => (root.to_owned(), VERSION_2),
            list if list.split(',').any(|name| name == "memory") => {
                (root.join("memory"), VERSION_1)
            }
            _ => continue,
        };
        let ancestors = Path::new(path.trim_start_matches('/')).ancestors();
        found.extend(ancestors.map(|folder| (base.join(folder), names)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with the layouts of `/proc` and `/sys/fs/cgroup`, removed at the end.
    struct Machine(PathBuf);

    impl Machine {
        fn with(name: &str, files: &[(&str, &str)]) -> Self {
            let folder = format!("uringstatic-memory-{}-{name}", std::process::id());
            let folder = std::env::temp_dir().join(folder);
            for (name, text) in files {
                let file = folder.join(name);
                fs::create_dir_all(file.parent().expect("it is in the folder")).expect("writable");
                fs::write(file, text).expect("writable");
            }
            Self(folder)
        }

        fn room(&self) -> Option<MemoryRoom> {
            MemoryRoom::read(Proc::at(&self.0.join("proc")), &self.0.join("groups"))
        }
    }

    impl Drop for Machine {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("it was made by the test");
        }
    }

    const MEMORY: (&str, &str) =
        ("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    4000 kB\nSwapFree:        1000 kB\n");

    #[test]
    fn a_machine_without_limits_has_what_is_available_and_swap() {
        let machine = Machine::with("none", &[MEMORY, ("proc/self/cgroup", "0::/\n")]);
        let room = MemoryRoom { bytes: 5_120_000, owner: MemoryOwner::Machine };
        assert_eq!(machine.room(), Some(room));
        assert_eq!(Machine::with("empty", &[("proc/self/x", "")]).room(), None);
    }

    #[test]
    fn the_tightest_of_nested_groups_counts_without_its_page_cache() {
        let stat = "anon 5\ninactive_file 300\nactive_file 50\ninactive_anon 9\n";
        let machine = Machine::with(
            "nested",
            &[
                ("proc/self/cgroup", "1:name=systemd:/\n0::/outer/inner\n"),
                ("groups/outer/inner/memory.max", "max\n"),
                ("groups/outer/inner/memory.current", "400\n"),
                ("groups/outer/memory.max", "1000\n"),
                ("groups/outer/memory.current", "600\n"),
                ("groups/outer/memory.stat", stat),
            ],
        );
        let room = machine.room().expect("a group has a limit");
        assert_eq!(room.bytes, 1000 - (600 - 350));
        assert_eq!(room.owner, MemoryOwner::Group(machine.0.join("groups/outer")));
    }

    #[test]
    fn a_group_of_version_1_counts_and_swap_widens_it() {
        let machine = Machine::with(
            "old",
            &[
                MEMORY,
                ("proc/self/cgroup", "4:cpu,memory:/\n0::/\n"),
                ("groups/memory/memory.limit_in_bytes", "2000\n"),
                ("groups/memory/memory.usage_in_bytes", "2500\n"),
                ("groups/memory/memory.stat", "inactive_file 7\ntotal_inactive_file 100\n"),
            ],
        );
        assert_eq!(machine.room().map(|room| room.bytes), Some(1000 * 1024));
    }
}
