//! What a person asked for with `connect`, defaults of the configuration filled in, as it travels over the control
//! socket and stays with the connection for later choices.

use crate::config::{Config, Fastest};
use crate::provider::{Country, ProviderKind};
use crate::time::{Duration, millis};
use miniserde::{Deserialize, Serialize};

/// A request for a server and the way to use it.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    pub provider: ProviderKind,
    /// In order of preference; empty = any.
    pub cc: Vec<Country>,
    pub city: Option<String>,
    pub server: Option<String>,
    pub secure_core: bool,
    pub p2p: bool,
    pub fastest: Fastest,
    /// Most load, percent.
    pub threshold: u8,
    pub latency_cutoff: Option<Duration>,
    /// Whether the resolver file is changed.
    pub dns: bool,
    /// Whether the kill switch is to be closed; `false` leaves it as it is.
    pub ks: bool,
}

/// The same as JSON, in the control socket's and the adoption file's words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Text {
    provider: String,
    cc: Vec<String>,
    city: Option<String>,
    server: Option<String>,
    secure_core: bool,
    p2p: bool,
    fastest: String,
    threshold: u8,
    latency_cutoff_ms: Option<u64>,
    dns: bool,
    ks: bool,
}

impl Wish {
    /// What `connect` without flags asks for.
    pub fn from_config(config: &Config, provider: ProviderKind) -> Wish {
        let c = &config.connect;
        Wish {
            provider,
            cc: c.cc.clone(),
            city: c.city.clone(),
            server: c.server.clone(),
            secure_core: c.secure_core,
            p2p: c.p2p,
            fastest: c.fastest,
            threshold: config.network.threshold_default,
            latency_cutoff: c.latency_cutoff,
            dns: config.network.dns_default,
            ks: config.network.ks_default,
        }
    }

    pub fn emit(&self) -> Text {
        Text {
            provider: self.provider.name().to_owned(),
            cc: self.cc.iter().map(Country::to_string).collect(),
            city: self.city.clone(),
            server: self.server.clone(),
            secure_core: self.secure_core,
            p2p: self.p2p,
            fastest: match self.fastest {
                Fastest::Ping => "ping".to_owned(),
                Fastest::Api => "api".to_owned(),
            },
            threshold: self.threshold,
            latency_cutoff_ms: self.latency_cutoff.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
            dns: self.dns,
            ks: self.ks,
        }
    }

    /// `None` for a text that no pvpn wrote.
    pub fn parse(text: &Text) -> Option<Wish> {
        Some(Wish {
            provider: text.provider.parse().ok()?,
            cc: text.cc.iter().map(|c| Country::parse(c)).collect::<Option<_>>()?,
            city: text.city.clone(),
            server: text.server.clone(),
            secure_core: text.secure_core,
            p2p: text.p2p,
            fastest: match text.fastest.as_str() {
                "ping" => Fastest::Ping,
                "api" => Fastest::Api,
                _ => return None,
            },
            threshold: text.threshold,
            latency_cutoff: text.latency_cutoff_ms.map(millis),
            dns: text.dns,
            ks: text.ks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_survives_the_control_socket() {
        let wish = Wish {
            provider: ProviderKind::File,
            cc: vec![Country::parse("nl").unwrap(), Country::parse("UK").unwrap()],
            city: Some("Amsterdam".into()),
            server: None,
            secure_core: false,
            p2p: true,
            fastest: Fastest::Ping,
            threshold: 60,
            latency_cutoff: Some(millis(35)),
            dns: true,
            ks: true,
        };
        let line = miniserde::json::to_string(&wish.emit());
        let back: Text = miniserde::json::from_str(&line).unwrap();
        assert_eq!(Wish::parse(&back), Some(wish));
        assert!(Wish::parse(&Text { fastest: "luck".into(), ..back }).is_none());
    }
}
