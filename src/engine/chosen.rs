//! The engine that the programs run on. No other module chooses one.

/// On Linux, `io_uring`.
pub type Chosen = crate::engine::uring::Uring;
