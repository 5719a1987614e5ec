//! Counters of a run, and the line that tells them at the end.

use std::fmt;

/// What happened since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections accepted.
    pub connections: u64,
    /// Requests whose response was begun, refused ones included.
    pub requests: u64,
    /// Bytes that sockets took, heads included.
    pub bytes: u64,
    /// The most connections at one time.
    pub in_flight_max: u32,
    /// Errors by kind.
    pub errors: Errors,
}

/// How often what went wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    /// Requests refused as not valid, too large, of a version or coding not known, or for a host
    /// that isn't on the list.
    pub refused: u64,
    /// Requests that were not complete in time.
    pub request_timeouts: u64,
    /// Responses whose peer stopped taking bytes.
    pub send_timeouts: u64,
    /// Connections that the peer reset.
    pub resets: u64,
    /// Connections that failed in another way.
    pub failures: u64,
    /// Accepts that failed: no files or memory left, or the peer was gone.
    pub accepts: u64,
    /// Connections closed since their peer sent more than there was room for while it didn't read.
    pub overruns: u64,
    /// Connections closed in the middle of a request, for one that waited in the backlog.
    pub displaced: u64,
    /// Connections still open when the time to drain was over.
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
    fn the_totals_name_only_the_errors_there_were() {
        let mut stats = Stats { connections: 2, requests: 3, bytes: 4, ..Stats::default() };
        assert!(stats.to_string().ends_with("at most 0 in flight; errors: none"));
        stats.errors.resets = 1;
        stats.errors.refused = 5;
        assert!(stats.to_string().ends_with("errors: 5 refused requests, 1 resets"));
    }
}
