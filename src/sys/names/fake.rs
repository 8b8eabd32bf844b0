//! Programs that remember what they were told.

use super::Names;
use crate::dns::LinkNames;
use crate::wire::rtnl::Link;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

/// resolved by link index, resolvconf by record.
#[derive(Debug, Default)]
pub struct FakeNames {
    resolved: RefCell<BTreeMap<u32, LinkNames>>,
    records: RefCell<BTreeMap<String, String>>,
}

impl FakeNames {
    /// Both end with the machine.
    pub fn reboot(&self) {
        self.resolved.borrow_mut().clear();
        self.records.borrow_mut().clear();
    }

    /// What is remembered, a line each; resolved forgets links that are no more.
    pub fn told(&self, links: &[Link]) -> String {
        let name = |index: u32| links.iter().find(|l| l.index == index).map(|l| l.name.as_str());
        self.resolved.borrow_mut().retain(|index, _| name(*index).is_some());
        let resolved = self.resolved.borrow();
        let resolved =
            resolved.iter().map(|(i, n)| format!("resolved {:?} {n:?}\n", name(*i))).collect::<String>();
        let records =
            self.records.borrow().iter().map(|(r, t)| format!("resolvconf {r} {t:?}\n")).collect::<String>();
        resolved + &records
    }
}

impl Names for FakeNames {
    fn resolved_servers(&self, index: u32) -> io::Result<Option<Vec<IpAddr>>> {
        Ok(Some(self.resolved.borrow().get(&index).map(|n| n.servers.clone()).unwrap_or_default()))
    }

    fn tell_resolved(&self, index: u32, names: &LinkNames) -> io::Result<()> {
        self.resolved.borrow_mut().insert(index, names.clone());
        Ok(())
    }

    fn revert_resolved(&self, index: u32) -> io::Result<()> {
        self.resolved.borrow_mut().remove(&index);
        Ok(())
    }

    fn add_resolvconf(&self, record: &str, text: &str) -> io::Result<()> {
        self.records.borrow_mut().insert(record.to_owned(), text.to_owned());
        Ok(())
    }

    fn delete_resolvconf(&self, record: &str) -> io::Result<()> {
        self.records.borrow_mut().remove(record);
        Ok(())
    }
}
