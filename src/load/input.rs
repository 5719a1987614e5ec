//! What a load is made of before it runs: the server's address and the table of requests, from the
//! options, files and name resolution.

use super::options::{LoadOptions, Origin, Url};
use super::targets::table::RequestTable;
use super::targets::{ListError, MethodAndTarget, RequestList, access_log, order, urls};
use crate::engine::kernel::ConnectTarget;
use crate::error::Failure;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::path::Path;

/// The requests of a load.
pub(super) struct LoadInput {
    /// The URL of the server, with the target of the first request.
    pub(super) url: Url,
    /// The requests as bytes.
    pub(super) table: RequestTable,
    /// Method and target of each distinct request.
    pub(super) targets: Vec<MethodAndTarget>,
    /// Messages about lines that were skipped, and the like.
    pub(super) notes: Vec<String>,
}

impl LoadInput {
    /// Reads the list of requests and the body, if there are any.
    ///
    /// # Errors
    /// If a file can't be read or has an invalid line.
    pub(super) fn read(options: &LoadOptions) -> Result<Self, Failure> {
        let body = options.body.as_deref().map(read_body).transpose()?;
        let mut notes = Vec::new();
        let given = options.url.first();
        let (url, mut list) = match (&options.urls, &options.replay) {
            (Some(path), _) => {
                let list = urls::read(open(path, "--urls")?, given)
                    .map_err(|error| in_list(path, "--urls", &error))?;
                (list.origin, list.list)
            }
            (None, Some(path)) => {
                let log = access_log::read(open(path, "--replay")?, options.speed)
                    .map_err(|error| in_list(path, "--replay", &error))?;
                notes = notes_of(&log, path);
                (given.expect("a replay requires a URL").clone(), log.list)
            }
            (None, None) => {
                let url = given.expect("there is a URL or a list").clone();
                let request =
                    MethodAndTarget { method: options.method.clone(), target: url.target.clone() };
                let list =
                    RequestList { requests: vec![request], sequence: vec![0], due_ns: Vec::new() };
                (url, list)
            }
        };
        if options.shuffle {
            order::shuffle(&mut list.sequence, options.seed);
        }
        let targets = list.requests.clone();
        let is_list = options.urls.is_some();
        let bytes_of = |request: &MethodAndTarget| {
            let MethodAndTarget { method, target } = request;
            let has_content = !is_list || matches!(method.as_str(), "POST" | "PUT" | "PATCH");
            let body = body.clone().filter(|_| has_content);
            options.request(method, target, &url.authority, body).bytes()
        };
        let table = RequestTable::of_list(list, bytes_of).map_err(|bytes| {
            let what = format!("preparing {bytes} bytes of requests");
            let why = format!("the most is {}", super::targets::REQUEST_BYTES_MAX);
            Failure::new(what, why, "use a shorter --body, or fewer distinct requests")
        })?;
        Ok(Self { url, table, targets, notes })
    }
}

fn notes_of(log: &access_log::AccessLog, path: &Path) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some((line, why)) = &log.first_skipped {
        notes.push(format!(
            "{}: {} of {} lines skipped; the first is line {line}: {why}",
            path.display(),
            log.skipped,
            log.lines
        ));
    }
    if log.without_content > 0 {
        notes.push(format!(
            "{}: {} requests of a method with content are replayed without it (Content-Length: 0), \
             as a log has none",
            path.display(),
            log.without_content
        ));
    }
    notes
}

fn read_body(text: &str) -> Result<Vec<u8>, Failure> {
    let Some(path) = text.strip_prefix('@') else { return Ok(text.as_bytes().to_vec()) };
    let failed =
        |error| Failure::new(format!("reading the body {path} (--body)"), error, String::new());
    let mut body = Vec::new();
    match path {
        "-" => std::io::stdin().read_to_end(&mut body).map_err(failed)?,
        path => {
            File::open(path).and_then(|mut file| file.read_to_end(&mut body)).map_err(failed)?
        }
    };
    Ok(body)
}

/// A file, or standard input for `-`.
fn open(path: &Path, option: &str) -> Result<Box<dyn BufRead>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    let what = || format!("reading {} ({option})", path.display());
    let file = File::open(path).map_err(|error| Failure::new(what(), error, ""))?;
    Ok(Box::new(BufReader::new(file)))
}

fn in_list(path: &Path, option: &str, error: &ListError) -> Failure {
    Failure::new(format!("reading {} ({option})", path.display()), error, "")
}

/// The address to connect to: of a name with several addresses, the first that accepts a
/// connection, or else the first. Addresses of another family than the sources are left out.
///
/// # Errors
/// If the name has no such address.
pub(super) fn resolve(url: &Url, options: &LoadOptions) -> Result<ConnectTarget, Failure> {
    let sources = sources(options);
    let (host, port) = match &url.origin {
        Origin::Tcp { host, port } => (host.as_str(), *port),
        Origin::Unix(path) => {
            return Ok(match path.strip_prefix('@') {
                Some(name) => ConnectTarget::Abstract(name.to_owned()),
                None => ConnectTarget::Unix(path.into()),
            });
        }
    };
    let what = || format!("looking up {host}");
    let addresses: Vec<SocketAddr> = (host, port)
        .to_socket_addrs()
        .map_err(|error| Failure::new(what(), error, "check the name, or use an IP address"))?
        .filter(|address| sources.iter().all(|source| source.is_ipv4() == address.is_ipv4()))
        .collect();
    let Some(&first) = addresses.first() else {
        let why = "it has no address that can be reached from --source";
        return Err(Failure::new(what(), why, "use sources of the target's address family"));
    };
    let accepts = |address: &&SocketAddr| {
        TcpStream::connect_timeout(address, options.connect_timeout).is_ok()
    };
    // A single address needs no attempt, which the server would count as a connection.
    let chosen = match addresses[..] {
        [only] => only,
        _ => addresses.iter().find(accepts).copied().unwrap_or(first),
    };
    Ok(ConnectTarget::Tcp(chosen))
}

/// The addresses of `--source`.
pub(super) fn sources(options: &LoadOptions) -> &[IpAddr] {
    options.source.as_ref().map_or(&[], |sources| &sources.0)
}

/// Checks that this machine has all source addresses, by binding a port on each: later, a missing
/// address couldn't be distinguished from an address without a free port (both EADDRNOTAVAIL).
///
/// # Errors
/// The first address that can't be bound.
pub(super) fn check_sources(sources: &[IpAddr]) -> Result<(), Failure> {
    for &source in sources {
        UdpSocket::bind((source, 0)).map_err(|error| {
            Failure::new(
                format!("connecting from {source} (--source)"),
                error,
                "`ip address` lists the addresses of this machine; all of 127.0.0.0/8 are usable, \
                 too",
            )
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_other_machines_are_refused() {
        let here = [[127, 0, 0, 2].into(), [127, 0, 0, 20].into()];
        assert!(check_sources(&here).is_ok());
        let elsewhere: IpAddr = [192, 0, 2, 7].into();
        let refusal =
            check_sources(&[here[0], elsewhere]).expect_err("192.0.2.0/24 is reserved (RFC 5737)");
        assert!(refusal.to_string().contains("192.0.2.7 (--source): "), "{refusal}");
        assert!(refusal.hint.contains("`ip address`"), "{refusal}");
    }
}
