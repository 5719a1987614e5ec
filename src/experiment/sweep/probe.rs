//! The question whether a server answers: one request, which waits no longer than its caller lets
//! it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// The target of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProbeTarget {
    /// Host and port as in the URL, the value of `Host`.
    authority: String,
    /// Path and query.
    target: String,
}

impl ProbeTarget {
    /// The target that an `http` URL names; `None` for other schemes, whose servers only the load
    /// client can ask.
    pub(super) fn of(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        if !scheme.eq_ignore_ascii_case("http") {
            return None;
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let target = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Some(Self { authority: authority.to_owned(), target })
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        let has_port = self.authority.rsplit_once(':').is_some_and(|(_, port)| {
            !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
        });
        let colon = if self.authority.ends_with(':') { "" } else { ":" };
        let with_port =
            if has_port { self.authority.clone() } else { format!("{}{colon}80", self.authority) };
        with_port.to_socket_addrs().map(Iterator::collect).unwrap_or_default()
    }

    /// Whether a server there answers a request with a status line of HTTP/1.x. Asks `goes_on`
    /// every [`PATIENCE`] while nothing comes.
    pub(super) fn answers<E>(
        &self,
        mut goes_on: impl FnMut() -> Result<bool, E>,
    ) -> Result<bool, E> {
        let connect = |address: &SocketAddr| TcpStream::connect_timeout(address, CONNECT).ok();
        let Some(mut stream) = self.addresses().iter().find_map(connect) else { return Ok(false) };
        let Self { authority, target } = self;
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
        let sent = stream.set_read_timeout(Some(PATIENCE));
        if sent.and_then(|()| stream.write_all(request.as_bytes())).is_err() {
            return Ok(false);
        }
        let mut start: Vec<u8> = Vec::new();
        let mut left = ANSWER_BYTES_MAX;
        let mut place = [0; 16 << 10];
        let mut silent = Duration::ZERO;
        // To the end, so that this response costs no CPU time during the measurement. A server may
        // leave the connection open all the same.
        while left > 0 && silent < OPEN {
            match stream.read(&mut place) {
                Ok(0) => break,
                Ok(len) => {
                    silent = Duration::ZERO;
                    start.extend(place[..len].iter().take(STATUS_LINE.len() - start.len()));
                    left = left.saturating_sub(len);
                }
                Err(error) if is_for_later(error.kind()) => {
                    if !goes_on()? {
                        break;
                    }
                    if start == STATUS_LINE {
                        silent += PATIENCE;
                    }
                }
                // It doesn't matter if the server has answered.
                Err(_) => break,
            }
        }
        Ok(start == STATUS_LINE)
    }
}

/// The errors of a read whose time is over, or that a signal interrupted.
fn is_for_later(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

const STATUS_LINE: &[u8] = b"HTTP/1.";
const CONNECT: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_millis(50);
/// How long a server that has begun to answer is waited for without further bytes.
const OPEN: Duration = Duration::from_secs(1);
const ANSWER_BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::net::TcpListener;

    #[test]
    fn a_url_names_host_port_and_target() {
        for (url, authority, target) in [
            ("http://a", "a", "/"),
            ("HTTP://a:1/b?c#d", "a:1", "/b?c"),
            ("http://[::1]:1?c", "[::1]:1", "/?c"),
        ] {
            let expected = ProbeTarget { authority: authority.into(), target: target.into() };
            assert_eq!(ProbeTarget::of(url), Some(expected));
        }
        assert_eq!(ProbeTarget::of("https://a/"), None);
        assert_eq!(ProbeTarget::of("unix:/a"), None);
        let port = |authority: &str| {
            let authority = authority.to_owned();
            ProbeTarget { authority, target: String::new() }.addresses()[0].port()
        };
        assert_eq!(["127.0.0.1", "127.0.0.1:", "[::1]", "[::1]:7"].map(port), [80, 80, 80, 7]);
    }

    #[test]
    fn a_server_answers_with_a_status_line() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = ProbeTarget::of(&format!("http://{}/a", listener.local_addr().unwrap()));
        let target = target.unwrap();
        for (answer, expected) in
            [("HTTP/1.1 404 Not Found\r\n\r\n", true), ("HTT", false), ("SSH-2.0-a", false)]
        {
            std::thread::scope(|scope| {
                let probe = scope.spawn(|| target.answers(|| Ok::<_, Infallible>(true)));
                let (mut peer, _) = listener.accept().unwrap();
                let mut request = [0; 15];
                peer.read_exact(&mut request).unwrap();
                assert_eq!(&request, b"GET /a HTTP/1.1");
                peer.write_all(answer.as_bytes()).unwrap();
                peer.shutdown(std::net::Shutdown::Write).unwrap();
                assert_eq!(probe.join().unwrap(), Ok(expected), "{answer}");
            });
        }
        // One that leaves the connection open.
        std::thread::scope(|scope| {
            let probe = scope.spawn(|| {
                let mut asked = 0;
                target.answers(move || {
                    asked += 1;
                    if asked < 100 { Ok(true) } else { Err("waits for ever") }
                })
            });
            let (mut peer, _) = listener.accept().unwrap();
            peer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            assert_eq!(probe.join().unwrap(), Ok(true));
        });
        // A silent server is waited for as long as the caller likes.
        let mut asked = 0;
        let goes_on = || {
            asked += 1;
            Ok::<_, Infallible>(asked < 3)
        };
        assert_eq!(target.answers(goes_on), Ok(false));
        assert_eq!(asked, 3);
        assert_eq!(target.answers(|| Err("interrupted")), Err("interrupted"));
        drop(listener);
        assert_eq!(target.answers(|| Err("not asked")), Ok(false));
    }
}
