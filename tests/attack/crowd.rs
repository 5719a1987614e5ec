//! Thousands of clients in one thread: nonblocking sockets, polled in turn, and responses that are
//! compared byte by byte as they arrive.

use crate::common::GET;
use crate::watch::{await_that, breathe};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;
use uringstatic::os::net::reset_on_close;

/// A response that is being received.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    head: Vec<u8>,
    status: u16,
    /// The length of the body, once the head is complete.
    length: Option<usize>,
    body: usize,
}

impl Incoming {
    /// Takes the bytes of this response and returns their number. The body of a 200 must be `page`.
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

    /// Whether a byte has arrived.
    pub(crate) fn has_begun(&self) -> bool {
        !self.head.is_empty()
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.length == Some(self.body)
    }
}

/// The end of a connection as seen by its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Reset,
}

/// A client.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: TcpStream,
    /// Requests sent by [`Peer::ask`].
    pub(crate) asked: u64,
    /// The response in progress.
    pub(crate) response: Incoming,
    /// Complete pages.
    pub(crate) pages: u32,
    /// The statuses of all other responses.
    pub(crate) others: Vec<u16>,
    pub(crate) end: Option<End>,
    /// Every byte received, if the attack wants to parse them itself.
    pub(crate) raw: Option<Vec<u8>>,
}

impl Peer {
    /// Connects; a connection in the backlog counts as connected.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, CONNECT).expect("the server listens");
        stream.set_nodelay(true).expect("TCP has the option");
        stream.set_nonblocking(true).expect("sockets can be nonblocking");
        let (response, others) = (Incoming::default(), Vec::new());
        Self { stream, asked: 0, response, pages: 0, others, end: None, raw: None }
    }

    /// Requests the page if the connection is open and no request is unanswered.
    pub(crate) fn ask(&mut self) {
        if self.end.is_none() && self.asked == u64::from(self.pages) {
            self.asked += u64::from(self.send(GET));
        }
    }

    /// Sends bytes that fit into the socket buffer; false if the server has closed.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let bytes = bytes.as_ref();
        match self.stream.write(bytes) {
            Ok(count) => {
                assert_eq!(count, bytes.len(), "the socket buffer has room");
                true
            }
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::WouldBlock, "the socket buffer has room");
                false
            }
        }
    }

    /// Ends the stream towards the server, which may have closed already.
    pub(crate) fn half_close(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) {
        reset_on_close(&self.stream).expect("the socket is open");
    }

    /// Reads everything that has arrived.
    pub(crate) fn receive(&mut self, page: &[u8]) {
        while self.receive_some(page) {}
    }

    /// Reads once; true if more may have arrived.
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
            if self.response.is_complete() {
                match self.response.status() {
                    200 => self.pages += 1,
                    other => self.others.push(other),
                }
                self.response = Incoming::default();
            }
        }
    }
}

/// Clients that have each sent `first`.
pub(crate) fn crowd(address: SocketAddr, count: usize, first: impl AsRef<[u8]>) -> Vec<Peer> {
    let mut peers = Vec::with_capacity(count);
    for _ in 0..count {
        let mut peer = Peer::connect(address);
        assert!(peer.send(&first), "the socket buffer has room");
        peers.push(peer);
    }
    peers
}

/// Sends bytes from each client; fails if the server has closed one.
pub(crate) fn send_all(peers: &mut [Peer], bytes: impl AsRef<[u8]>) {
    for peer in peers {
        assert!(peer.send(&bytes), "the server has closed: {:?}", peer.end);
    }
}

/// Receives until the condition holds for each client.
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

/// Reads everything that has arrived, and yields the core for a millisecond.
pub(crate) fn receive_all(peers: &mut [Peer], page: &[u8]) {
    for peer in peers {
        peer.receive(page);
    }
    breathe(Duration::from_millis(1));
}

/// The number of clients for which the condition holds.
pub(crate) fn count(peers: &[Peer], mut is_so: impl FnMut(&Peer) -> bool) -> usize {
    peers.iter().filter(|peer| is_so(peer)).count()
}

const CONNECT: Duration = Duration::from_secs(20);
