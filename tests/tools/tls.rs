//! TLS of the load client: its sessions against rustls' server in memory, and the program against
//! servers on loopback.

mod certificates;
mod load;
mod server;
mod session;
mod trust;
