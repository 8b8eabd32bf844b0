//! The text of the resolver file, after resolv.conf(5).
//!
//! Ours names the tunnel's resolvers and search domains. Of the earlier file only harmless `options` stay: how long and
//! how often to ask. Its `search` list does not: the owner's domain would be asked of a stranger's resolver.

use std::fmt::Write as _;
use std::net::IpAddr;

/// First line of every resolver file that pvpn wrote: how [`is_ours`] knows it.
const FIRST_LINE: &str = "# Written by pvpn while its tunnel is up.";
const SECOND_LINE: &str = "# `pvpn disconnect` puts back what was here: /etc/resolv.conf.pvpnbak";

/// glibc reads no more name servers than this (resolv.conf(5), MAXNS).
const SERVERS_MOST: usize = 3;
/// Options that change neither who is asked nor how answers are trusted.
const OPTIONS_KEPT: [&str; 7] =
    ["timeout:", "attempts:", "rotate", "ndots:", "single-request", "single-request-reopen", "use-vc"];

/// What a resolver file says, as far as pvpn cares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    pub servers: Vec<IpAddr>,
    pub search: Vec<String>,
    pub options: Vec<String>,
}

impl ResolvConf {
    /// Reads what it understands; other lines, and addresses with a scope (`fe80::1%eth0`), are passed over. Of
    /// several `search` or `domain` lines the last counts, as in libc.
    pub fn parse(text: &str) -> ResolvConf {
        let mut conf = ResolvConf::default();
        for line in text.lines().filter(|l| !l.starts_with(['#', ';'])) {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    conf.servers.extend(words.next().and_then(|w| w.parse::<IpAddr>().ok()))
                }
                Some("search" | "domain") => conf.search = words.map(str::to_owned).collect(),
                Some("options") => conf.options.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        conf
    }

    /// The file for a tunnel with these resolvers, keeping the harmless options of the `earlier` one.
    pub fn for_tunnel(servers: &[IpAddr], search: &[String], earlier: &ResolvConf) -> ResolvConf {
        let is_kept = |option: &&String| {
            OPTIONS_KEPT.iter().any(|k| if k.ends_with(':') { option.starts_with(k) } else { option == k })
        };
        ResolvConf {
            servers: servers.iter().take(SERVERS_MOST).copied().collect(),
            search: search.to_vec(),
            options: earlier.options.iter().filter(is_kept).cloned().collect(),
        }
    }

    /// The text, beginning with the line that says whose it is.
    pub fn emit(&self) -> String {
        format!("{FIRST_LINE}\n{SECOND_LINE}\n{}", self.emit_lines())
    }

    /// The lines alone, as one record among others.
    pub fn emit_lines(&self) -> String {
        let mut text = String::new();
        for server in &self.servers {
            // Writing into a String does not fail.
            let _ = writeln!(text, "nameserver {server}");
        }
        for (word, values) in [("search", &self.search), ("options", &self.options)] {
            if !values.is_empty() {
                let _ = writeln!(text, "{word} {}", values.join(" "));
            }
        }
        text
    }
}

/// Whether pvpn wrote this file, however it was edited below its first line.
pub fn is_ours(bytes: &[u8]) -> bool {
    bytes.strip_prefix(FIRST_LINE.as_bytes()).is_some_and(|rest| matches!(rest.first(), None | Some(b'\n')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_libc_reads_it() {
        let conf = ResolvConf::parse(
            "# head\nnameserver 192.168.1.1\nnameserver fe80::1%eth0\nnameserver\t2001:db8::1 # x\n\
             domain old.example\nsearch lan  home.arpa\noptions ndots:2 edns0\noptions trust-ad\nsortlist 1\n",
        );
        assert_eq!(conf.servers, ["192.168.1.1".parse::<IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]);
        assert_eq!(conf.search, ["lan", "home.arpa"]);
        assert_eq!(conf.options, ["ndots:2", "edns0", "trust-ad"]);
    }

    #[test]
    fn the_tunnels_file_names_its_resolvers_and_drops_the_owners_domain() {
        let earlier =
            ResolvConf::parse("nameserver 192.168.1.1\nsearch lan\noptions timeout:1 edns0 rotate\n");
        let conf = ResolvConf::for_tunnel(&["10.2.0.1".parse().unwrap()], &[], &earlier);
        assert_eq!(
            conf.emit(),
            "# Written by pvpn while its tunnel is up.\n\
             # `pvpn disconnect` puts back what was here: /etc/resolv.conf.pvpnbak\n\
             nameserver 10.2.0.1\n\
             options timeout:1 rotate\n"
        );
        assert_eq!(ResolvConf::parse(&conf.emit()), conf);
    }

    #[test]
    fn libc_reads_three_resolvers_so_no_more_are_written() {
        let many: Vec<IpAddr> = (1..=5).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        let conf = ResolvConf::for_tunnel(&many, &["corp.example".to_owned()], &ResolvConf::default());
        assert_eq!(conf.servers.len(), 3);
        assert!(conf.emit().ends_with("nameserver 10.0.0.3\nsearch corp.example\n"));
    }

    #[test]
    fn only_our_first_line_makes_a_file_ours() {
        let ours = ResolvConf::default().emit();
        assert!(is_ours(ours.as_bytes()));
        assert!(is_ours(format!("{ours}nameserver 192.0.2.1\n").as_bytes()));
        for other in ["", "\n", "# Written by", &format!("# Generated by dhcpcd\n{ours}"), &FIRST_LINE[1..]] {
            assert!(!is_ours(other.as_bytes()), "{other}");
        }
        assert!(!is_ours(format!("{FIRST_LINE}x\n").as_bytes()));
    }
}
