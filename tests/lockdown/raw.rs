//! System calls with plain numbers as arguments.

#![allow(unsafe_code, reason = "an attacker uses it")]

/// Makes a system call with these arguments, at most six, and zeros after them.
pub(crate) fn call<const N: usize>(
    name: libc::c_long,
    arguments: [usize; N],
) -> Result<usize, i32> {
    let mut all = [0usize; 6];
    all[..N].copy_from_slice(&arguments);
    let [first, second, third, fourth, fifth, sixth] = all;
    // SAFETY: every address among the arguments is that of memory which the caller borrows.
    let answer = unsafe { libc::syscall(name, first, second, third, fourth, fifth, sixth) };
    usize::try_from(answer).map_err(|_| {
        std::io::Error::last_os_error().raw_os_error().expect("the system call failed")
    })
}

/// A number as a register argument.
pub(crate) fn number(value: i32) -> usize {
    isize::try_from(value).expect("it's as large at least").cast_unsigned()
}

/// The address of some bytes as a register argument.
pub(crate) fn address(bytes: &[u8]) -> usize {
    bytes.as_ptr() as usize
}
