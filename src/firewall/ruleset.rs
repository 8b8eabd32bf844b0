//! Policy -> rules, as data, and rules -> text that reads like `nft list ruleset`.

use super::Policy;

/// The rules of one policy. No tables: nothing of ours stays in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    pub tables: Vec<Table>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub family: Family,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6 packets on their way through the machine.
    Inet,
    /// Frames that leave by one link.
    Netdev,
}

impl Ruleset {
    pub fn of(_policy: &Policy) -> Ruleset {
        Ruleset { tables: Vec::new() }
    }
}
