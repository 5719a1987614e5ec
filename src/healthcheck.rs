//! The health of a running service, asked by its addresses: what `HEALTHCHECK` of a container image
//! without a shell and curl needs.
//!
//! The service is a process of this machine or container, and its command line, which proc(5) shows
//! to every user, has the addresses. So the answer is right with whatever arguments a container was
//! started.

#![forbid(unsafe_code)]

use crate::error::Failure;
use crate::os::net::Endpoint;
use crate::start::ListenAddress;
use crate::start::settings::StartSettings;
use crate::value_parsers::duration;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Options of `uringstatic healthcheck`. The comments on fields are help texts.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct HealthCheckOptions {
    /// Process ID of the service, or of the init process that has started it
    #[arg(long, value_name = "PID", default_value = "1")]
    pub pid: u32,

    /// Longest time for each step: connecting, sending, and each part of the response
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = duration)]
    pub timeout: Duration,
}

/// The command line of a service: that of a process, without the words of an init process such as
/// `docker-init -- /uringstatic ...`.
///
/// # Errors
/// If there is no such process, or it isn't this program.
pub fn command_line(pid: u32) -> Result<Vec<OsString>, Failure> {
    let what = format!("reading the command line of process {pid}");
    let text = fs::read(format!("/proc/{pid}/cmdline"))
        .map_err(|error| Failure::new(&*what, error, "--pid names the process of the service"))?;
    service_words(&text).ok_or_else(|| {
        let why = "it isn't a service of uringstatic";
        Failure::new(what, why, "--pid names the process of the service")
    })
}

/// The words from this program's own name on. Each ends with a zero byte (proc(5)).
fn service_words(text: &[u8]) -> Option<Vec<OsString>> {
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    let mut words = text.split(|&octet| octet == 0);
    let is_program = |word: &[u8]| Path::new(OsStr::from_bytes(word)).ends_with(PROGRAM);
    let first = words.find(|word| is_program(word))?;
    Some([first].into_iter().chain(words).map(|word| OsString::from_vec(word.to_vec())).collect())
}

/// Asks a service with these settings.
///
/// # Errors
/// If it doesn't answer, or says that it isn't healthy: what was asked, and the answer.
pub fn ask(settings: &StartSettings, timeout: Duration) -> Result<(), Failure> {
    let question = Question::of(settings);
    let Question { endpoint, path, .. } = &question;
    let what = format!("asking {endpoint} for {}", path.unwrap_or("/"));
    match question.status(timeout) {
        Ok(status) if question.is_healthy(status) => Ok(()),
        Ok(status) => Err(Failure::new(what, format!("the response has status {status}"), "")),
        Err(error) => Err(Failure::new(what, error, "")),
    }
}

/// An address and, if the service has one, the path of health checks.
#[derive(Debug, PartialEq, Eq)]
struct Question<'a> {
    endpoint: &'a Endpoint,
    path: Option<&'a str>,
    /// Whether the address wants a PROXY header first.
    is_for_proxies: bool,
}

impl<'a> Question<'a> {
    fn of(settings: &'a StartSettings) -> Self {
        let of_listener = |address: &'a ListenAddress, path| Self {
            endpoint: &address.endpoint,
            path,
            is_for_proxies: address.is_for_proxies,
        };
        match (&settings.health_listen, &settings.admin.admin) {
            (Some(address), _) => of_listener(address, Some(settings.health_path())),
            (None, Some(endpoint)) => {
                Self { endpoint, path: Some(READY_PATH), is_for_proxies: false }
            }
            (None, None) => {
                of_listener(&settings.listen[0], settings.root_options.health.as_deref())
            }
        }
    }

    /// Without a path for health checks, any response is a sign of life: the page of a server may
    /// have status 503, and its hosts may be others.
    fn is_healthy(&self, status: u16) -> bool {
        self.path.is_none() || status == 200
    }

    /// The status of the response to a request.
    fn status(&self, timeout: Duration) -> io::Result<u16> {
        match self.endpoint {
            Endpoint::Tcp(address) => {
                let stream = TcpStream::connect_timeout(&reachable(*address), timeout)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                self.exchange(stream)
            }
            Endpoint::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                self.exchange(stream)
            }
        }
    }

    fn exchange(&self, mut stream: impl Read + Write) -> io::Result<u16> {
        let path = self.path.unwrap_or("/");
        if self.is_for_proxies {
            // Of no client: the address of the connection stays.
            write!(stream, "PROXY UNKNOWN\r\n")?;
        }
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut start = Vec::new();
        stream.take(STATUS_LINE_BYTES).read_to_end(&mut start)?;
        status_in(&start).ok_or_else(|| io::Error::other("the response isn't HTTP/1.1"))
    }
}

/// An address that leads to a socket which listens on this one: the unspecified address stands for
/// all of the machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The status at the start of a response.
fn status_in(start: &[u8]) -> Option<u16> {
    let rest = start.strip_prefix(b"HTTP/1.1 ")?;
    let (digits, rest) = rest.split_at_checked(3)?;
    let is_end = matches!(rest.first(), Some(b' ' | b'\r'));
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_end)?;
    digits.parse().ok().filter(|status| (100..600).contains(status))
}

/// The path of the admin address that says whether a generation serves and no drain is announced.
const READY_PATH: &str = "/ready";
const PROGRAM: &str = env!("CARGO_PKG_NAME");
/// Bytes of the start of a response up to the status and a space.
const STATUS_LINE_BYTES: u64 = 13;

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Option<Vec<String>> {
        let words = service_words(text.replace(' ', "\0").as_bytes())?;
        Some(words.into_iter().map(|word| word.into_string().unwrap()).collect())
    }

    #[test]
    fn words_of_an_init_process_are_skipped() {
        let expected = Some(vec!["/uringstatic".to_owned(), "--spawn".to_owned(), "5".to_owned()]);
        assert_eq!(words("/uringstatic --spawn 5 "), expected);
        assert_eq!(words("/sbin/docker-init -- /uringstatic --spawn 5 "), expected);
        for other in ["", " ", "/bin/sh -c x ", "/uringstatic2 --spawn 5 "] {
            assert_eq!(words(other), None, "{other:?}");
        }
    }

    #[test]
    fn the_address_for_health_checks_is_asked_first_and_one_that_listens_otherwise() {
        let mut settings = StartSettings::default();
        let asked = |settings: &StartSettings| {
            let Question { endpoint, path, .. } = Question::of(settings);
            (endpoint.to_string(), path.map(str::to_owned))
        };
        assert_eq!(asked(&settings), ("127.0.0.1:10001".to_owned(), None));
        settings.root_options.health = Some("/up".to_owned());
        let health = Some("/up".to_owned());
        assert_eq!(asked(&settings), ("127.0.0.1:10001".to_owned(), health.clone()));
        settings.admin.admin = Some(Endpoint::Unix("admin".into()));
        assert_eq!(asked(&settings), ("unix:admin".to_owned(), Some("/ready".to_owned())));
        settings.health_listen = Some(Endpoint::Tcp(([0, 0, 0, 0], 9).into()).into());
        assert_eq!(asked(&settings), ("0.0.0.0:9".to_owned(), health));
        settings.root_options.health = None;
        assert_eq!(asked(&settings), ("0.0.0.0:9".to_owned(), Some("/healthz".to_owned())));
    }

    #[test]
    fn unspecified_addresses_are_reached_by_loopback() {
        for (address, expected) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("10.0.0.1:80", "10.0.0.1:80"),
        ] {
            assert_eq!(reachable(address.parse().unwrap()).to_string(), expected);
        }
    }

    #[test]
    fn a_status_is_read_from_the_start_of_a_response_alone() {
        assert_eq!(status_in(b"HTTP/1.1 200 "), Some(200));
        assert_eq!(status_in(b"HTTP/1.1 503\r"), Some(503));
        for other in
            ["", "HTTP/1.1 20", "HTTP/1.1 200", "HTTP/1.0 200 ", "HTTP/1.1 +20 ", "SSH-2.0"]
        {
            assert_eq!(status_in(other.as_bytes()), None, "{other:?}");
        }
    }
}
