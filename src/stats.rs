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
    /// Connections that had to begin with a PROXY header, and were closed because they didn't, or
    /// not in time.
    pub proxy_headers: u64,
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

/// The number of counters of [`Stats::to_words`].
pub const STATS_WORDS: usize = 14;

impl Stats {
    /// The counters in their order, for memory that processes share.
    #[must_use]
    pub fn to_words(&self) -> [u64; STATS_WORDS] {
        let Self { connections, requests, bytes, in_flight_max, errors } = self;
        let Errors {
            refused,
            request_timeouts,
            send_timeouts,
            proxy_headers,
            resets,
            failures,
            accepts,
            overruns,
            displaced,
            cut_off,
        } = *errors;
        [
            *connections,
            *requests,
            *bytes,
            u64::from(*in_flight_max),
            refused,
            request_timeouts,
            send_timeouts,
            proxy_headers,
            resets,
            failures,
            accepts,
            overruns,
            displaced,
            cut_off,
        ]
    }

    /// The counters from [`Stats::to_words`].
    #[must_use]
    pub fn from_words(words: [u64; STATS_WORDS]) -> Self {
        let [connections, requests, bytes, in_flight_max, errors @ ..] = words;
        let [refused, request_timeouts, send_timeouts, proxy_headers, errors @ ..] = errors;
        let [resets, failures, accepts, overruns, displaced, cut_off] = errors;
        Self {
            connections,
            requests,
            bytes,
            in_flight_max: u32::try_from(in_flight_max).unwrap_or(u32::MAX),
            errors: Errors {
                refused,
                request_timeouts,
                send_timeouts,
                proxy_headers,
                resets,
                failures,
                accepts,
                overruns,
                displaced,
                cut_off,
            },
        }
    }

    /// Adds the counters of another server. The most connections open at one time become an upper
    /// bound, as those of the two servers may have had their peaks at different times.
    pub fn add(&mut self, other: &Self) {
        let mut sum = self.to_words();
        for (sum, word) in sum.iter_mut().zip(other.to_words()) {
            *sum = sum.saturating_add(word);
        }
        *self = Self::from_words(sum);
    }
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
            (errors.proxy_headers, "without a PROXY header"),
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
    fn counters_keep_their_places_in_words() {
        let words = std::array::from_fn(|place| place as u64 + 1);
        let mut stats = Stats::from_words(words);
        assert_eq!(stats.to_words(), words);
        assert_eq!((stats.connections, stats.in_flight_max, stats.errors.cut_off), (1, 4, 14));
        stats.add(&stats.clone());
        assert_eq!(stats.to_words(), words.map(|word| 2 * word));
    }

    #[test]
    fn line_names_only_the_errors_that_occurred() {
        let mut stats = Stats { connections: 2, requests: 3, bytes: 4, ..Stats::default() };
        assert!(stats.to_string().ends_with("at most 0 in flight; errors: none"));
        stats.errors.resets = 1;
        stats.errors.refused = 5;
        assert!(stats.to_string().ends_with("errors: 5 refused requests, 1 resets"));
    }
}
