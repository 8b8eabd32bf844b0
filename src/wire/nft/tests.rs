use super::*;
use crate::wire::nlmsg::frames;

/// The payload of a message as it would come back from the kernel.
fn payload_of(m: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    m.emit(1, &mut bytes).unwrap();
    frames(&bytes).next().unwrap().unwrap().payload.to_vec()
}

const OUTPUT: Place<'_> = Place { family: Family::Inet, table: "pvpn", chain: "output" };

#[test]
fn a_chain_shows_its_policy() {
    let hook = Hook { number: 3, priority: 0, device: None };
    for accept in [true, false] {
        let seen = parse_chain(&payload_of(&add_base_chain(OUTPUT, hook, accept))).unwrap();
        assert_eq!((&seen.table[..], &seen.name[..], seen.drops), ("pvpn", "output", !accept));
    }
}

#[test]
fn tables_of_other_families_are_left_alone() {
    assert_eq!(
        parse_table(&payload_of(&add_table(Family::Netdev, "pvpn"))),
        Ok(Some((Family::Netdev, "pvpn".to_owned())))
    );
    let mut foreign = payload_of(&add_table(Family::Inet, "filter"));
    foreign[0] = 2; // NFPROTO_IPV4
    assert_eq!(parse_table(&foreign), Ok(None));
}

#[test]
fn identity_changes_with_policy_handle_and_expressions() {
    let hook = Hook { number: 3, priority: 0, device: None };
    let chain = |accept| identity(&payload_of(&add_base_chain(OUTPUT, hook, accept))).unwrap();
    assert_ne!(chain(true), chain(false));
    let rule = |expr| identity(&payload_of(&add_rule(OUTPUT, &[expr], "x", &mut 1)[0])).unwrap();
    assert_ne!(rule(Expr::Accept), rule(Expr::Drop));
    let mut other = payload_of(&add_rule(OUTPUT, &[Expr::Drop], "x", &mut 1)[0]);
    let same = identity(&other).unwrap();
    // A handle (attribute 3, eight bytes) as the kernel adds it.
    other.extend([12, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    assert_ne!(identity(&other).unwrap(), same);
    // Its neighbour's handle (attribute 6) does not matter.
    let with_handle = identity(&other).unwrap();
    other.extend([12, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    assert_eq!(identity(&other).unwrap(), with_handle);
}

#[test]
fn a_long_comment_is_cut_to_what_nft_takes() {
    let udata = comment_userdata(&"x".repeat(300));
    assert_eq!((udata[0], udata[1], udata.len()), (UDATA_COMMENT, 128, 130));
}

#[test]
fn no_shorter_answer_panics() {
    let hook = Hook { number: 1, priority: -1, device: Some("eth0") };
    let whole = payload_of(&add_base_chain(OUTPUT, hook, true));
    for len in 0..whole.len() {
        let _ = (parse_chain(&whole[..len]), parse_table(&whole[..len]), identity(&whole[..len]));
    }
    assert_eq!(parse_table(&[]), Err(Malformed));
    assert_eq!(parse_chain(&[1, 0, 0, 0]), Err(Malformed));
}

#[test]
fn random_answers_do_not_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..state % 64)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                // Small numbers make lengths that fit.
                (state >> 32) as u8 & 0x1f
            })
            .collect();
        state ^= state << 13 ^ state >> 7;
        let _ = (parse_chain(&bytes), parse_table(&bytes), identity(&bytes));
    }
}
