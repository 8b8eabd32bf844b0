//! What commands that wait are told when it ends otherwise.

use super::*;

impl Story {
    /// Connected, the port asked for and not granted: `connect` (1) waits for it.
    fn asking(ks: bool) -> Story {
        let mut s = story(false);
        s.handle(Event::Client(1, Ask::Connect(Box::new(wish("NL", ks)))));
        s.choose(&asking("NL", 11));
        s.shake();
        assert_eq!((s.daemon.state_word(), s.done(1)), (State::Connected, None));
        s
    }

    fn said(&self, id: ClientId, text: &str) -> bool {
        self.told.iter().any(|(to, tell)| *to == id && matches!(tell, Tell::Say(said) if said == text))
    }
}

fn asking(cc: &str, last: u8) -> Ready {
    let mut ready = ready(cc, last);
    ready.connection.port = PortHold::NatPmp { gateway: "10.2.0.1".parse().unwrap() };
    ready
}

const CLOSED: &str = "kill switch on: the machine is closed";

#[test]
fn an_interrupt_while_the_port_is_waited_for_undoes_a_first_connect() {
    for ks in [false, true] {
        let mut s = Story::asking(ks);
        s.handle(Event::Client(1, Ask::Cancel));
        assert_eq!(s.done(1), Some(Exit::Interrupted));
        assert!(s.position("TearDown") < s.position("Exit"));
        assert_eq!(
            (s.said(1, CLOSED), s.last().killswitch),
            (ks, ks),
            "what it closed stays so, and is said"
        );
    }
}

#[test]
fn an_interrupt_after_a_switch_leaves_the_connection() {
    let mut s = Story::connected(false);
    s.handle(Event::Client(2, Ask::Connect(Box::new(wish("CH", false)))));
    s.choose(&asking("CH", 12));
    s.shake();
    assert_eq!(s.done(2), None);
    s.handle(Event::Client(2, Ask::Cancel));
    assert_eq!((s.done(2), s.daemon.state_word()), (Some(Exit::Interrupted), State::Connected));
    // Nor does one at a command that found all as it wished.
    s.handle(Event::Client(3, Ask::Connect(Box::new(wish("CH", false)))));
    s.handle(Event::Client(3, Ask::Cancel));
    assert_eq!((s.done(3), s.daemon.state_word()), (Some(Exit::Interrupted), State::Connected));
}

#[test]
fn a_connect_that_waits_for_the_port_is_told_of_a_disconnect() {
    let mut s = Story::asking(false);
    s.handle(Event::Client(2, Ask::Disconnect { ks: None }));
    assert_eq!((s.done(1), s.done(2)), (Some(Exit::Interrupted), Some(Exit::Done)));
}

#[test]
fn a_connect_that_fails_says_that_it_closed_the_machine() {
    for ks in [false, true] {
        let mut s = story(false);
        s.handle(Event::Client(1, Ask::Connect(Box::new(wish("NL", ks)))));
        let round = s.daemon.round;
        s.handle(Event::Chosen { round, result: Err(Error::new(Exit::NoServer, "no server matches")) });
        assert_eq!((s.done(1), s.said(1, CLOSED)), (Some(Exit::NoServer), ks));
    }
}
