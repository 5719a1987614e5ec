//! Thousands of clients in one thread: sockets that never block, looked at in turn, and responses
//! that are compared byte by byte as they come.

use crate::common::GET;
use crate::watch::{await_that, breathe};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;
use uringstatic::os::net::reset_on_close;

/// A response as it comes.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    head: Vec<u8>,
    status: u16,
    /// Bytes of the body, once the head is whole.
    length: Option<usize>,
    body: usize,
}

impl Incoming {
    /// Takes what belongs to this response; says how much that was. A page must have these bytes.
    pub(crate) fn take(&mut self, bytes: &[u8], page: &[u8]) -> usize {
        let mut used = 0;
        while self.length.is_none() && used < bytes.len() {
            self.head.push(bytes[used]);
            used += 1;
            if self.head.ends_with(b"\r\n\r\n") {
                self.read_head();
            }
        }
        let Some(length) = self.length else { return used };
        let part = &bytes[used..][..(length - self.body).min(bytes.len() - used)];
        if self.status == 200 {
            assert_eq!(length, page.len(), "the length of the page");
            let expected = &page[self.body..][..part.len()];
            assert!(part == expected, "the page differs within {} bytes", self.body + part.len());
        }
        self.body += part.len();
        used + part.len()
    }

    fn read_head(&mut self) {
        let head = String::from_utf8_lossy(&self.head);
        let rest =
            head.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("no response: {head:?}"));
        self.status = rest[..3].parse().expect("a status is a number");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length = length.unwrap_or_else(|| panic!("no length: {head}"));
        self.length = Some(length.parse().expect("a length is a number"));
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// Whether something of it has come.
    pub(crate) fn has_begun(&self) -> bool {
        !self.head.is_empty()
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.length == Some(self.body)
    }
}

/// How a connection ended, as its client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Reset,
}

/// A client.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: TcpStream,
    /// Requests that it could send by [`Peer::ask`].
    pub(crate) asked: u64,
    /// The response that comes now.
    pub(crate) response: Incoming,
    /// Whole pages.
    pub(crate) pages: u32,
    /// The statuses of other responses.
    pub(crate) others: Vec<u16>,
    pub(crate) end: Option<End>,
    /// All that came, for who wants to judge that itself.
    pub(crate) raw: Option<Vec<u8>>,
}

impl Peer {
    /// Connects, and waits for that. What waits to be accepted is connected.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, CONNECT).expect("it listens");
        stream.set_nodelay(true).expect("TCP has the option");
        stream.set_nonblocking(true).expect("sockets need not block");
        let (response, others) = (Incoming::default(), Vec::new());
        Self { stream, asked: 0, response, pages: 0, others, end: None, raw: None }
    }

    /// Asks for a page if it waits for none and wasn't turned away.
    pub(crate) fn ask(&mut self) {
        if self.end.is_none() && self.asked == u64::from(self.pages) {
            self.asked += u64::from(self.send(GET));
        }
    }

    /// Sends what is so little that it always fits. Says whether the server still took it.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let bytes = bytes.as_ref();
        match self.stream.write(bytes) {
            Ok(count) => {
                assert_eq!(count, bytes.len(), "there is room for little");
                true
            }
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::WouldBlock, "there is room for little");
                false
            }
        }
    }

    /// Says that nothing more will be sent; the other end may be gone already.
    pub(crate) fn half_close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Leaves with a reset.
    pub(crate) fn reset(self) {
        reset_on_close(&self.stream).expect("the socket is open");
    }

    /// Reads everything that is there.
    pub(crate) fn receive(&mut self, page: &[u8]) {
        while self.receive_some(page) {}
    }

    /// Reads some of what is there; says whether there may be more.
    pub(crate) fn receive_some(&mut self, page: &[u8]) -> bool {
        if self.end.is_some() {
            return false;
        }
        let mut place = [0; 16_384];
        match self.stream.read(&mut place) {
            Ok(0) => self.end = Some(End::Closed),
            Ok(count) => self.take(&place[..count], page),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                self.end = Some(End::Reset);
            }
            Err(error) => panic!("receiving: {error}"),
        }
        self.end.is_none()
    }

    /// Reads one byte, whatever it is.
    pub(crate) fn sip(&mut self) {
        match self.stream.read(&mut [0]) {
            Ok(0) => self.end = Some(End::Closed),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => self.end = Some(End::Reset),
            Ok(_) | Err(_) => {}
        }
    }

    fn take(&mut self, mut bytes: &[u8], page: &[u8]) {
        if let Some(raw) = &mut self.raw {
            return raw.extend_from_slice(bytes);
        }
        while !bytes.is_empty() {
            let used = self.response.take(bytes, page);
            bytes = &bytes[used..];
            if self.response.is_whole() {
                match self.response.status() {
                    200 => self.pages += 1,
                    other => self.others.push(other),
                }
                self.response = Incoming::default();
            }
        }
    }
}

/// So many clients, each of which has sent this.
pub(crate) fn crowd(address: SocketAddr, count: usize, first: impl AsRef<[u8]>) -> Vec<Peer> {
    let mut peers = Vec::with_capacity(count);
    for _ in 0..count {
        let mut peer = Peer::connect(address);
        assert!(peer.send(&first), "the kernel takes it");
        peers.push(peer);
    }
    peers
}

/// Each sends this; all must be able to.
pub(crate) fn send_all(peers: &mut [Peer], bytes: impl AsRef<[u8]>) {
    for peer in peers {
        assert!(peer.send(&bytes), "the server takes it: {:?}", peer.end);
    }
}

/// Receives until it is so for each of them.
pub(crate) fn receive_until(
    what: &str,
    peers: &mut [Peer],
    page: &[u8],
    is_so: impl Fn(&Peer) -> bool,
) {
    await_that(what, || {
        let mut all = true;
        for peer in &mut *peers {
            if !is_so(peer) {
                peer.receive(page);
                all &= is_so(peer);
            }
        }
        all
    });
}

/// Reads everything that is there, and lets a moment pass.
pub(crate) fn receive_all(peers: &mut [Peer], page: &[u8]) {
    for peer in peers {
        peer.receive(page);
    }
    breathe(Duration::from_millis(1));
}

/// Of how many that is so.
pub(crate) fn count(peers: &[Peer], mut is_so: impl FnMut(&Peer) -> bool) -> usize {
    peers.iter().filter(|peer| is_so(peer)).count()
}

const CONNECT: Duration = Duration::from_secs(20);
