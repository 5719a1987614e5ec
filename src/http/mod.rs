//! HTTP/1.x as bytes in, decisions out: no connection, no ring, no clock, no allocation once
//! serving. RFC 9110 and RFC 9112 are the law; where they leave a choice, the strict one is taken.
#![forbid(unsafe_code)]

pub mod accept;
pub(crate) mod added_field;
pub mod body;
mod chunks;
pub mod coding;
pub mod conditional;
mod fields;
pub(crate) mod grammar;
pub mod host;
pub mod media_type;
mod message;
mod method;
#[cfg(test)]
mod model_tests;
pub mod path;
pub mod properties;
mod range;
pub mod request;
pub mod response;
pub mod response_parser;
mod scan;
mod target;
#[cfg(test)]
mod tests;
