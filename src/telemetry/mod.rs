//! The telemetry of a service: the record of every response, and its readers.
//!
//! [`record`] is the vocabulary: a connection ([`http1`](crate::http1)) reports each of its
//! responses to an [`Observer`](record::Observer) at its beginning and at its end. This room knows
//! neither connections nor the engine.

pub mod record;
