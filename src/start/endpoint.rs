//! The grammar of `--listen` and of the options for socket files: text to [`ListenAddress`], with
//! a message for the usual mistakes. Resolves no name and binds no socket.

use crate::os::net::Endpoint;
use crate::server::LISTENERS_MAX;
use clap::builder::{OsStringValueParser, TypedValueParser};
use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// An address to listen on, and how connections to it begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// The address.
    pub endpoint: Endpoint,
    /// Whether a connection begins with a PROXY header, because proxies open it.
    pub is_for_proxies: bool,
}

impl From<Endpoint> for ListenAddress {
    /// An address for clients themselves.
    fn from(endpoint: Endpoint) -> Self {
        Self { endpoint, is_for_proxies: false }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = if self.is_for_proxies { PROXY_SUFFIX } else { "" };
        write!(f, "{}{suffix}", self.endpoint)
    }
}

/// Permissions of socket files. The comments on fields are help texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct SocketOptions {
    /// Mode of socket files, in octal, such as 0660 [default: 0777 less the umask]
    ///
    /// Connecting requires write permission, which the usual umask of 022 leaves to the owner only:
    /// the user that starts the server, even if --user names another.
    #[arg(long, value_name = "MODE", value_parser = socket_mode)]
    pub socket_mode: Option<u32>,

    /// Group of socket files, by name or number [default: the group of the starting process]
    #[arg(long, value_name = "GROUP")]
    pub socket_group: Option<String>,
}

/// The listener for questions about the service. The comments on fields are help texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct AdminOptions {
    /// Address for metrics and probes, as for --listen: /metrics, /live, /ready and /status
    ///
    /// A process of its own answers there, so that it is reached whatever the service is busy with.
    /// The address has no authentication and should be out of reach of clients: one of the loopback
    /// interface, or a socket file, which has the mode of --socket-mode.
    #[arg(long, value_name = "ADDR:PORT", conflicts_with = "single_process")]
    #[arg(value_parser = OsStringValueParser::new().try_map(parse_admin))]
    pub admin: Option<Endpoint>,
}

impl SocketOptions {
    /// Refuses options for socket files if none of the addresses is one: they would have no effect.
    pub(super) fn check(&self, addresses: &[Endpoint]) -> Result<(), String> {
        let is_unix = |address: &Endpoint| matches!(address, Endpoint::Unix(_));
        if *self == Self::default() || addresses.iter().any(is_unix) {
            return Ok(());
        }
        Err("--socket-mode and --socket-group apply to socket files, and no address is one: name \
             one with --listen unix:PATH"
            .to_owned())
    }
}

/// Parses `--socket-mode`: the nine permission bits, without set-user-ID, set-group-ID and sticky.
fn socket_mode(text: &str) -> Result<u32, String> {
    let is_octal = !text.is_empty() && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    let mode = is_octal.then(|| u32::from_str_radix(text, 8).ok()).flatten();
    mode.filter(|&mode| mode <= SOCKET_MODE_MAX)
        .ok_or_else(|| "write an octal number from 0 to 0777, such as 0660".to_owned())
}

/// Parses one address. Paths need not be UTF-8.
pub(super) fn parse(text: OsString) -> Result<ListenAddress, String> {
    let mut text = text.into_vec();
    let is_for_proxies = text.ends_with(PROXY_SUFFIX.as_bytes());
    if is_for_proxies {
        text.truncate(text.len() - PROXY_SUFFIX.len());
    }
    Ok(ListenAddress { endpoint: endpoint(text)?, is_for_proxies })
}

/// Parses the address of `--admin`, which is not for proxies.
fn parse_admin(text: OsString) -> Result<Endpoint, String> {
    let address = parse(text)?;
    if address.is_for_proxies {
        return Err(format!("it has no PROXY header: write {}", address.endpoint));
    }
    Ok(address.endpoint)
}

fn endpoint(text: Vec<u8>) -> Result<Endpoint, String> {
    if let Some(path) = text.strip_prefix(b"unix:") {
        return unix(path.to_vec());
    }
    let text = String::from_utf8(text).map_err(|_| FORMS.to_owned())?;
    text.parse().map(Endpoint::Tcp).map_err(|_| explain(&text))
}

/// Refuses too many addresses, and an address that is given twice.
pub(super) fn check_all(addresses: &[Endpoint]) -> Result<(), String> {
    if addresses.len() > LISTENERS_MAX {
        return Err(format!("--listen may be given {LISTENERS_MAX} times at most"));
    }
    for (index, address) in addresses.iter().enumerate() {
        if is_exclusive(address) && addresses[..index].contains(address) {
            return Err(format!("--listen {address} is given twice; give each address once"));
        }
    }
    Ok(())
}

/// Whether a second listener on the address would fail: port 0 is a different port each time.
fn is_exclusive(address: &Endpoint) -> bool {
    match address {
        Endpoint::Tcp(address) => address.port() != 0,
        Endpoint::Unix(_) => true,
    }
}

fn unix(path: Vec<u8>) -> Result<Endpoint, String> {
    if path.is_empty() {
        return Err("the path after unix: is missing; write unix:/run/web.sock".to_owned());
    }
    if path.contains(&0) {
        return Err("the path of a socket can't contain a NUL byte".to_owned());
    }
    if path.len() > UNIX_PATH_BYTES_MAX {
        let len = path.len();
        return Err(format!(
            "the path has {len} bytes; the path of a socket can have {UNIX_PATH_BYTES_MAX} at most"
        ));
    }
    Ok(Endpoint::Unix(PathBuf::from(OsString::from_vec(path))))
}

/// The message for text that is not a socket address.
fn explain(text: &str) -> String {
    if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        let complete = SocketAddr::new(address, 10001);
        return format!("the port is missing; write {complete}");
    }
    if let Some((_, suffix)) = text.rsplit_once(',') {
        return format!("after an address, only `{PROXY_SUFFIX}` is known, not `,{suffix}`");
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return FORMS.to_owned();
    };
    if port.parse::<u16>().is_err() {
        return format!("the port must be a number from 0 to 65535, not '{port}'");
    }
    match host {
        "" | "*" => format!("for all addresses write 0.0.0.0:{port} or [::]:{port}"),
        "localhost" => {
            format!("host names are not resolved; write 127.0.0.1:{port} or [::1]:{port}")
        }
        _ => FORMS.to_owned(),
    }
}

const FORMS: &str = "write an IPv4 address and port (127.0.0.1:10001), an IPv6 address in brackets \
                     and port ([::1]:10001), or a socket file (unix:/run/web.sock); host names are \
                     not resolved";

/// `sun_path` has 108 bytes (unix(7)), the last of which is NUL.
const UNIX_PATH_BYTES_MAX: usize = 107;

const SOCKET_MODE_MAX: u32 = 0o777;

/// Behind the address of a listener for proxies.
const PROXY_SUFFIX: &str = ",proxy";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ListenAddress, String> {
        parse(OsString::from(text))
    }

    #[test]
    fn an_endpoint_is_displayed_as_it_was_written() {
        let long = format!("unix:/{}", "a".repeat(UNIX_PATH_BYTES_MAX - 1));
        for text in [
            "127.0.0.1:10001",
            "0.0.0.0:0",
            "[::1]:80",
            "[fe80::1%2]:65535",
            "unix:/run/x.sock",
            "unix:relative.sock",
            "unix:/with space:8080",
            "unix:/with,comma",
            "unix:/run/x.sock,proxy",
            "[::1]:80,proxy",
            &long,
        ] {
            assert_eq!(read(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_socket_path_may_be_other_than_utf_8() {
        let text = OsString::from_vec(b"unix:/run/\xff".to_vec());
        let path = PathBuf::from(OsString::from_vec(b"/run/\xff".to_vec()));
        assert_eq!(parse(text), Ok(Endpoint::Unix(path).into()));
        assert!(parse(OsString::from_vec(b"\xff:80".to_vec())).unwrap_err().contains("IPv4"));
    }

    #[test]
    fn an_error_names_the_form_to_write() {
        let long = format!("unix:/{}", "a".repeat(UNIX_PATH_BYTES_MAX));
        for (text, hint) in [
            ("127.0.0.1", "the port is missing; write 127.0.0.1:10001"),
            ("::1", "the port is missing; write [::1]:10001"),
            ("[::1]", "the port is missing; write [::1]:10001"),
            ("127.0.0.1:", "a number from 0 to 65535, not ''"),
            ("127.0.0.1:65536", "a number from 0 to 65535, not '65536'"),
            ("127.0.0.1:http", "a number from 0 to 65535, not 'http'"),
            (":80", "write 0.0.0.0:80 or [::]:80"),
            ("*:80", "write 0.0.0.0:80 or [::]:80"),
            ("localhost:80", "host names are not resolved; write 127.0.0.1:80"),
            ("example.com:80", "host names are not resolved"),
            ("fe80::g:80", "an IPv6 address in brackets"),
            ("http://127.0.0.1:80", "write an IPv4 address and port"),
            ("80", "write an IPv4 address and port"),
            ("127.0.0.1,proxy", "the port is missing; write 127.0.0.1:10001"),
            ("127.0.0.1:80,Proxy", "only `,proxy` is known, not `,Proxy`"),
            ("127.0.0.1:80,proxy,proxy", "only `,proxy` is known, not `,proxy`"),
            ("unix:,proxy", "the path after unix: is missing"),
            ("", "write an IPv4 address and port"),
            ("unix:", "the path after unix: is missing"),
            ("unix:a\0b", "NUL"),
            (&long, "has 108 bytes; the path of a socket can have 107 at most"),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains(hint), "{text}: {message}");
        }
    }

    #[test]
    fn a_socket_mode_is_octal_up_to_0777() {
        for (text, mode) in [("0660", 0o660), ("660", 0o660), ("0", 0), ("00777", 0o777)] {
            assert_eq!(socket_mode(text), Ok(mode), "{text}");
        }
        for text in ["", "0o660", "0x1b0", "888", "+660", "01777", "u=rw", "777777777777"] {
            assert!(socket_mode(text).is_err_and(|why| why.contains("0660")), "{text}");
        }
    }

    #[test]
    fn a_repeated_address_and_a_65th_are_refused() {
        let all = |texts: &[&str]| {
            let endpoints = texts.iter().map(|text| read(text).unwrap().endpoint);
            check_all(&endpoints.collect::<Vec<_>>())
        };
        assert_eq!(all(&["127.0.0.1:80", "[::1]:80", "unix:80", "127.0.0.1:81"]), Ok(()));
        assert_eq!(all(&["127.0.0.1:0", "127.0.0.1:0"]), Ok(()));
        let message = all(&["127.0.0.1:80", "[::1]:80", "127.0.0.1:80"]).unwrap_err();
        assert_eq!(message, "--listen 127.0.0.1:80 is given twice; give each address once");
        assert!(all(&["[::1]:80", "[::1]:80,proxy"]).unwrap_err().contains("given twice"));
        assert!(all(&["unix:/a", "unix:/a"]).unwrap_err().contains("unix:/a is given twice"));
        assert_eq!(all(&["127.0.0.1:0"; LISTENERS_MAX]), Ok(()));
        assert!(all(&["127.0.0.1:0"; LISTENERS_MAX + 1]).unwrap_err().contains("64 times at most"));
    }
}
