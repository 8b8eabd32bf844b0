//! What of qBittorrent is remembered on disk.

use crate::qbittorrent::Preferences;
use miniserde::{Deserialize, Serialize, json};

/// What outlives this process, kept by the caller in `/var/lib/pvpn`.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// The settings from before pvpn's first write.
    pub earlier: Option<Preferences>,
    /// Torrents stopped by us and not yet started again.
    pub stopped: Vec<String>,
}

impl Memory {
    pub fn emit(&self) -> String {
        json::to_string(self)
    }

    /// `None` for anything that [`Memory::emit`] did not write.
    pub fn parse(text: &str) -> Option<Memory> {
        json::from_str(text).ok()
    }
}
