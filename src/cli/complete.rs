//! Completions for bash, zsh and fish, from the tables of `spec.rs`.

use super::spec::{COMMANDS, Command, Flag, GLOBAL};
use crate::config::keys::Kind;
use std::fmt::Write;

/// What may stand as a flag's value, where that is a short list.
fn words(flag: &Flag) -> Option<String> {
    match flag.takes {
        Some(Kind::Bool) => Some("true false".into()),
        Some(Kind::Word(words)) => Some(words.join(" ")),
        _ => None,
    }
}

fn spellings(flag: &Flag) -> impl Iterator<Item = String> {
    let short = flag.short.map(|c| format!("-{c}"));
    let also = flag.also.map(|a| format!("--{a}"));
    short.into_iter().chain([format!("--{}", flag.long)]).chain(also)
}

fn names() -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().map(|c| c.name).chain(["help"])
}

fn pattern(command: &Command) -> String {
    command.alias.map_or(command.name.to_owned(), |alias| format!("{}|{alias}", command.name))
}

fn all_flags() -> impl Iterator<Item = &'static Flag> {
    COMMANDS.iter().flat_map(|c| c.flags).chain(GLOBAL)
}

/// A bash completion, for `/usr/share/bash-completion/completions/pvpn`.
pub fn bash() -> String {
    let mut text = String::from(
        "# bash completion for pvpn\n_pvpn() {\n    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd= w\n    \
         for w in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n        case $w in\n",
    );
    let commands: Vec<String> = COMMANDS.iter().map(pattern).collect();
    let _ = writeln!(text, "            {}|help) cmd=$w; break ;;", commands.join("|"));
    text.push_str("        esac\n    done\n    case $cmd:$prev in\n");
    for command in COMMANDS {
        for flag in command.flags {
            if let Some(words) = words(flag) {
                let cases: Vec<String> = pattern(command)
                    .split('|')
                    .flat_map(|name| spellings(flag).map(move |s| format!("{name}:{s}")))
                    .collect();
                let _ = writeln!(
                    text,
                    "        {}) COMPREPLY=($(compgen -W '{words}' -- \"$cur\")); return ;;",
                    cases.join("|")
                );
            }
        }
    }
    for flag in all_flags().filter(|f| f.takes == Some(Kind::Path)) {
        let cases: Vec<String> = spellings(flag).map(|s| format!("*:{s}")).collect();
        let _ =
            writeln!(text, "        {}) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;", cases.join("|"));
    }
    text.push_str("    esac\n    case $cmd in\n");
    let global = GLOBAL.iter().flat_map(spellings).collect::<Vec<_>>().join(" ");
    for command in COMMANDS {
        let own = command.flags.iter().flat_map(spellings).collect::<Vec<_>>().join(" ");
        let word = command.word.map(|(_, allowed)| allowed.join(" ") + " ").unwrap_or_default();
        let _ = writeln!(text, "        {}) w='{word}{own} {global}' ;;", pattern(command));
    }
    let commands = names().collect::<Vec<_>>().join(" ");
    let _ =
        writeln!(text, "        help) w='{commands}' ;;\n        *) w='{commands} {global} --version' ;;");
    text.push_str("    esac\n    COMPREPLY=($(compgen -W \"$w\" -- \"$cur\"))\n}\ncomplete -F _pvpn pvpn\n");
    text
}

/// A zsh completion, for `/usr/share/zsh/vendor-completions/_pvpn`.
pub fn zsh() -> String {
    let mut text = String::from(
        "#compdef pvpn\n# zsh completion for pvpn\n_pvpn() {\n    local -a commands global\n    commands=(\n",
    );
    for command in COMMANDS {
        for name in [Some(command.name), command.alias].into_iter().flatten() {
            let _ = writeln!(text, "        '{name}:{}'", zsh_text(command.summary));
        }
    }
    text.push_str("        'help:the page of a command'\n    )\n    global=(\n");
    for flag in GLOBAL {
        zsh_flag(&mut text, flag, "");
    }
    text.push_str(
        "    )\n    local line state\n    _arguments -C $global '(- *)'{-V,--version}'[show the version]' '1: :->command' '*:: :->args'\n    \
         case $state in\n        command) _describe command commands ;;\n        args)\n            case $line[1] in\n",
    );
    for command in COMMANDS {
        let _ = writeln!(text, "                {}) _arguments $global \\", pattern(command));
        for flag in command.flags {
            zsh_flag(&mut text, flag, " \\");
        }
        if let Some((name, allowed)) = command.word {
            let _ = writeln!(text, "        '1:{name}:({})' \\", allowed.join(" "));
        }
        text.push_str("        && return ;;\n");
    }
    text.push_str("                help) _describe command commands ;;\n            esac ;;\n    esac\n}\n_pvpn \"$@\"\n");
    text
}

/// One line a spelling, each with this end.
fn zsh_flag(text: &mut String, flag: &Flag, end: &str) {
    let value = match flag.takes {
        None => String::new(),
        Some(Kind::Path) => format!(":{}:_files", flag.value),
        Some(_) => match words(flag) {
            Some(words) => format!(":{}:({words})", flag.value),
            None => format!(":{}: ", flag.value),
        },
    };
    let count = if flag.long == "verbose" { "*" } else { "" };
    for spelling in spellings(flag) {
        let _ = writeln!(text, "        '{count}{spelling}[{}]{value}'{end}", zsh_text(flag.help));
    }
}

/// Text inside single quotes, brackets and a colon-separated field.
fn zsh_text(text: &str) -> String {
    text.replace('\'', "'\\''").replace(':', "\\:").replace('[', "\\[").replace(']', "\\]")
}

/// A fish completion, for `/usr/share/fish/vendor_completions.d/pvpn.fish`.
pub fn fish() -> String {
    let mut text = String::from("# fish completion for pvpn\ncomplete -c pvpn -f\n");
    for command in COMMANDS {
        for name in [Some(command.name), command.alias].into_iter().flatten() {
            let _ = writeln!(
                text,
                "complete -c pvpn -n __fish_use_subcommand -a {name} -d '{}'",
                fish_text(command.summary)
            );
        }
    }
    let _ = writeln!(text, "complete -c pvpn -n __fish_use_subcommand -a help -d 'the page of a command'");
    let _ = writeln!(
        text,
        "complete -c pvpn -n '__fish_seen_subcommand_from help' -a '{}'",
        names().collect::<Vec<_>>().join(" ")
    );
    for flag in GLOBAL {
        fish_flag(&mut text, "", flag);
    }
    let _ = writeln!(text, "complete -c pvpn -s V -l version -d 'show the version'");
    for command in COMMANDS {
        let seen = format!(" -n '__fish_seen_subcommand_from {}'", pattern(command).replace('|', " "));
        if let Some((_, allowed)) = command.word {
            let _ = writeln!(text, "complete -c pvpn{seen} -a '{}'", allowed.join(" "));
        }
        for flag in command.flags {
            fish_flag(&mut text, &seen, flag);
        }
    }
    text
}

fn fish_flag(text: &mut String, seen: &str, flag: &Flag) {
    let short = flag.short.map(|c| format!(" -s {c}")).unwrap_or_default();
    let also = flag.also.map(|a| format!(" -l {a}")).unwrap_or_default();
    let value = match (flag.takes, words(flag)) {
        (None, _) => String::new(),
        (Some(Kind::Path), _) => " -r -F".into(),
        (Some(_), Some(words)) => format!(" -x -a '{words}'"),
        (Some(_), None) => " -x".into(),
    };
    let _ = writeln!(
        text,
        "complete -c pvpn{seen}{short} -l {}{also}{value} -d '{}'",
        flag.long,
        fish_text(flag.help)
    );
}

fn fish_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
