//! The man page `pvpn.8` in man(7), from the tables of `spec.rs`.

use super::help::{spelling, usage};
use super::spec::{COMMANDS, EXITS, FILES, Flag, GLOBAL};
use std::fmt::Write;

/// The whole page.
pub fn page() -> String {
    let mut text = String::from(
        ".TH PVPN 8 \"\" \"pvpn\" \"System Administration\"\n.SH NAME\npvpn \\- a VPN that fails closed, holds its \
         port and tells qBittorrent\n.SH SYNOPSIS\n.B pvpn\n[\\-\\-config\\-dir DIR] [\\-v] [\\-q] COMMAND [ARGS]\n\
         .SH DESCRIPTION\nLogs in to the VPN provider, picks the fastest server, brings up kernel WireGuard, closes \
         every other way out, keeps the forwarded port, tells qBittorrent about it, repairs what breaks, and says in \
         one line how it is.\n.SH GLOBAL FLAGS\nThese count before and after the command.\n",
    );
    flags(&mut text, GLOBAL);
    item(&mut text, "-V, --version", "show the version");
    text.push_str(".SH COMMANDS\n");
    for command in COMMANDS {
        let alias = command.alias.map(|a| format!(" (or {a})")).unwrap_or_default();
        let _ = writeln!(text, ".SS {}{}", roff(&usage(command)), roff(&alias));
        for (n, paragraph) in command.text.iter().enumerate() {
            let _ = writeln!(text, "{}{}", if n > 0 { ".PP\n" } else { "" }, roff(paragraph));
        }
        flags(&mut text, command.flags);
        for example in command.examples {
            let _ = writeln!(text, ".PP\n.RS\n.nf\n{}\n.fi\n.RE\n{}", roff(example.line), roff(example.says));
        }
    }
    text.push_str(".SH EXIT STATUS\n");
    for (code, meaning) in EXITS {
        item(&mut text, &code.to_string(), meaning);
    }
    text.push_str(".SH FILES\n");
    for (path, what) in FILES {
        item(&mut text, path, what);
    }
    text.push_str(
        ".SH ENVIRONMENT\n.TP\n.B PVPN_CONFIG_DIR\nthe configuration directory, where no flag says another\n.TP\n\
         .B NO_COLOR\nno colours\n.SH SEE ALSO\n.BR wg (8),\n.BR wg\\-quick (8),\n.BR nft (8),\n\
         .BR qbittorrent\\-nox (1)\n",
    );
    text
}

fn flags(text: &mut String, flags: &[Flag]) {
    for flag in flags {
        item(text, &spelling(flag), flag.help);
    }
}

fn item(text: &mut String, name: &str, says: &str) {
    let _ = writeln!(text, ".TP\n.B {}\n{}", roff(name), roff(says));
}

/// Text as roff reads it: backslashes and hyphens escaped, no line that begins with a control character.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('`', "");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}
