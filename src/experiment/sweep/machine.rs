//! The description of the machine in a sweep's results, read from `/proc` or a copy of it.

use super::results::Machine;
use crate::os::proc::{Proc, values};
use std::path::Path;

/// Describes the machine; values that can't be read are empty or 0.
#[must_use]
pub fn describe(proc: &Path) -> Machine {
    let proc = Proc::at(proc);
    let read = |file: &str| proc.read(file).unwrap_or_default();
    let word = |name: &str| {
        let value = proc.sysctl(name).unwrap_or_default();
        value.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let processors = read("cpuinfo");
    let models = values(&processors, "model name").next();
    let memory = read("meminfo");
    let kilobytes = values(&memory, "MemTotal").next();
    let kilobytes = kilobytes.and_then(|value| value.strip_suffix(" kB")?.parse::<u64>().ok());
    let sysctls = SYSCTLS.iter().filter_map(|name| {
        let value = word(name);
        (!value.is_empty()).then(|| ((*name).to_owned(), value))
    });
    let limits = read("self/limits");
    let limits = limits.lines().filter_map(|line| {
        let name = LIMITS.iter().find(|name| line.starts_with(*name))?;
        let mut columns = line[name.len()..].split_whitespace();
        Some(((*name).to_owned(), format!("{} / {}", columns.next()?, columns.next()?)))
    });
    Machine {
        kernel: [word("kernel.osrelease"), word("kernel.version")].join(" "),
        cpu: models.unwrap_or_default().to_owned(),
        cores: u32::try_from(values(&processors, "processor").count()).unwrap_or(0),
        memory_bytes: kilobytes.unwrap_or(0) * 1024,
        sysctls: sysctls.collect(),
        limits: limits.collect(),
    }
}

/// Settings that limit the number of connections or their rate.
const SYSCTLS: [&str; 13] = [
    "fs.file-max",
    "fs.nr_open",
    "kernel.io_uring_disabled",
    "kernel.threads-max",
    "net.core.netdev_max_backlog",
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_tw_reuse",
    "vm.max_map_count",
];

/// Resource limits by their names in `/proc/PID/limits`.
const LIMITS: [&str; 4] =
    ["Max open files", "Max processes", "Max locked memory", "Max stack size"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::sweep::tests::TempFolder;
    use std::fs;

    #[test]
    fn machine_is_described_from_proc() {
        let proc = TempFolder::new();
        for (path, text) in [
            (
                "cpuinfo",
                "processor\t: 0\nmodel name\t: Abacus 3\n\nprocessor\t: 1\nmodel name\t: b",
            ),
            ("meminfo", "MemTotal:        2048 kB\nMemFree: 1 kB\n"),
            ("sys/kernel/osrelease", "6.18.44\n"),
            ("sys/kernel/version", "#1 SMP\n"),
            ("sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
            (
                "self/limits",
                "Limit Soft Hard Units\nMax open files            1024   20000  files\n",
            ),
        ] {
            let path = proc.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let machine = describe(proc.path());
        assert_eq!(machine.kernel, "6.18.44 #1 SMP");
        assert_eq!(machine.cpu, "Abacus 3");
        assert_eq!((machine.cores, machine.memory_bytes), (2, 2 << 20));
        assert_eq!(machine.sysctls["net.ipv4.ip_local_port_range"], "32768 60999");
        assert_eq!(machine.sysctls.len(), 1);
        assert_eq!(machine.limits["Max open files"], "1024 / 20000");
        assert_eq!(machine.limits.len(), 1);
    }

    #[test]
    fn this_machine_can_be_described() {
        let machine = describe(Path::new("/proc"));
        assert!(machine.cores > 0 && machine.memory_bytes > 0 && machine.kernel.len() > 3);
        assert!(machine.sysctls.contains_key("net.core.somaxconn"));
    }
}
