//! How many processes serve, and on which CPUs.

use std::num::NonZero;

/// The number of processes that serve (`--workers`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerCount {
    /// One for each CPU that this process may use.
    Auto,
    /// This many, from 1 to [`WORKERS_MAX`].
    Count(u32),
}

impl WorkerCount {
    /// The number, at most `spawn`: a worker needs at least one connection of the limit.
    #[must_use]
    pub fn count(self, spawn: u32) -> u32 {
        match self {
            // The affinity (sched_getaffinity(2)) and the quotas of the control groups (`cpu.max`).
            Self::Auto => {
                let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
                u32::try_from(cores).unwrap_or(WORKERS_MAX).clamp(1, spawn.clamp(1, WORKERS_MAX))
            }
            Self::Count(count) => count,
        }
    }

    /// Parses a number, or `auto`.
    ///
    /// # Errors
    /// For anything else; names both forms.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let count = text.parse().ok().filter(|count| (1..=WORKERS_MAX).contains(count));
        let forms = || format!("write a number from 1 to {WORKERS_MAX}, or auto");
        count.map(Self::Count).ok_or_else(forms)
    }
}

/// The most processes that serve.
pub const WORKERS_MAX: u32 = 256;

/// CPUs to run on, in the order of the workers (`--cpu`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuList(pub(crate) Vec<u32>);

impl CpuList {
    /// The CPU of a worker, counted from 0. More workers than CPUs begin again at the first.
    #[must_use]
    pub fn of_worker(&self, number: u32) -> u32 {
        self.0[number as usize % self.0.len()]
    }

    /// Parses a list of numbers and ranges, in the form of `taskset -c`: `0-3,6`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let number = text.parse::<u32>().ok().filter(|&number| number <= CPU_MAX);
            number.ok_or_else(|| {
                format!("write CPUs as numbers from 0 to {CPU_MAX} and ranges of them: 0-3,6")
            })
        };
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(format!("the range {part} ends before it begins"));
            }
            for cpu in first..=last {
                if cpus.contains(&cpu) {
                    return Err(format!("CPU {cpu} is listed twice"));
                }
                cpus.push(cpu);
            }
        }
        Ok(Self(cpus))
    }
}

/// The highest CPU that a `cpu_set_t` can name (`sched_setaffinity(2)`).
const CPU_MAX: u32 = 1023;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_list_has_numbers_and_ranges_in_their_order() {
        let cpus = CpuList::parse("4,0-2").unwrap();
        assert_eq!([0, 1, 2, 3, 4].map(|worker| cpus.of_worker(worker)), [4, 0, 1, 2, 4]);
        assert_eq!(CpuList::parse("1023").unwrap().of_worker(5), 1023);
        for (text, hint) in [
            ("", "write CPUs as numbers"),
            ("1,", "write CPUs as numbers"),
            ("-1", "write CPUs as numbers"),
            ("1024", "from 0 to 1023"),
            ("all", "write CPUs as numbers"),
            ("3-1", "ends before it begins"),
            ("0-2,1", "CPU 1 is listed twice"),
        ] {
            let message = CpuList::parse(text).unwrap_err();
            assert!(message.contains(hint), "{text}: {message}");
        }
    }

    #[test]
    fn a_number_of_workers_is_positive_or_automatic() {
        assert_eq!(WorkerCount::parse("auto"), Ok(WorkerCount::Auto));
        assert_eq!(WorkerCount::parse("256"), Ok(WorkerCount::Count(256)));
        for text in ["0", "257", "", "-1", "many"] {
            assert!(WorkerCount::parse(text).is_err(), "{text}");
        }
        assert_eq!(WorkerCount::Auto.count(1), 1, "a worker needs a connection");
        assert!(WorkerCount::Auto.count(5000) >= 1);
    }
}
