//! The system calls that fail in the supervisor and in a loader, each with the effect that is
//! unwanted.
//!
//! These are lists of what is denied, where [`calls`](super::calls) is one of what is permitted. A
//! filter is inherited by a program that is started, so a list of what a supervisor needs would
//! have to include all that the start of any later version of the program needs, that of the
//! dynamic linker and of either C library, and everything that reading, decoding and compressing a
//! site takes: nearly everything that isn't here, in an order that changes with each release of a
//! library. The error is EPERM instead of SIGSYS, because libraries try calls and manage without
//! them.
//!
//! A ring is beyond these filters: workers with an engine on `io_uring` need `io_uring_setup`, and
//! what a ring does is no system call. Landlock binds a ring, too. With the engine on epoll no
//! process needs a ring, so all three calls of `io_uring` are refused, but the workers accept by a
//! system call, which therefore is permitted to all. Without a ring a filter sees every send, so it
//! can also refuse those that connect.

use crate::engine::kernel::EngineKind;
use crate::os::seccomp::{AnyBit, RefusedCall};
use std::ffi::c_long;

/// What a supervisor and its loaders are refused if the workers have this engine.
#[must_use]
pub fn of_supervisor(engine: EngineKind) -> Vec<RefusedCall> {
    let (of_engine, sends) = match engine {
        EngineKind::IoUring => (BESIDE_A_RING, &[][..]),
        EngineKind::Epoll => (WITHOUT_A_RING, SENDS_THAT_CONNECT),
    };
    let groups = GROUPS.iter().chain(of_engine);
    let mut refusals: Vec<RefusedCall> = groups.flat_map(of_group).collect();
    refusals.extend(sends.iter().map(|&(number, name, argument)| RefusedCall {
        number,
        name,
        only: Some(AnyBit { argument, bits: FAST_OPEN, words: "with the flag MSG_FASTOPEN" }),
        errno: libc::EPERM,
        why: "connects a listener that was shut down",
    }));
    let words = "with CLONE_NEW flags";
    refusals.push(RefusedCall {
        number: libc::SYS_clone,
        name: "clone",
        only: Some(AnyBit { argument: 0, bits: NEW_NAMESPACES, words }),
        errno: libc::EPERM,
        why: NAMESPACES,
    });
    refusals.push(RefusedCall {
        number: libc::SYS_clone3,
        name: "clone3",
        only: None,
        // The C library then starts threads by clone(2).
        errno: libc::ENOSYS,
        why: "a filter can't read its flags, which may ask for namespaces",
    });
    refusals
}

/// What a loader is refused, besides what its supervisor is.
#[must_use]
pub fn of_loader(engine: EngineKind) -> Vec<RefusedCall> {
    of_supervisor(engine).into_iter().chain(LOADER_GROUPS.iter().flat_map(of_group)).collect()
}

/// What a worker is refused, for which [`calls::allowed`](super::calls::allowed) would kill it.
///
/// An allocator may call `mremap`, and manages without it. The worker mustn't: a mapping of its
/// page of a shared file could be enlarged to the pages behind it, which are those of other
/// workers.
#[must_use]
pub fn of_worker() -> Vec<RefusedCall> {
    let why = "it could enlarge the mapping of one page of shared memory to other pages; an \
               allocator manages without it";
    let number = libc::SYS_mremap;
    vec![RefusedCall { number, name: "mremap", only: None, errno: libc::ENOMEM, why }]
}

/// The names of the calls, in the order of the list.
#[must_use]
pub fn names(refusals: &[RefusedCall]) -> Vec<&'static str> {
    refusals.iter().map(|refusal| refusal.name).collect()
}

/// Calls with one reason.
struct Group {
    why: &'static str,
    calls: &'static [(c_long, &'static str)],
}

fn of_group(group: &Group) -> impl Iterator<Item = RefusedCall> {
    let why = group.why;
    let refused = move |&(number, name): &(c_long, &'static str)| RefusedCall {
        number,
        name,
        only: None,
        errno: libc::EPERM,
        why,
    };
    group.calls.iter().map(refused)
}

const NAMESPACES: &str = "enters other namespaces";

/// `CLONE_NEW*` (clone(2), namespaces(7)).
const NEW_NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET)
    .cast_unsigned();

/// Numbers from 424 on are the same on all machines; libc doesn't name the latest ones everywhere.
const FCHMODAT2: c_long = 452;
const SETXATTRAT: c_long = 463;
const REMOVEXATTRAT: c_long = 466;
const OPEN_TREE_ATTR: c_long = 467;
const FILE_SETATTR: c_long = 469;

const GROUPS: &[Group] = &[
    Group {
        why: "makes, binds or connects a socket; the listeners are bound, channels are pairs",
        calls: &[
            (libc::SYS_socket, "socket"),
            (libc::SYS_bind, "bind"),
            (libc::SYS_connect, "connect"),
        ],
    },
    Group { why: "accepts a connection", calls: &[(libc::SYS_accept, "accept")] },
    Group {
        why: "reads or controls another process",
        calls: &[
            (libc::SYS_ptrace, "ptrace"),
            (libc::SYS_process_vm_readv, "process_vm_readv"),
            (libc::SYS_process_vm_writev, "process_vm_writev"),
            (libc::SYS_process_madvise, "process_madvise"),
            (libc::SYS_process_mrelease, "process_mrelease"),
            (libc::SYS_pidfd_getfd, "pidfd_getfd"),
            (libc::SYS_kcmp, "kcmp"),
            (libc::SYS_perf_event_open, "perf_event_open"),
            (libc::SYS_move_pages, "move_pages"),
            (libc::SYS_migrate_pages, "migrate_pages"),
        ],
    },
    Group {
        why: "changes the owner, mode, times or attributes of a file, which Landlock doesn't deny",
        calls: &[
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_chmod, "chmod"),
            (libc::SYS_fchmod, "fchmod"),
            (libc::SYS_fchmodat, "fchmodat"),
            (FCHMODAT2, "fchmodat2"),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_chown, "chown"),
            (libc::SYS_fchown, "fchown"),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_lchown, "lchown"),
            (libc::SYS_fchownat, "fchownat"),
            (libc::SYS_setxattr, "setxattr"),
            (libc::SYS_lsetxattr, "lsetxattr"),
            (libc::SYS_fsetxattr, "fsetxattr"),
            (SETXATTRAT, "setxattrat"),
            (libc::SYS_removexattr, "removexattr"),
            (libc::SYS_lremovexattr, "lremovexattr"),
            (libc::SYS_fremovexattr, "fremovexattr"),
            (REMOVEXATTRAT, "removexattrat"),
            (FILE_SETATTR, "file_setattr"),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_utime, "utime"),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_utimes, "utimes"),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_futimesat, "futimesat"),
            (libc::SYS_utimensat, "utimensat"),
        ],
    },
    Group {
        why: "makes memory that other processes can share, or a program that has no path",
        calls: &[
            (libc::SYS_memfd_create, "memfd_create"),
            (libc::SYS_memfd_secret, "memfd_secret"),
            (libc::SYS_shmget, "shmget"),
            (libc::SYS_shmat, "shmat"),
            (libc::SYS_msgget, "msgget"),
            (libc::SYS_semget, "semget"),
            (libc::SYS_mq_open, "mq_open"),
        ],
    },
    Group {
        why: "opens a file by its number instead of a path, or watches the files of all users",
        calls: &[
            (libc::SYS_open_by_handle_at, "open_by_handle_at"),
            (libc::SYS_name_to_handle_at, "name_to_handle_at"),
            (libc::SYS_fanotify_init, "fanotify_init"),
        ],
    },
    Group {
        why: "changes the tree of file systems",
        calls: &[
            (libc::SYS_mount, "mount"),
            (libc::SYS_umount2, "umount2"),
            (libc::SYS_pivot_root, "pivot_root"),
            (libc::SYS_chroot, "chroot"),
            (libc::SYS_move_mount, "move_mount"),
            (libc::SYS_open_tree, "open_tree"),
            (OPEN_TREE_ATTR, "open_tree_attr"),
            (libc::SYS_fsopen, "fsopen"),
            (libc::SYS_fsconfig, "fsconfig"),
            (libc::SYS_fsmount, "fsmount"),
            (libc::SYS_fspick, "fspick"),
            (libc::SYS_mount_setattr, "mount_setattr"),
            (libc::SYS_quotactl, "quotactl"),
            (libc::SYS_quotactl_fd, "quotactl_fd"),
            (libc::SYS_swapon, "swapon"),
            (libc::SYS_swapoff, "swapoff"),
        ],
    },
    Group { why: NAMESPACES, calls: &[(libc::SYS_unshare, "unshare"), (libc::SYS_setns, "setns")] },
    Group {
        why: "runs code in the kernel, handles its faults, or replaces it",
        calls: &[
            (libc::SYS_bpf, "bpf"),
            (libc::SYS_userfaultfd, "userfaultfd"),
            (libc::SYS_init_module, "init_module"),
            (libc::SYS_finit_module, "finit_module"),
            (libc::SYS_delete_module, "delete_module"),
            (libc::SYS_kexec_load, "kexec_load"),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_kexec_file_load, "kexec_file_load"),
        ],
    },
    Group {
        why: "reads or changes the keys of the kernel",
        calls: &[
            (libc::SYS_add_key, "add_key"),
            (libc::SYS_request_key, "request_key"),
            (libc::SYS_keyctl, "keyctl"),
        ],
    },
    Group {
        why: "makes addresses predictable, or uses the ports and segments of the processor",
        calls: &[
            (libc::SYS_personality, "personality"),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_iopl, "iopl"),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_ioperm, "ioperm"),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_modify_ldt, "modify_ldt"),
        ],
    },
    Group {
        why: "changes the machine: its clocks, its names, its accounts, its end",
        calls: &[
            (libc::SYS_reboot, "reboot"),
            (libc::SYS_acct, "acct"),
            (libc::SYS_settimeofday, "settimeofday"),
            (libc::SYS_clock_settime, "clock_settime"),
            (libc::SYS_adjtimex, "adjtimex"),
            (libc::SYS_clock_adjtime, "clock_adjtime"),
            (libc::SYS_sethostname, "sethostname"),
            (libc::SYS_setdomainname, "setdomainname"),
            (libc::SYS_syslog, "syslog"),
            (libc::SYS_vhangup, "vhangup"),
        ],
    },
];

/// Besides, if the workers have a ring.
const BESIDE_A_RING: &[Group] = &[Group {
    why: "accepts a connection, which only a worker does, by its ring",
    calls: &[(libc::SYS_accept4, "accept4")],
}];

/// Besides, if the workers have no ring.
const WITHOUT_A_RING: &[Group] = &[Group {
    why: "makes or uses an io_uring, whose operations no filter sees",
    calls: &[
        (libc::SYS_io_uring_setup, "io_uring_setup"),
        (libc::SYS_io_uring_enter, "io_uring_enter"),
        (libc::SYS_io_uring_register, "io_uring_register"),
    ],
}];

/// The sends that take flags, each with the index of these (send(2), sendmmsg(2)). Only their
/// argument counts: the kernel ignores the flags within a message.
const SENDS_THAT_CONNECT: &[(c_long, &str, u8)] = &[
    (libc::SYS_sendto, "sendto", 3),
    (libc::SYS_sendmsg, "sendmsg", 2),
    (libc::SYS_sendmmsg, "sendmmsg", 3),
];

const FAST_OPEN: u32 = libc::MSG_FASTOPEN.cast_unsigned();

const LOADER_GROUPS: &[Group] = &[
    Group {
        why: "starts a program; a loader copies itself",
        calls: &[(libc::SYS_execve, "execve"), (libc::SYS_execveat, "execveat")],
    },
    Group {
        why: "signals another process; only a supervisor does",
        calls: &[
            (libc::SYS_kill, "kill"),
            (libc::SYS_rt_sigqueueinfo, "rt_sigqueueinfo"),
            (libc::SYS_rt_tgsigqueueinfo, "rt_tgsigqueueinfo"),
            (libc::SYS_pidfd_send_signal, "pidfd_send_signal"),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_loader_keeps_the_calls_that_its_workers_and_its_start_need() {
        let of_ring = ["io_uring_setup", "io_uring_enter", "io_uring_register"];
        let of_epoll = ["accept4", "epoll_create1", "epoll_ctl", "fcntl", "recvfrom", "writev"];
        let needed = [(EngineKind::IoUring, &of_ring[..]), (EngineKind::Epoll, &of_epoll)];
        for (engine, of_engine) in needed {
            let refused = names(&of_loader(engine));
            let unique: BTreeSet<_> = refused.iter().collect();
            assert_eq!(unique.len(), refused.len(), "a call is listed once");
            let of_all = ["socketpair", "listen", "seccomp", "prctl", "setresuid"];
            for needed in of_all.iter().chain(of_engine) {
                assert!(!refused.contains(needed), "{needed}");
            }
        }
    }
}
