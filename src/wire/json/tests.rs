use super::strings::plain_length;
use super::*;

/// Gives one byte a read, so that every token crosses the end of a buffer.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
        out[0] = *first;
        self.0 = rest;
        Ok(1)
    }
}

fn tree(text: &str) -> Result<Value> {
    let whole = Value::parse(text.as_bytes());
    let dripped = Value::parse(Drip(text.as_bytes()));
    assert!(whole == dripped, "{text}");
    whole
}

fn ok(text: &str) -> Value {
    tree(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn a_document_becomes_a_tree() {
    let v = ok(r#" {"a":[1,-2.5e1,true,false,null,{}],"b":{"c":"x"},"a2":[] , "n": 12 } "#);
    assert_eq!(v.at("a").items().len(), 6);
    assert!(v.at("a").items()[1] == Value::Number(-25.0));
    assert_eq!(v.at("b").at("c").text(), Some("x"));
    assert_eq!(v.at("n").number(), Some(12));
    assert!(v.at("missing").at("deeper") == &Value::Null);
    assert!(ok("7") == Value::Number(7.0));
    assert!(ok("null") == Value::Null);
}

#[test]
fn a_number_may_be_a_string() {
    let both = |text: &str| (Reader::new(text.as_bytes()).number().unwrap(), ok(text).number());
    assert_eq!(both(r#""37""#), (Some(37.0), Some(37)));
    for none in [r#""""#, r#""37 ""#, r#""inf""#, r#""NaN""#, r#""much""#] {
        assert_eq!(both(none), (None, None), "{none}");
    }
}

#[test]
fn escapes_are_resolved_and_lone_surrogates_replaced() {
    assert_eq!(ok(r#""a\"\\\/\b\f\n\r\t\u00e9\u20ac""#).text(), Some("a\"\\/\u{8}\u{c}\n\r\té€"));
    assert_eq!(ok(r#""\ud83d\ude00!""#).text(), Some("😀!"));
    assert_eq!(ok(r#""\ud83dx""#).text(), Some("\u{fffd}x"));
    assert_eq!(ok(r#""\ud83d\n""#).text(), Some("\u{fffd}\n"));
    assert_eq!(ok(r#""\ud83d\ud83d\ude00""#).text(), Some("\u{fffd}😀"));
    assert_eq!(ok(r#""\ude00""#).text(), Some("\u{fffd}"));
}

#[test]
fn text_that_is_not_utf8_is_replaced_and_the_next_is_itself_again() {
    let bytes = b"[\"a\xffb\",\"c\",{\"k\xff\":1}]";
    let whole = Value::parse(bytes.as_slice()).unwrap();
    assert!(whole == Value::parse(Drip(bytes)).unwrap());
    assert_eq!(whole.items()[0].text(), Some("a\u{fffd}b"));
    assert_eq!(whole.items()[1].text(), Some("c"));
    assert_eq!(whole.items()[2].at("k\u{fffd}").number(), Some(1));
}

#[test]
fn numbers_are_read_the_same_by_either_way() {
    for (text, number) in
        [("0", 0.0), ("007", 7.0), ("999999999", 999_999_999.0), ("4294967296", 4_294_967_296.0)]
    {
        assert!(ok(text) == Value::Number(number), "{text}");
    }
    assert!(
        ok("-1") == Value::Number(-1.0)
            && ok("1e3") == Value::Number(1000.0)
            && ok("0.5") == Value::Number(0.5)
    );
}

#[test]
fn quoted_text_reads_back() {
    for text in ["", "a\"b\\c", "line\nend\r\t\u{1}", "pässwörd-Ж-✓😀"] {
        let mut out = String::new();
        quote(&mut out, text);
        assert_eq!(ok(&out).text(), Some(text));
    }
}

#[test]
fn what_is_not_json_is_refused() {
    for bad in [
        "{]",
        "[}",
        "[1 2]",
        "[1,]",
        "{,}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{1:2}",
        "tru",
        "nul",
        "[tree]",
        "\"\\x\"",
        "\"\\u12g4\"",
        "<html>",
        "1 2",
        "{} {}",
        "[1]]",
        "-",
        "1.2.3",
        "+1",
    ] {
        assert!(tree(bad).is_err(), "{bad}");
    }
}

#[test]
fn skipping_is_as_strict_about_structure_as_reading() {
    for bad in ["[{]}", "[1 2]", "{\"a\" 1}", "{\"a\":1,}", "[1,]", "{\"a\":tru}", "[[[}]]"] {
        assert!(Reader::new(bad.as_bytes()).skip().is_err(), "{bad}");
    }
    let mut r = Reader::new(r#"{"x":{"y":[1,{"z":"\"]}"}]},"k":5}"#.as_bytes());
    assert_eq!(r.enter_object(), Ok(true));
    assert_eq!(r.next_key(&["k"]), Ok(Some(1)));
    assert_eq!(r.skip(), Ok(()));
    assert_eq!(r.next_key(&["k"]), Ok(Some(0)));
    assert_eq!(r.number(), Ok(Some(5.0)));
    assert_eq!(r.next_key(&["k"]), Ok(None));
    assert_eq!(r.end(), Ok(()));
}

#[test]
fn a_value_of_another_type_is_none_and_passed_over() {
    let mut r = Reader::new(r#"[null,{"a":[1]},"s",true,3]"#.as_bytes());
    assert_eq!(r.enter_array(), Ok(true));
    assert_eq!(r.next_item(), Ok(true));
    assert_eq!(r.string(), Ok(None));
    assert_eq!(r.next_item(), Ok(true));
    assert_eq!(r.number(), Ok(None));
    assert_eq!(r.next_item(), Ok(true));
    assert_eq!(r.enter_object(), Ok(false));
    assert_eq!(r.next_item(), Ok(true));
    assert_eq!(r.number(), Ok(Some(1.0)));
    assert_eq!(r.next_item(), Ok(true));
    assert_eq!(r.enter_array(), Ok(false));
    assert_eq!(r.next_item(), Ok(false));
}

#[test]
fn every_truncation_is_noticed() {
    let text = r#"{"Code":1000,"L":[{"a":"x\u00e9\"","b":[1,2.5,true],"c":null}],"s":"end"}"#;
    ok(text);
    for cut in 0..text.len() {
        assert!(Value::parse(&text.as_bytes()[..cut]).is_err(), "{cut}");
        assert!(Reader::new(&text.as_bytes()[..cut]).skip().is_err(), "{cut}");
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
    assert!(tree(&deep(DEPTH_MOST as usize)).is_ok());
    assert!(tree(&deep(DEPTH_MOST as usize + 1)) == Err(JsonError::TooDeep));
    assert_eq!(Reader::new(deep(100_000).as_bytes()).skip(), Err(JsonError::TooDeep));
}

#[test]
fn arbitrary_bytes_never_panic() {
    const ALPHABET: &[u8] = b"{}[]\",:\\u0019eE+-.tfn alse\xff\xc3\n";
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20_000 {
        let mut bytes = Vec::new();
        for _ in 0..state % 40 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.push(ALPHABET[(state >> 20) as usize % ALPHABET.len()]);
        }
        state = state.wrapping_add(0x1234_5677);
        let parsed = Value::parse(bytes.as_slice());
        if parsed.is_ok() {
            assert_eq!(Reader::new(bytes.as_slice()).skip(), Ok(()));
        }
    }
}

#[test]
fn a_failing_source_is_reported() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::TimedOut, "timed out"))
        }
    }
    assert!(Value::parse(Broken) == Err(JsonError::Read("timed out".to_owned())));
}

#[test]
fn the_end_of_plain_text_is_found_at_every_place() {
    for length in 0..40 {
        assert_eq!(plain_length(&vec![b'a'; length]), length);
        for at in 0..length {
            for stop in [b'"', b'\\'] {
                let mut bytes = vec![b'a'; length];
                bytes[at] = stop;
                assert_eq!(plain_length(&bytes), at);
                // Neighbours that differ in one bit, and a second stop behind the first.
                bytes[..at].fill(stop ^ 1);
                bytes[length - 1] = stop;
                assert_eq!(plain_length(&bytes), at);
                bytes[..at].fill(stop | 0x80);
                assert_eq!(plain_length(&bytes), at);
            }
        }
    }
}
