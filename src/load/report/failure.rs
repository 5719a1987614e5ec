//! The reasons for which requests and connections fail.

/// The reason for which a request, or an attempt to connect, failed. A request is counted once,
/// under the first reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum FailureKind {
    /// The connection was refused (ECONNREFUSED): no listener.
    ConnectRefused,
    /// The connection was not established within `--connect-timeout`.
    ConnectTimedOut,
    /// No local port was free towards the server (EADDRNOTAVAIL).
    NoLocalPort,
    /// The connection could not be established for another reason.
    ConnectFailed,
    /// The TLS handshake failed.
    TlsFailed,
    /// The connection was reset before the first byte of the response.
    ResetBeforeResponse,
    /// The connection was reset within the response.
    ResetWithinResponse,
    /// The response was not complete within `--timeout`.
    ResponseTimedOut,
    /// The server closed the connection before the response was complete.
    Short,
    /// The response was complete, but its content was not the expected one, or bytes followed it.
    WrongBytes,
    /// The response was not valid HTTP/1.x.
    Malformed,
    /// The response was complete, but had an unexpected status.
    WrongStatus,
}

impl FailureKind {
    /// All kinds, in the order of the columns of the CSV.
    pub const ALL: [Self; 12] = [
        Self::ConnectRefused,
        Self::ConnectTimedOut,
        Self::NoLocalPort,
        Self::ConnectFailed,
        Self::TlsFailed,
        Self::ResetBeforeResponse,
        Self::ResetWithinResponse,
        Self::ResponseTimedOut,
        Self::Short,
        Self::WrongBytes,
        Self::Malformed,
        Self::WrongStatus,
    ];

    /// Whether it is the failure of an attempt to connect, which is repeated and costs no request.
    #[must_use]
    pub fn is_of_connect(self) -> bool {
        match self {
            Self::ConnectRefused
            | Self::ConnectTimedOut
            | Self::NoLocalPort
            | Self::ConnectFailed
            | Self::TlsFailed => true,
            Self::ResetBeforeResponse
            | Self::ResetWithinResponse
            | Self::ResponseTimedOut
            | Self::Short
            | Self::WrongBytes
            | Self::Malformed
            | Self::WrongStatus => false,
        }
    }

    /// The key of the kind in JSON and CSV; keys are stable.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimedOut => "connect_timed_out",
            Self::NoLocalPort => "no_local_port",
            Self::ConnectFailed => "connect_failed",
            Self::TlsFailed => "tls_failed",
            Self::ResetBeforeResponse => "reset_before_reply",
            Self::ResetWithinResponse => "reset_within_reply",
            Self::ResponseTimedOut => "reply_timed_out",
            Self::Short => "short",
            Self::WrongBytes => "wrong_bytes",
            Self::Malformed => "malformed",
            Self::WrongStatus => "wrong_status",
        }
    }
}

/// The key of a failure kind as text for people: `connect_refused` is `connect refused`.
#[must_use]
pub fn failure_text(key: &str) -> String {
    key.replace('_', " ")
}
