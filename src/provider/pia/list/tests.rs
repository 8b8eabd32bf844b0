use super::*;
use crate::config::load;
use crate::sys::files::fake::FakeFiles;
use std::path::Path;

/// A list, its signature and the key, as openssl 3.0 made them: `openssl dgst -sha256 -sign`, 2048 bits.
const BODY: &str = include_str!("../../../../tests/data/pia-list.txt");
const KEY: &str = include_str!("../../../../tests/data/pia-list-key.pem");

fn trusted(key: &str) -> Trusted {
    let text = "[pia]\nserverlist_key_file = /key.pem\n";
    let config = load::parse(text, Path::new("/c"), Path::new("/h")).unwrap();
    Trusted::load(&config.pia, &FakeFiles::new(&[("/key.pem", key)])).unwrap()
}

fn refused(body: &[u8]) -> String {
    verified(body, &trusted(KEY)).unwrap_err()
}

#[test]
fn a_signed_list_is_read_and_a_byte_more_or_less_is_not() {
    assert_eq!(verified(BODY.as_bytes(), &trusted(KEY)).unwrap()[0].id, "swiss");
    let end = BODY.find('\n').unwrap();
    for at in 0..end {
        let mut other = BODY.as_bytes().to_vec();
        other[at] ^= 1;
        assert!(refused(&other).starts_with("the signature"), "byte {at}");
    }
    assert!(refused(format!(" {BODY}").as_bytes()).starts_with("the signature"));
    assert!(refused(BODY.replacen('\n', " \n", 1).as_bytes()).starts_with("the signature"));
}

#[test]
fn a_list_cut_anywhere_is_refused() {
    let whole = BODY.trim_end();
    for n in 0..whole.len() {
        refused(&whole.as_bytes()[..n]);
    }
}

#[test]
fn the_signature_may_be_wrapped_in_any_way() {
    let (json, signature) = BODY.split_once('\n').unwrap();
    let one = signature.split_whitespace().collect::<String>();
    for body in [format!("{json}\n{one}"), format!("{json}\n\n\n{one}\r\n")] {
        assert!(verified(body.as_bytes(), &trusted(KEY)).is_ok());
    }
}

#[test]
fn a_list_signed_by_another_is_refused() {
    let config = load::parse("", Path::new("/c"), Path::new("/h")).unwrap();
    let pias = Trusted::load(&config.pia, &FakeFiles::new(&[])).unwrap();
    assert_eq!(verified(BODY.as_bytes(), &pias).unwrap_err(), "the signature of PIA's list does not hold");
}

#[test]
fn the_stamp_of_a_kept_list_is_no_part_of_it() {
    let kept = format!("{}\n\n{{\"fetched_at\":1780000000}}\n", BODY.trim_end());
    let (body, at) = split_stamp(kept.as_bytes());
    assert_eq!(at, UnixTime(1_780_000_000));
    assert!(verified(body, &trusted(KEY)).is_ok());
    assert_eq!(split_stamp(BODY.as_bytes()).1, UnixTime(0));
    assert_eq!(split_stamp(b"{\"fetched_at\":7}").1, UnixTime(0));
    assert_eq!(split_stamp(b"").1, UnixTime(0));
}
