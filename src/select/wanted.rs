//! What was asked for, as one value: flags over configuration.

use crate::cli;
use crate::config::{Config, Fastest};
use crate::provider::{Country, ProviderKind};
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
    /// For `connect`. A country or city given as a flag sets `[connect] server` and `[pia] region` aside, which
    /// would contradict it.
    pub fn to_connect(args: &cli::Connect, config: &Config, provider: ProviderKind) -> Wanted {
        let place = args.filter.cc.is_some() || args.filter.city.is_some();
        let configured = config.connect.server.clone().filter(|_| !place);
        Wanted {
            server: args.server.clone().or(configured).filter(|s| !s.is_empty()),
            threshold: Some(args.filter.threshold.unwrap_or(config.network.threshold_default)),
            forwarding: config.port_forwarding.enable,
            fastest: args.filter.fastest.unwrap_or(config.connect.fastest),
            latency_cutoff: args.latency_cutoff.or(config.connect.latency_cutoff),
            regions: regions(&args.filter, config, provider),
            ..Wanted::to_list(&args.filter, config)
        }
    }

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

fn regions(filter: &cli::Filter, config: &Config, provider: ProviderKind) -> Vec<String> {
    let place = filter.cc.is_some() || filter.city.is_some();
    if provider == ProviderKind::Pia && !place { config.pia.region.clone() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;
    use std::path::Path;

    fn config() -> Config {
        let text = "[connect]\ncc = NL, CH\nserver = NL#1\np2p = true\n[pia]\nregion = swiss\n";
        load::parse(text, Path::new("/c"), Path::new("/h")).unwrap()
    }

    fn connect(args: cli::Connect) -> Wanted {
        Wanted::to_connect(&args, &config(), ProviderKind::Pia)
    }

    #[test]
    fn the_configuration_fills_what_no_flag_says() {
        let wanted = connect(cli::Connect::default());
        assert_eq!((wanted.countries.len(), wanted.server.as_deref()), (2, Some("NL#1")));
        assert!(wanted.p2p && wanted.forwarding && !wanted.secure_core);
        assert_eq!((wanted.threshold, wanted.regions.len(), wanted.fastest), (Some(60), 1, Fastest::Ping));
    }

    #[test]
    fn a_place_given_as_a_flag_sets_named_servers_and_regions_of_the_file_aside() {
        let cc = Some(vec![Country::parse("SE").unwrap()]);
        let filter = cli::Filter { cc: cc.clone(), ..cli::Filter::default() };
        let wanted = connect(cli::Connect { filter: filter.clone(), ..cli::Connect::default() });
        assert_eq!((Some(wanted.countries), wanted.server, wanted.regions.len()), (cc, None, 0));
        let named = connect(cli::Connect { filter, server: Some("SE#2".into()), ..cli::Connect::default() });
        assert_eq!(named.server.as_deref(), Some("SE#2"));
        let files = Wanted::to_connect(&cli::Connect::default(), &config(), ProviderKind::File);
        assert!(files.regions.is_empty());
    }

    #[test]
    fn an_empty_flag_means_any_and_a_list_has_no_load_but_the_flags() {
        let filter =
            cli::Filter { cc: Some(Vec::new()), city: Some(String::new()), ..cli::Filter::default() };
        let wanted = Wanted::to_list(&filter, &config());
        assert_eq!((wanted.countries.len(), wanted.city, wanted.threshold), (0, None, None));
        assert!(wanted.p2p && !wanted.forwarding);
    }
}
