//! What was asked for, as one value: flags over configuration.

use crate::cli;
use crate::config::{Config, Fastest};
use crate::provider::Country;
use crate::time::Duration;

/// What `connect` or `list` was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// In order of preference; empty: any.
    pub countries: Vec<Country>,
    pub city: Option<String>,
    /// PIA region ids or names in order of preference; empty: any. Other providers' servers have no regions.
    pub regions: Vec<String>,
    /// A name, host name, id or entry address. Country, city, region and load then do not matter.
    pub server: Option<String>,
    pub secure_core: bool,
    pub p2p: bool,
    /// Most load in percent.
    pub threshold: Option<u8>,
    /// Whether a forwarded port is wanted: `[port_forwarding] enable`.
    pub forwarding: bool,
    pub fastest: Fastest,
    pub latency_cutoff: Option<Duration>,
}

impl Wanted {
    /// For `list`, which shows all that match: no preferred region, named server or load but what a flag says.
    pub fn to_list(filter: &cli::Filter, config: &Config) -> Wanted {
        let defaults = &config.connect;
        Wanted {
            countries: filter.cc.clone().unwrap_or_else(|| defaults.cc.clone()),
            city: filter.city.clone().or_else(|| defaults.city.clone()).filter(|c| !c.is_empty()),
            regions: Vec::new(),
            server: None,
            secure_core: filter.secure_core || defaults.secure_core,
            p2p: filter.p2p || defaults.p2p,
            threshold: filter.threshold,
            forwarding: false,
            fastest: filter.fastest.unwrap_or(defaults.fastest),
            latency_cutoff: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;
    use std::path::Path;

    #[test]
    fn a_list_takes_defaults_from_the_file_and_load_from_flags_alone() {
        let text = "[connect]\ncc = NL, CH\nserver = NL#1\np2p = true\n[pia]\nregion = swiss\n";
        let config = load::parse(text, Path::new("/c"), Path::new("/h")).unwrap();
        let wanted = Wanted::to_list(&cli::Filter::default(), &config);
        assert_eq!((wanted.countries.len(), wanted.regions.len(), wanted.server), (2, 0, None));
        let filter =
            cli::Filter { cc: Some(Vec::new()), city: Some(String::new()), ..cli::Filter::default() };
        let wanted = Wanted::to_list(&filter, &config);
        assert_eq!((wanted.countries.len(), wanted.city, wanted.threshold), (0, None, None));
        assert!(wanted.p2p && !wanted.forwarding);
    }
}
