//! (filled by its own change)

pub mod lease;
pub mod monitor;
pub mod publish;
pub mod sync;
