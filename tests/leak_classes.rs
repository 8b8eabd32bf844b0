//! Which story shows which leak class: L1 to L20, each found by an audit, a CVE or an issue of some VPN client. Every
//! story has its negative control: the same with the rule taken away, and then the leak is there.
//!
//! This test only holds the table to the tree; the stories run where they stand. In a scenario of the lab the name is
//! a check's words.

use std::fs;
use std::path::Path;

const OUTWARD: &str = "tests/netns/firewall/outward.rs";
const INWARD: &str = "tests/netns/firewall/inward.rs";
const NAMES: &str = "tests/netns/firewall/names.rs";
const FORWARDED: &str = "tests/netns/firewall/forwarded.rs";
const BOOT: &str = "tests/lab/scenarios/inits.sh";
const LEAK: &str = "tests/lab/scenarios/leak.sh";

struct Class {
    name: &'static str,
    /// What we do about it.
    rule: &'static str,
    /// Where it is shown, and by which story.
    shown: &'static [(&'static str, &'static str)],
    /// The story in which the rule is missing, where that is not the same one.
    control: Option<(&'static str, &'static str)>,
}

const CLASSES: [Class; 20] = [
    Class {
        name: "L1",
        rule: "plain text to the VPN server's address: mark, UDP, address and port are asked for",
        shown: &[(OUTWARD, "l1_plain_packets_to_the_vpn_server_need_the_mark")],
        control: None,
    },
    Class {
        name: "L2",
        rule: "TCP to the WireGuard server: UDP alone",
        shown: &[(OUTWARD, "l2_the_mark_is_good_for_udp_alone")],
        control: None,
    },
    Class {
        name: "L3",
        rule: "the tunnel's address answers on the LAN: dropped before connection tracking",
        shown: &[(INWARD, "l3_the_tunnels_address_is_deaf_on_other_links")],
        control: None,
    },
    Class {
        name: "L4",
        rule: "ARP names the tunnel's address: arp_ignore and arp_announce while it is up",
        shown: &[(INWARD, "l4_nobody_on_the_lan_learns_the_tunnels_address")],
        control: None,
    },
    Class {
        name: "L5",
        rule: "boot and shutdown: closed before any interface is up, rules stay when pvpn stops",
        shown: &[
            (BOOT, "L5, L6: from power-on on, restarted, killed and upgraded: nothing leaks"),
            (BOOT, "L5: until the power was off, nothing leaked"),
        ],
        control: Some((BOOT, "L5, control: without the boot service the same machine leaks")),
    },
    Class {
        name: "L6",
        rule: "restart and upgrade: a signal of its own, everything is left to the next process",
        shown: &[
            (BOOT, "L6: restarted: another process; tunnel, port, resolver and rules as they were"),
            (BOOT, "L6: upgraded: another process; tunnel, port, resolver and rules as they were"),
        ],
        control: Some((LEAK, "control: with the rules taken away, packets get out")),
    },
    Class {
        name: "L7",
        rule: "routes injected by DHCP (TunnelVision): they end in a drop",
        shown: &[
            (OUTWARD, "l7_an_injected_route_ends_in_a_drop"),
            (LEAK, "L7: a hostile lease: routes, resolver and search domain: nothing leaks"),
        ],
        control: None,
    },
    Class {
        name: "L8",
        rule: "a public range called local (TunnelCrack LocalNet): private ranges alone",
        shown: &[(OUTWARD, "l8_a_public_range_is_lan_only_by_the_owners_word")],
        control: None,
    },
    Class {
        name: "L9",
        rule: "a spoofed endpoint (TunnelCrack ServerIP): the endpoint is pinned",
        shown: &[(OUTWARD, "l9_the_mark_is_good_for_the_pinned_endpoint_alone")],
        control: None,
    },
    Class {
        name: "L10",
        rule: "flows from before: nothing leaves for being established, conntrack is flushed",
        shown: &[(OUTWARD, "l10_a_flow_that_was_allowed_does_not_outlive_its_policy")],
        control: None,
    },
    Class {
        name: "L11",
        rule: "sockets bound to the link: rules look at the link a packet leaves by",
        shown: &[(OUTWARD, "l11_a_socket_bound_to_the_link_gets_nowhere")],
        control: None,
    },
    Class {
        name: "L12",
        rule: "the LAN's resolver: ports 53 and 853 of the LAN are closed",
        shown: &[(NAMES, "l12_the_lans_resolver_is_out_of_bounds")],
        control: None,
    },
    Class {
        name: "L13",
        rule: "multihop: the exit is not spoken to past the entry",
        shown: &[(OUTWARD, "l13_the_exit_of_a_multihop_server_is_reached_through_its_entry_alone")],
        control: None,
    },
    Class {
        name: "L14",
        rule: "DNS around the resolver: only the one in use, also inside the tunnel",
        shown: &[(NAMES, "l14_inside_the_tunnel_only_its_resolver_is_asked")],
        control: None,
    },
    Class {
        name: "L15",
        rule: "IPv6: all dropped but discovery on the link",
        shown: &[(OUTWARD, "l15_ipv6_is_closed_but_for_discovery_on_the_link")],
        control: None,
    },
    Class {
        name: "L16",
        rule: "packets that do not fit the tunnel: segments are cut",
        shown: &[(FORWARDED, "l16_segments_are_cut_to_what_fits_the_tunnel")],
        control: None,
    },
    Class {
        name: "L17",
        rule: "containers and virtual machines: forwarded packets follow the same rules",
        shown: &[
            (FORWARDED, "l17_a_container_gets_out_through_the_tunnel_alone"),
            (FORWARDED, "l17_an_address_of_the_lan_does_not_let_a_container_out"),
            (FORWARDED, "l17_a_bridged_machine_gets_as_far_as_the_lan"),
        ],
        control: None,
    },
    Class {
        name: "L18",
        rule: "the control socket: 0600 from the moment it is made",
        shown: &[("src/sys/control.rs", "the_socket_is_roots_alone_from_its_first_moment")],
        control: Some(("src/sys/control.rs", "a_socket_made_with_the_usual_umask_is_not_roots_alone")),
    },
    Class {
        name: "L19",
        rule: "signal handlers: there are none, signals are read",
        shown: &[("src/sys/signal.rs", "no_handler_runs_for_any_signal_that_is_listened_to")],
        control: None,
    },
    Class {
        name: "L20",
        rule: "a clock behind the latest handshake: none is begun, one question sets it",
        shown: &[(
            "src/daemon/tests/recovery.rs",
            "no_handshake_is_begun_with_a_wrong_clock_and_one_answer_sets_it",
        )],
        control: Some((
            "src/daemon/clock/tests.rs",
            "a_clock_ahead_of_the_highest_or_a_little_behind_asks_nobody",
        )),
    },
];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Whether the file tells this story: a test that runs, or a check.
fn tells(path: &str, story: &str) -> bool {
    let text = read(path);
    if path.ends_with(".rs") {
        text.contains(&format!("#[test]\nfn {story}()"))
            || text.contains(&format!("#[test]\n    fn {story}()"))
    } else {
        text.contains(&format!(" \"{story}\""))
    }
}

#[test]
fn every_class_is_shown_by_a_story_that_exists() {
    let numbered: Vec<String> = (1..=20).map(|n| format!("L{n}")).collect();
    assert_eq!(CLASSES.iter().map(|c| c.name.to_owned()).collect::<Vec<_>>(), numbered);
    for class in &CLASSES {
        assert!(!class.shown.is_empty(), "{}: {}", class.name, class.rule);
        for (path, story) in class.shown.iter().chain(&class.control) {
            assert!(tells(path, story), "{} ({}): {path} tells no {story:?}", class.name, class.rule);
        }
    }
    assert!(!tells(OUTWARD, "l1_plain_packets"), "a name counts as a whole");
}

#[test]
fn every_story_that_bears_a_classs_name_is_in_the_table() {
    for path in [OUTWARD, INWARD, NAMES, FORWARDED] {
        for line in read(path).lines().filter_map(|l| l.strip_prefix("fn l")) {
            let Some(story) = line.split('(').next().filter(|s| s.starts_with(|c: char| c.is_ascii_digit()))
            else {
                continue;
            };
            let story = format!("l{story}");
            let number = format!("L{}", &story[1..story.find('_').unwrap()]);
            let class = CLASSES.iter().find(|c| c.name == number).unwrap_or_else(|| panic!("{story}"));
            assert!(class.shown.contains(&(path, &story)), "{path}: {story} is not in the table");
        }
    }
}
