//! Routes and rules as words of a journal line: every field in a fixed place, `-` for none.

use super::journal::BadLine;
use crate::wire::rtnl::{Address, Route, RouteKind, Rule, RuleAction};
use std::fmt::{self, Display};
use std::str::{FromStr, Split};

type Result<T> = std::result::Result<T, BadLine>;

/// A value in the words of the journal, beside the words for people that its own `Display` has.
pub(super) struct Line<'a, T>(pub &'a T);

/// The words of a line that are left to be read.
pub(super) struct Words<'a>(pub Split<'a, char>);

struct OrNone<'a, T>(&'a Option<T>);

impl<T: Display> Display for OrNone<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("-"),
        }
    }
}

impl Display for Line<'_, Route> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Route { table, to, kind, device, gateway, source, metric, protocol } = self.0;
        write!(f, "{to} {table} ")?;
        match kind {
            RouteKind::Unicast => f.write_str("unicast")?,
            RouteKind::Unreachable => f.write_str("unreachable")?,
            RouteKind::Other(n) => write!(f, "{n}")?,
        }
        write!(f, " {} {} {} {metric} {protocol}", OrNone(device), OrNone(gateway), OrNone(source))
    }
}

impl Display for Line<'_, Rule> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let r = self.0;
        let family = if r.ipv4 { 4 } else { 6 };
        write!(f, "{family} {} {}", r.priority, if r.invert { "not" } else { "-" })?;
        write!(f, " {} {}", OrNone(&r.from), OrNone(&r.to))?;
        let (mark, mask) = r.mark.unzip();
        write!(f, " {} {}", OrNone(&mark), OrNone(&mask))?;
        write!(f, " {} {}", OrNone(&r.iif), OrNone(&r.oif))?;
        write!(f, " {} {} {}", OrNone(&r.ip_protocol), OrNone(&r.source_port), OrNone(&r.dest_port))?;
        match r.action {
            RuleAction::Table(n) => write!(f, " lookup {n}")?,
            RuleAction::Other(n) => write!(f, " action {n}")?,
        }
        write!(f, " {} {}", OrNone(&r.suppress_prefix), r.protocol)
    }
}

impl<'a> Words<'a> {
    pub fn word(&mut self) -> Result<&'a str> {
        self.0.next().filter(|w| !w.is_empty()).ok_or(BadLine)
    }

    pub fn value<T: FromStr>(&mut self) -> Result<T> {
        self.word()?.parse().map_err(|_| BadLine)
    }

    fn or_none<T: FromStr>(&mut self) -> Result<Option<T>> {
        match self.word()? {
            "-" => Ok(None),
            word => word.parse().map(Some).map_err(|_| BadLine),
        }
    }

    pub fn address(&mut self) -> Result<Address> {
        Ok(Address { device: self.value()?, net: self.value()? })
    }

    pub fn route(&mut self) -> Result<Route> {
        let (to, table) = (self.value()?, self.value()?);
        let kind = match self.word()? {
            "unicast" => RouteKind::Unicast,
            "unreachable" => RouteKind::Unreachable,
            number => RouteKind::Other(number.parse().map_err(|_| BadLine)?),
        };
        Ok(Route {
            table,
            to,
            kind,
            device: self.or_none()?,
            gateway: self.or_none()?,
            source: self.or_none()?,
            metric: self.value()?,
            protocol: self.value()?,
        })
    }

    pub fn rule(&mut self) -> Result<Rule> {
        let ipv4 = match self.word()? {
            "4" => true,
            "6" => false,
            _ => return Err(BadLine),
        };
        let priority = self.value()?;
        let invert = match self.word()? {
            "not" => true,
            "-" => false,
            _ => return Err(BadLine),
        };
        let (from, to) = (self.or_none()?, self.or_none()?);
        let mark = self.or_none()?.zip(self.or_none()?);
        Ok(Rule {
            ipv4,
            priority,
            invert,
            from,
            to,
            mark,
            iif: self.or_none()?,
            oif: self.or_none()?,
            ip_protocol: self.or_none()?,
            source_port: self.or_none()?,
            dest_port: self.or_none()?,
            action: match self.word()? {
                "lookup" => RuleAction::Table(self.value()?),
                "action" => RuleAction::Other(self.value()?),
                _ => return Err(BadLine),
            },
            suppress_prefix: self.or_none()?,
            protocol: self.value()?,
        })
    }

    /// That nothing is left over.
    pub fn end(mut self) -> Result<()> {
        if self.0.next().is_none() { Ok(()) } else { Err(BadLine) }
    }
}
