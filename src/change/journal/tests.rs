use super::*;
use crate::sys::files::fake::FakeFiles;
use crate::wire::rtnl::{Address, OUR_PROTOCOL, Route, RouteKind, Rule, RuleAction};

fn every_undo() -> Vec<Undo> {
    let route = Route::by("wgpnl", "0.0.0.0/0".parse().unwrap(), 4214);
    let other = Route {
        gateway: Some("192.168.1.1".parse().unwrap()),
        source: Some("192.168.1.9".parse().unwrap()),
        metric: 600,
        protocol: 16,
        ..Route::by("eth0", "0.0.0.0/0".parse().unwrap(), 4214)
    };
    let rule = Rule { invert: true, mark: Some((0x1076, u32::MAX)), ..Rule::to_table(true, 10, 4214) };
    let full = Rule {
        ipv4: false,
        priority: 9,
        invert: false,
        from: Some("2001:db8::/32".parse().unwrap()),
        to: Some("fd00::/8".parse().unwrap()),
        mark: Some((1, 3)),
        iif: Some("lo".to_owned()),
        oif: Some("eth0".to_owned()),
        ip_protocol: Some(17),
        source_port: Some(1),
        dest_port: Some(2),
        action: RuleAction::Other(7),
        suppress_prefix: Some(0),
        protocol: OUR_PROTOCOL,
    };
    let address = Address { device: "wgpnl".to_owned(), net: "10.2.0.2/32".parse().unwrap() };
    vec![
        Undo::DeleteLink("wgpnl".to_owned()),
        Undo::SetLinkDown("wgpnl".to_owned()),
        Undo::SetMtu { link: "wgpnl".to_owned(), mtu: 1420 },
        Undo::DeleteAddress(address.clone()),
        Undo::AddAddress(address),
        Undo::Route { ours: route.clone(), was: None },
        Undo::Route { ours: route, was: Some(other.clone()) },
        Undo::AddRoute(Route { kind: RouteKind::Other(6), ..other }),
        Undo::AddRoute(Route::unreachable("::/0".parse().unwrap(), 4214)),
        Undo::DeleteRule(rule.clone()),
        Undo::AddRule(full),
        Undo::DeleteRule(Rule { suppress_prefix: Some(0), ..rule }),
        Undo::Sysctl { path: "net/ipv4/conf/all/arp_ignore".to_owned(), ours: 2, was: 0 },
        Undo::Firewall,
        Undo::Resolver { was_absent: false },
        Undo::Resolver { was_absent: true },
        Undo::Resolved("wgpnl".to_owned()),
        Undo::Resolvconf("tun.pvpn".to_owned()),
    ]
}

fn boot() -> FakeFiles {
    FakeFiles::new(&[])
}

#[test]
fn every_undo_is_one_line_that_reads_back_the_same() {
    for undo in every_undo() {
        let line = undo.to_string();
        assert!(!line.contains('\n'));
        assert_eq!(line.parse(), Ok(undo), "{line}");
    }
}

#[test]
fn lines_cut_short_or_with_too_much_are_refused() {
    for undo in every_undo() {
        let line = undo.to_string();
        for (end, _) in line.match_indices(' ') {
            assert_eq!(line[..end].parse::<Undo>(), Err(BadLine), "{}", &line[..end]);
            assert_eq!(line[..=end].parse::<Undo>(), Err(BadLine));
        }
        assert_eq!(format!("{line} x").parse::<Undo>(), Err(BadLine));
        assert_eq!(format!("{line} ").parse::<Undo>(), Err(BadLine));
    }
}

#[test]
fn no_line_makes_it_panic() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let lines: Vec<String> = every_undo().iter().map(|u| format!("7 boot-0 wgpnl {u}")).collect();
    for round in 0..20_000 {
        let mut bytes = lines[round % lines.len()].clone().into_bytes();
        for _ in 0..3 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let at = seed as usize % bytes.len();
            bytes[at] = [b' ', b'-', b'9', b'/', b':', b'x', 0, 0xff][(seed >> 40) as usize % 8];
        }
        if let Ok(entry) = String::from_utf8_lossy(&bytes).parse::<Entry>() {
            assert_eq!(entry.to_string().parse(), Ok(entry));
        }
    }
}

#[test]
fn what_was_written_is_loaded_in_order() {
    let files = boot();
    let mut journal = Journal::load(&files).unwrap();
    for undo in every_undo() {
        journal.append(&files, "wgpnl", undo).unwrap();
    }
    let loaded = Journal::load(&files).unwrap();
    assert_eq!(loaded.entries(), journal.entries());
    assert_eq!(loaded.next(), journal.next());
    assert_eq!(
        files.text(LIB_JOURNAL).unwrap(),
        "15 boot-0 wgpnl resolver\n16 boot-0 wgpnl resolver-absent\n"
    );
}

#[test]
fn only_changed_files_outlive_a_power_cut() {
    let files = boot();
    let mut journal = Journal::load(&files).unwrap();
    for undo in every_undo() {
        journal.append(&files, "wgpnl", undo).unwrap();
    }
    files.power_cut();
    let loaded = Journal::load(&files).unwrap();
    assert_eq!(loaded.entries().len(), 2);
    assert!(loaded.entries().iter().all(|e| e.undo.outlives_reboot() && loaded.is_of_earlier_boot(e)));
}

#[test]
fn kernel_lines_of_another_boot_are_void_where_run_is_a_disk() {
    let files = boot();
    files.write(RUN_JOURNAL, "3 an-earlier-boot wgpnl delete-link wgpnl\n4 boot-0 wgpau delete-link wgpau\n");
    let loaded = Journal::load(&files).unwrap();
    assert_eq!(loaded.entries().len(), 1);
    assert_eq!(files.text(RUN_JOURNAL).unwrap(), "4 boot-0 wgpau delete-link wgpau\n");
}

#[test]
fn a_torn_last_line_is_passed_over_and_the_next_one_is_whole() {
    let whole = "1 boot-0 wgpnl delete-link wgpnl\n2 boot-0 firewall firewall\n";
    for end in 0..whole.len() {
        let files = boot();
        files.write(RUN_JOURNAL, &whole[..end]);
        let mut journal = Journal::load(&files).unwrap();
        let lines = whole[..end].matches('\n').count();
        assert_eq!(journal.entries().len(), lines, "cut at {end}");
        journal.append(&files, "wgpau", Undo::DeleteLink("wgpau".to_owned())).unwrap();
        assert_eq!(Journal::load(&files).unwrap().entries().len(), lines + 1, "cut at {end}");
    }
}

#[test]
fn lines_that_make_no_sense_do_not_hide_the_others() {
    let files = boot();
    files.write(LIB_JOURNAL, "\0\0\0\n1 b resolver resolver\nx\n2 b resolver fly-to-the-moon\n");
    let loaded = Journal::load(&files).unwrap();
    assert_eq!(loaded.entries().len(), 1);
    assert_eq!(files.text(LIB_JOURNAL).unwrap(), "1 b resolver resolver\n");
}

#[test]
fn who_only_looks_leaves_the_files_as_they_are() {
    let files = boot();
    let run = "1 an-earlier-boot a firewall\n2 boot-0 wgpau delete-link wgpau\n4 boot-0 wgpau delete-li";
    let lib = "3 boot-0 resolver resolver\n5 boot-0 wgpau a-word-of-another-version\n";
    files.write(RUN_JOURNAL, run);
    files.write(LIB_JOURNAL, lib);
    let numbers = |journal: Journal| journal.entries().iter().map(|e| e.number).collect::<Vec<_>>();
    assert_eq!(numbers(Journal::look(&files).unwrap()), [2, 3]);
    assert_eq!(files.text(RUN_JOURNAL).as_deref(), Some(run));
    assert_eq!(files.text(LIB_JOURNAL).as_deref(), Some(lib));
    assert_eq!(numbers(Journal::load(&files).unwrap()), [2, 3]);
    assert_ne!(files.text(RUN_JOURNAL).as_deref(), Some(run));
}

#[test]
fn an_empty_journal_is_no_file() {
    let files = boot();
    let mut journal = Journal::load(&files).unwrap();
    journal.append(&files, "a", Undo::Firewall).unwrap();
    journal.append(&files, "b", Undo::Resolver { was_absent: true }).unwrap();
    journal.retain(&files, |_| false).unwrap();
    assert_eq!((files.text(RUN_JOURNAL), files.text(LIB_JOURNAL)), (None, None));
    files.power_cut();
    assert!(Journal::load(&files).unwrap().entries().is_empty());
}

#[test]
fn a_full_disk_is_an_error_before_the_step() {
    let files = boot();
    let mut journal = Journal::load(&files).unwrap();
    files.fill(true);
    let e = journal.append(&files, "a", Undo::Firewall).unwrap_err();
    assert_eq!(e.to_string(), "write /run/pvpn/journal: No space left on device (os error 28)");
    assert!(journal.entries().is_empty());
}
