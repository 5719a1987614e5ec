//! The client that an attack must not affect. It requests the page every few milliseconds, on a
//! persistent connection and every fifth time on a new one, and measures the time. A failed request
//! counts as lost; a wrong byte fails the attack.

use crate::common::{GET, GET_CLOSE, PATIENCE};
use crate::crowd::Incoming;
use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The running client.
pub(crate) struct GoodClient {
    stop: Sender<()>,
    thread: JoinHandle<Good>,
}

/// Its results.
#[derive(Clone, Debug, Default)]
pub(crate) struct Good {
    /// The time of each request, including the connect for a new connection.
    pub(crate) took: Vec<Duration>,
    /// Connections opened.
    pub(crate) connections: u64,
    /// A message per failed request.
    pub(crate) lost: Vec<String>,
}

impl GoodClient {
    pub(crate) fn start(address: SocketAddr, page: &[u8]) -> Self {
        let (stop, stopped) = channel();
        let page = page.to_owned();
        let thread = std::thread::spawn(move || {
            let mut good = Good::default();
            let mut kept = None;
            let mut number = 0_u32;
            loop {
                number += 1;
                let start = Instant::now();
                let outcome = if number.is_multiple_of(FRESH_EVERY) {
                    good.ask_on(&mut None, address, GET_CLOSE, &page)
                } else {
                    good.ask_on(&mut kept, address, GET, &page)
                };
                match outcome {
                    Ok(()) => good.took.push(start.elapsed()),
                    Err(error) => good.lost.push(format!("request {number}: {error}")),
                }
                // A failed attack drops the sender, which ends the client, too.
                if stopped.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout) {
                    return good;
                }
            }
        });
        Self { stop, thread }
    }

    pub(crate) fn stop(self) -> Good {
        // The thread may have panicked at a wrong byte, which `join` reports.
        let _ = self.stop.send(());
        self.thread.join().expect("every byte is right")
    }
}

impl Good {
    /// One request, on a new connection if none is kept; a failed request drops the connection.
    fn ask_on(
        &mut self,
        kept: &mut Option<TcpStream>,
        address: SocketAddr,
        request: &str,
        page: &[u8],
    ) -> std::io::Result<()> {
        let mut stream = if let Some(stream) = kept.take() {
            stream
        } else {
            let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            self.connections += 1;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream
        };
        stream.write_all(request.as_bytes())?;
        let mut response = Incoming::default();
        let mut place = [0; 16_384];
        while !response.is_complete() {
            let count = stream.read(&mut place)?;
            if count == 0 {
                return Err(Error::from(ErrorKind::UnexpectedEof));
            }
            let used = response.take(&place[..count], page);
            assert_eq!(used, count, "no bytes follow the response");
        }
        assert_eq!(response.status(), 200);
        *kept = Some(stream);
        Ok(())
    }

    /// A percentile of the times in milliseconds.
    pub(crate) fn percentile_ms(&self, percent: usize) -> f64 {
        let mut took = self.took.clone();
        took.sort_unstable();
        let last = took.len().saturating_sub(1);
        took.get(took.len() * percent / 100)
            .or(took.get(last))
            .map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }

    /// The longest time in milliseconds.
    pub(crate) fn max_ms(&self) -> f64 {
        self.took.iter().max().map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }
}

const PAUSE: Duration = Duration::from_millis(4);
const FRESH_EVERY: u32 = 5;
