//! (filled by its own change)

pub mod lease;
pub mod publish;
pub mod sync;
