//! A whole machine in memory: a kernel and a file system that print themselves, and a process that can die between any
//! two of its changes.

use super::Machine;
use super::files::fake::FakeFiles;
use super::files::{Durable, FileImage, Files, Lock};
use super::names::Names;
use super::names::fake::FakeNames;
use super::net::fake::FakeNet;
use super::net::{Flows, Net};
use crate::dns::LinkNames;
use crate::firewall::ruleset::Ruleset;
use crate::tunnel::device::{Device, DeviceChange};
use crate::wire::rtnl::{Address, Link, Path as Way, Route, Rule};
use std::cell::Cell;
use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::rc::Rc;

/// How many more changes the process makes before it dies; `None`: it lives on.
#[derive(Clone, Default)]
struct Life {
    left: Rc<Cell<Option<usize>>>,
    /// Changes made so far.
    made: Rc<Cell<usize>>,
}

impl Life {
    /// Stands before each change. The dead change nothing, and hear no other answer than this.
    fn spend(&self) -> io::Result<()> {
        match self.left.get() {
            Some(0) => return Err(io::Error::other("killed")),
            Some(n) => self.left.set(Some(n - 1)),
            None => {}
        }
        self.made.set(self.made.get() + 1);
        Ok(())
    }
}

struct Mortal<T> {
    inner: T,
    life: Life,
}

/// The machine that tests change and compare.
pub struct FakeMachine {
    net: Mortal<FakeNet>,
    files: Mortal<FakeFiles>,
    names: Mortal<FakeNames>,
    life: Life,
}

impl FakeMachine {
    pub fn new(net: FakeNet, files: FakeFiles) -> FakeMachine {
        let life = Life::default();
        FakeMachine {
            net: Mortal { inner: net, life: life.clone() },
            files: Mortal { inner: files, life: life.clone() },
            names: Mortal { inner: FakeNames::default(), life: life.clone() },
            life,
        }
    }

    /// The kernel, for tests to look at and to play other programs.
    pub fn kernel(&self) -> &FakeNet {
        &self.net.inner
    }

    /// The file system, likewise.
    pub fn disk(&self) -> &FakeFiles {
        &self.files.inner
    }

    /// What others were told about names, a line each.
    pub fn told(&self) -> String {
        self.names.inner.told(&self.net.inner.links().unwrap_or_default())
    }

    /// The process dies after this many changes from here.
    pub fn die_after(&self, changes: usize) {
        self.life.left.set(Some(changes));
    }

    /// Whether it has died.
    pub fn is_dead(&self) -> bool {
        self.life.left.get() == Some(0)
    }

    /// Another process takes its place.
    pub fn live(&self) {
        self.life.left.set(None);
        self.files.inner.release_locks();
    }

    /// Changes made since the machine was made.
    pub fn changes_made(&self) -> usize {
        self.life.made.get()
    }

    /// The power goes and comes.
    pub fn power_cut(&self) {
        self.live();
        self.net.inner.reboot();
        self.files.inner.power_cut();
        self.names.inner.reboot();
    }
}

impl Machine for FakeMachine {
    fn net(&self) -> &dyn Net {
        &self.net
    }

    fn files(&self) -> &dyn Files {
        &self.files
    }

    fn names(&self) -> &dyn Names {
        &self.names
    }
}

impl Names for Mortal<FakeNames> {
    fn resolved_servers(&self, index: u32) -> io::Result<Option<Vec<IpAddr>>> {
        self.inner.resolved_servers(index)
    }
    fn tell_resolved(&self, index: u32, names: &LinkNames) -> io::Result<()> {
        self.life.spend()?;
        self.inner.tell_resolved(index, names)
    }
    fn revert_resolved(&self, index: u32) -> io::Result<()> {
        self.life.spend()?;
        self.inner.revert_resolved(index)
    }
    fn add_resolvconf(&self, record: &str, text: &str) -> io::Result<()> {
        self.life.spend()?;
        self.inner.add_resolvconf(record, text)
    }
    fn delete_resolvconf(&self, record: &str) -> io::Result<()> {
        self.life.spend()?;
        self.inner.delete_resolvconf(record)
    }
}

impl Net for Mortal<FakeNet> {
    fn links(&self) -> io::Result<Vec<Link>> {
        self.inner.links()
    }
    fn addresses(&self) -> io::Result<Vec<Address>> {
        self.inner.addresses()
    }
    fn routes(&self) -> io::Result<Vec<Route>> {
        self.inner.routes()
    }
    fn rules(&self) -> io::Result<Vec<Rule>> {
        self.inner.rules()
    }
    fn route_to(&self, to: IpAddr, mark: u32) -> io::Result<Way> {
        self.inner.route_to(to, mark)
    }
    fn add_wireguard_link(&self, name: &str, mtu: u32) -> io::Result<()> {
        self.life.spend()?;
        self.inner.add_wireguard_link(name, mtu)
    }
    fn delete_link(&self, name: &str) -> io::Result<()> {
        self.life.spend()?;
        self.inner.delete_link(name)
    }
    fn set_link_up(&self, name: &str, up: bool) -> io::Result<()> {
        self.life.spend()?;
        self.inner.set_link_up(name, up)
    }
    fn set_mtu(&self, name: &str, mtu: u32) -> io::Result<()> {
        self.life.spend()?;
        self.inner.set_mtu(name, mtu)
    }
    fn add_address(&self, address: &Address) -> io::Result<()> {
        self.life.spend()?;
        self.inner.add_address(address)
    }
    fn delete_address(&self, address: &Address) -> io::Result<()> {
        self.life.spend()?;
        self.inner.delete_address(address)
    }
    fn replace_route(&self, route: &Route) -> io::Result<()> {
        self.life.spend()?;
        self.inner.replace_route(route)
    }
    fn delete_route(&self, route: &Route) -> io::Result<()> {
        self.life.spend()?;
        self.inner.delete_route(route)
    }
    fn add_rule(&self, rule: &Rule) -> io::Result<()> {
        self.life.spend()?;
        self.inner.add_rule(rule)
    }
    fn delete_rule(&self, rule: &Rule) -> io::Result<()> {
        self.life.spend()?;
        self.inner.delete_rule(rule)
    }
    fn wireguard(&self, name: &str) -> io::Result<Device> {
        self.inner.wireguard(name)
    }
    fn set_wireguard(&self, name: &str, change: &DeviceChange) -> io::Result<()> {
        self.life.spend()?;
        self.inner.set_wireguard(name, change)
    }
    fn load_ruleset(&self, ruleset: &Ruleset) -> io::Result<()> {
        self.life.spend()?;
        self.inner.load_ruleset(ruleset)
    }
    fn flush_conntrack(&self, flows: &Flows) -> io::Result<usize> {
        self.life.spend()?;
        self.inner.flush_conntrack(flows)
    }
    fn is_listening(&self, udp: bool, at: SocketAddr, device: &str) -> io::Result<bool> {
        self.inner.is_listening(udp, at, device)
    }
}

impl Files for Mortal<FakeFiles> {
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        self.inner.read(path, limit)
    }
    fn image(&self, path: &Path) -> io::Result<FileImage> {
        self.inner.image(path)
    }
    fn replace(&self, path: &Path, bytes: &[u8], mode: u32, durable: Durable) -> io::Result<()> {
        self.life.spend()?;
        self.inner.replace(path, bytes, mode, durable)
    }
    fn put(&self, path: &Path, image: &FileImage) -> io::Result<()> {
        self.life.spend()?;
        self.inner.put(path, image)
    }
    fn append(&self, path: &Path, bytes: &[u8], durable: Durable) -> io::Result<()> {
        self.life.spend()?;
        self.inner.append(path, bytes, durable)
    }
    fn write_in_place(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.life.spend()?;
        self.inner.write_in_place(path, bytes)
    }
    fn keep(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.life.spend()?;
        self.inner.keep(from, to)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.life.spend()?;
        self.inner.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.life.spend()?;
        self.inner.remove(path)
    }
    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.life.spend()?;
        self.inner.create_dir(path, mode)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.inner.list(dir)
    }
    fn exists(&self, path: &Path) -> bool {
        self.inner.exists(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        self.inner.lock(path)
    }
}
