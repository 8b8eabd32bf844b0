//! The report of `doctor --bundle`: everything a stranger needs to see, and nothing that says who it is about.

use super::redact::Redactor;
use crate::config::ini::Document;
use crate::config::keys::{self, Kind};
use crate::config::load;
use crate::provider::file::DIR_NAME;
use crate::sys::files::{Disk, Files, tail};
use crate::wire::json::Value;
use std::path::Path;

/// How much of the log is sent along; chosen: some days.
const LOG_MOST: usize = 64 << 10;
/// Files with secrets are small; more is none of ours (chosen).
const FILE_MOST: usize = 1 << 20;

/// Parts of the report by title.
pub struct Report<'a> {
    pub parts: &'a [(&'static str, String)],
    pub dir: &'a Path,
}

impl Report<'_> {
    /// The text, redacted as a whole.
    pub fn emit(&self) -> String {
        let mut text = String::new();
        for (title, part) in self.parts {
            text.push_str(&format!("== {title}\n{}\n", part.trim_end()));
        }
        if let Ok(log) = tail(&self.dir.join(crate::logging::FILE_NAME), LOG_MOST) {
            text.push_str(&format!("== log\n{}\n", log.trim_end()));
        }
        Redactor::new(secrets(self.dir)).redact(&text)
    }
}

/// Every value in the configuration directory that is secret or says who it belongs to.
pub fn secrets(dir: &Path) -> Vec<String> {
    let read = |path: &Path| {
        let bytes = Disk.read(path, FILE_MOST).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let config = read(&dir.join(load::FILE_NAME));
    let mut found = in_config(&config, dir, &read);
    for name in Disk.list(&dir.join(DIR_NAME)).unwrap_or_default() {
        found.extend(in_conf(&read(&dir.join(DIR_NAME).join(name))));
    }
    let sessions = load::parse(&config, dir, dir).map(|c| c.proton.session_dir).unwrap_or(dir.join("proton"));
    let named = ["session.json", "account.json", "key.json"].map(|name| sessions.join(name));
    let pia = ["auth.json", "login.json", "port.json"].map(|name| dir.join("pia").join(name));
    for path in named.iter().chain(&pia) {
        if let Ok(value) = Value::parse(read(path).as_bytes()) {
            in_json(&value, &mut found);
        }
    }
    found
}

/// Secret values, names of users, and what stands in files named by `pass_file`; also of a file with mistakes.
fn in_config(text: &str, dir: &Path, read: &dyn Fn(&Path) -> String) -> Vec<String> {
    let mut found = Vec::new();
    let mut take = |section: &str, key: &str, value: &str| {
        let is_secret = keys::find(section, key).is_none_or(|k| k.kind == Kind::Secret) || key == "user";
        if key == "pass_file" {
            found.extend(read(&dir.join(value)).lines().next().map(str::to_owned));
        } else if is_secret {
            found.push(value.to_owned());
        } else if let Some((login, _)) = value.split_once("://").and_then(|(_, rest)| rest.split_once('@')) {
            found.push(login.to_owned());
        }
    };
    match Document::parse(text) {
        Ok(doc) => doc.entries().filter(|e| !e.is_unset()).for_each(|e| take(e.section, e.key, e.value)),
        Err(_) => {
            let lines = text.lines().filter_map(|l| l.split_once('='));
            lines.for_each(|(_, value)| take("", "", value.trim().trim_matches('"')));
        }
    }
    found
}

/// Keys of a `.conf`, whatever else is wrong with it.
fn in_conf(text: &str) -> Vec<String> {
    let value = |line: &str| {
        line.split_once('=').map(|(key, v)| (key.trim().to_ascii_lowercase(), v.trim().to_owned()))
    };
    let is_key = |(key, _): &(String, String)| key.ends_with("key");
    text.lines().filter_map(value).filter(is_key).map(|(_, v)| v).collect()
}

/// Every text of a file that has nothing but secrets in it; words of a few letters are no secrets.
fn in_json(value: &Value, found: &mut Vec<String>) {
    const WORD: usize = 8;
    if let Some(text) = value.text().filter(|t| t.len() >= WORD) {
        found.push(text.to_owned());
    }
    match value {
        Value::Array(items) => items.iter().for_each(|v| in_json(v, found)),
        Value::Object(members) => members.iter().for_each(|(_, v)| in_json(v, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const KEY: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";

    /// A configuration directory of this test alone.
    fn directory(name: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("pvpn-bundle-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        for below in ["wireguard", "proton", "pia"] {
            fs::create_dir_all(dir.join(below)).unwrap();
        }
        let conf = format!(
            "[Interface]\nPrivateKey = {KEY}\nAddress = 10.2.0.2/32\n[Peer]\nPublicKey = {KEY}\nEndpoint = 203.0.113.11:51820\n"
        );
        fs::write(dir.join("wireguard/nl.conf"), conf).unwrap();
        fs::write(dir.join("pass"), "from-a-file-1\nrest\n").unwrap();
        fs::write(dir.join("proton/session.json"), r#"{"uid":"sessionuid1","access_token":"tokentoken"}"#)
            .unwrap();
        fs::write(dir.join("pia/auth.json"), r#"{"user":"p1234567","token":"piatoken99"}"#).unwrap();
        dir
    }

    const SECRETS: [&str; 9] = [
        "hunter2-three",
        "someone@example.org",
        "p1234567",
        "from-a-file-1",
        "sessionuid1",
        "tokentoken",
        "piatoken99",
        "apikey-apikey",
        KEY,
    ];
    const ADDRESSES: [&str; 4] = ["10.2.0.2", "203.0.113.11", "192.168.7.1", "2001:db8::9"];

    fn report(dir: &Path, config: &str) -> String {
        fs::write(dir.join(load::FILE_NAME), config).unwrap();
        let all = format!("{} {}", SECRETS.join(" x "), ADDRESSES.join(" and "));
        fs::write(dir.join(crate::logging::FILE_NAME), format!("warn a: {all}\n")).unwrap();
        let parts = [("doctor", format!("failed x: {all}")), ("status", format!("{{\"a\":\"{all}\"}}"))];
        Report { parts: &parts, dir }.emit()
    }

    #[test]
    fn no_secret_and_no_address_of_the_configuration_survives() {
        let dir = directory("whole");
        let config = "[protonvpn]\nuser = someone@example.org\npass = \"hunter2-three\"\n[pia]\nuser = p1234567\n\
                      pass_file = pass\n[qbittorrent]\napi_key = apikey-apikey\n";
        let text = report(&dir, config);
        for hidden in SECRETS.iter().chain(&ADDRESSES) {
            assert!(!text.contains(hidden), "{hidden} in {text}");
        }
        assert!(text.contains("== log\nwarn a: ***") && text.contains("<ip-1>"), "{text}");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_configuration_with_a_mistake_keeps_its_secrets_too() {
        let dir = directory("broken");
        let config = "[protonvpn]\nuser = someone@example.org\nno line\npass = \"hunter2-three\"\n[pia]\nuser = p1234567\n\
                      pass = from-a-file-1\n[qbittorrent]\napi_key = apikey-apikey\n";
        let text = report(&dir, config);
        for hidden in SECRETS.iter().chain(&ADDRESSES) {
            assert!(!text.contains(hidden), "{hidden} in {text}");
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}
