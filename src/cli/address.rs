//! Addresses to listen on: their grammar and their text. Resolves and binds nothing.

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IPv4 or IPv6 address and a port; port 0 is the kernel's choice.
    Tcp(SocketAddr),
    /// The path of a Unix domain socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Who may connect to socket files.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct SocketOptions {
    /// Mode of socket files, in octal, such as 0660 [default: 0777 less the umask]
    ///
    /// Connecting takes the permission to write, which the usual umask of 022 leaves to the owner
    /// alone: to the user that starts the server, even if --user names another.
    #[arg(long, value_name = "MODE", value_parser = socket_mode)]
    pub socket_mode: Option<u32>,

    /// Group of socket files, by name or number [default: the group that starts the server]
    #[arg(long, value_name = "GROUP")]
    pub socket_group: Option<String>,
}

impl SocketOptions {
    /// Refuses options about socket files where there will be none.
    pub(super) fn check(&self, addresses: &[Address]) -> Result<(), String> {
        let is_unix = |address: &Address| matches!(address, Address::Unix(_));
        if *self == Self::default() || addresses.iter().any(is_unix) {
            return Ok(());
        }
        Err("--socket-mode and --socket-group are about socket files, and there is none: name one \
             with --listen unix:PATH"
            .to_owned())
    }
}

/// Reads `--socket-mode`: permissions, without the bits for set-user-ID and the like.
fn socket_mode(text: &str) -> Result<u32, String> {
    let is_octal = !text.is_empty() && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    let mode = is_octal.then(|| u32::from_str_radix(text, 8).ok()).flatten();
    mode.filter(|&mode| mode <= SOCKET_MODE_MAX)
        .ok_or_else(|| "write an octal number from 0 to 0777, such as 0660".to_owned())
}

/// Reads one `--listen`. A path need not be UTF-8.
pub(super) fn parse(text: OsString) -> Result<Address, String> {
    if let Some(path) = text.as_bytes().strip_prefix(b"unix:") {
        return unix(path.to_vec());
    }
    let text = text.into_string().map_err(|_| FORMS.to_owned())?;
    text.parse().map(Address::Tcp).map_err(|_| explain(&text))
}

/// Refuses what only several `--listen` together can get wrong.
pub(super) fn check_all(addresses: &[Address]) -> Result<(), String> {
    if addresses.len() > LISTENERS_MAX {
        return Err(format!("--listen may be given {LISTENERS_MAX} times at most"));
    }
    for (index, address) in addresses.iter().enumerate() {
        if names_one_socket(address) && addresses[..index].contains(address) {
            return Err(format!("--listen {address} is given twice; give each address once"));
        }
    }
    Ok(())
}

/// Port 0 stands for another port each time.
fn names_one_socket(address: &Address) -> bool {
    match address {
        Address::Tcp(address) => address.port() != 0,
        Address::Unix(_) => true,
    }
}

fn unix(path: Vec<u8>) -> Result<Address, String> {
    if path.is_empty() {
        return Err("unix: needs a path after it, as in unix:/run/web.sock".to_owned());
    }
    if path.contains(&0) {
        return Err("the path of a socket can't contain a NUL byte".to_owned());
    }
    if path.len() > UNIX_PATH_BYTES_MAX {
        let len = path.len();
        return Err(format!(
            "the path has {len} bytes, and the path of a socket can have {UNIX_PATH_BYTES_MAX}"
        ));
    }
    Ok(Address::Unix(PathBuf::from(OsString::from_vec(path))))
}

/// Says what is missing or wrong in text that is no socket address.
fn explain(text: &str) -> String {
    if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        let whole = SocketAddr::new(address, 10001);
        return format!("the port is missing; write {whole}");
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return FORMS.to_owned();
    };
    if port.parse::<u16>().is_err() {
        return format!("the port must be a number from 0 to 65535, not '{port}'");
    }
    match host {
        "" | "*" => format!("for all addresses write 0.0.0.0:{port} or [::]:{port}"),
        "localhost" => format!("names are not looked up; write 127.0.0.1:{port} or [::1]:{port}"),
        _ => FORMS.to_owned(),
    }
}

const FORMS: &str = "write an IPv4 address and port (127.0.0.1:10001), an IPv6 address in brackets \
                     and port ([::1]:10001), or a socket file (unix:/run/web.sock); names are not \
                     looked up";

/// `sun_path` has 108 bytes, and the last is NUL.
const UNIX_PATH_BYTES_MAX: usize = 107;

const SOCKET_MODE_MAX: u32 = 0o777;

/// Each listener keeps entries of its own in the ring.
const LISTENERS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Address, String> {
        parse(OsString::from(text))
    }

    #[test]
    fn an_address_prints_as_it_is_written() {
        let long = format!("unix:/{}", "a".repeat(UNIX_PATH_BYTES_MAX - 1));
        for text in [
            "127.0.0.1:10001",
            "0.0.0.0:0",
            "[::1]:80",
            "[fe80::1%2]:65535",
            "unix:/run/x.sock",
            "unix:relative.sock",
            "unix:/with space:8080",
            &long,
        ] {
            assert_eq!(read(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_path_need_not_be_utf_8() {
        let text = OsString::from_vec(b"unix:/run/\xff".to_vec());
        let path = PathBuf::from(OsString::from_vec(b"/run/\xff".to_vec()));
        assert_eq!(parse(text), Ok(Address::Unix(path)));
        assert!(parse(OsString::from_vec(b"\xff:80".to_vec())).unwrap_err().contains("IPv4"));
    }

    #[test]
    fn an_error_says_what_to_write() {
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
            ("localhost:80", "names are not looked up; write 127.0.0.1:80"),
            ("example.com:80", "names are not looked up"),
            ("fe80::g:80", "an IPv6 address in brackets"),
            ("http://127.0.0.1:80", "write an IPv4 address and port"),
            ("80", "write an IPv4 address and port"),
            ("", "write an IPv4 address and port"),
            ("unix:", "needs a path"),
            ("unix:a\0b", "NUL"),
            (&long, "has 108 bytes, and the path of a socket can have 107"),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains(hint), "{text}: {message}");
        }
    }

    #[test]
    fn a_socket_mode_is_octal() {
        for (text, mode) in [("0660", 0o660), ("660", 0o660), ("0", 0), ("00777", 0o777)] {
            assert_eq!(socket_mode(text), Ok(mode), "{text}");
        }
        for text in ["", "0o660", "0x1b0", "888", "+660", "01777", "u=rw", "777777777777"] {
            assert!(socket_mode(text).is_err_and(|why| why.contains("0660")), "{text}");
        }
    }

    #[test]
    fn an_address_is_given_once() {
        let all = |texts: &[&str]| {
            check_all(&texts.iter().map(|text| read(text).unwrap()).collect::<Vec<_>>())
        };
        assert_eq!(all(&["127.0.0.1:80", "[::1]:80", "unix:80", "127.0.0.1:81"]), Ok(()));
        assert_eq!(all(&["127.0.0.1:0", "127.0.0.1:0"]), Ok(()));
        let message = all(&["127.0.0.1:80", "[::1]:80", "127.0.0.1:80"]).unwrap_err();
        assert_eq!(message, "--listen 127.0.0.1:80 is given twice; give each address once");
        assert!(all(&["unix:/a", "unix:/a"]).unwrap_err().contains("unix:/a is given twice"));
        assert_eq!(all(&["127.0.0.1:0"; LISTENERS_MAX]), Ok(()));
        assert!(all(&["127.0.0.1:0"; LISTENERS_MAX + 1]).unwrap_err().contains("64 times at most"));
    }
}
