//! Why a process can't have a ring, in words for an operator: as exact as the error number and the
//! settings of the machine allow.

use super::probe::{KERNEL_MIN, Obstacles};
use crate::engine::Errno;
use crate::os::process::kernel_version;
use std::fmt;

/// The reason for which a machine has no ring for a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RingUnavailable {
    /// The kernel has this version, which is older than [`KERNEL_MIN`].
    OldKernel((u32, u32)),
    /// The kernel lacks something, which the text names.
    Lacking(String),
    /// A system call fails.
    Refused {
        /// Its name.
        call: String,
        /// Its error.
        errno: Errno,
        /// The cause, as far as it is known.
        by: RefusalCause,
    },
    /// A filter of system calls kills a process that makes them.
    Killed,
}

/// What makes a system call of `io_uring` fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusalCause {
    /// `kernel.io_uring_disabled`, which has this value.
    Setting(String),
    /// A seccomp filter.
    Filter,
    /// Either: the setting has this value, and there is a filter.
    SettingOrFilter(String),
    /// The kernel, which has no such call or no such flag of it.
    Kernel,
    /// The kernel or a filter.
    KernelOrFilter,
    /// None of these: probably a security module.
    Unknown,
}

impl RingUnavailable {
    /// The reason if the running kernel is too old, whatever it permits.
    #[must_use]
    pub fn by_version() -> Option<Self> {
        let version = kernel_version();
        (version < KERNEL_MIN).then_some(Self::OldKernel(version))
    }

    /// The reason if a system call fails with this error number. `None` if the error doesn't mean
    /// that rings are unavailable: a want of memory or of descriptors has a remedy.
    #[must_use]
    pub fn by_errno(call: &str, errno: Errno, obstacles: &Obstacles) -> Option<Self> {
        let by = cause(call, errno, obstacles, kernel_version())?;
        Some(Self::Refused { call: call.to_owned(), errno, by })
    }
}

/// The cause of a refusal; `None` for an error number that is none.
fn cause(
    call: &str,
    errno: Errno,
    obstacles: &Obstacles,
    version: (u32, u32),
) -> Option<RefusalCause> {
    let Obstacles { sysctl, seccomp } = obstacles;
    let is_filtered = seccomp.as_ref().is_some_and(|mode| mode != "0");
    let setting = sysctl.as_ref().filter(|value| *value != "0" && call == "io_uring_setup");
    Some(match (errno.0, setting) {
        // The value 2 refuses every process, before a security module is asked.
        (libc::EPERM, Some(value)) if value == "2" || !is_filtered => {
            RefusalCause::Setting(value.clone())
        }
        (libc::EPERM, Some(value)) => RefusalCause::SettingOrFilter(value.clone()),
        // The setting comes with io_uring (Linux 6.6), so a kernel without it has none.
        (libc::ENOSYS, _) if sysctl.is_none() && version >= (6, 6) => RefusalCause::Kernel,
        (libc::ENOSYS | libc::EPERM | libc::EACCES, _) if is_filtered => RefusalCause::Filter,
        (libc::EINVAL, _) if is_filtered => RefusalCause::KernelOrFilter,
        (libc::ENOSYS | libc::EINVAL, _) => RefusalCause::Kernel,
        (libc::EPERM | libc::EACCES, _) => RefusalCause::Unknown,
        _ => return None,
    })
}

impl fmt::Display for RingUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (call, errno, by) = match self {
            Self::OldKernel((major, minor)) => {
                let (least, of_least) = KERNEL_MIN;
                return write!(
                    f,
                    "io_uring needs Linux {least}.{of_least} or later, and this is {major}.{minor}"
                );
            }
            Self::Lacking(why) => return f.write_str(why),
            Self::Killed => {
                return f.write_str("a seccomp filter kills a process that uses io_uring (SIGSYS)");
            }
            Self::Refused { call, errno, by } => (call, errno_name(*errno), by),
        };
        match by {
            RefusalCause::Setting(value) => {
                write!(f, "kernel.io_uring_disabled is {value}{} ({errno})", meaning(value))
            }
            RefusalCause::Filter => write!(f, "{call} is refused by a seccomp filter ({errno})"),
            RefusalCause::SettingOrFilter(value) => write!(
                f,
                "{call} is refused by kernel.io_uring_disabled, which is {value}{}, or by a \
                 seccomp filter ({errno})",
                meaning(value)
            ),
            RefusalCause::Kernel if errno == "EINVAL" => {
                write!(f, "{call} lacks a feature in this kernel ({errno})")
            }
            RefusalCause::Kernel => write!(f, "this kernel has no {call} ({errno})"),
            RefusalCause::KernelOrFilter => write!(
                f,
                "{call} lacks a feature in this kernel, or is refused by a seccomp filter ({errno})"
            ),
            RefusalCause::Unknown => {
                write!(f, "{call} is refused, probably by a security module ({errno})")
            }
        }
    }
}

/// The processes that a value of `kernel.io_uring_disabled` refuses, unless it refuses all
/// (Documentation/admin-guide/sysctl/kernel.rst).
fn meaning(value: &str) -> &'static str {
    match value {
        "1" => ", and the user is not in the group kernel.io_uring_group",
        _ => "",
    }
}

fn errno_name(errno: Errno) -> &'static str {
    match errno.0 {
        libc::ENOSYS => "ENOSYS",
        libc::EPERM => "EPERM",
        libc::EACCES => "EACCES",
        libc::EINVAL => "EINVAL",
        _ => "another error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words for a failed `io_uring_setup(2)` on Linux 6.18, if it makes rings unavailable.
    fn words(errno: i32, sysctl: Option<&str>, seccomp: &str) -> Option<String> {
        words_of("io_uring_setup", errno, sysctl, seccomp)
    }

    fn words_of(call: &str, errno: i32, sysctl: Option<&str>, seccomp: &str) -> Option<String> {
        let sysctl = sysctl.map(str::to_owned);
        let obstacles = Obstacles { sysctl, seccomp: Some(seccomp.to_owned()) };
        let by = cause(call, Errno(errno), &obstacles, (6, 18))?;
        let call = call.to_owned();
        Some(RingUnavailable::Refused { call, errno: Errno(errno), by }.to_string())
    }

    #[test]
    fn a_refusal_names_its_cause() {
        let expect = |found: Option<String>, expected: &str| {
            assert_eq!(found.as_deref(), Some(expected));
        };
        // The default profiles of Docker 25 and of podman.
        for (errno, name) in [(libc::EPERM, "EPERM"), (libc::ENOSYS, "ENOSYS")] {
            let expected = format!("io_uring_setup is refused by a seccomp filter ({name})");
            expect(words(errno, Some("0"), "2"), &expected);
        }
        expect(words(libc::EPERM, Some("2"), "2"), "kernel.io_uring_disabled is 2 (EPERM)");
        expect(words(libc::EPERM, Some("2"), "0"), "kernel.io_uring_disabled is 2 (EPERM)");
        let group = "kernel.io_uring_disabled is 1, and the user is not in the group \
                     kernel.io_uring_group (EPERM)";
        expect(words(libc::EPERM, Some("1"), "0"), group);
        let either = words(libc::EPERM, Some("1"), "2").expect("EPERM is a refusal");
        assert!(either.contains("or by a seccomp filter"), "{either}");
        expect(words(libc::ENOSYS, None, "2"), "this kernel has no io_uring_setup (ENOSYS)");
        expect(words(libc::ENOSYS, Some("0"), "0"), "this kernel has no io_uring_setup (ENOSYS)");
        let lacks = "io_uring_setup lacks a feature in this kernel (EINVAL)";
        expect(words(libc::EINVAL, Some("0"), "0"), lacks);
        let module = "io_uring_setup is refused, probably by a security module (EACCES)";
        expect(words(libc::EACCES, Some("0"), "0"), module);
        // The setting is asked by io_uring_setup(2) alone.
        let enter = "io_uring_enter is refused by a seccomp filter (EPERM)";
        expect(words_of("io_uring_enter", libc::EPERM, Some("2"), "2"), enter);
    }

    #[test]
    fn a_want_of_memory_or_of_descriptors_is_no_refusal() {
        for errno in [libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::EAGAIN, libc::EBADF, 0] {
            assert_eq!(words(errno, Some("0"), "2"), None, "{errno}");
        }
    }
}
