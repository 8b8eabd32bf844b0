//! The whole supervisor in random interleavings of time, wishes and faults: servers that die, answers that fail, people
//! who change their mind. Whatever happens, in whatever order, the promises hold; and once the world is well again the
//! wish of the person is reached.

use crate::machine::{Machine, PERSON};
use pvpn::time::secs;

#[test]
fn no_interleaving_panics_spins_stalls_opens_or_publishes_what_was_never_granted() {
    for seed in 1..=50 {
        let mut machine = Machine::new(seed);
        for _ in 0..250 {
            machine.step();
        }
        machine.check_waits();
    }
}

#[test]
fn once_the_world_is_well_the_wish_is_reached() {
    for seed in 1..=40 {
        let mut machine = Machine::new(seed);
        for _ in 0..120 {
            machine.step();
        }
        machine.heal();
        machine.pass(secs(400));
        // A supervisor that ended, or was told to disconnect, is asked once more.
        if !machine.is_wanted() {
            machine.pass(secs(15));
            machine.ask_to_connect(PERSON);
            machine.pass(secs(400));
        }
        machine.check_well();
    }
}
