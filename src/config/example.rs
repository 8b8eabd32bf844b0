//! The example file `pkg/config.ini.example`, made from the table of keys.

use super::keys::{KEYS, Key, Kind, SECTIONS};
use std::fmt::Write;

const HEAD: &str = "\
# config.ini of pvpn: ~/.pvpn-cli/pvpn/config.ini of the user that runs it (root: /root/.pvpn-cli/pvpn/config.ini).
#
# Keep it private: it may hold passwords. Its mode must be 0600 (chmod 600 config.ini), in a directory of mode 0700;
# leave it out of backups that others can read. `pass_file` names a file that holds a password instead.
#
# `key = value`. A comment begins with # or ; at the start of a line or after a blank. A value in double quotes is
# literal (\\\" and \\\\ inside); lists use commas. Every key is shown with its default; `pvpn init` writes the needed ones.
";

/// The whole text.
pub fn emit() -> String {
    let mut text = String::from(HEAD);
    for section in SECTIONS {
        let _ = writeln!(text, "\n[{section}]");
        for key in KEYS.iter().filter(|k| k.section == section) {
            emit_key(&mut text, key);
        }
    }
    text
}

fn emit_key(text: &mut String, key: &Key) {
    let _ = writeln!(text, "# {}", key.help);
    let allowed = match key.kind {
        Kind::Text | Kind::Secret | Kind::Path | Kind::List | Kind::Url | Kind::Word(_) => None,
        _ => Some(key.kind.allowed()),
    };
    if let Some(allowed) = allowed {
        let _ = writeln!(text, "# ({allowed})");
    }
    let _ = writeln!(text, "{}", format!("{} = {}", key.name, key.default).trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;
    use std::path::Path;

    /// `UPDATE=1 cargo test --lib example` writes the file.
    #[test]
    fn the_example_of_pkg_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("pkg/config.ini.example");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, emit()).unwrap();
        }
        assert!(
            std::fs::read_to_string(&path).unwrap_or_default() == emit(),
            "UPDATE=1 cargo test --lib example"
        );
    }

    #[test]
    fn the_example_means_the_same_as_an_empty_file() {
        let read = |text: &str| load::parse(text, Path::new("/c"), Path::new("/r")).unwrap();
        assert_eq!(format!("{:?}", read(&emit())), format!("{:?}", read("")));
        assert!(emit().contains("Keep it private") && emit().contains("0600"));
        for key in KEYS {
            assert!(emit().contains(&format!("\n{} =", key.name)), "{}", key.name);
        }
    }
}
