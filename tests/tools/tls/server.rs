//! Servers with TLS on loopback, one thread per connection.

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

pub(super) type Stream = StreamOwned<ServerConnection, TcpStream>;

/// A server that runs a script on each connection, until the test process ends.
pub(super) struct SecureServer {
    pub(super) port: u16,
    pub(super) counts: Arc<ServerCounts>,
}

/// Numbers that the server has counted.
#[derive(Default)]
pub(super) struct ServerCounts {
    pub(super) connections: AtomicU64,
    pub(super) handshakes: AtomicU64,
    pub(super) requests: AtomicU64,
    /// Connections that the client ended with `close_notify`.
    pub(super) closed: AtomicU64,
    /// The bytes in front of TLS, of each connection.
    pub(super) headers: Mutex<Vec<Vec<u8>>>,
}

impl ServerCounts {
    pub(super) fn of(count: &AtomicU64) -> u64 {
        count.load(Ordering::SeqCst)
    }
}

fn count(count: &AtomicU64) {
    count.fetch_add(1, Ordering::SeqCst);
}

impl SecureServer {
    pub(super) fn start(
        config: ServerConfig,
        script: impl Fn(&mut Stream, &ServerCounts) + Send + Sync + 'static,
    ) -> Self {
        Self::start_behind_header(config, 0, script)
    }

    /// A server that reads this many bytes of each connection before TLS begins.
    fn start_behind_header(
        config: ServerConfig,
        header_bytes: usize,
        script: impl Fn(&mut Stream, &ServerCounts) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("the listener has an address").port();
        let counts = Arc::new(ServerCounts::default());
        let (config, script, shared) = (Arc::new(config), Arc::new(script), counts.clone());
        std::thread::spawn(move || {
            for mut tcp in listener.incoming().flatten() {
                let (config, script, counts) = (config.clone(), script.clone(), shared.clone());
                std::thread::spawn(move || {
                    count(&counts.connections);
                    let mut header = vec![0; header_bytes];
                    if tcp.read_exact(&mut header).is_err() {
                        return;
                    }
                    counts.headers.lock().expect("no thread panics").push(header);
                    let tls = ServerConnection::new(config).expect("a server");
                    let mut stream = StreamOwned::new(tls, tcp);
                    if stream.conn.complete_io(&mut stream.sock).is_ok() {
                        count(&counts.handshakes);
                        script(&mut stream, &counts);
                    }
                });
            }
        });
        Self { port, counts }
    }

    /// A server that sends `response` to each request, and closes as HTTP/1.1 demands it.
    pub(super) fn answering(config: ServerConfig, response: Vec<u8>) -> Self {
        Self::answering_behind_header(config, 0, response)
    }

    /// The same, behind a header of this many bytes in front of TLS.
    pub(super) fn answering_behind_header(
        config: ServerConfig,
        header_bytes: usize,
        response: Vec<u8>,
    ) -> Self {
        Self::start_behind_header(config, header_bytes, move |stream, counts| {
            while let Some(head) = request(stream, counts) {
                let end =
                    if head.starts_with("HEAD ") { head_bytes(&response) } else { response.len() };
                if stream.write_all(&response[..end]).is_err() {
                    return;
                }
                let persists = head.contains(" HTTP/1.1\r\n") || head.contains(": keep-alive\r\n");
                if !persists || head.contains("Connection: close") {
                    return close(stream);
                }
            }
        })
    }

    pub(super) fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/", self.port)
    }
}

fn head_bytes(response: &[u8]) -> usize {
    response.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4
}

/// Reads a request: its head, and content of the length that it names. `None` at the end.
pub(super) fn request(stream: &mut Stream, counts: &ServerCounts) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            Ok(_) => {
                count(&counts.closed);
                return None;
            }
            Err(_) => return None,
        }
    }
    let head = String::from_utf8(head).expect("heads are ASCII");
    let length = head.split_once("Content-Length: ").and_then(|(_, rest)| rest.split_once('\r'));
    if let Some((length, _)) = length {
        let mut content = vec![0; length.parse().expect("a length")];
        stream.read_exact(&mut content).ok()?;
        // The load client's test sends nothing else.
        assert!(content.iter().all(|&byte| byte == b'x'), "the content arrives unchanged");
    }
    count(&counts.requests);
    Some(head)
}

/// Ends a connection with `close_notify`.
pub(super) fn close(stream: &mut Stream) {
    stream.conn.send_close_notify();
    let _ = stream.flush();
    let _ = stream.sock.shutdown(std::net::Shutdown::Write);
    // Reads the client's own, so that the socket is not reset.
    let _ = stream.read(&mut [0]);
}
