//! Help for a terminal: pages that read like a man page, made from the tables of `spec.rs`.

use super::spec::{COMMANDS, Command, EXITS, Flag, GLOBAL};
use std::fmt::Write;

/// Columns of a page. Chosen: a terminal's least.
const WIDTH: usize = 80;
/// Where the explanations begin.
const HANG: usize = 28;

/// The page of a command, or the first page.
pub fn page(command: Option<&Command>) -> String {
    match command {
        Some(command) => command_page(command),
        None => first_page(),
    }
}

fn first_page() -> String {
    let mut text = String::from(
        "NAME\n    pvpn - a VPN that fails closed, holds its port and tells qBittorrent\n\nSYNOPSIS\n    \
         pvpn [--config-dir DIR] [-v] [-q] COMMAND [ARGS]\n\nCOMMANDS\n",
    );
    for command in COMMANDS {
        let name = match command.alias {
            Some(alias) => format!("{}, {alias}", command.name),
            None => command.name.to_owned(),
        };
        item(&mut text, &name, command.summary);
    }
    item(&mut text, "help COMMAND", "the page of a command");
    text.push_str("\nFLAGS (before or after the command)\n");
    flags(&mut text, GLOBAL);
    item(&mut text, "-V, --version", "show the version");
    text.push_str("\nEXIT CODES\n");
    exits(&mut text, EXITS);
    text.push_str("\nEXAMPLES\n");
    for command in COMMANDS {
        for example in command.examples.iter().take(1) {
            let _ = writeln!(text, "    {:<37} {}", example.line, example.says);
        }
    }
    text
}

fn command_page(command: &Command) -> String {
    let mut text = format!(
        "NAME\n    pvpn {} - {}\n\nSYNOPSIS\n    {}\n",
        command.name,
        command.summary,
        usage(command)
    );
    if let Some(alias) = command.alias {
        let _ = writeln!(text, "    pvpn {alias} ...");
    }
    text.push_str("\nDESCRIPTION\n");
    for (n, paragraph) in command.text.iter().enumerate() {
        if n > 0 {
            text.push('\n');
        }
        for line in wrap(paragraph, WIDTH - 4) {
            let _ = writeln!(text, "    {line}");
        }
    }
    if !command.flags.is_empty() {
        text.push_str("\nFLAGS\n");
        flags(&mut text, command.flags);
    }
    text.push_str("\nGLOBAL FLAGS\n");
    flags(&mut text, GLOBAL);
    text.push_str("\nEXIT CODES\n");
    exits(&mut text, command.exits);
    text.push_str("    others as `pvpn help` lists them\n\nEXAMPLES\n");
    for example in command.examples {
        let _ = writeln!(text, "    {}\n        {}", example.line, example.says);
    }
    text
}

/// `pvpn killswitch on|off|status [FLAGS]`
pub fn usage(command: &Command) -> String {
    let word = command.word.map(|(_, allowed)| format!(" {}", allowed.join("|"))).unwrap_or_default();
    let flags = if command.flags.is_empty() { "" } else { " [FLAGS]" };
    format!("pvpn {}{word}{flags}", command.name)
}

/// `-c, --cc, --country CC`
pub fn spelling(flag: &Flag) -> String {
    let mut names: Vec<String> = flag.short.iter().map(|c| format!("-{c}")).collect();
    names.push(format!("--{}", flag.long));
    names.extend(flag.also.map(|a| format!("--{a}")));
    let value = match flag.takes {
        Some(crate::config::keys::Kind::Bool) => " true|false".to_owned(),
        Some(crate::config::keys::Kind::Word(words)) => format!(" {}", words.join("|")),
        Some(_) => format!(" {}", flag.value),
        None => String::new(),
    };
    names.join(", ") + &value
}

fn flags(text: &mut String, flags: &[Flag]) {
    for flag in flags {
        item(text, &spelling(flag), flag.help);
    }
}

fn exits(text: &mut String, exits: &[(u8, &str)]) {
    for (code, meaning) in exits {
        item(text, &code.to_string(), meaning);
    }
}

/// A name with its explanation hanging to the right, on the next line where the name is long.
fn item(text: &mut String, name: &str, says: &str) {
    let mut lines = wrap(says, WIDTH - HANG).into_iter();
    let first = lines.next().unwrap_or_default();
    let _ = if name.len() + 6 <= HANG {
        writeln!(text, "    {name:<width$}{first}", width = HANG - 4)
    } else {
        writeln!(text, "    {name}\n{:HANG$}{first}", "")
    };
    for line in lines {
        let _ = writeln!(text, "{:HANG$}{line}", "");
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
