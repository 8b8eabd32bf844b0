//! README and the pages in `pkg/doc`: commands that parse, links that lead somewhere, and what is made from tables is
//! the tables'.

use super::{read, top};
use pvpn::cli::spec::{COMMANDS, EXITS};
use pvpn::cli::{self, help};
use pvpn::config::load;
use std::path::Path;

fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned(), "CHANGELOG.md".to_owned()];
    for entry in std::fs::read_dir(top().join("pkg/doc")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") {
            pages.push(format!("pkg/doc/{name}"));
        }
    }
    pages
}

/// What a block may be marked with: the lab's scenario `readme` does not type it, and README says why.
const MARKS: [&str; 3] = ["", "elsewhere", "account"];

/// The fenced blocks of this language, with their mark.
fn marked_blocks(page: &str, language: &str) -> Vec<(String, String)> {
    let fence = format!("```{language}");
    let found = page.split(&fence).skip(1).filter(|rest| rest.starts_with([' ', '\n']));
    let split = found.map(|rest| rest.split_once('\n').unwrap_or_default());
    split
        .map(|(mark, rest)| (mark.trim().to_owned(), rest.split("```").next().unwrap_or_default().to_owned()))
        .collect()
}

fn blocks(page: &str, language: &str) -> Vec<String> {
    marked_blocks(page, language).into_iter().map(|(_, block)| block).collect()
}

#[test]
fn most_commands_of_the_readme_are_typed_in_the_lab() {
    let page = read("README.md");
    let all = marked_blocks(&page, "sh");
    assert!(all.iter().all(|(mark, _)| MARKS.contains(&mark.as_str())));
    for mark in &MARKS[1..] {
        assert!(page.contains(&format!("`{mark}` (they ")), "{mark}: nobody says why");
    }
    let lines = |is_typed: bool| -> usize {
        all.iter().filter(|(m, _)| m.is_empty() == is_typed).map(|(_, block)| block.lines().count()).sum()
    };
    assert!(lines(true) >= 18 && lines(false) <= 10, "{} {}", lines(true), lines(false));
}

/// The commands of a shell line, each as words: comments left out, quotes taken away, redirections dropped.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let (mut word, mut quote, mut chars) = (String::new(), None, line.chars().peekable());
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), _) if c == q => quote = None,
            (Some(_), _) => word.push(c),
            (None, '\'' | '"') => quote = Some(c),
            (None, '#') if word.is_empty() => break,
            (None, ' ' | '|' | '&' | ';') => {
                if !word.is_empty() {
                    commands.last_mut().unwrap().push(std::mem::take(&mut word));
                }
                if c != ' ' {
                    commands.push(Vec::new());
                }
            }
            (None, '<' | '>') => {
                while chars.next_if(|c| " >&".contains(*c)).is_some() {}
                while chars.next_if(|c| *c != ' ').is_some() {}
            }
            _ => word.push(c),
        }
    }
    commands.last_mut().unwrap().push(word);
    commands.iter_mut().for_each(|c| c.retain(|w| !w.is_empty()));
    commands.retain(|c| !c.is_empty());
    commands
}

/// All commands of all `sh` blocks, without `sudo`.
fn typed() -> Vec<(String, Vec<String>)> {
    let mut all = Vec::new();
    for name in pages() {
        for block in blocks(&read(&name), "sh") {
            for mut words in block.lines().flat_map(commands) {
                if words[0] == "sudo" {
                    words.remove(0);
                }
                all.push((name.clone(), words));
            }
        }
    }
    all
}

#[test]
fn a_shell_line_falls_into_commands() {
    assert_eq!(
        commands("sudo pvpn s --check || mail -s 'it is' me  # why"),
        [vec!["sudo", "pvpn", "s", "--check"], vec!["mail", "-s", "it is", "me"]]
    );
    assert_eq!(
        commands("pvpn connect --server NL#12 < in > out"),
        [["pvpn", "connect", "--server", "NL#12"]]
    );
    assert!(commands("  # nothing").is_empty());
}

#[test]
fn every_pvpn_command_on_the_pages_parses() {
    let mut count = 0;
    for (page, words) in typed() {
        if words[0] == "pvpn" {
            count += 1;
            if let Err(e) = cli::parse(words[1..].iter().map(Into::into)) {
                panic!("{page}: {}: {e}", words.join(" "));
            }
        }
    }
    assert!(count >= 20, "only {count} commands were found");
}

#[test]
fn commands_in_running_text_parse_too() {
    for name in pages() {
        let page = read(&name);
        for code in page.split('`').skip(1).step_by(2).filter(|c| !c.contains('\n')) {
            let Some(words) = code.strip_prefix("sudo ").unwrap_or(code).strip_prefix("pvpn ") else {
                continue;
            };
            // `pvpn help COMMAND` names a place to fill in.
            let words = words.replace("COMMAND", "connect");
            for command in commands(&words).iter().take(1) {
                if let Err(e) = cli::parse(command.iter().map(Into::into)) {
                    panic!("{name}: {code}: {e}");
                }
            }
        }
    }
}

#[test]
fn every_make_target_on_the_pages_exists() {
    let makefile = read("Makefile");
    for (page, words) in typed() {
        if words[0] == "make" {
            let target = format!("\n{}:", words[1]);
            assert!(makefile.contains(&target), "{page}: make {}", words[1]);
        }
    }
}

#[test]
fn links_lead_somewhere() {
    for name in pages() {
        let page = read(&name);
        let headings: Vec<String> = page
            .lines()
            .filter_map(|l| l.strip_prefix('#'))
            .map(|l| anchor(l.trim_start_matches('#')))
            .collect();
        for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if let Some(place) = link.strip_prefix('#') {
                assert!(headings.iter().any(|h| h == place), "{name}: no heading for #{place}: {headings:?}");
            } else if !link.starts_with("https://") {
                let at = top().join(Path::new(&name).parent().unwrap()).join(link);
                assert!(at.exists(), "{name}: {link}");
            }
        }
    }
}

/// As GitHub makes anchors of headings.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// `UPDATE=1 cargo test --test pkg` writes it.
#[test]
fn the_help_in_the_readme_is_the_programs() {
    let readme = read("README.md");
    let (begin, end) = ("<!-- help:begin -->\n", "<!-- help:end -->");
    let (head, rest) = readme.split_once(begin).unwrap();
    let (shown, tail) = rest.split_once(end).unwrap();
    let real = format!("```text\n{}```\n", help::page(None));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(top().join("README.md"), format!("{head}{begin}{real}{end}{tail}")).unwrap();
    } else {
        assert!(shown == real, "UPDATE=1 cargo test --test pkg");
    }
}

#[test]
fn the_readme_has_every_exit_code_and_every_command_is_named() {
    let readme = read("README.md");
    for (code, _) in EXITS {
        assert!(readme.contains(&format!("\n| {code} | ")), "exit code {code}");
    }
    for command in COMMANDS {
        assert!(readme.contains(command.name), "{}", command.name);
    }
}

#[test]
fn configurations_on_the_pages_are_read() {
    for name in pages() {
        for block in blocks(&read(&name), "ini") {
            let config = load::load(Path::new("/c"), Path::new("/root"), &|_| Ok(block.clone().into_bytes()));
            if let Err(e) = config {
                panic!("{name}: {e}\n{block}");
            }
        }
    }
}
