//! Whether our rules are there, beside those of others.

use super::in_world;
use super::policies::{blocked, connected, open};
use super::world::World;
use crate::run;
use pvpn::firewall::ruleset::Ruleset;
use pvpn::sys::nft::{self, State};

fn state(world: &mut World) -> Option<State> {
    nft::state(&mut world.nft).unwrap()
}

#[test]
fn every_change_by_others_is_seen() {
    in_world("presence::every_change_by_others_is_seen", |world| {
        let changes = [
            "nft flush table inet pvpn",
            "nft flush chain inet pvpn input",
            "nft add rule inet pvpn output accept",
            "nft insert rule inet pvpn output accept",
            "nft add chain inet pvpn output { policy accept ; }",
            "nft delete table netdev pvpn",
            "nft flush chain netdev pvpn eth0",
            "nft delete table inet pvpn",
        ];
        for change in changes {
            world.load(&connected());
            let before = state(world).unwrap();
            run(change);
            assert_ne!(state(world).map(|s| s.fingerprint), Some(before.fingerprint), "{change}");
        }
        world.load(&connected());
        run("nft flush ruleset");
        assert_eq!(state(world), None);
    });
}

#[test]
fn rules_of_others_are_neither_touched_nor_mistaken_for_ours() {
    in_world("presence::rules_of_others_are_neither_touched_nor_mistaken_for_ours", |world| {
        run("nft add table inet filter");
        run("nft add chain inet filter output { type filter hook output priority filter ; }");
        run("nft add table ip pvpn");
        run("nft add chain ip pvpn output");
        let theirs = run("nft list ruleset");
        world.load(&connected());
        let before = state(world);
        run("nft add rule inet filter output counter");
        run("nft delete rule inet filter output handle 2");
        assert_eq!(state(world), before);
        for policy in [blocked(), open(), connected()] {
            world.load(&policy);
        }
        world.load_rules(&Ruleset::none());
        assert_eq!(run("nft list ruleset"), theirs);
    });
}

/// The words that our drop-in gives Debian's nftables.service for its stop.
#[test]
fn nftables_stops_without_our_tables_going_too() {
    in_world("presence::nftables_stops_without_our_tables_going_too", |world| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/pkg/systemd/nftables.service.d.conf");
        let unit = std::fs::read_to_string(path).unwrap();
        let words = unit.split("ExecStop=/bin/sh -c '").nth(1).unwrap().split('\'').next().unwrap();
        // As systemd reads them (systemd.service(5), COMMAND LINES).
        let words = words.replace("\\\n", " ").replace("$$", "$");
        world.load(&connected());
        let ours = run("nft list ruleset");
        run("nft add table inet filter");
        run("nft add table ip pvpn-like");
        let done = std::process::Command::new("sh").args(["-c", &words]).status().unwrap();
        assert!(done.success());
        assert_eq!(run("nft list ruleset"), ours);
        // What the unit itself says.
        run("nft flush ruleset");
        assert_eq!(run("nft list ruleset"), "");
    });
}

#[test]
fn the_state_says_whether_the_machine_is_closed_and_which_links_are_hooked() {
    in_world("presence::the_state_says_whether_the_machine_is_closed_and_which_links_are_hooked", |world| {
        let seen = |world: &mut World| state(world).map(|s| (s.closed, s.egress_links));
        assert_eq!(seen(world), None);
        world.load(&connected());
        assert_eq!(seen(world), Some((true, vec!["eth0".to_owned()])));
        world.load(&open());
        assert_eq!(seen(world), Some((false, Vec::new())));
        world.load_rules(&Ruleset::none());
        assert_eq!(seen(world), None);
    });
}

#[test]
fn links_come_and_go() {
    in_world("presence::links_come_and_go", |world| {
        let linked = |names: &[&str]| blocked().with_links(names.iter().map(|n| n.to_string()).collect());
        run("ip link add usb0 type veth peer name usb1");
        world.load(&linked(&["eth0"]));
        world.load(&linked(&["eth0", "usb0"]));
        assert_eq!(state(world).unwrap().egress_links, ["eth0", "usb0"]);
        run("ip link delete usb0");
        world.load(&linked(&["eth0"]));
        assert_eq!(state(world).unwrap().egress_links, ["eth0"]);

        // One that went before its rules were loaded does not keep the machine open.
        world.load_rules(&Ruleset::none());
        world.load(&linked(&["usb0", "eth0"]));
        let state = state(world).unwrap();
        assert!(state.closed && state.egress_links.contains(&"eth0".to_owned()));
    });
}

#[test]
fn rules_are_loaded_afresh_where_none_are_and_where_some_are() {
    in_world("presence::rules_are_loaded_afresh_where_none_are_and_where_some_are", |world| {
        world.load(&connected());
        // Not as a whole: the table made last is listed last.
        let shown = || ["inet", "netdev"].map(|family| run(&format!("nft list table {family} pvpn")));
        let meant = shown();
        for change in ["nft flush ruleset", "nft delete table inet pvpn", "nft flush table inet pvpn"] {
            run(change);
            nft::load_afresh(&mut world.nft, &Ruleset::of(&connected())).unwrap();
            assert_eq!(shown(), meant, "{change}");
        }
        // A link that is not there costs its own chain and no other's.
        run("nft flush ruleset");
        let links = ["usb0", "eth0"].map(str::to_owned).to_vec();
        nft::load_afresh(&mut world.nft, &Ruleset::of(&connected().with_links(links))).unwrap();
        let state = state(world).unwrap();
        assert!(state.closed && state.egress_links.contains(&"eth0".to_owned()), "{state:?}");
    });
}

#[test]
fn a_watcher_hears_of_every_change() {
    in_world("presence::a_watcher_hears_of_every_change", |world| {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        use std::os::fd::AsFd;
        let watch = nft::watch().unwrap();
        let hears = |timeout: u16| {
            poll(&mut [PollFd::new(watch.as_fd(), PollFlags::POLLIN)], PollTimeout::from(timeout)).unwrap()
                == 1
        };
        assert!(!hears(0));
        world.load(&blocked());
        run("nft flush ruleset");
        assert!(hears(10_000));
    });
}
