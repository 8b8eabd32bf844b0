//! Policy routing rules (linux/fib_rules.h).

use super::{OUR_PROTOCOL, any, family};
use crate::address::IpNet;
use crate::wire::nlmsg::{Attr, Malformed, Message, NLM_F_CREATE, NLM_F_EXCL, attrs_behind};
use std::fmt;

pub const RTM_NEWRULE: u16 = 32;
pub const RTM_DELRULE: u16 = 33;
const RTM_GETRULE: u16 = 34;

/// `struct fib_rule_hdr`.
const RULE_HEADER: usize = 12;

const FR_ACT_TO_TBL: u8 = 1;
const FIB_RULE_INVERT: u32 = 2;
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_PROTOCOL: u16 = 21;
const FRA_IP_PROTO: u16 = 22;
const FRA_SPORT_RANGE: u16 = 23;
const FRA_DPORT_RANGE: u16 = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleAction {
    Table(u32),
    /// Other actions by number (FR_ACT_).
    Other(u8),
}

/// A policy routing rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rule {
    pub ipv4: bool,
    /// Smaller comes first.
    pub priority: u32,
    /// Matches what the selectors do not.
    pub invert: bool,
    pub from: Option<IpNet>,
    pub to: Option<IpNet>,
    /// Value and mask.
    pub mark: Option<(u32, u32)>,
    pub iif: Option<String>,
    pub oif: Option<String>,
    /// 6 = TCP, 17 = UDP.
    pub ip_protocol: Option<u8>,
    pub source_port: Option<u16>,
    pub dest_port: Option<u16>,
    pub action: RuleAction,
    /// Routes with a prefix this short or shorter are passed over.
    pub suppress_prefix: Option<u32>,
    /// Who made it: [`OUR_PROTOCOL`] for ours, 2 for the kernel's three.
    pub protocol: u8,
}

impl Rule {
    /// A rule of ours that sends everything of a family to a table; narrow it with struct update.
    pub fn to_table(ipv4: bool, priority: u32, table: u32) -> Rule {
        Rule {
            ipv4,
            priority,
            invert: false,
            from: None,
            to: None,
            mark: None,
            iif: None,
            oif: None,
            ip_protocol: None,
            source_port: None,
            dest_port: None,
            action: RuleAction::Table(table),
            suppress_prefix: None,
            protocol: OUR_PROTOCOL,
        }
    }
}

impl fmt::Display for Rule {
    /// As `ip rule` shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", if self.ipv4 { "-4" } else { "-6" })?;
        write!(f, " {}:{}", self.priority, if self.invert { " not" } else { "" })?;
        match &self.from {
            Some(net) => write!(f, " from {net}")?,
            None => f.write_str(" from all")?,
        }
        if let Some(net) = &self.to {
            write!(f, " to {net}")?;
        }
        match self.mark {
            Some((mark, u32::MAX)) => write!(f, " fwmark {mark:#x}")?,
            Some((mark, mask)) => write!(f, " fwmark {mark:#x}/{mask:#x}")?,
            None => {}
        }
        for (name, link) in [("iif", &self.iif), ("oif", &self.oif)] {
            if let Some(link) = link {
                write!(f, " {name} {link}")?;
            }
        }
        if let Some(n) = self.ip_protocol {
            write!(f, " ipproto {n}")?;
        }
        for (name, port) in [("sport", self.source_port), ("dport", self.dest_port)] {
            if let Some(port) = port {
                write!(f, " {name} {port}")?;
            }
        }
        match self.action {
            RuleAction::Table(table) => write!(f, " lookup {table}")?,
            RuleAction::Other(n) => write!(f, " action {n}")?,
        }
        if let Some(n) = self.suppress_prefix {
            write!(f, " suppress_prefixlength {n}")?;
        }
        Ok(())
    }
}

pub fn dump(ipv4: bool) -> Message {
    let mut header = [0; RULE_HEADER];
    header[0] = family(ipv4);
    Message::new(RTM_GETRULE, 0, &header)
}

/// Parses RTM_NEWRULE and RTM_DELRULE.
pub fn parse(payload: &[u8]) -> Result<Rule, Malformed> {
    let [fam, to_len, from_len, _, table, _, _, action, f0, f1, f2, f3] =
        *payload.first_chunk::<RULE_HEADER>().ok_or(Malformed)?;
    let any = any(fam)?;
    let mut rule = Rule::to_table(any.is_ipv4(), 0, u32::from(table));
    rule.protocol = 0;
    rule.invert = u32::from_ne_bytes([f0, f1, f2, f3]) & FIB_RULE_INVERT != 0;
    rule.to = (to_len > 0).then(|| IpNet::new(any.addr, to_len)).flatten();
    rule.from = (from_len > 0).then(|| IpNet::new(any.addr, from_len)).flatten();
    let (mut table, mut mark, mut mask) = (u32::from(table), None, u32::MAX);
    for attr in attrs_behind(payload, RULE_HEADER)? {
        let attr = attr?;
        match attr.kind {
            FRA_DST => rule.to = Some(IpNet::new(attr.ip()?, to_len).ok_or(Malformed)?),
            FRA_SRC => rule.from = Some(IpNet::new(attr.ip()?, from_len).ok_or(Malformed)?),
            FRA_IIFNAME => rule.iif = Some(attr.string()),
            FRA_OIFNAME => rule.oif = Some(attr.string()),
            FRA_PRIORITY => rule.priority = attr.u32()?,
            FRA_FWMARK => mark = Some(attr.u32()?),
            FRA_FWMASK => mask = attr.u32()?,
            FRA_TABLE => table = attr.u32()?,
            FRA_SUPPRESS_PREFIXLEN => rule.suppress_prefix = Some(attr.u32()?).filter(|n| *n != u32::MAX),
            FRA_PROTOCOL => rule.protocol = attr.u8()?,
            FRA_IP_PROTO => rule.ip_protocol = Some(attr.u8()?),
            FRA_SPORT_RANGE => rule.source_port = single_port(&attr)?,
            FRA_DPORT_RANGE => rule.dest_port = single_port(&attr)?,
            _ => {}
        }
    }
    rule.mark = mark.map(|mark| (mark, mask));
    rule.action = if action == FR_ACT_TO_TBL { RuleAction::Table(table) } else { RuleAction::Other(action) };
    Ok(rule)
}

pub fn add(rule: &Rule) -> Message {
    rule_message(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule)
}

pub fn delete(rule: &Rule) -> Message {
    rule_message(RTM_DELRULE, 0, rule)
}

fn rule_message(message_kind: u16, flags: u16, rule: &Rule) -> Message {
    let prefix = |net: &Option<IpNet>| net.map_or(0, |n| n.prefix);
    let (action, table) = match rule.action {
        RuleAction::Table(table) => (FR_ACT_TO_TBL, Some(table)),
        RuleAction::Other(n) => (n, None),
    };
    let mut header =
        [family(rule.ipv4), prefix(&rule.to), prefix(&rule.from), 0, 0, 0, 0, action, 0, 0, 0, 0];
    let invert = if rule.invert { FIB_RULE_INVERT } else { 0 };
    header[8..].copy_from_slice(&invert.to_ne_bytes());
    let mut m = Message::new(message_kind, flags, &header);
    m.put_u32(FRA_PRIORITY, rule.priority);
    for (kind, net) in [(FRA_DST, rule.to), (FRA_SRC, rule.from)] {
        if let Some(net) = net {
            m.put_ip(kind, net.network().addr);
        }
    }
    for (kind, name) in [(FRA_IIFNAME, &rule.iif), (FRA_OIFNAME, &rule.oif)] {
        if let Some(name) = name {
            m.put_str(kind, name);
        }
    }
    if let Some((mark, mask)) = rule.mark {
        m.put_u32(FRA_FWMARK, mark).put_u32(FRA_FWMASK, mask);
    }
    if let Some(n) = rule.ip_protocol {
        m.put_u8(FRA_IP_PROTO, n);
    }
    for (kind, port) in [(FRA_SPORT_RANGE, rule.source_port), (FRA_DPORT_RANGE, rule.dest_port)] {
        if let Some(port) = port {
            let [a, b] = port.to_ne_bytes();
            m.put(kind, &[a, b, a, b]);
        }
    }
    if let Some(table) = table {
        m.put_u32(FRA_TABLE, table);
    }
    if let Some(n) = rule.suppress_prefix {
        m.put_u32(FRA_SUPPRESS_PREFIXLEN, n);
    }
    m.put_u8(FRA_PROTOCOL, rule.protocol);
    m
}

/// `struct fib_rule_port_range`; `None` for a range of several ports.
fn single_port(attr: &Attr<'_>) -> Result<Option<u16>, Malformed> {
    let [a, b, c, d] = *attr.payload.first_chunk::<4>().ok_or(Malformed)?;
    Ok(([a, b] == [c, d]).then(|| u16::from_ne_bytes([a, b])))
}
