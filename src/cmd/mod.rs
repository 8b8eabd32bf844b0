//! One file per verb of the command line.

pub mod init;
pub mod list;
