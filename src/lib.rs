//! uringstatic: a static HTTP server for one core, on `io_uring`.

#![deny(unsafe_code)]

pub mod cli;
pub mod conn;
pub mod doctor;
pub mod http;
pub mod load;
pub mod ring;
pub mod server;
pub mod sim;
pub mod site;
pub mod stats;
pub mod sys;
pub mod timers;
