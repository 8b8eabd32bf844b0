//! Tests of the text of `config.ini`.

use super::*;

fn value(line: &str) -> String {
    let text = format!("[a]\n{line}\n");
    let doc = Document::parse(&text).unwrap();
    doc.find("a", "k").unwrap().value.to_owned()
}

#[test]
fn a_comment_begins_at_the_start_of_a_line_or_after_a_blank() {
    assert_eq!(value("k = 1 ; one"), "1");
    assert_eq!(value("k = 1\t# one"), "1");
    assert_eq!(value("k = a;b#c"), "a;b#c");
    assert_eq!(value("k =                ; nothing"), "");
    assert_eq!(value("k =;x"), ";x");
    assert_eq!(value("  k=v  \r"), "v");
    assert_eq!(value("# k = 0\n; k = 2\n  # k = 3\nk = 1"), "1");
}

#[test]
fn a_quoted_value_is_literal() {
    assert_eq!(value(r#"k = "a # b ; c" # d"#), "a # b ; c");
    assert_eq!(value(r#"k = "say \"hi\" \\ \n""#), r#"say "hi" \ \n"#);
    assert_eq!(value(r#"k = "  blanks  ""#), "  blanks  ");
    assert_eq!(value(r#"k = """#), "");
    assert_eq!(value(r#"k = it "is" so"#), r#"it "is" so"#);
}

#[test]
fn faults_name_the_line_and_never_a_value() {
    let fault = |text: &str| match Document::parse(text) {
        Err(fault) => fault.to_string(),
        Ok(_) => panic!("{text} was read"),
    };
    assert_eq!(fault("[a]\nk = 1\nk = hunter2\n"), "3: k in [a] is given twice, first in line 2");
    assert_eq!(fault("[a]\nk = 1\n[b]\n[a]\nk = 2\n"), "5: k in [a] is given twice, first in line 2");
    assert_eq!(fault("k = hunter2\n"), "1: k stands before the first [section]");
    assert_eq!(fault("[a\n"), "1: a section has no closing ]");
    assert_eq!(fault("[a] hunter2\n"), "1: only a comment may follow a [section]");
    assert_eq!(fault("\n[a]\nhunter2\n"), "3: neither `key = value` nor `[section]` nor a comment");
    assert_eq!(fault("[a]\n= hunter2\n"), "2: no key before the =");
    assert_eq!(fault("[a]\nk = \"hunter2\n"), "2: a value has no closing double quote");
    assert!(fault("[a]\nk = \"hunter2\"x\n").starts_with("2: only a comment may follow"));
    assert!(fault("[a]\nk = \"hunter2\"#x\n").starts_with("2: only a comment may follow"));
}

const FILE: &str =
    "# mine\n\n[a]  ; first\nk = 1   ; one\nempty =      ; nothing yet\n\n# about b\n[b]\nx = 2";

#[test]
fn an_untouched_document_emits_its_own_bytes() {
    for text in [FILE, "", "\n", "\n\n", "[a]\r\nk = 1\r\n", "[a]\n\n\n", "[a]"] {
        assert_eq!(Document::parse(text).unwrap().emit(), text, "{text:?}");
    }
    assert_eq!(Document::parse("\u{feff}[a]\n").unwrap().emit(), "[a]\n");
}

#[test]
fn a_changed_value_keeps_its_place_its_comment_and_everything_else() {
    let mut doc = Document::parse(FILE).unwrap();
    doc.set("a", "k", "10").unwrap();
    doc.set("a", "empty", "full").unwrap();
    doc.set("b", "y", "3 ; 4").unwrap();
    doc.set("a", "z", "").unwrap();
    doc.set("c", "p", "q").unwrap();
    doc.remove("b", "x");
    doc.remove("b", "absent");
    assert_eq!(
        doc.emit(),
        "# mine\n\n[a]  ; first\nk = 10   ; one\nempty =      full ; nothing yet\nz = \n\n# about b\n[b]\n\
         y = \"3 ; 4\"\n\n[c]\np = q\n"
    );
    doc.set("a", "empty", "").unwrap();
    assert!(doc.emit().contains("empty =       ; nothing yet\n"));
    assert!(doc.set("a", "k", "a\nb").is_err());
}

#[test]
fn a_document_of_nothing_grows_sections() {
    let mut doc = Document::default();
    doc.set("pia", "user", "p1234567").unwrap();
    doc.set("pia", "pass", "x").unwrap();
    assert_eq!(doc.emit(), "[pia]\nuser = p1234567\npass = x\n");
    let mut bare = Document::parse("[a]\nk =").unwrap();
    bare.set("a", "k", "v").unwrap();
    assert_eq!(bare.emit(), "[a]\nk = v");
}

#[test]
fn whatever_is_set_is_read_back() {
    let odd = [
        "..",
        " a",
        "a ",
        "#x",
        ";x",
        "a #b",
        "a\u{a0};b",
        "\"",
        "\\",
        "a\"b\\",
        "\"q\"",
        "",
        "a=b",
        "[x]",
        "ü",
    ];
    for value in odd {
        let mut doc = Document::parse("[a]\nk = 1 ; one\n").unwrap();
        doc.set("a", "k", value).unwrap();
        let again = Document::parse(&doc.emit()).unwrap();
        assert_eq!(again.find("a", "k").unwrap().value, value);
        assert_eq!(again.find("a", "k").unwrap().is_unset(), value.is_empty());
        assert!(doc.emit().ends_with(" ; one\n"), "{:?}", doc.emit());
    }
}

#[test]
fn no_text_panics_and_what_is_read_is_emitted_unchanged() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let pieces = ["[", "]", "a", "k", "=", " ", "\"", "\\", "#", ";", "\n", "\r", "ü", "\t", "1", "..", ","];
    for _ in 0..4_000 {
        let mut text = String::from("[a]\n");
        for _ in 0..12 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text.push_str(pieces[(state % pieces.len() as u64) as usize]);
        }
        for (end, _) in text.char_indices() {
            let Ok(mut doc) = Document::parse(&text[..end]) else { continue };
            assert_eq!(doc.emit(), text[..end]);
            doc.set("a", "k", "v # w").unwrap();
            let again = Document::parse(&doc.emit()).unwrap();
            assert_eq!(again.find("a", "k").unwrap().value, "v # w", "{text:?}");
        }
    }
}
