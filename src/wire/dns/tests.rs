use super::*;

/// What glibc 2.36's `getaddrinfo("www.example.com")` sent, captured on loopback.
const QUERY_A: &str = "b3da0100000100000000000003777777076578616d706c6503636f6d0000010001";
const QUERY_AAAA: &str = "9ed90100000100000000000003777777076578616d706c6503636f6d00001c0001";
/// Replies from which the same glibc took 203.0.113.11 and 2001:db8::11 of `host.example.com`: an alias whose target
/// is compressed, then an address whose owner points into the alias.
const REPLY_A: &str = "b3da8180000100020000000003777777076578616d706c6503636f6d0000010001\
    c00c000500010000012c000704686f7374c010c02d000100010000012c0004cb00710b";
const REPLY_AAAA: &str = "9ed98180000100020000000003777777076578616d706c6503636f6d00001c0001\
    c00c000500010000012c000704686f7374c010c02d001c00010000012c001020010db8000000000000000000000011";
const NAME: &str = "www.example.com";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter_map(|c| (c as char).to_digit(16).map(|d| d as u8)).collect();
    digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect()
}

fn parse_a(b: &[u8]) -> Result<Answer, Malformed> {
    parse_response(b, 0xb3da, NAME, Kind::A)
}

/// The reply with one 16-bit word of its header replaced.
fn with_word(reply: &str, i: usize, word: u16) -> Vec<u8> {
    let mut b = bytes(reply);
    b[2 * i..2 * i + 2].copy_from_slice(&word.to_be_bytes());
    b
}

/// A reply to the A question with this answer section.
fn reply(answers: u16, section: &[u8]) -> Vec<u8> {
    let mut b = with_word(REPLY_A, 3, answers);
    b.truncate(33);
    b.extend(section);
    b
}

#[test]
fn queries_are_those_that_glibc_sends() {
    assert_eq!(emit_query(0xb3da, NAME, Kind::A).unwrap(), bytes(QUERY_A));
    assert_eq!(emit_query(0x9ed9, "WWW.example.com.", Kind::Aaaa).unwrap(), bytes(QUERY_AAAA));
}

#[test]
fn names_that_dns_cannot_carry_are_not_asked() {
    let long = ["a"; 128].join(".");
    for name in ["", ".", "a..b", "a b", "a\0b", "\u{e4}.example", &"x".repeat(64), &long] {
        assert_eq!(emit_query(1, name, Kind::A), None, "{name}");
    }
    assert!(emit_query(1, &long[2..], Kind::A).is_some());
}

#[test]
fn replies_are_read_as_glibc_reads_them() {
    assert_eq!(parse_a(&bytes(REPLY_A)), Ok(Answer::Addresses(vec!["203.0.113.11".parse().unwrap()])));
    let v6 = parse_response(&bytes(REPLY_AAAA), 0x9ed9, NAME, Kind::Aaaa);
    assert_eq!(v6, Ok(Answer::Addresses(vec!["2001:db8::11".parse().unwrap()])));
}

#[test]
fn only_the_answer_to_this_question_is_accepted() {
    let b = bytes(REPLY_A);
    assert_eq!(parse_response(&b, 0xb3db, NAME, Kind::A), Err(Malformed));
    assert_eq!(parse_response(&b, 0xb3da, "www.example.org", Kind::A), Err(Malformed));
    assert_eq!(parse_response(&b, 0xb3da, NAME, Kind::Aaaa), Err(Malformed));
    assert_eq!(parse_a(&bytes(QUERY_A)), Err(Malformed)); // our own question thrown back
    assert_eq!(parse_a(&with_word(REPLY_A, 2, 2)), Err(Malformed));
    assert!(parse_response(&b, 0xb3da, "WwW.eXample.com", Kind::A).is_ok());
}

#[test]
fn reply_codes_are_told_apart() {
    assert_eq!(parse_a(&with_word(REPLY_A, 1, 0x8183)), Ok(Answer::NoName));
    assert_eq!(parse_a(&with_word(REPLY_A, 1, 0x8182)), Ok(Answer::Failed(2)));
    assert_eq!(parse_a(&with_word(REPLY_A, 1, 0x8380)), Ok(Answer::Truncated));
    assert_eq!(parse_a(&bytes("b3da81050000000000000000")), Ok(Answer::Failed(5)));
    assert_eq!(parse_a(&reply(0, &[])), Ok(Answer::Addresses(vec![])));
}

#[test]
fn addresses_of_other_names_are_left_out() {
    // An address of example.com (a pointer to its second label) beside the question for www.example.com.
    let stray = b"\xc0\x10\0\x01\0\x01\0\0\0\0\0\x04\x01\x02\x03\x04";
    assert_eq!(parse_a(&reply(1, stray)), Ok(Answer::Addresses(vec![])));
    let own = b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04\x01\x02\x03\x04";
    assert_eq!(parse_a(&reply(1, own)), Ok(Answer::Addresses(vec!["1.2.3.4".parse().unwrap()])));
}

#[test]
fn loops_of_pointers_and_aliases_end() {
    let to_itself = b"\xc0\x21\0\x01\0\x01\0\0\0\0\0\x04\x01\x02\x03\x04"; // offset 33 is its own
    assert_eq!(parse_a(&reply(1, to_itself)), Err(Malformed));
    let forward = b"\xc0\x30\0\x01\0\x01\0\0\0\0\0\x04\x01\x02\x03\x04";
    assert_eq!(parse_a(&reply(1, forward)), Err(Malformed));
    let alias_of_itself = b"\xc0\x0c\0\x05\0\x01\0\0\0\0\0\x02\xc0\x0c";
    assert_eq!(parse_a(&reply(1, alias_of_itself)), Err(Malformed));
}

#[test]
fn no_truncation_panics_or_passes() {
    for whole in [REPLY_A, REPLY_AAAA].map(bytes) {
        for n in 0..whole.len() {
            assert!(parse_a(&whole[..n]).is_err(), "{n} bytes");
        }
    }
}

#[test]
fn mangled_replies_never_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for whole in [REPLY_A, REPLY_AAAA].map(bytes) {
        for _ in 0..20_000 {
            let mut b = whole.clone();
            for _ in 0..1 + random() % 4 {
                let at = random() as usize % b.len();
                b[at] = random() as u8;
            }
            b.truncate(b.len() - random() as usize % 8);
            for kind in [Kind::A, Kind::Aaaa] {
                let _ = parse_response(&b, 0xb3da, NAME, kind);
            }
        }
    }
}
