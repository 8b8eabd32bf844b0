//! A qBittorrent of this machine whose WebUI does not answer, or wants a password that nobody knows: its settings file is
//! found, and with consent changed so that programs of this machine get in. qBittorrent writes the file anew when it
//! ends, so this is done only while it is stopped.

use super::Session;
use crate::error::Result;
use crate::qbittorrent::{Auth, WebUi};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Below a user's home (qBittorrent's wiki, "Where does qBittorrent save its settings").
pub const SETTINGS: &str = ".config/qBittorrent/qBittorrent.conf";
/// Questions whether it is stopped by now; chosen.
const STOPPED_ASKED: u32 = 3;
const SECTION: &str = "Preferences";

/// The settings file of one user's qBittorrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    pub user: String,
    pub path: PathBuf,
    pub text: String,
    pub is_running: bool,
}

/// What is offered to be written there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Nothing answers: the WebUI on, for this machine alone.
    SwitchOn,
    /// It wants a login: none for programs of this machine.
    LetIn,
}

impl Session<'_> {
    /// Offers to change a qBittorrent's settings; `false`: there is none to offer it for, or it is not wanted.
    pub(super) fn offer_webui(&mut self, url: &str, offer: Offer) -> Result<bool> {
        let Some((address, port)) = WebUi::new(url, Auth::None).local_socket() else { return Ok(false) };
        let edited = |l: &Local| offer.edited(&l.text, address, port);
        let lacks = |l: &Local| edited(l) != l.text;
        let Some(found) = self.trial.local_qbittorrents().into_iter().find(lacks) else { return Ok(false) };
        let (path, user) = (found.path.display(), &found.user);
        let question = match offer {
            Offer::SwitchOn => {
                self.say(&format!("{path} belongs to a qBittorrent whose WebUI does not answer there"));
                format!(
                    "Switch {user}'s WebUI on at port {port}, for this machine alone and without a password (yes, no)"
                )
            }
            Offer::LetIn => {
                format!("Have {user}'s qBittorrent ask no password of programs on this machine (yes, no)")
            }
        };
        if !self.yes(&question, offer == Offer::SwitchOn)? {
            return Ok(false);
        }
        for _ in 0..STOPPED_ASKED {
            let now = self.trial.local_qbittorrents().into_iter().find(|l| l.path == found.path);
            let Some(now) = now else { return Ok(false) };
            if !now.is_running {
                self.trial.write_qbittorrent(&now.path, &edited(&now))?;
                self.say(&format!("Written: {path}; start qBittorrent again, and its WebUI is at {url}"));
                return Ok(true);
            }
            let question = "It is running, and would write the file anew when it ends: stop it, then press Enter \
                            (or skip)";
            let Some(ask) = &mut self.ask else { return Ok(false) };
            if ask.line(question, "")? == "skip" {
                break;
            }
        }
        self.say("Nothing was changed there: stop qBittorrent, run `pvpn init --qb`, and start it again");
        Ok(true)
    }
}

impl Offer {
    /// The text with what is offered; as it is where it says so already.
    pub fn edited(self, text: &str, address: IpAddr, port: u16) -> String {
        let is_on = value(text, "WebUI\\Enabled") == Some("true")
            && value(text, "WebUI\\Port").unwrap_or("8080") == port.to_string();
        let settings = match self {
            Offer::SwitchOn if is_on => Vec::new(),
            Offer::SwitchOn => vec![
                ("WebUI\\Enabled", "true".to_owned()),
                ("WebUI\\Address", address.to_string()),
                ("WebUI\\Port", port.to_string()),
                ("WebUI\\LocalHostAuth", "false".to_owned()),
                ("WebUI\\UseUPnP", "false".to_owned()),
            ],
            Offer::LetIn => vec![("WebUI\\LocalHostAuth", "false".to_owned())],
        };
        settings.iter().fold(text.to_owned(), |text, (key, value)| set(&text, key, value))
    }
}

/// The lines of the section by their byte ranges, from behind its head to the next section.
fn section(text: &str) -> Option<(usize, usize)> {
    let head = format!("[{SECTION}]");
    let mut at = 0;
    let mut begin = None;
    for line in text.split_inclusive('\n') {
        let is_head = line.trim_end().starts_with('[') && line.trim_end().ends_with(']');
        match begin {
            None if line.trim_end() == head => begin = Some(at + line.len()),
            Some(begin) if is_head => return Some((begin, at)),
            _ => {}
        }
        at += line.len();
    }
    begin.map(|begin| (begin, at))
}

/// `key=value` as QSettings writes it: no blanks around the sign, names compared as they are.
fn line_of<'a>(lines: &'a str, key: &str) -> Option<&'a str> {
    lines.split_inclusive('\n').find(|l| l.strip_prefix(key).is_some_and(|rest| rest.starts_with('=')))
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (begin, end) = section(text)?;
    line_of(&text[begin..end], key)?.trim_end().split_once('=').map(|(_, value)| value)
}

fn set(text: &str, key: &str, value: &str) -> String {
    let line = format!("{key}={value}\n");
    let Some((begin, end)) = section(text) else {
        let gap = if text.is_empty() || text.ends_with("\n\n") {
            ""
        } else if text.ends_with('\n') {
            "\n"
        } else {
            "\n\n"
        };
        return format!("{text}{gap}[{SECTION}]\n{line}");
    };
    let (before, lines, after) = (&text[..begin], &text[begin..end], &text[end..]);
    match line_of(lines, key) {
        Some(old) => format!("{before}{}{after}", lines.replacen(old, &line, 1)),
        None => format!("{before}{line}{lines}{after}"),
    }
}

/// Whether a file below this home is really there, and not by way of a symlink elsewhere.
pub fn is_below(home: &Path, canonical: &Path) -> bool {
    home.canonicalize().is_ok_and(|home| canonical.starts_with(home))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCALHOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const FILE: &str = "[BitTorrent]\nSession\\Port=6881\n\n[Preferences]\nGeneral\\Locale=de\nWebUI\\Enabled=false\n\
                        WebUI\\Port=9090\n\n[RSS]\nAutoDownloader\\DownloadRepacks=true\n";

    #[test]
    fn the_webui_is_switched_on_and_everything_else_stays() {
        let on = Offer::SwitchOn.edited(FILE, LOCALHOST, 8080);
        assert_eq!(
            on,
            "[BitTorrent]\nSession\\Port=6881\n\n[Preferences]\nWebUI\\UseUPnP=false\nWebUI\\LocalHostAuth=false\n\
             WebUI\\Address=127.0.0.1\nGeneral\\Locale=de\nWebUI\\Enabled=true\nWebUI\\Port=8080\n\n[RSS]\n\
             AutoDownloader\\DownloadRepacks=true\n"
        );
        assert_eq!(Offer::SwitchOn.edited(&on, LOCALHOST, 8080), on);
    }

    #[test]
    fn who_is_let_in_without_a_password_is_one_line() {
        let let_in = Offer::LetIn.edited(FILE, LOCALHOST, 8080);
        assert_eq!(let_in, FILE.replace("[Preferences]\n", "[Preferences]\nWebUI\\LocalHostAuth=false\n"));
        assert_eq!(Offer::LetIn.edited(&let_in, LOCALHOST, 8080), let_in);
    }

    #[test]
    fn a_section_that_is_not_there_is_made() {
        let lines = "[Preferences]\nWebUI\\UseUPnP=false\nWebUI\\LocalHostAuth=false\nWebUI\\Port=8080\n\
                     WebUI\\Address=127.0.0.1\nWebUI\\Enabled=true\n";
        for (text, before) in [("", ""), ("[A]\nb=1", "[A]\nb=1\n\n"), ("[A]\nb=1\n", "[A]\nb=1\n\n")] {
            assert_eq!(Offer::SwitchOn.edited(text, LOCALHOST, 8080), format!("{before}{lines}"));
        }
    }

    #[test]
    fn one_that_is_on_at_this_port_is_left_as_it_is() {
        for text in [
            "[Preferences]\nWebUI\\Enabled=true\n",
            "[Preferences]\r\nWebUI\\Enabled=true\r\nWebUI\\Port=8080\r\n",
        ] {
            assert_eq!(Offer::SwitchOn.edited(text, LOCALHOST, 8080), text);
        }
    }
}
