//! What a person asked for with `connect`, defaults of the configuration filled in, as it travels over the control
//! socket and stays with the connection for later choices.

use crate::cli;
use crate::config::{Config, Fastest};
use crate::provider::{Country, ProviderKind};
use crate::select::Wanted;
use crate::time::{Duration, millis};
use miniserde::{Deserialize, Serialize};

/// A request for a server and the way to use it.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    pub provider: ProviderKind,
    /// In order of preference; empty = any.
    pub cc: Vec<Country>,
    pub city: Option<String>,
    /// PIA's, in order of preference; empty = any.
    pub regions: Vec<String>,
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
    regions: Option<Vec<String>>,
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
    /// The flags of `connect` over the configuration. A country or city given as a flag sets `[connect] server` and
    /// `[pia] region` aside, which may be elsewhere; so does `[connect] cc` with the regions. An empty flag means any.
    pub fn new(config: &Config, provider: ProviderKind, flags: &cli::Connect) -> Wish {
        let (filter, defaults) = (&flags.filter, &config.connect);
        let is_elsewhere = filter.cc.is_some() || filter.city.is_some();
        let cc = filter.cc.clone().unwrap_or_else(|| defaults.cc.clone());
        let has_regions = provider == ProviderKind::Pia && !is_elsewhere && cc.is_empty();
        let server = flags.server.clone().or_else(|| defaults.server.clone().filter(|_| !is_elsewhere));
        Wish {
            provider,
            city: filter.city.clone().or_else(|| defaults.city.clone()).filter(|c| !c.is_empty()),
            regions: if has_regions { config.pia.region.clone() } else { Vec::new() },
            cc,
            server: server.filter(|s| !s.is_empty()),
            secure_core: filter.secure_core || defaults.secure_core,
            p2p: filter.p2p || defaults.p2p,
            fastest: filter.fastest.unwrap_or(defaults.fastest),
            threshold: filter.threshold.unwrap_or(config.network.threshold_default),
            latency_cutoff: flags.latency_cutoff.or(defaults.latency_cutoff),
            dns: flags.dns.unwrap_or(config.network.dns_default),
            ks: flags.ks.unwrap_or(config.network.ks_default),
        }
    }

    /// What it means to the selector. `forwarding`: `[port_forwarding] enable`.
    pub fn wanted(&self, forwarding: bool) -> Wanted {
        Wanted {
            countries: self.cc.clone(),
            city: self.city.clone(),
            regions: self.regions.clone(),
            server: self.server.clone(),
            secure_core: self.secure_core,
            p2p: self.p2p,
            threshold: Some(self.threshold),
            forwarding,
            fastest: self.fastest,
            latency_cutoff: self.latency_cutoff,
        }
    }

    /// Whether both ask for the same places in the same order.
    pub fn prefers_as(&self, other: &Wish) -> bool {
        self.provider == other.provider
            && self.cc == other.cc
            && self.regions == other.regions
            && self.server == other.server
    }

    pub fn emit(&self) -> Text {
        Text {
            provider: self.provider.name().to_owned(),
            cc: self.cc.iter().map(Country::to_string).collect(),
            city: self.city.clone(),
            regions: Some(self.regions.clone()),
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
            regions: text.regions.clone().unwrap_or_default(),
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
    use crate::config::load;
    use std::path::Path;

    fn asked(flags: &cli::Connect, provider: ProviderKind) -> Wish {
        let text = "[connect]\nserver = NL#1\np2p = true\n[pia]\nregion = swiss, uk\n";
        Wish::new(&load::parse(text, Path::new("/c"), Path::new("/h")).unwrap(), provider, flags)
    }

    fn with(filter: cli::Filter) -> cli::Connect {
        cli::Connect { filter, ..cli::Connect::default() }
    }

    #[test]
    fn the_configuration_fills_what_no_flag_says() {
        let wish = asked(&cli::Connect::default(), ProviderKind::Pia);
        assert_eq!((wish.regions.len(), wish.server.as_deref()), (2, Some("NL#1")));
        assert!(wish.p2p && !wish.secure_core);
        assert_eq!((wish.threshold, wish.fastest), (60, Fastest::Ping));
        assert!(wish.wanted(true).forwarding);
        assert!(asked(&cli::Connect::default(), ProviderKind::File).regions.is_empty());
    }

    #[test]
    fn a_place_given_as_a_flag_sets_named_servers_and_regions_of_the_file_aside() {
        let cc = Some(vec![Country::parse("SE").unwrap()]);
        let filter = cli::Filter { cc: cc.clone(), ..cli::Filter::default() };
        let wish = asked(&with(filter.clone()), ProviderKind::Pia);
        assert_eq!((Some(wish.cc), wish.server, wish.regions.len()), (cc, None, 0));
        let named = cli::Connect { server: Some("SE#2".into()), ..with(filter) };
        assert_eq!(asked(&named, ProviderKind::Pia).server.as_deref(), Some("SE#2"));
    }

    #[test]
    fn an_empty_flag_means_any() {
        let filter = cli::Filter { cc: Some(Vec::new()), city: Some(String::new()), ..Default::default() };
        let wish = asked(&with(filter), ProviderKind::File);
        assert_eq!((wish.cc.len(), wish.city), (0, None));
        let any = cli::Connect { server: Some(String::new()), ..cli::Connect::default() };
        assert_eq!(asked(&any, ProviderKind::File).server, None);
    }

    #[test]
    fn a_wish_survives_the_control_socket() {
        let wish = Wish {
            provider: ProviderKind::File,
            cc: vec![Country::parse("nl").unwrap(), Country::parse("UK").unwrap()],
            city: Some("Amsterdam".into()),
            regions: vec!["swiss".into()],
            latency_cutoff: Some(millis(35)),
            ..asked(&cli::Connect::default(), ProviderKind::File)
        };
        let line = miniserde::json::to_string(&wish.emit());
        let back: Text = miniserde::json::from_str(&line).unwrap();
        assert_eq!(Wish::parse(&back), Some(wish));
        assert!(Wish::parse(&Text { fastest: "luck".into(), ..back }).is_none());
    }
}
