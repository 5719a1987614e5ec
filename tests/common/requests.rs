//! A server of a folder, and single requests to it.

use super::{Response, Server, TemporaryFolder};

/// Starts the program for a folder.
pub(crate) fn serve(folder: &TemporaryFolder, options: &[&str]) -> Server {
    Server::start(&[&["--root", folder.path()], options].concat())
}

/// The response to one request on a new connection; `fields` are whole lines.
pub(crate) fn ask(server: &Server, method: &str, target: &str, fields: &str) -> Response {
    let mut client = server.connect();
    client.send(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    if method == "HEAD" { client.response_to_head() } else { client.response() }
}
