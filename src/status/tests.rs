//! Tests of the snapshot.

use super::*;

#[test]
fn a_snapshot_reads_back_as_it_was_written() {
    let snapshot = Snapshot::new(State::Disconnected);
    assert_eq!(Snapshot::parse(&snapshot.emit()), Some(snapshot));
}
