//! The loop of a process that does nothing but serve, to its end.

use crate::engine::Engine;
use crate::os::{process, terminal};
use crate::sandbox::Sandbox;
use crate::server::{Server, Turn};

/// Takes turns until the server is drained or its engine fails, which is reported as a failure of
/// `what`. Returns the exit status; in a sandbox, the process ends instead.
pub(super) fn serve_to_the_end<E: Engine>(
    mut server: Server<E>,
    sandbox: &Sandbox,
    what: &str,
) -> u8 {
    let code = loop {
        match server.turn() {
            Ok(Turn::Goes) => {}
            Ok(Turn::Drained | Turn::Forced { .. }) => break 0,
            Err(errno) => {
                terminal::err(format_args!(
                    "uringstatic: waiting for {what}: {errno} (errno {})",
                    errno.0
                ));
                break 1;
            }
        }
    };
    if sandbox.is_on() {
        // The sandbox permits no orderly teardown; the kernel closes everything at exit.
        process::end(code);
    }
    code
}
