//! The processes of the service: how many there are, what each may use, and what happens when one
//! of them ends.

pub mod allowance;
pub mod supervisor;
