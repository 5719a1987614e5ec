//! Attempts with the calls that a worker on epoll may make, with arguments that it has no use for.
//! As in [`crate::sockets`], some errors say that the call was made.

use crate::attempts::Answer;
use crate::raw::{address, call, number};
use crate::sockets::target;
use std::os::fd::AsRawFd;
use uringstatic::engine::epoll::Epoll;
use uringstatic::engine::kernel::KernelEngine;

/// Makes an attempt.
pub(crate) fn make(name: &str, engine: &Epoll) -> Answer {
    let fd = number(engine.listeners()[1].socket().as_raw_fd());
    let mut place = [0u8; 64];
    let at_place = place.as_mut_ptr() as usize;
    let accept =
        |to: usize, len: usize, flags: i32| call(libc::SYS_accept4, [fd, to, len, number(flags)]);
    let new = || call(libc::SYS_epoll_create1, [0]);
    let add = |instance: usize| {
        call(libc::SYS_epoll_ctl, [instance, number(libc::EPOLL_CTL_ADD), fd, at_place])
    };
    let wait = |instance: usize, mask: usize| {
        call(libc::SYS_epoll_pwait, [instance, at_place, 1, 0, mask, 8])
    };
    let answer = match name {
        "accept with an address" => accept(at_place, 0, ACCEPT_FLAGS),
        "accept with the length of an address" => accept(0, at_place, ACCEPT_FLAGS),
        "accept a connection that waits" => accept(0, 0, libc::SOCK_CLOEXEC),
        "accept a connection to inherit" => accept(0, 0, libc::SOCK_NONBLOCK),
        "send to an address" => {
            let to = target(engine.listeners());
            let nothing = number(libc::MSG_NOSIGNAL);
            call(libc::SYS_sendto, [fd, at_place, 1, nothing, address(&to), to.len()])
        }
        "send by fast open without an address" => {
            let flags = number(libc::MSG_FASTOPEN | libc::MSG_NOSIGNAL);
            call(libc::SYS_sendto, [fd, at_place, 1, flags, 0, 0])
        }
        "end the receiving side of a listener" => {
            call(libc::SYS_shutdown, [fd, number(libc::SHUT_RD)])
        }
        "make an epoll instance" => new(),
        "register with another epoll instance" => add(STDIN),
        "wait for another epoll instance" => wait(STDIN, 0),
        "wait with a signal mask" => wait(instance_of(engine), at_place),
        "write to standard output by writev" => {
            let piece = [at_place, 1];
            call(libc::SYS_writev, [1, piece.as_ptr() as usize, 1])
        }
        _ => panic!("no attempt is called {name}"),
    };
    match answer {
        // Nothing waits to be accepted, a listener can't send, another file is no instance.
        Err(libc::EAGAIN | libc::EPIPE | libc::EISCONN | libc::EFAULT | libc::EINVAL) => Ok(()),
        answer => answer.map(drop),
    }
}

/// The descriptor of the engine's instance, which is in its list.
fn instance_of(engine: &Epoll) -> usize {
    let calls = engine.needed_calls();
    let wait = calls.iter().find(|call| call.number == libc::SYS_epoll_pwait);
    let value = wait.expect("it waits").only.first().expect("on its instance only").value;
    usize::try_from(value).expect("a descriptor is small")
}

const STDIN: usize = 0;
const ACCEPT_FLAGS: i32 = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
