//! The engine that the programs use. No other module chooses one.

/// On Linux, `io_uring`.
pub type Chosen = crate::engine::uring::Uring;
