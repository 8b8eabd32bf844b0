//! What the kernel and the clock have to offer.

use crate::change::state;
use crate::status::finding::Finding;
use crate::sys::files::{Disk, Files};
use crate::sys::net::{Kernel, Net};
use crate::sys::netlink::errno;
use crate::sys::{Clock, clock, nft, user};
use crate::time::UnixTime;
use std::io;
use std::path::Path;

/// The netdev egress hook (Linux 5.16, commit 42df6e1d221d).
const EGRESS_SINCE: (u32, u32) = (5, 16);

pub fn look() -> Vec<Finding> {
    let highest = state::load_clock(&Disk).ok().flatten();
    vec![
        rights(user::is_root(), user::has_net_admin()),
        wireguard(Kernel::new().wireguard("pvpn-doctor0").err()),
        nftables(nft::open().and_then(|mut socket| nft::state(&mut socket))),
        clock_of(clock::System.wall(), highest),
    ]
}

fn rights(is_root: bool, has_net_admin: bool) -> Finding {
    match (is_root, has_net_admin) {
        (true, true) => Finding::ok("rights", "root with CAP_NET_ADMIN"),
        (_, false) => Finding::failed(
            "rights",
            "CAP_NET_ADMIN is missing",
            "run it with sudo; a container needs `--cap-add NET_ADMIN`",
        ),
        (false, true) => Finding::failed("rights", "not root", "run it with sudo"),
    }
}

/// `asked`: what the kernel said when asked for a device that is not there.
fn wireguard(asked: Option<io::Error>) -> Finding {
    match asked.as_ref().map(|e| (errno(e), e)) {
        None | Some((Some(libc::ENODEV), _)) => Finding::ok("wireguard", "the kernel has it"),
        Some((Some(libc::EOPNOTSUPP), _)) => Finding::failed(
            "wireguard",
            "the kernel has no WireGuard",
            "run `modprobe wireguard`; a kernel before 5.6 needs the package wireguard-dkms",
        ),
        Some((_, e)) => Finding::unknown("wireguard", format!("the kernel cannot be asked: {e}")),
    }
}

fn nftables(state: io::Result<Option<nft::State>>) -> Finding {
    let release = Disk.read(Path::new("/proc/sys/kernel/osrelease"), 256).unwrap_or_default();
    let release = String::from_utf8_lossy(&release).trim().to_owned();
    let state = match state {
        Ok(state) => state,
        Err(e) => {
            return Finding::failed(
                "nftables",
                format!("the kernel's firewall cannot be used: {e}"),
                "run `modprobe nf_tables`, or take a kernel with CONFIG_NF_TABLES_INET",
            );
        }
    };
    match (has_egress(&release), state) {
        (Some(false), _) => Finding::unknown(
            "nftables",
            format!(
                "usable; kernel {release} has no netdev egress hook (5.16), so packet sockets pass by the rules"
            ),
        ),
        (_, Some(state)) if state.closed && state.egress_links.is_empty() => Finding::unknown(
            "nftables",
            "usable; the kill switch is closed, but no link has an egress chain, so packet sockets pass by the rules",
        ),
        _ => Finding::ok("nftables", format!("usable, kernel {release}")),
    }
}

fn has_egress(release: &str) -> Option<bool> {
    let mut numbers = release.split(['.', '-', '+']).map_while(|n| n.parse::<u32>().ok());
    Some((numbers.next()?, numbers.next()?) >= EGRESS_SINCE)
}

fn clock_of(now: UnixTime, highest: Option<UnixTime>) -> Finding {
    let advice = "set it: `timedatectl set-ntp true`, or `date -s`";
    match highest {
        Some(seen) if now < seen => Finding::failed(
            "clock",
            format!(
                "it shows {now}, {} s behind the highest it ever showed: servers refuse the handshake",
                seen.0 - now.0
            ),
            advice,
        ),
        _ if now < UnixTime::FIRST => {
            Finding::failed("clock", format!("it shows {now}, which cannot be"), advice)
        }
        _ => Finding::ok("clock", format!("{now}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_behind_the_highest_seen_is_wrong() {
        let at = |n: u64| UnixTime(1_800_000_000 + n);
        assert!(!clock_of(at(5), None).is_failed());
        assert!(!clock_of(at(5), Some(at(5))).is_failed());
        let behind = clock_of(at(5), Some(at(65)));
        assert!(behind.is_failed() && behind.text.contains(" 60 s behind"), "{}", behind.text);
        assert!(clock_of(UnixTime(1_000), None).is_failed());
    }

    #[test]
    fn what_the_kernel_lacks_is_named() {
        assert!(!wireguard(Some(io::Error::from_raw_os_error(libc::ENODEV))).is_failed());
        assert!(wireguard(Some(io::Error::from_raw_os_error(libc::EOPNOTSUPP))).is_failed());
        assert!(nftables(Err(io::Error::from_raw_os_error(libc::EPROTONOSUPPORT))).is_failed());
        assert!(rights(true, false).is_failed() && !rights(true, true).is_failed());
    }

    #[test]
    fn the_egress_hook_came_with_5_16() {
        for (release, has) in [
            ("6.1.0-18-arm64", Some(true)),
            ("5.16.0", Some(true)),
            ("5.15.84-v8+", Some(false)),
            ("4.19.0", Some(false)),
            ("", None),
        ] {
            assert_eq!(has_egress(release), has, "{release}");
        }
    }
}
