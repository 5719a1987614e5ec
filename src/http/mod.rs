//! HTTP/1.x as functions from bytes to decisions, after RFC 9110 (semantics) and RFC 9112
//! (messages). Where the RFCs leave a choice, the code takes the strict one. This room knows no
//! connection, no engine and no clock, and allocates nothing while the server runs.
//!
//! A module imports only modules on lines below its own:
//!
//! ```text
//!  receive   request   response_parser   body   proxy_header
//!  decide    conditional   coding   accept   path   host   basic_auth   forwarded
//!  send      response   added_field   media_type
//!  parts     scan   fields   response_parser::head
//!            request_line   range   chunks
//!            target   method
//!  shared    framing   persistence   reject   response_parser::outcome
//!            limits   grammar
//! ```
//!
//! [`request::parse`] is the entrance for a server, [`response_parser::ResponseParser`] for a
//! client. `grammar` has each character class and each small rule once; `limits` has every bound on
//! what a peer may send.
#![forbid(unsafe_code)]

pub mod accept;
pub(crate) mod added_field;
pub mod basic_auth;
pub mod body;
mod chunks;
pub mod coding;
pub mod conditional;
mod fields;
pub mod forwarded;
mod framing;
pub(crate) mod grammar;
pub mod host;
pub mod language;
mod limits;
pub mod media_type;
mod method;
#[cfg(test)]
mod model_tests;
pub mod path;
mod persistence;
pub mod properties;
pub mod proxy_header;
mod range;
mod reject;
pub mod request;
mod request_line;
pub mod response;
pub mod response_parser;
mod scan;
mod target;
#[cfg(test)]
mod tests;
