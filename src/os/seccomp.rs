//! A filter of system calls (seccomp(2)): a call that is not on the list kills the process.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::fmt;
use std::io;

/// A permitted system call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its number.
    pub number: i64,
    /// Its name, as in syscalls(2).
    pub name: &'static str,
    /// Conditions on its arguments, all of which must hold; none permits every argument.
    pub only: Vec<Condition>,
    /// The purpose, for people.
    pub why: &'static str,
}

/// A condition on an argument: its masked bits equal a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The index of the argument, from 0.
    pub argument: u8,
    /// The bits that are compared.
    pub mask: u64,
    /// The value they must have.
    pub value: u64,
    /// The condition in words, for people.
    pub words: &'static str,
}

/// Installs the filter: from now on, any other call kills the process at once (`SIGSYS`).
///
/// The filter applies to the calling thread and the threads that it starts (seccomp(2)), so the
/// caller ensures that there is no other.
///
/// # Errors
/// [`FilterError::Unavailable`] if this machine has no filters, which [`check`] tells in advance.
pub fn install(calls: &[Call]) -> Result<(), FilterError> {
    let arch = available().map_err(FilterError::Unavailable)?;
    let failed = |error: seccompiler::Error| FilterError::Failed(error);
    let program = compile(calls, arch).map_err(|error| failed(error.into()))?;
    seccompiler::apply_filter(&program).map_err(failed)
}

/// Why no filter is installed.
#[derive(Debug)]
pub enum FilterError {
    /// The kernel or the architecture has no filters, for this reason.
    Unavailable(String),
    /// The list makes no program, or the kernel refuses it.
    Failed(seccompiler::Error),
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => f.write_str(why),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FilterError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unavailable(_) => None,
            Self::Failed(error) => Some(error),
        }
    }
}

/// Checks that the kernel can kill a process for a call (Linux 4.14), and that the filter's
/// compiler knows the architecture.
///
/// # Errors
/// The reason why there can be no filter.
pub fn check() -> Result<(), String> {
    available().map(drop)
}

fn available() -> Result<TargetArch, String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)
        .map_err(|_| format!("the filter compiler doesn't support {}", std::env::consts::ARCH))?;
    let action: u32 = libc::SECCOMP_RET_KILL_PROCESS;
    let operation = libc::SECCOMP_GET_ACTION_AVAIL;
    // SAFETY: seccomp reads one number, which lives until the call returns (seccomp(2)).
    let answer = unsafe { libc::syscall(libc::SYS_seccomp, operation, 0, &raw const action) };
    match answer {
        0 => Ok(arch),
        _ => Err(format!("this kernel has no seccomp filters: {}", io::Error::last_os_error())),
    }
}

fn compile(calls: &[Call], arch: TargetArch) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in calls {
        let of_call = rules.entry(call.number).or_default();
        if !call.only.is_empty() {
            let conditions = call.only.iter().map(Condition::compile).collect::<Result<_, _>>()?;
            of_call.push(SeccompRule::new(conditions)?);
        }
    }
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch)?.try_into()
}

impl Condition {
    /// The argument, which the kernel takes as an int, equals a number.
    #[must_use]
    pub fn equals(argument: u8, value: u64, words: &'static str) -> Self {
        Self { argument, mask: INT, value, words }
    }

    /// The argument, which the kernel takes as an int, has no bit set besides these.
    #[must_use]
    pub fn no_bits_but(argument: u8, bits: u32, words: &'static str) -> Self {
        Self { argument, mask: INT & !u64::from(bits), value: 0, words }
    }

    fn compile(&self) -> Result<SeccompCondition, seccompiler::BackendError> {
        let compare = SeccompCmpOp::MaskedEq(self.mask);
        SeccompCondition::new(self.argument, SeccompCmpArgLen::Qword, compare, self.value)
    }
}

/// The bits of an argument that the kernel takes as an int: it ignores the upper 32.
const INT: u64 = 0xffff_ffff;
