use super::*;
use crate::address::PRIVATE;

#[test]
fn an_open_machine_without_a_tunnel_has_no_rules() {
    assert_eq!(Ruleset::of(&Policy::open(Vec::new())), Ruleset::none());
    assert_eq!(Ruleset::none().to_string(), "");
}

#[test]
fn what_is_not_there_is_not_deleted() {
    assert!(Ruleset::none().batch(&Present::default()).is_empty());
    let present = Present { tables: Family::ALL.to_vec(), chains: Vec::new() };
    assert_eq!(
        Ruleset::none().batch(&present),
        [nft::delete_table(Family::Inet, TABLE), nft::delete_table(Family::Netdev, TABLE)]
    );
}

#[test]
fn a_table_that_stays_is_never_deleted_and_a_stale_chain_goes() {
    let rules = Ruleset::of(&Policy::blocked(PRIVATE.to_vec()).with_links(vec!["eth0".to_owned()]));
    let present = Present {
        tables: Family::ALL.to_vec(),
        chains: vec![(Family::Netdev, "eth0".to_owned()), (Family::Netdev, "usb0".to_owned())],
    };
    let batch = rules.batch(&present);
    for family in Family::ALL {
        assert!(!batch.contains(&nft::delete_table(family, TABLE)));
    }
    let gone = |chain| nft::delete_chain(Place { family: Family::Netdev, table: TABLE, chain });
    assert!(batch.contains(&gone("usb0")) && !batch.contains(&gone("eth0")));
}

#[test]
fn every_filter_chain_of_a_closed_machine_ends_in_a_drop() {
    let rules = Ruleset::of(&Policy::blocked(PRIVATE.to_vec()).with_links(vec!["eth0".to_owned()]));
    let mut closed = 0;
    for chain in rules.tables.iter().flat_map(|t| &t.chains).filter(|c| c.closed) {
        let last = chain.rules.last().unwrap();
        assert_eq!((last.matches.len(), last.then), (0, Then::Drop), "{}", chain.hook.name());
        closed += 1;
    }
    assert_eq!(closed, 4);
}
