//! The server's end of connections, as the kernel reports it (`sock_diag(7)`).

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, netlink, recv, send, socket};
use std::collections::HashMap;
use std::os::fd::OwnedFd;

/// The open connections of a port, accepted into a descriptor or a direct descriptor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections {
    /// Bytes in their receive queues.
    pub(crate) unread: u64,
    /// The client's ports by the inodes of the server's sockets.
    pub(crate) ports: HashMap<u32, u16>,
}

impl Connections {
    /// The connections over IPv4. The kernel doesn't list them at one moment: while connections
    /// come and go, a closed one and its successor may both be listed, and one may be left out. The
    /// list is exact while the server is stopped.
    pub(crate) fn of_port(port: u16) -> Self {
        let socket = socket(AddressFamily::NETLINK, SocketType::RAW, Some(netlink::SOCK_DIAG));
        let socket = socket.expect("the kernel has sock_diag");
        send(&socket, &request(port), SendFlags::empty()).expect("the kernel takes requests");
        let mut connections = Self::default();
        while connections.read_some(&socket) {}
        connections
    }

    /// The number of connections.
    pub(crate) fn count(&self) -> usize {
        self.ports.len()
    }

    /// The number of connections that an earlier list has, too: all of these were open at the same
    /// time, between the two.
    pub(crate) fn in_common(&self, earlier: &Self) -> usize {
        self.ports.keys().filter(|inode| earlier.ports.contains_key(inode)).count()
    }

    /// Reads some messages; false after the last one.
    fn read_some(&mut self, socket: &OwnedFd) -> bool {
        let mut place = [0; 16_384];
        let (len, _) = recv(socket, &mut place, RecvFlags::empty()).expect("a reply follows");
        let mut rest = &place[..len];
        while !rest.is_empty() {
            let message_len = number_at(rest, 0) as usize;
            let kind = u16::from_ne_bytes([rest[4], rest[5]]);
            match kind {
                NLMSG_DONE => return false,
                SOCK_DIAG_BY_FAMILY => self.add(&rest[HEADER_LEN..message_len]),
                kind => panic!("sock_diag(7): message {kind}, {:?}", &rest[..message_len]),
            }
            rest = &rest[message_len.next_multiple_of(4).min(rest.len())..];
        }
        true
    }

    /// Adds the connection of an `inet_diag_msg`.
    fn add(&mut self, message: &[u8]) {
        let inode = number_at(message, 68);
        let client = u16::from_be_bytes([message[6], message[7]]);
        // A connection that is not accepted yet, or closed, has no inode.
        if inode != 0 && self.ports.insert(inode, client).is_none() {
            self.unread += u64::from(number_at(message, 56));
        }
    }
}

/// A request for all connections of a local port: an `nlmsghdr` and an `inet_diag_req_v2`.
fn request(port: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(REQUEST_LEN.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([AF_INET, IPPROTO_TCP, 0, 0]);
    bytes.extend(STATES.to_ne_bytes());
    bytes.extend(port.to_be_bytes());
    bytes.resize(REQUEST_LEN as usize, 0);
    bytes
}

fn number_at(bytes: &[u8], offset: usize) -> u32 {
    let bytes = bytes[offset..].first_chunk().expect("messages have a fixed form");
    u32::from_ne_bytes(*bytes)
}

// netlink(7), sock_diag(7), and the headers linux/netlink.h, linux/inet_diag.h and
// net/tcp_states.h.
const HEADER_LEN: usize = 16;
const REQUEST_LEN: u32 = 16 + 56;
const NLMSG_DONE: u16 = 3;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP: u16 = 0x300;
const AF_INET: u8 = 2;
const IPPROTO_TCP: u8 = 6;
/// `ESTABLISHED`, `FIN_WAIT1`, `FIN_WAIT2`, `CLOSE_WAIT`, `LAST_ACK` and `CLOSING`.
const STATES: u32 = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11;
