//! Attempts on sockets, by system calls.
//!
//! An attempt of several calls may be stopped by the first of them, so the filter's answer to each
//! of the others has an attempt of its own: on a listener, for which the call fails. A filter
//! decides before the socket, so the error of a listener says that the call was made.

use crate::attempts::Answer;
use crate::raw::{address, call, number};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use uringstatic::os::net::{Endpoint, Listener};

/// Makes an attempt, if it is one of these.
pub(crate) fn make(name: &str, listeners: &[Listener]) -> Option<Answer> {
    let fd = || number(listeners[1].socket().as_raw_fd());
    let answer = match name {
        "connect" => {
            let to = target(listeners);
            socket().and_then(|fd| call(libc::SYS_connect, [fd, address(&to), to.len()]))
        }
        "connect a listener" => {
            let to = target(listeners);
            call(libc::SYS_connect, [fd(), address(&to), to.len()])
        }
        "send a message by a listener" => send_stderr(fd()),
        "receive a message by a listener" => receive(fd()),
        "bind a socket" => {
            let any_port = to_bytes(SocketAddr::from(([127, 0, 0, 1], 0)));
            let bind = |fd| call(libc::SYS_bind, [fd, address(&any_port), any_port.len()]);
            socket().and_then(bind)
        }
        "make a socket" => socket(),
        "connect by fast open" => return Some(fast_open(listeners)),
        "shut a listener down" => call(libc::SYS_shutdown, [fd(), number(libc::SHUT_RDWR)]),
        "set an option of a listener" => {
            let on = 1i32.to_ne_bytes();
            let (level, name) = (number(libc::SOL_SOCKET), number(libc::SO_KEEPALIVE));
            call(libc::SYS_setsockopt, [fd(), level, name, address(&on), on.len()])
        }
        "make a listener wait" => call(libc::SYS_fcntl, [fd(), number(libc::F_SETFL), 0]),
        "pass a descriptor" => pair().and_then(|[from, _]| send_stderr(from)),
        "receive a descriptor" => pair().and_then(|[from, to]| {
            send_stderr(from)?;
            receive(to)
        }),
        _ => return None,
    };
    Some(match answer {
        Err(libc::EISCONN | libc::ENOTCONN | libc::EPIPE) => Ok(()),
        answer => answer.map(drop),
    })
}

fn socket() -> Result<usize, i32> {
    call(libc::SYS_socket, [number(libc::AF_INET), 1, 0])
}

/// Turns a listener into a connecting socket and sends by it to another listener.
fn fast_open(listeners: &[Listener]) -> Answer {
    let to = target(listeners);
    let fd = number(listeners[1].socket().as_raw_fd());
    let send = |flags: i32, to: &[u8]| {
        let flags = number(flags | libc::MSG_DONTWAIT);
        let place = if to.is_empty() { 0 } else { address(to) };
        call(libc::SYS_sendto, [fd, address(b"x"), 1, flags, place, to.len()]).map(drop)
    };
    match send(libc::MSG_FASTOPEN, &to) {
        // It listens still.
        Err(libc::EISCONN) => {}
        refused => return refused,
    }
    call(libc::SYS_shutdown, [fd, number(libc::SHUT_RDWR)])?;
    match send(libc::MSG_FASTOPEN, &to) {
        Ok(()) | Err(libc::EINPROGRESS) => {}
        refused => return refused,
    }
    // Over loopback, the answer has arrived by now.
    send(0, &[])
}

fn pair() -> Result<[usize; 2], i32> {
    let mut pair = [0i32; 2];
    let place = pair.as_mut_ptr() as usize;
    call(libc::SYS_socketpair, [number(libc::AF_UNIX), 1, 0, place])?;
    Ok(pair.map(number))
}

/// Receives a byte, and a descriptor if one comes with it.
fn receive(socket: usize) -> Result<usize, i32> {
    with_message([0; 3], |message| call(libc::SYS_recvmsg, [socket, message, 0]))
}

/// Sends a byte with standard error (unix(7), `SCM_RIGHTS`).
fn send_stderr(socket: usize) -> Result<usize, i32> {
    // A header of 20 bytes, level, type, and the descriptor (cmsg(3)).
    let level_and_type = u64::from(libc::SOL_SOCKET.unsigned_abs())
        | u64::from(libc::SCM_RIGHTS.unsigned_abs()) << 32;
    let control = [20u64, level_and_type, 2];
    with_message(control, |message| call(libc::SYS_sendmsg, [socket, message, 0]))
}

/// Makes a call with the address of a message of one byte.
fn with_message(
    mut control: [u64; 3],
    make: impl FnOnce(usize) -> Result<usize, i32>,
) -> Result<usize, i32> {
    let mut byte = *b"x";
    let mut piece = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let message = libc::msghdr {
        msg_name: std::ptr::null_mut(),
        msg_namelen: 0,
        msg_iov: &raw mut piece,
        msg_iovlen: 1,
        msg_control: control.as_mut_ptr().cast(),
        msg_controllen: size_of_val(&control),
        msg_flags: 0,
    };
    make((&raw const message) as usize)
}

/// The address of the process's own listener, as connect(2) takes it.
pub(crate) fn target(listeners: &[Listener]) -> [u8; 16] {
    let Endpoint::Tcp(address) = listeners[0].endpoint else { panic!("TCP was asked for") };
    to_bytes(address)
}

fn to_bytes(address: SocketAddr) -> [u8; 16] {
    let mut bytes = [0; 16];
    let family = u16::try_from(libc::AF_INET).expect("it's small");
    bytes[..2].copy_from_slice(&family.to_ne_bytes());
    bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
    bytes[4..8].copy_from_slice(&[127, 0, 0, 1]);
    bytes
}
