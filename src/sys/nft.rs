//! Loads rule sets into the kernel, and tells what of ours is there.
//!
//! One policy is one transaction. Should the kernel refuse a link's egress chain (no such hook before 5.16, a link that
//! has just gone), the rules for everything else are loaded without it: [`State::egress_links`] says which have one.

use super::netlink::{Protocol, Socket};
use crate::firewall::ruleset::{Point, Present, Ruleset, TABLE, Table};
use crate::wire::nft::{self, ChainSeen, Family};
use std::hash::{DefaultHasher, Hasher};
use std::io;

/// What is in our tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Whether what no rule of the output chain accepts is dropped.
    pub closed: bool,
    /// Links on which packet sockets meet rules.
    pub egress_links: Vec<String>,
    /// Stays the same as long as nobody changes our tables, and differs after any change of them.
    pub fingerprint: u64,
}

/// A socket for requests about nftables.
pub fn open() -> io::Result<Socket> {
    Socket::open(Protocol::Netfilter)
}

/// A socket that becomes readable when any table changes, by us or by others. What it hears does not matter: empty
/// it, then compare [`State::fingerprint`].
pub fn watch() -> io::Result<Socket> {
    Socket::subscribe(Protocol::Netfilter, &[nft::GROUP])
}

/// Makes our tables hold exactly these rules, in one transaction; without tables, none of ours stays.
pub fn load(socket: &mut Socket, rules: &Ruleset) -> io::Result<()> {
    let present = present(socket)?;
    match socket.batch(nft::SUBSYSTEM, &rules.batch(&present)) {
        Err(_) if rules.table(Family::Netdev).is_some() => load_link_by_link(socket, rules, &present),
        result => result,
    }
}

/// The same where nothing of ours is left: without a look first, since packets pass meanwhile.
pub fn load_afresh(socket: &mut Socket, rules: &Ruleset) -> io::Result<()> {
    let batch = rules.batch(&Present::default());
    socket.batch(nft::SUBSYSTEM, &batch).or_else(|_| load(socket, rules))
}

/// Loads everything but egress chains first, then those one by one. A link whose chain is refused goes without.
fn load_link_by_link(socket: &mut Socket, rules: &Ruleset, present: &Present) -> io::Result<()> {
    let is_egress = |t: &&Table| t.family == Family::Netdev;
    let tables = rules.tables.iter().filter(|t| !is_egress(t)).cloned().collect();
    socket.batch(nft::SUBSYSTEM, &Ruleset { tables }.batch(present))?;

    let mut egress = Table { family: Family::Netdev, chains: Vec::new() };
    for chain in rules.tables.iter().filter(is_egress).flat_map(|t| &t.chains) {
        egress.chains.push(chain.clone());
        let attempt = Ruleset { tables: vec![egress.clone()] };
        // The first transaction took the table away, so nothing of it is present.
        if let Err(e) = socket.batch(nft::SUBSYSTEM, &attempt.batch(&Present::default())) {
            log::debug!("firewall: no egress chain on {}: {e}", chain.hook.name());
            egress.chains.pop();
        }
    }
    Ok(())
}

/// Reads what is in our tables; `None` when there are none.
pub fn state(socket: &mut Socket) -> io::Result<Option<State>> {
    let families = our_tables(socket)?;
    if families.is_empty() {
        return Ok(None);
    }
    let mut state = State { closed: false, egress_links: Vec::new(), fingerprint: 0 };
    let mut hasher = DefaultHasher::new();
    for family in families {
        for chain in our_chains(socket, family)? {
            match family {
                Family::Inet => state.closed |= chain.name == Point::Output.name() && chain.drops,
                Family::Netdev => state.egress_links.push(chain.name),
            }
            hasher.write(&chain.identity);
        }
        for reply in socket.dump(&nft::list_rules(family, TABLE))? {
            hasher.write(&nft::identity(&reply.payload)?);
        }
    }
    state.fingerprint = hasher.finish();
    Ok(Some(state))
}

/// The base chains of every program and family.
pub fn base_chains(socket: &mut Socket) -> io::Result<Vec<nft::BaseChain>> {
    let mut chains = Vec::new();
    for reply in socket.dump(&nft::list_all_chains())? {
        chains.extend(nft::parse_base_chain(&reply.payload)?);
    }
    Ok(chains)
}

fn present(socket: &mut Socket) -> io::Result<Present> {
    let mut present = Present { tables: our_tables(socket)?, ..Present::default() };
    for family in present.tables.clone() {
        let chains = our_chains(socket, family)?;
        present.chains.extend(chains.into_iter().map(|c| (family, c.name)));
    }
    Ok(present)
}

fn our_tables(socket: &mut Socket) -> io::Result<Vec<Family>> {
    let mut tables = Vec::new();
    for reply in socket.dump(&nft::list_tables())? {
        match nft::parse_table(&reply.payload)? {
            Some((family, name)) if name == TABLE => tables.push(family),
            _ => {}
        }
    }
    Ok(tables)
}

fn our_chains(socket: &mut Socket, family: Family) -> io::Result<Vec<ChainSeen>> {
    let mut chains = Vec::new();
    for reply in socket.dump(&nft::list_chains(family))? {
        let chain = nft::parse_chain(&reply.payload)?;
        if chain.table == TABLE {
            chains.push(chain);
        }
    }
    Ok(chains)
}
