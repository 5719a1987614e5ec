//! The counters of a server, and the line that reports them at its exit.

use std::fmt;

/// The counters since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections accepted.
    pub connections: u64,
    /// Requests whose response was begun, including refused requests.
    pub requests: u64,
    /// Bytes that sockets took, including heads.
    pub bytes: u64,
    /// The most connections open at one time.
    pub in_flight_max: u32,
    /// Errors, by kind.
    pub errors: Errors,
}

/// The number of errors of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    /// Requests refused as invalid, too large, of an unknown version or coding, or for a host that
    /// is not allowed.
    pub refused: u64,
    /// Requests that were not complete in time.
    pub request_timeouts: u64,
    /// Responses whose client stopped taking bytes.
    pub send_timeouts: u64,
    /// Connections that the client reset.
    pub resets: u64,
    /// Connections that failed in another way.
    pub failures: u64,
    /// Accepts that failed: no descriptors or memory were left, or the client was gone.
    pub accepts: u64,
    /// Connections closed because their client sent more than there was room for while it read no
    /// response.
    pub overruns: u64,
    /// Connections closed in the middle of a request to make room for a connection in the backlog.
    pub displaced: u64,
    /// Connections still open when the drain timeout had passed.
    pub cut_off: u64,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} connections, {} requests, {} bytes sent, at most {} in flight; errors: ",
            self.connections, self.requests, self.bytes, self.in_flight_max
        )?;
        let errors = &self.errors;
        let kinds = [
            (errors.refused, "refused requests"),
            (errors.request_timeouts, "request timeouts"),
            (errors.send_timeouts, "send timeouts"),
            (errors.resets, "resets"),
            (errors.failures, "failed connections"),
            (errors.accepts, "failed accepts"),
            (errors.overruns, "overruns"),
            (errors.displaced, "displaced"),
            (errors.cut_off, "cut off at the end"),
        ];
        let mut separator = "";
        for (count, name) in kinds.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{separator}{count} {name}")?;
            separator = ", ";
        }
        if separator.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_names_only_the_errors_that_occurred() {
        let mut stats = Stats { connections: 2, requests: 3, bytes: 4, ..Stats::default() };
        assert!(stats.to_string().ends_with("at most 0 in flight; errors: none"));
        stats.errors.resets = 1;
        stats.errors.refused = 5;
        assert!(stats.to_string().ends_with("errors: 5 refused requests, 1 resets"));
    }
}
