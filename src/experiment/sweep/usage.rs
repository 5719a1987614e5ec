//! CPU time and memory of a server's processes, read from `/proc` or a copy of it.
//!
//! A server's processes are the started process, the members of its process group, and all
//! descendants of these: an orphan is no descendant any more, but stays in the group.
//!
//! CPU time is the scheduler's count of nanoseconds per thread (`schedstat`). The count of a thread
//! is lost when the thread ends, while `utime + stime` of the process include ended threads, in
//! ticks of 10 ms (proc(5)). The larger of the two is used, so the error for ended threads is at
//! most two ticks. A child that was reaped is included in `cutime + cstime` of its parent. The time
//! of a process that ended during the load is lost only if its parent ignores SIGCHLD or ended
//! before it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// CPU time of a server's processes since their start, in nanoseconds.
#[must_use]
pub fn cpu_ns(proc: &Path, leader: u32) -> u64 {
    members(proc, leader).iter().map(|member| member.cpu_ns(proc)).sum()
}

/// Sum of the peak resident memory of a server's processes, in bytes.
///
/// Shared pages count once per process, and the peaks may be at different times, so the sum is an
/// upper bound; it is exact for a single process.
#[must_use]
pub fn memory_bytes(proc: &Path, leader: u32) -> u64 {
    members(proc, leader).iter().map(|member| peak_bytes(proc, member.id).unwrap_or(0)).sum()
}

/// The fields of `/proc/PID/stat` that are needed.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    id: u32,
    parent: u32,
    group: u32,
    /// User and system time of the process, including ended threads.
    ticks: u64,
    /// User and system time of its reaped children.
    children_ticks: u64,
}

impl Stat {
    fn read(proc: &Path, id: u32) -> Option<Self> {
        let text = fs::read(proc.join(id.to_string()).join("stat")).ok()?;
        Self::parse(id, &String::from_utf8_lossy(&text))
    }

    /// The name of the program is in parentheses and may contain parentheses and spaces itself.
    fn parse(id: u32, text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - FIELDS_BEFORE)?.parse::<u64>().ok();
        Some(Self {
            id,
            parent: u32::try_from(number(4)?).ok()?,
            group: u32::try_from(number(5)?).ok()?,
            ticks: number(14)? + number(15)?,
            children_ticks: number(16)? + number(17)?,
        })
    }

    fn cpu_ns(&self, proc: &Path) -> u64 {
        let own = threads_ns(proc, self.id).unwrap_or(0).max(self.ticks * TICK_NS);
        own + self.children_ticks * TICK_NS
    }
}

/// The server's processes, including zombies, whose time their parent doesn't include yet.
fn members(proc: &Path, leader: u32) -> Vec<Stat> {
    let Ok(entries) = fs::read_dir(proc) else { return Vec::new() };
    let all: Vec<Stat> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|id| Stat::read(proc, id))
        .collect();
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for stat in &all {
        children.entry(stat.parent).or_default().push(stat.id);
    }
    let is_root = |stat: &&Stat| stat.id == leader || stat.group == leader;
    let mut found: BTreeSet<u32> = BTreeSet::new();
    let mut left: Vec<u32> = all.iter().filter(is_root).map(|stat| stat.id).collect();
    while let Some(id) = left.pop() {
        if found.insert(id) {
            left.extend(children.get(&id).into_iter().flatten());
        }
    }
    all.into_iter().filter(|stat| found.contains(&stat.id)).collect()
}

/// CPU time of the living threads in nanoseconds; `None` without `CONFIG_SCHED_INFO`.
fn threads_ns(proc: &Path, id: u32) -> Option<u64> {
    let threads = fs::read_dir(proc.join(id.to_string()).join("task")).ok()?;
    let of_thread = |path: &Path| {
        let text = fs::read_to_string(path.join("schedstat")).ok()?;
        text.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    threads.filter_map(|thread| of_thread(&thread.ok()?.path())).reduce(|sum, ns| sum + ns)
}

fn peak_bytes(proc: &Path, id: u32) -> Option<u64> {
    let text = fs::read_to_string(proc.join(id.to_string()).join("status")).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = value.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Fields are counted from 1 (proc(5)); the one after the name is the third.
const FIELDS_BEFORE: usize = 3;
/// `USER_HZ` is 100 on all architectures that this program supports.
const TICK_NS: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::sweep::tests::TempFolder;

    /// Adds a process to a simulated `/proc`.
    fn add(proc: &Path, id: u32, parent: u32, group: u32, ticks: [u64; 4], threads_ns: &[u64]) {
        let folder = proc.join(id.to_string());
        fs::create_dir_all(folder.join("task")).unwrap();
        let [user, system, children_user, children_system] = ticks;
        let stat = format!(
            "{id} (a ) name)) S {parent} {group} {group} 0 -1 4194560 1 2 3 4 \
             {user} {system} {children_user} {children_system} 20 0 1 0 100 200 300"
        );
        fs::write(folder.join("stat"), stat).unwrap();
        fs::write(folder.join("status"), format!("Name:\ta\nVmHWM:\t  {id} kB\n")).unwrap();
        for (number, ns) in threads_ns.iter().enumerate() {
            let thread = folder.join("task").join((id as usize + number).to_string());
            fs::create_dir(&thread).unwrap();
            fs::write(thread.join("schedstat"), format!("{ns} 5 6\n")).unwrap();
        }
    }

    #[test]
    fn only_descendants_and_the_process_group_count() {
        let proc = TempFolder::new();
        fs::write(proc.path().join("uptime"), "1 2").unwrap();
        add(proc.path(), 1, 0, 1, [9, 9, 9, 9], &[999]);
        add(proc.path(), 50, 1, 50, [0; 4], &[1_000]);
        add(proc.path(), 51, 50, 51, [0; 4], &[20_000]);
        add(proc.path(), 52, 51, 51, [0; 4], &[300_000]);
        // An orphan, adopted by init.
        add(proc.path(), 53, 1, 50, [0; 4], &[4_000_000]);
        add(proc.path(), 54, 53, 54, [0; 4], &[50_000_000]);
        add(proc.path(), 60, 1, 60, [9, 9, 9, 9], &[999]);
        assert_eq!(cpu_ns(proc.path(), 50), 54_321_000);
        assert_eq!(memory_bytes(proc.path(), 50), (50 + 51 + 52 + 53 + 54) * 1024);
        assert_eq!(cpu_ns(proc.path(), 77), 0);
    }

    #[test]
    fn ended_threads_and_ended_children_are_in_the_ticks() {
        let proc = TempFolder::new();
        // All threads live: their nanoseconds are more exact than 3 ticks.
        add(proc.path(), 50, 1, 50, [1, 2, 0, 0], &[30_000_001, 5]);
        assert_eq!(cpu_ns(proc.path(), 50), 30_000_006);
        // Most threads have ended: the ticks include them.
        add(proc.path(), 60, 1, 60, [30, 70, 0, 0], &[7]);
        assert_eq!(cpu_ns(proc.path(), 60), 100 * TICK_NS);
        // Children were reaped.
        add(proc.path(), 70, 1, 70, [0, 0, 4, 6], &[7]);
        assert_eq!(cpu_ns(proc.path(), 70), 10 * TICK_NS + 7);
        // A zombie has no threads, and `schedstat` depends on the kernel's configuration.
        add(proc.path(), 80, 1, 80, [2, 3, 0, 0], &[]);
        assert_eq!(cpu_ns(proc.path(), 80), 5 * TICK_NS);
    }

    #[test]
    fn malformed_stat_is_ignored() {
        assert_eq!(Stat::parse(1, ""), None);
        assert_eq!(Stat::parse(1, "1 (a) S 0 1 1 0"), None);
        assert_eq!(Stat::parse(1, "1 (a) S x 1 1 0 -1 0 0 0 0 0 1 2 3 4"), None);
    }

    #[test]
    fn usage_of_this_process_grows() {
        let proc = Path::new("/proc");
        let before = cpu_ns(proc, std::process::id());
        // Reading /proc uses CPU time, so the loop ends if the time is counted.
        while cpu_ns(proc, std::process::id()) < before + 2_000_000 {}
        assert!(memory_bytes(proc, std::process::id()) > 1 << 20);
    }
}
