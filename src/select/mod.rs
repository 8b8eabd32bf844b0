//! Which server: filter what a provider lists, rank it, take a sample to measure, decide.
//!
//! Filters remove and never reorder; the order is one key. Servers that forward ports come first while the port is
//! wanted, then the order of preference of countries and regions, then the provider's own score and load. A filter
//! for which the list has no data at all removes nothing; Secure Core and P2P keep only servers known to be so.

pub mod memory;
pub mod probe;

mod decide;
mod filter;
mod names;
mod standing;
mod wanted;

pub use decide::{By, Choice, Decision, Sample, decide};
pub use filter::{Filter, NoServer, Shortlist, by_list, by_score, shortlist, sift};
pub use names::{is_named, natural};
pub use standing::{Outlook, is_first_choice, meets, outlook, rivals};
pub use wanted::Wanted;
