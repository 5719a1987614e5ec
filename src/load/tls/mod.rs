//! TLS of the load client: one session per connection, and the certificates that it trusts. Bytes
//! in, bytes out: it knows no socket, no engine and no HTTP.
//!
//! ```text
//!   received ciphertext ─► TlsSession::feed ─► plaintext, for the parser of responses
//!   request ─► TlsSession::seal ─► ciphertext, in the connection's region of the fixed buffer
//! ```
//!
//! Every handshake is a full one: sessions are not resumed, neither by ticket nor by identifier. A
//! load stands for many clients, of which each connects for the first time; a client that resumed
//! its own sessions would spare the server the signature of each handshake but the first, which is
//! the larger part of its cost.

mod error;
mod session;
mod trust;

pub use error::TlsError;
pub use session::{Sealed, TlsSession, region_bytes};
pub use trust::{TlsPlan, Trust};
