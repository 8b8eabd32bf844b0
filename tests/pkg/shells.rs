//! The man page as man sets it, and completions as each shell gives them.

use super::{has, run, top};
use std::process::Command;

/// What is offered behind these words, by bash and fish where they are: its name and the offers.
fn offers(words: &str) -> Vec<(&'static str, Vec<String>)> {
    let bash = format!(
        "source pkg/completions/pvpn.bash; COMP_WORDS=({words}); \
         COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); $(complete -p pvpn | sed 's/.* -F \\([^ ]*\\).*/\\1/'); \
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let fish = format!("source pkg/completions/pvpn.fish; complete -C '{}'", words.replace(['\'', '"'], ""));
    let shells = [("bash", vec!["--norc", "-c", &bash]), ("fish", vec!["-Nc", &fish])];
    let there = shells.into_iter().filter(|(shell, _)| has(shell));
    let first_word = |line: &str| line.split('\t').next().unwrap_or_default().to_owned();
    there
        .map(|(shell, args)| {
            (shell, run(Command::new(shell).args(args).current_dir(top())).lines().map(first_word).collect())
        })
        .collect()
}

#[test]
fn bash_and_fish_complete_commands_flags_and_their_values() {
    for (words, wanted) in [
        ("pvpn conn", vec!["connect"]),
        ("pvpn connect --provider ''", vec!["file", "pia", "proton"]),
        ("pvpn -v connect --ks ''", vec!["false", "true"]),
        ("pvpn killswitch o", vec!["off", "on"]),
        ("pvpn help st", vec!["status"]),
        ("pvpn list --late", vec![]),
    ] {
        for (shell, mut offers) in offers(words) {
            offers.retain(|o| !o.is_empty());
            offers.sort();
            assert_eq!(offers, wanted, "{shell}: {words}");
        }
    }
}

/// Its completion runs in an editor alone; that it loads, for this command, is what can be asked.
#[test]
fn zsh_takes_its_function_for_this_command() {
    if !has("zsh") {
        return;
    }
    let script = "fpath=(pkg/completions $fpath); autoload -Uz compinit; compinit -D -u; autoload +X _pvpn; \
                  print $_comps[pvpn]";
    assert_eq!(run(Command::new("zsh").args(["-fc", script]).current_dir(top())), "_pvpn\n");
}

#[test]
fn the_man_page_is_set_without_a_warning() {
    if !has("groff") {
        return;
    }
    let warnings =
        run(Command::new("groff").args(["-man", "-ww", "-z", "-Tutf8"]).arg(top().join("pkg/doc/pvpn.8")));
    assert_eq!(warnings, "");
}
