//! Terminal output: the progress line of a run, and its figures at the end.

mod figures;
mod live;
mod numbers;
mod search;
mod targets;

pub use figures::figures;
pub use live::Live;
pub use numbers::unit_of_us;
pub use search::{search_result, search_step};
