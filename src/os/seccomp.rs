//! Filters of system calls (seccomp(2)), of two kinds: one kills the process for a call that is not
//! on a list, the other fails the calls on a list and permits all others. All filters of a process
//! apply, also those of its parent, and the strictest answer counts.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
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

/// A system call that fails with an error and has no other effect.
#[derive(Clone, Debug)]
pub struct RefusedCall {
    /// Its number.
    pub number: i64,
    /// Its name, as in syscalls(2).
    pub name: &'static str,
    /// The calls that are refused; `None` refuses every call.
    pub only: Option<AnyBit>,
    /// The error number of the refusal.
    pub errno: i32,
    /// The effect of the call that is unwanted, for people.
    pub why: &'static str,
}

/// A condition on an argument: it has at least one of these bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnyBit {
    /// The index of the argument, from 0.
    pub argument: u8,
    /// The bits, all of them among the lower 32.
    pub bits: u32,
    /// The condition in words, for people.
    pub words: &'static str,
}

/// Installs the filter that kills: from now on, a call that is in neither list kills the process at
/// once (`SIGSYS`). A call in both lists is refused.
///
/// The filter applies to the calling thread and the threads that it starts (seccomp(2)), so the
/// caller ensures that there is no other.
///
/// # Errors
/// [`FilterError::Unavailable`] if this machine has no filters, which [`check`] tells in advance.
pub fn install(calls: &[Call], refusals: &[RefusedCall]) -> Result<(), FilterError> {
    let arch = available().map_err(FilterError::Unavailable)?;
    let failed = |error: seccompiler::Error| FilterError::Failed(error);
    let mut program = refusing(&[]);
    // The compiler asks for one call after the other, in the order of their numbers.
    let waits = |call: &&Call| WAITS.contains(&call.number);
    program.extend(calls.iter().find(waits).into_iter().flat_map(steps_to_allow));
    program.extend(refusals.iter().flat_map(refusal_steps));
    program.extend(compile(calls, arch).map_err(|error| failed(error.into()))?);
    seccompiler::apply_filter(&program).map_err(failed)
}

/// Installs the filter that fails the calls of this list and permits all others, for the calling
/// thread as in [`install`]. A program that is started later has it, too.
///
/// # Errors
/// Those of [`install`].
pub fn refuse(refusals: &[RefusedCall]) -> Result<(), FilterError> {
    available().map_err(FilterError::Unavailable)?;
    let step = |code: u32, jt: u8, jf: u8, k: u32| instruction(code, jt, jf, k);
    let mut program = refusing(&[]);
    // The call by which a serving worker waits, which inherits this filter, is decided first.
    // Measured: a filter takes some 70 ns if its fifth step decides, and some 170 ns if its
    // fortieth does.
    let is_refused = |wait: &i64| refusals.iter().any(|refusal| refusal.number == *wait);
    for wait in WAITS.into_iter().filter(|wait| !is_refused(wait)) {
        let allow = step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW);
        program.extend([step(EQUAL, 0, 1, number_of(wait)), allow]);
    }
    if cfg!(target_arch = "x86_64") {
        // The numbers of the x32 ABI, which would be a way around the list: few kernels have it,
        // and no program of ours uses it.
        let nosys = refused_with(libc::ENOSYS);
        program.extend([step(AT_LEAST, 0, 1, X32_BIT), step(RETURN, 0, 0, nosys)]);
    }
    program.extend(refusals.iter().flat_map(refusal_steps));
    program.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    seccompiler::apply_filter(&program).map_err(FilterError::Failed)
}

/// The beginning of a program: other architectures are killed, the calls of a list refused.
fn refusing(refusals: &[RefusedCall]) -> BpfProgram {
    let mut program = vec![
        instruction(LOAD, 0, 0, ARCHITECTURE_AT),
        instruction(EQUAL, 1, 0, ARCHITECTURE),
        instruction(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        instruction(LOAD, 0, 0, NUMBER_AT),
    ];
    program.extend(refusals.iter().flat_map(refusal_steps));
    program
}

/// The steps for one call, which begin and end with the number of the call as the value.
fn refusal_steps(refusal: &RefusedCall) -> Vec<sock_filter> {
    let RefusedCall { number, only, errno, .. } = *refusal;
    let number = number_of(number);
    let refused = instruction(RETURN, 0, 0, refused_with(errno));
    let Some(AnyBit { argument, bits, .. }) = only else {
        return vec![instruction(EQUAL, 0, 1, number), refused];
    };
    vec![
        instruction(EQUAL, 0, 4, number),
        instruction(LOAD, 0, 0, FIRST_ARGUMENT_AT + 8 * u32::from(argument)),
        instruction(ANY_BIT, 0, 1, bits),
        refused,
        instruction(LOAD, 0, 0, NUMBER_AT),
    ]
}

/// The steps that permit a call if all its conditions hold. They begin and end with the number of
/// the call as the value.
fn steps_to_allow(call: &Call) -> Vec<sock_filter> {
    let mut conditions = Vec::new();
    for Condition { argument, mask, value, .. } in &call.only {
        for half in 0..2 {
            let part = |bits: u64| (bits >> (32 * half)) as u32;
            if part(*mask) != 0 {
                let place = FIRST_ARGUMENT_AT + 8 * u32::from(*argument) + 4 * half;
                conditions.push([(LOAD, place), (MASK, part(*mask)), (EQUAL, part(*value))]);
            }
        }
    }
    let count = u8::try_from(3 * conditions.len()).expect("a call has six arguments");
    let mut steps = vec![instruction(EQUAL, 0, count + 2, number_of(call.number))];
    for (nth, condition) in conditions.into_iter().enumerate() {
        for (code, k) in condition {
            // Beyond the other conditions and the permission.
            let rest = count - 3 * u8::try_from(nth + 1).expect("a call has six arguments") + 1;
            steps.push(instruction(code, 0, if code == EQUAL { rest } else { 0 }, k));
        }
    }
    steps.push(instruction(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    steps.push(instruction(LOAD, 0, 0, NUMBER_AT));
    steps
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    let code = u16::try_from(code).expect("instructions are small");
    sock_filter { code, jt, jf, k }
}

fn number_of(call: i64) -> u32 {
    u32::try_from(call).expect("numbers of calls are small")
}

fn refused_with(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno.unsigned_abs()
}

/// Instructions of a classic BPF program over `struct seccomp_data` (seccomp(2)).
const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const MASK: u32 = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
const ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
/// Its lower half, on machines that store it first, which all of [`TargetArch`] do.
const FIRST_ARGUMENT_AT: u32 = 16;
/// The calls by which a worker waits, one for each engine.
const WAITS: [i64; 2] = [libc::SYS_io_uring_enter, libc::SYS_epoll_pwait];
/// `AUDIT_ARCH_*` of `linux/audit.h`.
const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") {
    0xc000_003e
} else if cfg!(target_arch = "aarch64") {
    0xc000_00b7
} else {
    // RISC-V; the filter's compiler knows no other, and `available` asks it first.
    0xc000_00f3
};
/// `__X32_SYSCALL_BIT` of `asm/unistd.h`.
const X32_BIT: u32 = 0x4000_0000;

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

    /// The argument is this address.
    #[must_use]
    pub fn address(argument: u8, value: u64, words: &'static str) -> Self {
        Self { argument, mask: u64::MAX, value, words }
    }

    /// The argument is 0 or a null pointer.
    #[must_use]
    pub fn zero(argument: u8, words: &'static str) -> Self {
        Self { argument, mask: u64::MAX, value: 0, words }
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
