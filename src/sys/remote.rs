//! From where the person at the keyboard is logged in. sshd says so by the environment, of which sudo and su leave
//! nothing by default; the shell they were typed into still has it, so our ancestors are asked too.

use std::env;
use std::fs;
use std::net::IpAddr;

/// sshd(8): the client's address is the first word of each.
const NAMES: [&str; 2] = ["SSH_CONNECTION", "SSH_CLIENT"];
/// Parents looked at; chosen: deeper than shells, multiplexers and sudo nest, and an end whatever /proc says.
const ANCESTORS_MOST: usize = 64;
const INIT: u32 = 1;

/// The client of the ssh session we were started from.
pub fn ssh_client() -> Option<IpAddr> {
    let own = NAMES.iter().find_map(|name| address(&env::var(name).ok()?));
    own.or_else(|| ancestors().find_map(|pid| client(&fs::read(format!("/proc/{pid}/environ")).ok()?)))
}

/// Our parent, its parent and so on, without init.
fn ancestors() -> impl Iterator<Item = u32> {
    let parent_of = |pid: &u32| parent(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?);
    std::iter::successors(parent_of(&std::process::id()), parent_of).take(ANCESTORS_MOST)
}

/// Field 4 of proc_pid_stat(5); the program's name before it may hold blanks and brackets.
fn parent(stat: &str) -> Option<u32> {
    let pid = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
    (pid > INIT).then_some(pid)
}

/// What proc_pid_environ(5) says of it: `NAME=VALUE`, each ended by a zero byte.
fn client(environ: &[u8]) -> Option<IpAddr> {
    NAMES.iter().find_map(|name| {
        let mut variables = environ.split(|b| *b == 0);
        let value = variables.find_map(|v| v.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
        address(std::str::from_utf8(value).ok()?)
    })
}

/// The first word; sshd writes a scope behind link-local addresses.
fn address(value: &str) -> Option<IpAddr> {
    let addr: IpAddr = value.split(' ').next()?.split('%').next()?.parse().ok()?;
    Some(addr.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_first_word_of_what_sshd_says() {
        let seen = |environ: &str| client(environ.as_bytes()).map(|a| a.to_string());
        let both = "TERM=xterm\0SSH_CLIENT=10.0.0.9 50000 22\0SSH_CONNECTION=203.0.113.9 50000 10.0.0.1 22\0";
        assert_eq!(seen(both).as_deref(), Some("203.0.113.9"));
        assert_eq!(seen("SSH_CLIENT=fe80::9%eth0 50000 22\0").as_deref(), Some("fe80::9"));
        assert_eq!(seen("SSH_CLIENT=::ffff:192.168.1.9 50000 22").as_deref(), Some("192.168.1.9"));
        for nothing in
            ["", "\0\0", "SSH_CONNECTION", "SSH_CONNECTION=", "MY_SSH_CLIENT=10.0.0.9 1 2", "\u{1}=\0"]
        {
            assert_eq!(seen(nothing), None, "{nothing:?}");
        }
        assert_eq!(client(b"SSH_CLIENT=\xff 1 2\0"), None);
    }

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent("77 (pvpn) S 42 77 77 0"), Some(42));
        assert_eq!(parent("77 (a) b (c) S 42 77"), Some(42));
        for last in ["77 (sh) S 1 77", "1 (init) S 0 1", "77 (sh", ""] {
            assert_eq!(parent(last), None, "{last}");
        }
        assert!(ancestors().count() < ANCESTORS_MOST);
    }
}
