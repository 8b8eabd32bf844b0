use super::*;
use crate::wire::rtnl::{MAIN_TABLE, Rule};

fn rule(priority: u32) -> Step {
    Step::AddRule(Rule::to_table(true, priority, MAIN_TABLE))
}

fn shared(steps: Vec<Step>) -> Plan {
    Plan { shared: steps, ..Plan::default() }
}

#[test]
fn what_another_network_asks_for_was_not_taken_away() {
    let gone = shared(vec![rule(4210), rule(4211)]);
    assert_eq!(taken(&gone, &gone).unwrap(), "2 rules were taken away");
    assert_eq!(taken(&gone, &shared(vec![rule(4210)])).unwrap(), "1 rule was taken away");
    assert_eq!(taken(&gone, &shared(vec![])), None);
    let shrunk = Plan { device: vec![Step::SetMtu { link: "wgpnl".into(), mtu: 1300 }], ..Plan::default() };
    assert_eq!(taken(&shrunk, &shrunk), None);
}

#[test]
fn a_link_is_named_once_with_what_went_along() {
    let plan = Plan {
        device: vec![
            Step::AddLink { link: "wgpnl".into(), mtu: 1420 },
            Step::SetLinkUp("wgpnl".into()),
            Step::AddAddress(crate::wire::rtnl::Address {
                device: "wgpnl".into(),
                net: "10.2.0.2/32".parse().unwrap(),
            }),
        ],
        ..shared(vec![rule(4210), rule(4211), rule(4212)])
    };
    assert_eq!(taken(&plan, &plan).unwrap(), "1 link, 1 address, 3 rules were taken away");
}
