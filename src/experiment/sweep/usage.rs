//! What the processes of a server have used: CPU time and memory, from `/proc` (or a folder that
//! looks like it). Knows nothing of who started them.
//!
//! A server's processes are the one that was started, all descendants of one, and all of its
//! process group (a child whose parent has ended is a descendant no more, but still of the group).
//!
//! CPU time is what the scheduler counts for each thread in nanoseconds (`schedstat`). A thread
//! that ends takes that figure with it, while the process's `utime + stime` keep its time, in ticks
//! of 10 ms: the larger of the two counts, so ended threads are missed by at most two ticks. The
//! same goes for children: one that ended and was waited for is in its parent's `cutime + cstime`.
//! Lost is only the time of a process that ended within the load and whose parent ignores SIGCHLD
//! or ended before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// CPU time that a server's processes have used since they began, in nanoseconds.
#[must_use]
pub fn cpu_ns(proc: &Path, leader: u32) -> u64 {
    members(proc, leader).iter().map(|member| member.cpu_ns(proc)).sum()
}

/// Peak resident memory of a server's processes since they began, added up, in bytes.
///
/// What they share counts for each of them, and their peaks need not have been at the same time:
/// it is an upper bound, exact for a single process.
#[must_use]
pub fn memory_bytes(proc: &Path, leader: u32) -> u64 {
    members(proc, leader).iter().map(|member| peak_bytes(proc, member.id).unwrap_or(0)).sum()
}

/// A process, as its `stat` has it.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    id: u32,
    parent: u32,
    group: u32,
    /// User and system time of the process, ended threads included.
    ticks: u64,
    /// The same of its children that ended and were waited for.
    children_ticks: u64,
}

impl Stat {
    fn read(proc: &Path, id: u32) -> Option<Self> {
        let text = fs::read(proc.join(id.to_string()).join("stat")).ok()?;
        Self::parse(id, &String::from_utf8_lossy(&text))
    }

    /// The name stands in parentheses, and may have any of them itself.
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

/// The server's processes: zombies too, since their time is not in their parent's yet.
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
    let is_ours = |stat: &&Stat| stat.id == leader || stat.group == leader;
    let mut found: BTreeSet<u32> = BTreeSet::new();
    let mut left: Vec<u32> = all.iter().filter(is_ours).map(|stat| stat.id).collect();
    while let Some(id) = left.pop() {
        if found.insert(id) {
            left.extend(children.get(&id).into_iter().flatten());
        }
    }
    all.into_iter().filter(|stat| found.contains(&stat.id)).collect()
}

/// Time on a core of the threads that live, in nanoseconds; `None` if the kernel doesn't say.
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

/// Fields are counted from 1 (proc(5)); what follows the name begins with the third.
const FIELDS_BEFORE: usize = 3;
/// `USER_HZ` is 100 on every architecture that has `io_uring` and this program.
const TICK_NS: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::sweep::tests::Folder;

    /// A pretended `/proc` with one more process in it.
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
    fn descendants_and_the_group_count_and_nobody_else() {
        let proc = Folder::new();
        fs::write(proc.path().join("uptime"), "1 2").unwrap();
        add(proc.path(), 1, 0, 1, [9, 9, 9, 9], &[999]);
        add(proc.path(), 50, 1, 50, [0; 4], &[1_000]);
        add(proc.path(), 51, 50, 51, [0; 4], &[20_000]);
        add(proc.path(), 52, 51, 51, [0; 4], &[300_000]);
        // Its parent has ended, and init has taken it.
        add(proc.path(), 53, 1, 50, [0; 4], &[4_000_000]);
        add(proc.path(), 54, 53, 54, [0; 4], &[50_000_000]);
        add(proc.path(), 60, 1, 60, [9, 9, 9, 9], &[999]);
        assert_eq!(cpu_ns(proc.path(), 50), 54_321_000);
        assert_eq!(memory_bytes(proc.path(), 50), (50 + 51 + 52 + 53 + 54) * 1024);
        assert_eq!(cpu_ns(proc.path(), 77), 0);
    }

    #[test]
    fn ended_threads_and_ended_children_are_in_the_ticks() {
        let proc = Folder::new();
        // Two threads live; what they have used is more exact than 3 ticks.
        add(proc.path(), 50, 1, 50, [1, 2, 0, 0], &[30_000_001, 5]);
        assert_eq!(cpu_ns(proc.path(), 50), 30_000_006);
        // Of many threads one lives, which has used little.
        add(proc.path(), 60, 1, 60, [30, 70, 0, 0], &[7]);
        assert_eq!(cpu_ns(proc.path(), 60), 100 * TICK_NS);
        // Children have ended.
        add(proc.path(), 70, 1, 70, [0, 0, 4, 6], &[7]);
        assert_eq!(cpu_ns(proc.path(), 70), 10 * TICK_NS + 7);
        // A zombie has no threads, and a kernel may have no schedstat.
        add(proc.path(), 80, 1, 80, [2, 3, 0, 0], &[]);
        assert_eq!(cpu_ns(proc.path(), 80), 5 * TICK_NS);
    }

    #[test]
    fn what_is_no_stat_is_no_process() {
        assert_eq!(Stat::parse(1, ""), None);
        assert_eq!(Stat::parse(1, "1 (a) S 0 1 1 0"), None);
        assert_eq!(Stat::parse(1, "1 (a) S x 1 1 0 -1 0 0 0 0 0 1 2 3 4"), None);
    }

    #[test]
    fn this_process_uses_time_and_memory() {
        let proc = Path::new("/proc");
        let before = cpu_ns(proc, std::process::id());
        // Reading /proc is work enough, so this ends unless time isn't counted.
        while cpu_ns(proc, std::process::id()) < before + 2_000_000 {}
        assert!(memory_bytes(proc, std::process::id()) > 1 << 20);
    }
}
