//! What the configuration says about qBittorrent.

use crate::config::secret::Secret;
use crate::config::{self, Resume};
use crate::qbittorrent::Auth;

/// `[qbittorrent]`, as far as this machine needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub enable: bool,
    pub url: String,
    pub auth: Auth,
    /// Given back at `disconnect`.
    pub port: u16,
    pub resume: Resume,
    pub unbind: bool,
}

impl Settings {
    /// `pass` is the password wherever it came from (`pass` or `pass_file`).
    pub fn new(config: &config::Qbittorrent, pass: Option<Secret>) -> Settings {
        let auth = match (&config.api_key, &config.user, pass) {
            (Some(key), ..) if !key.is_empty() => Auth::Key(key.clone()),
            (_, Some(user), Some(pass)) => Auth::Password { user: user.clone(), pass },
            _ => Auth::None,
        };
        let config::Qbittorrent { enable, port, resume, unbind, .. } = *config;
        Settings { enable, url: config.url.clone(), auth, port, resume, unbind }
    }
}
