//! The reasons for which a TLS session fails, as text for people.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use std::fmt;
use std::time::{Duration, SystemTime};

/// The reason for which a session can't begin or can't continue. `Display` says what happened and,
/// where an option helps, which.
#[derive(Clone, Debug, PartialEq)]
pub enum TlsError {
    /// The server's certificate was not accepted.
    CertificateRefused(CertificateError),
    /// The server sent a fatal alert (RFC 8446 6.2).
    Alert(AlertDescription),
    /// The bytes of the server were not a record of TLS.
    NotTls,
    /// The server closed the connection before the handshake was complete.
    Closed,
    /// The connection was reset before the handshake was complete.
    Reset,
    /// The handshake was not complete in time.
    TimedOut,
    /// The server broke the protocol, or has no version or cipher suite that the client has.
    Protocol(Error),
}

impl TlsError {
    /// The failure behind an error of rustls.
    pub(super) fn of(error: Error, is_handshaking: bool) -> Self {
        match error {
            Error::InvalidCertificate(why) => Self::CertificateRefused(why),
            Error::AlertReceived(alert) => Self::Alert(alert),
            // The first byte of a record is its type, the next four are its version and its length
            // (RFC 8446 5.1).
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType
                | InvalidMessage::UnknownProtocolVersion
                | InvalidMessage::MessageTooLarge
                | InvalidMessage::InvalidEmptyPayload,
            ) if is_handshaking => Self::NotTls,
            error => Self::Protocol(error),
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CertificateRefused(why) => refusal(f, why),
            Self::Alert(AlertDescription::NoApplicationProtocol) => {
                write!(f, "the server does not offer HTTP/1.1 (alert no_application_protocol)")
            }
            Self::Alert(AlertDescription::CertificateRequired) => {
                write!(f, "the server demands a certificate of the client, which has none")
            }
            Self::Alert(AlertDescription::UnrecognisedName) => {
                write!(f, "the server does not know this host (alert unrecognized_name)")
            }
            Self::Alert(alert) => {
                write!(f, "the server ended TLS with the alert {}", alert_name(*alert))
            }
            Self::NotTls => write!(f, "the server's bytes are not TLS: does this port speak http?"),
            Self::Closed => write!(f, "the server closed the connection during the TLS handshake"),
            Self::Reset => write!(f, "the connection was reset during the TLS handshake"),
            Self::TimedOut => write!(f, "connected, but without an end of the TLS handshake"),
            Self::Protocol(error) => write!(f, "TLS failed: {error}"),
        }
    }
}

impl std::error::Error for TlsError {}

fn refusal(f: &mut fmt::Formatter<'_>, why: &CertificateError) -> fmt::Result {
    match why {
        why if *why == CertificateError::UnknownIssuer || is_of_authority(why) => write!(
            f,
            "no trusted authority issued the server's certificate; --cacert FILE names one, \
             --insecure accepts any certificate"
        ),
        CertificateError::ExpiredContext { not_after, .. } => {
            write!(f, "the server's certificate expired on {}", date(not_after.as_secs()))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            write!(f, "the server's certificate is valid from {} on", date(not_before.as_secs()))
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            write!(f, "the server's certificate is not for {}", expected.to_str())?;
            match presented.as_slice() {
                [] => write!(f, "; it has no subjectAltName"),
                names => write!(f, ", but for {}", names.join(", ")),
            }
        }
        CertificateError::BadSignature => {
            write!(f, "a signature of the server's certificate or handshake is wrong")
        }
        why => write!(f, "the server's certificate was refused: {why}"),
    }
}

/// Whether webpki refused an authority's certificate in the place of a server's: a self-signed one,
/// as `openssl req -x509` makes it.
pub(super) fn is_of_authority(why: &CertificateError) -> bool {
    matches!(why, CertificateError::Other(why) if why.0.to_string() == "CaUsedAsEndEntity")
}

/// `HandshakeFailure` is `handshake_failure`, as in RFC 8446 6.
fn alert_name(alert: AlertDescription) -> String {
    let mut name = String::new();
    for c in format!("{alert:?}").chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

fn date(unix_seconds: u64) -> String {
    httpdate::fmt_http_date(
        SystemTime::UNIX_EPOCH + Duration::from_secs(unix_seconds.min(LATEST_DATE)),
    )
}

/// 31 December 9999, the last day that an IMF-fixdate can name (RFC 9110 5.6.7).
const LATEST_DATE: u64 = 253_402_300_799;
