//! nf_tables messages (linux/netfilter/nf_tables.h): tables, base chains, rules with their anonymous sets, and what
//! the kernel says of them. Native expressions only ([`expr`]), built byte for byte as `nft` builds them, so that
//! `nft list ruleset` prints them as they were meant.
//!
//! All but the `list_*` and `generation` requests belong into one transaction (`sys::netlink::Socket::batch`).

pub mod expr;

use super::nlmsg::{Malformed, Message, NLM_F_APPEND, NLM_F_CREATE, attrs_behind, nfgenmsg};
use expr::Expr;

/// NFNL_SUBSYS_NFTABLES.
pub const SUBSYSTEM: u16 = 10;
/// Multicast group NFNLGRP_NFTABLES: a message for every change of any table.
pub const GROUP: u32 = 7;
/// Bytes of `struct nfgenmsg`.
const HEADER_LEN: usize = 4;

// Message kinds, below SUBSYSTEM.
const NEWTABLE: u16 = 0;
const GETTABLE: u16 = 1;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const GETCHAIN: u16 = 4;
const DELCHAIN: u16 = 5;
const NEWRULE: u16 = 6;
const GETRULE: u16 = 7;
const DELRULE: u16 = 8;
const NEWSET: u16 = 9;
const NEWSETELEM: u16 = 12;

// Attributes of tables, chains and rules.
const TABLE_NAME: u16 = 1;
const TABLE_FLAGS: u16 = 2;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUM: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const HOOK_DEVICE: u16 = 3;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const RULE_USERDATA: u16 = 7;

/// NFTNL_UDATA_RULE_COMMENT (libnftnl): what `nft` prints as `comment`.
const UDATA_COMMENT: u8 = 0;

/// An address family of nf_tables with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Family {
    /// IPv4 and IPv6 packets on their way through the machine.
    Inet = 1,
    /// Frames of one link.
    Netdev = 5,
}

impl Family {
    pub const ALL: [Family; 2] = [Family::Inet, Family::Netdev];

    pub const fn name(self) -> &'static str {
        match self {
            Family::Inet => "inet",
            Family::Netdev => "netdev",
        }
    }

    fn from_number(n: u8) -> Option<Family> {
        Family::ALL.into_iter().find(|f| *f as u8 == n)
    }
}

/// Where a base chain is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook<'a> {
    /// NF_INET_* or NF_NETDEV_*.
    pub number: u32,
    pub priority: i32,
    /// The link of a netdev chain.
    pub device: Option<&'a str>,
}

/// Table and chain that a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    pub family: Family,
    pub table: &'a str,
    pub chain: &'a str,
}

fn message(kind: u16, flags: u16, family: u8) -> Message {
    Message::new(SUBSYSTEM << 8 | kind, flags, &nfgenmsg(family, 0))
}

/// Makes the table; one that is there stays as it is.
pub fn add_table(family: Family, name: &str) -> Message {
    let mut m = message(NEWTABLE, 0, family as u8);
    m.put_str(TABLE_NAME, name).put_be32(TABLE_FLAGS, 0);
    m
}

/// Deletes the table and all in it.
pub fn delete_table(family: Family, name: &str) -> Message {
    let mut m = message(DELTABLE, 0, family as u8);
    m.put_str(TABLE_NAME, name);
    m
}

/// Deletes every rule of the table; its chains stay.
pub fn flush_table(family: Family, name: &str) -> Message {
    let mut m = message(DELRULE, 0, family as u8);
    m.put_str(RULE_TABLE, name);
    m
}

/// Makes a base chain of type filter; of one that is there only the policy is set. What falls out of the chain's end
/// is accepted or dropped.
pub fn add_base_chain(place: Place<'_>, hook: Hook<'_>, accept: bool) -> Message {
    let mut m = message(NEWCHAIN, NLM_F_CREATE, place.family as u8);
    m.put_str(CHAIN_TABLE, place.table).put_str(CHAIN_NAME, place.chain).put_str(CHAIN_TYPE, "filter");
    m.put_be32(CHAIN_POLICY, u32::from(accept)).nest(CHAIN_HOOK, |m| {
        m.put_be32(HOOK_NUM, hook.number).put(HOOK_PRIORITY, &hook.priority.to_be_bytes());
        if let Some(device) = hook.device {
            m.put_str(HOOK_DEVICE, device);
        }
    });
    m
}

/// Deletes a chain that has no rules.
pub fn delete_chain(place: Place<'_>) -> Message {
    let mut m = message(DELCHAIN, 0, place.family as u8);
    m.put_str(CHAIN_TABLE, place.table).put_str(CHAIN_NAME, place.chain);
    m
}

/// Appends a rule, its sets before it. `next_set` counts the sets of the transaction, from 1.
pub fn add_rule(place: Place<'_>, exprs: &[Expr], comment: &str, next_set: &mut u32) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut rule = message(NEWRULE, NLM_F_CREATE | NLM_F_APPEND, place.family as u8);
    rule.put_str(RULE_TABLE, place.table).put_str(RULE_CHAIN, place.chain);
    rule.nest(RULE_EXPRESSIONS, |list| {
        for expr in exprs {
            if let Expr::Lookup { set, .. } = expr {
                messages.extend(set.emit(
                    place,
                    *next_set,
                    [NEWSET, NEWSETELEM].map(|kind| message(kind, NLM_F_CREATE, place.family as u8)),
                ));
            }
            expr.emit(list, *next_set);
            *next_set += u32::from(matches!(expr, Expr::Lookup { .. }));
        }
    });
    if !comment.is_empty() {
        rule.put(RULE_USERDATA, &comment_userdata(comment));
    }
    messages.push(rule);
    messages
}

/// Kind, length with the zero byte, text: at most 127 bytes of it are kept (nft's own limit is 128 with the zero).
fn comment_userdata(comment: &str) -> Vec<u8> {
    let text = &comment.as_bytes()[..comment.len().min(127)];
    // 127 + 1 fits a byte.
    let mut udata = vec![UDATA_COMMENT, text.len() as u8 + 1];
    udata.extend_from_slice(text);
    udata.push(0);
    udata
}

/// Asks for all tables of all families.
pub fn list_tables() -> Message {
    message(GETTABLE, 0, 0)
}

/// Asks for all chains of a family.
pub fn list_chains(family: Family) -> Message {
    message(GETCHAIN, 0, family as u8)
}

/// Asks for all rules of a table.
pub fn list_rules(family: Family, table: &str) -> Message {
    let mut m = message(GETRULE, 0, family as u8);
    m.put_str(RULE_TABLE, table);
    m
}

/// Parses an answer to [`list_tables`]; `None` for a table of a family that pvpn has no rules in.
pub fn parse_table(payload: &[u8]) -> Result<Option<(Family, String)>, Malformed> {
    let name = string_attr(payload, TABLE_NAME)?;
    let number = *payload.first().ok_or(Malformed)?;
    Ok(Family::from_number(number).map(|family| (family, name)))
}

/// Whether a notification says that this table is gone.
pub fn is_deletion(kind: u16, payload: &[u8], family: Family, name: &str) -> bool {
    kind == SUBSYSTEM << 8 | DELTABLE
        && parse_table(payload).is_ok_and(|t| t.is_some_and(|(f, n)| f == family && n == name))
}

/// A chain as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainSeen {
    pub table: String,
    pub name: String,
    /// Whether what falls out of the chain's end is dropped.
    pub drops: bool,
    /// See [`identity`].
    pub identity: Vec<u8>,
}

/// Parses an answer to [`list_chains`].
pub fn parse_chain(payload: &[u8]) -> Result<ChainSeen, Malformed> {
    let mut drops = false;
    for attr in attrs_behind(payload, HEADER_LEN)? {
        let attr = attr?;
        drops |= attr.kind == CHAIN_POLICY && attr.be32()? == 0;
    }
    Ok(ChainSeen {
        table: string_attr(payload, CHAIN_TABLE)?,
        name: string_attr(payload, CHAIN_NAME)?,
        drops,
        identity: identity(payload)?,
    })
}

/// NF_INET_LOCAL_IN and NF_INET_LOCAL_OUT (linux/netfilter.h).
pub const INPUT: u32 = 1;
pub const OUTPUT: u32 = 3;

/// A base chain of whatever family and program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseChain {
    /// NFPROTO_.
    pub family: u8,
    pub table: String,
    pub name: String,
    /// `None` where a chain has several, or none.
    pub hook: Option<u32>,
    pub drops: bool,
}

impl BaseChain {
    pub fn family_name(&self) -> &'static str {
        match self.family {
            1 => "inet",
            2 => "ip",
            3 => "arp",
            5 => "netdev",
            7 => "bridge",
            10 => "ip6",
            _ => "other",
        }
    }
}

/// Asks for all chains of all families.
pub fn list_all_chains() -> Message {
    message(GETCHAIN, 0, 0)
}

/// Parses an answer to [`list_all_chains`]; `None` for a chain that no hook calls.
pub fn parse_base_chain(payload: &[u8]) -> Result<Option<BaseChain>, Malformed> {
    let mut hook = None;
    let mut is_base = false;
    for attr in attrs_behind(payload, HEADER_LEN)? {
        let attr = attr?;
        if attr.kind == CHAIN_HOOK {
            is_base = true;
            for inner in attr.attrs() {
                let inner = inner?;
                if inner.kind == HOOK_NUM {
                    hook = Some(inner.be32()?);
                }
            }
        }
    }
    let seen = parse_chain(payload)?;
    let family = *payload.first().ok_or(Malformed)?;
    let (table, name, drops) = (seen.table, seen.name, seen.drops);
    Ok(is_base.then_some(BaseChain { family, table, name, hook, drops }))
}

/// What makes a chain or a rule, as the kernel shows it, differ from every other: all that a program can set, and the
/// handle, which is given once. Counters and neighbours are left out.
pub fn identity(payload: &[u8]) -> Result<Vec<u8>, Malformed> {
    // Table, handle, name, hook and policy of a chain; table, chain, handle, expressions and comment of a rule.
    const KEPT: [u16; 6] = [1, 2, 3, 4, 5, 7];
    let mut identity = Vec::new();
    for attr in attrs_behind(payload, HEADER_LEN)? {
        let attr = attr?;
        if KEPT.contains(&attr.kind) {
            identity.extend_from_slice(&attr.kind.to_be_bytes());
            identity.extend_from_slice(attr.payload);
        }
    }
    Ok(identity)
}

fn string_attr(payload: &[u8], kind: u16) -> Result<String, Malformed> {
    for attr in attrs_behind(payload, HEADER_LEN)? {
        let attr = attr?;
        if attr.kind == kind {
            return Ok(attr.string());
        }
    }
    Err(Malformed)
}

#[cfg(test)]
mod tests;
