//! The limit that `--find-limit` found, as a report has it.

use serde::{Deserialize, Serialize};

/// The highest rate at which an objective held. The runs of the report are the evidence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FoundLimit {
    /// The value of `--slo`, as in `10ms@p99`.
    pub objective: String,
    /// The highest rate that passed below all that failed; absent if none did.
    pub passed: Option<f64>,
    /// The lowest rate that failed, in two runs; absent if none did.
    pub failed: Option<f64>,
    /// Whether two runs passed at [`passed`](Self::passed), at most 5 % below
    /// [`failed`](Self::failed).
    pub confirmed: bool,
    /// Whether the client was saturated at [`failed`](Self::failed), so that the limit may be its
    /// own and not the server's.
    pub client_was_the_limit: bool,
}
