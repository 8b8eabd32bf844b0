//! The same tunnel again, another server, another supervisor.

use super::*;

impl Story {
    fn reconnect(&mut self) -> Vec<String> {
        self.now = self.now + secs(1);
        self.holder.handle(self.now, Input::Reconnected);
        self.wants()
    }
}

#[test]
fn a_reconnect_binds_at_once() {
    let mut s = held(40_123, 30);
    s.now = s.now + secs(60);
    assert_eq!(s.reconnect(), ["bind sig40123"]);
    assert_eq!(s.port(), (Held, Some(40_123)));
    assert!(s.hear(bound()).is_empty());
    assert_eq!(s.wake(), (600, vec!["bind sig40123".to_owned()]));
}

#[test]
fn what_was_under_way_at_a_reconnect_ends_first_and_counts_for_nothing() {
    let mut s = held(40_123, 30);
    s.wake();
    for _ in 0..20 {
        assert!(s.reconnect().is_empty(), "twenty links up in a row are one request more");
    }
    assert_eq!(s.hear(refused(400, "no such port")), ["bind sig40123"]);
    assert_eq!(s.port(), (Held, Some(40_123)));
    s.hear(bound());
    // An answer that got lost holds nothing up.
    s.wake();
    s.reconnect();
    assert_eq!(s.wake(), (59, vec!["bind sig40123".to_owned()]));
}

#[test]
fn a_signature_that_a_reconnect_overtook_is_not_asked_for_again() {
    let mut s = story(None);
    s.wants();
    s.token("t");
    s.reconnect();
    assert_eq!(s.hear(signature(40_123, 62)), ["bind sig40123"]);
    assert_eq!(s.hear(bound()), ["keep 40123"]);
}

#[test]
fn a_reconnect_while_the_disk_or_a_token_is_awaited_changes_nothing() {
    let mut s = Story { holder: Pia::new(gateway(), None), now: at(100), id: 0 };
    assert_eq!(s.wants(), ["read"]);
    assert!(s.reconnect().is_empty());
    s.holder.handle(s.now, Input::Grant(None));
    assert_eq!(s.wants(), ["token"]);
    assert!(s.reconnect().is_empty());
    assert_eq!(s.token("t"), ["sign for t"]);
}

#[test]
fn another_server_keeps_the_number_and_its_age() {
    let since = at(7);
    let mut s = Story { holder: Pia::new(gateway(), Some((40_123, since))), now: at(100), id: 0 };
    assert_eq!(s.port(), (Doubtful, Some(40_123)));
    s.wants();
    s.holder.handle(s.now, Input::Grant(Some(grant(40_123, 30))));
    s.wants();
    s.hear(bound());
    assert_eq!((s.port(), s.holder.view(s.now).since), ((Held, Some(40_123)), Some(since)));
}

#[test]
fn an_adopted_port_is_held_until_a_bind_says_otherwise() {
    for (answer, state) in [(bound(), Held), (silence(), Doubtful), (refused(400, "no"), Doubtful)] {
        let holder = Pia::new(gateway(), Some((40_123, at(7)))).adopted();
        let mut s = Story { holder, now: at(100), id: 0 };
        s.wants();
        s.holder.handle(s.now, Input::Grant(Some(grant(40_123, 30))));
        assert_eq!(s.wants(), ["bind sig40123"]);
        assert_eq!((s.port(), s.holder.view(s.now).since), ((Held, Some(40_123)), Some(at(7))));
        s.hear(answer);
        assert_eq!(s.port(), (state, Some(40_123)));
    }
    let nothing = Story { holder: Pia::new(gateway(), None).adopted(), now: at(100), id: 0 };
    assert_eq!(nothing.port(), (Asking, None));
}
