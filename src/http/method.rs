//! Request methods (RFC 9110 9), as far as they decide between a response, 405 and 501.

/// The method of a request. Names are case-sensitive (RFC 9110 9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET (RFC 9110 9.3.1).
    Get,
    /// HEAD, whose response has no content (RFC 9110 9.3.2).
    Head,
    /// OPTIONS (RFC 9110 9.3.7).
    Options,
    /// Registered with IANA, but not supported here: 405 (RFC 9110 15.5.6).
    NotAllowed,
    /// Not registered: 501 (RFC 9110 15.6.2).
    Unknown,
}

impl Method {
    /// Classifies a method name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "OPTIONS" => Self::Options,
            _ if REGISTERED.contains(&name) => Self::NotAllowed,
            _ => Self::Unknown,
        }
    }
}

/// The other methods of the IANA registry (RFC 9110 18.2), as of 2026.
const REGISTERED: [&str; 37] = [
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PRI",
    "PROPFIND",
    "PROPPATCH",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "TRACE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];
