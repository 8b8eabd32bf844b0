//! Each policy's rules as text, which is to be read like prose: `tests/data/firewall/`. `nft` says the same of what is
//! in the kernel.

use super::in_world;
use super::policies::all;
use crate::run;
use pvpn::firewall::ruleset::Ruleset;
use std::fs;

#[test]
fn the_rules_of_every_policy_read_as_reviewed() {
    for (name, policy) in all() {
        let path = format!("{}/tests/data/firewall/{name}.nft", env!("CARGO_MANIFEST_DIR"));
        let text = Ruleset::of(&policy).to_string();
        if std::env::var_os("PVPN_WRITE_RULES").is_some() {
            fs::write(&path, &text).unwrap();
        }
        assert_eq!(text, fs::read_to_string(&path).unwrap(), "PVPN_WRITE_RULES=1 writes {path} for review");
    }
}

#[test]
fn nft_prints_what_was_meant() {
    in_world("text::nft_prints_what_was_meant", |world| {
        for (name, policy) in all() {
            let rules = Ruleset::of(&policy);
            world.load_rules(&rules);
            assert_eq!(as_we_print(&run("nft list ruleset")), rules.to_string(), "{name}");
        }
    });
}

/// `nft` calls a frame's type by its place, unless the rule begins with a condition that no leaving frame meets. Later
/// versions than 1.0.6 write masks in another way.
fn as_we_print(nft: &str) -> String {
    nft.replace("@ll,96,16 ", "ether type ").replace("& 0x1fff != 0x0", "& 8191 != 0")
}
