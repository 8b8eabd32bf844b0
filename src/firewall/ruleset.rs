//! Policy -> rules, as data; rules -> text that reads like `nft list ruleset`; rules -> one nftables transaction.
//!
//! Base chains are made once and stay. A change flushes and refills them in one transaction, so that each packet meets
//! either all of the old rules or all of the rules that follow them. Deleting a table and adding it again in one
//! transaction would take the hooks away in between, and lets packets out.

mod chains;
mod lower;
pub mod nets;
pub mod rule;

use super::Policy;
use crate::wire::nft::{self, Family, Hook, Place};
use crate::wire::nlmsg::Message;
use rule::{Rule, Then};
use std::fmt;

/// The name of our tables, one in each family.
pub const TABLE: &str = "pvpn";

/// The rules of one policy. No tables: nothing of ours stays in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    pub tables: Vec<Table>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub family: Family,
    pub chains: Vec<Chain>,
}

/// A base chain, named after its hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    pub hook: Point,
    /// The rules' own last word and the chain's policy.
    pub closed: bool,
    pub rules: Vec<Rule>,
}

/// Where a chain is called. A chain's place among others of its hook is part of its name's meaning: a different one
/// needs a different name, since a base chain that stays cannot move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Point {
    /// Before connection tracking.
    Preraw,
    /// After connection tracking, before routing.
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
    /// What is handed to this link's driver, whoever sent it.
    Egress(String),
}

/// What is in the kernel of an earlier policy, or of an earlier pvpn.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Present {
    /// Families in which our table is.
    pub tables: Vec<Family>,
    /// Chains of our tables.
    pub chains: Vec<(Family, String)>,
}

impl Ruleset {
    /// No rules at all: the machine as it is without pvpn.
    pub fn none() -> Ruleset {
        Ruleset { tables: Vec::new() }
    }

    /// The rules of a policy. One that is open and has no tunnel has none.
    pub fn of(policy: &Policy) -> Ruleset {
        if !policy.killswitch && policy.tunnels.is_empty() {
            return Ruleset::none();
        }
        let mut tables = vec![Table { family: Family::Inet, chains: chains::inet(policy) }];
        let egress = chains::egress(policy);
        if !egress.is_empty() {
            tables.push(Table { family: Family::Netdev, chains: egress });
        }
        Ruleset { tables }
    }

    pub fn table(&self, family: Family) -> Option<&Table> {
        self.tables.iter().find(|t| t.family == family)
    }

    /// The transaction that turns what is present into these rules.
    pub fn batch(&self, present: &Present) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut next_set = 1;
        for family in Family::ALL {
            match self.table(family) {
                Some(table) => table.fill(present, &mut next_set, &mut messages),
                None if present.tables.contains(&family) => messages.push(nft::delete_table(family, TABLE)),
                None => {}
            }
        }
        messages
    }
}

impl Table {
    fn fill(&self, present: &Present, next_set: &mut u32, messages: &mut Vec<Message>) {
        let family = self.family;
        messages.extend([nft::add_table(family, TABLE), nft::flush_table(family, TABLE)]);
        for (of, chain) in &present.chains {
            if *of == family && !self.chains.iter().any(|c| c.hook.name() == chain) {
                messages.push(nft::delete_chain(Place { family, table: TABLE, chain }));
            }
        }
        for chain in &self.chains {
            let place = Place { family, table: TABLE, chain: chain.hook.name() };
            messages.push(nft::add_base_chain(place, chain.hook.hook(), !chain.closed));
            for rule in &chain.rules {
                let exprs = lower::lower(rule, family == Family::Netdev);
                messages.extend(nft::add_rule(place, &exprs, rule.why, next_set));
            }
        }
    }
}

impl Chain {
    /// A chain that ends in a drop.
    fn closed(hook: Point, mut rules: Vec<Rule>) -> Chain {
        rules.push(Rule::new("closed", [], Then::Drop));
        Chain { hook, closed: true, rules }
    }

    /// A chain that lets pass what its rules do not drop.
    fn open(hook: Point, rules: Vec<Rule>) -> Chain {
        Chain { hook, closed: false, rules }
    }
}

impl Point {
    pub fn name(&self) -> &str {
        match self {
            Point::Preraw => "preraw",
            Point::Prerouting => "prerouting",
            Point::Input => "input",
            Point::Forward => "forward",
            Point::Output => "output",
            Point::Postrouting => "postrouting",
            Point::Egress(link) => link,
        }
    }

    /// NF_INET_* and NF_NETDEV_EGRESS with priorities NF_IP_PRI_RAW (-300), _MANGLE (-150) and _FILTER (0).
    fn hook(&self) -> Hook<'_> {
        let inet = |number, priority| Hook { number, priority, device: None };
        match self {
            Point::Preraw => inet(0, -300),
            Point::Prerouting => inet(0, -150),
            Point::Input => inet(1, 0),
            Point::Forward => inet(2, 0),
            Point::Output => inet(3, 0),
            Point::Postrouting => inet(4, -150),
            Point::Egress(link) => Hook { number: 1, priority: 0, device: Some(link) },
        }
    }

    const fn text(&self) -> (&'static str, &'static str) {
        match self {
            Point::Preraw => ("prerouting", "raw"),
            Point::Prerouting => ("prerouting", "mangle"),
            Point::Input => ("input", "filter"),
            Point::Forward => ("forward", "filter"),
            Point::Output => ("output", "filter"),
            Point::Postrouting => ("postrouting", "mangle"),
            Point::Egress(_) => ("egress", "filter"),
        }
    }
}

impl fmt::Display for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tables.iter().try_for_each(|t| t.fmt(f))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table {} {TABLE} {{", self.family.name())?;
        for (i, chain) in self.chains.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            let (hook, priority) = chain.hook.text();
            writeln!(f, "\tchain {} {{", chain.hook.name())?;
            write!(f, "\t\ttype filter hook {hook} ")?;
            if let Point::Egress(link) = &chain.hook {
                write!(f, "device \"{link}\" ")?;
            }
            writeln!(f, "priority {priority}; policy {};", if chain.closed { "drop" } else { "accept" })?;
            for rule in &chain.rules {
                write!(f, "\t\t")?;
                rule.write(f, self.family == Family::Netdev)?;
                writeln!(f)?;
            }
            writeln!(f, "\t}}")?;
        }
        writeln!(f, "}}")
    }
}

#[cfg(test)]
mod tests;
