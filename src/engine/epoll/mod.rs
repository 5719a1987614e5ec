//! [`Engine`](crate::engine::Engine) on epoll(7), for kernels and containers that refuse
//! `io_uring`.
//!
//! Readiness becomes completion: an operation is tried when it is pushed, or when its socket is
//! reported as ready, and its result is queued as a completion.
//!
//! ```text
//!   push ─┬─ send, shutdown, close, cancel: at once ───────────────────────┐
//!         └─ receive, accept, connect: noted                                ▼
//!                 │                                                    completions ─► pop
//!   epoll_pwait ──┴─► ready sockets: connected, writable ──────────────────▲
//!                         ├─ accept when popped, unless cancelled by then
//!                         └─ receive when popped, into a buffer that has just come back
//! ```
//!
//! A request costs one recv(2) and one writev(2), and all requests of a wake-up together one
//! `epoll_pwait(2)`. A socket is registered only when its first receive would have to wait, once
//! and edge-triggered (`EPOLLET`), so a connection of a single request is never registered; that it
//! is writable is asked for only after its buffer has been full. A listener is registered while an
//! accept or a watch waits for it (`listeners`).
//!
//! The kernel accesses memory only during a system call here, so this module has no unsafe code.

mod connection;
mod construct;
mod core;
mod listeners;
mod operations;
mod pool;

pub use self::core::Epoll;
pub use construct::EpollPreparation;
