//! TLS of the load client: its sessions against rustls' server in memory, and the program against
//! servers on loopback.

mod certificates;
mod session;
mod trust;
