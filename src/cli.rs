//! The command line as a value. Parsing argv does nothing else: no file is opened, no line read, nothing printed.
//! What there is to say stands in the tables of `cli/spec.rs`; an unknown flag or a bad value is one line that says
//! which and what is allowed, exit 2.

pub mod complete;
mod given;
pub mod help;
pub mod man;
pub mod spec;

use crate::address::IpNet;
use crate::config::Fastest;
use crate::config::keys::Value;
use crate::config::secret::Secret;
use crate::error::{Error, Exit, Result};
use crate::provider::{Country, ProviderKind};
use crate::time::Duration;
use given::{Given, Taken, read_value};
use lexopt::Arg;
use std::ffi::OsString;
use std::path::PathBuf;

/// Everything argv said.
#[derive(Clone, Debug, PartialEq)]
pub struct Invocation {
    pub global: Global,
    pub command: Command,
}

/// Flags of every command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Global {
    pub config_dir: Option<PathBuf>,
    /// How often `-v` was given.
    pub verbose: u8,
    pub quiet: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Init(Box<Init>),
    Connect(Connect),
    Disconnect {
        ks: Option<bool>,
    },
    Status {
        json: bool,
        check: bool,
    },
    List {
        filter: Filter,
        json: bool,
    },
    Killswitch {
        what: Killswitch,
        yes: bool,
    },
    Check {
        json: bool,
        drop: bool,
        yes: bool,
    },
    Doctor {
        bundle: Option<PathBuf>,
    },
    Logout {
        provider: Option<ProviderKind>,
    },
    /// `help`, or `--help` anywhere: the page of this command, or the first page.
    Help(Option<&'static spec::Command>),
    Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Killswitch {
    On,
    Off,
    Status,
    /// For the boot service; see [`spec::RESTORE`].
    Restore,
    /// For udev; see [`spec::COVER`].
    Cover,
}

/// Which servers are asked for. `None` and `false` leave it to `config.ini`; an empty list or text means "any".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub provider: Option<ProviderKind>,
    pub cc: Option<Vec<Country>>,
    pub city: Option<String>,
    pub secure_core: bool,
    pub p2p: bool,
    pub fastest: Option<Fastest>,
    /// Percent of load.
    pub threshold: Option<u8>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connect {
    pub filter: Filter,
    pub latency_cutoff: Option<Duration>,
    pub server: Option<String>,
    pub dns: Option<bool>,
    pub ks: Option<bool>,
    pub foreground: bool,
    pub yes: bool,
}

/// A secret flag's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretArg {
    Given(Secret),
    /// `-`: a line of standard input.
    Stdin,
}

impl SecretArg {
    /// The secret, once [`Init::read_stdin`] has run.
    pub fn secret(&self) -> Option<&Secret> {
        match self {
            SecretArg::Given(secret) => Some(secret),
            SecretArg::Stdin => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtonLogin {
    Password,
    Code,
}

/// `init`: chosen parts (all false: all), and the answers given by flags.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Init {
    pub proton: bool,
    pub pia: bool,
    pub qb: bool,
    pub network: bool,
    pub proton_login: Option<ProtonLogin>,
    pub proton_user: Option<String>,
    pub wireguard_port: Option<u16>,
    pub session_dir: Option<PathBuf>,
    pub pia_user: Option<String>,
    pub pia_region: Option<Vec<String>>,
    pub qb_enable: Option<bool>,
    pub qb_url: Option<String>,
    pub qb_user: Option<String>,
    pub ks_default: Option<bool>,
    pub dns_default: Option<bool>,
    pub threshold_default: Option<u8>,
    pub lan: Option<Vec<IpNet>>,
    pub non_interactive: bool,
    /// Secret flags by their long name, in the order they were given.
    pub secrets: Vec<(&'static str, SecretArg)>,
    /// Flags that answer for a part which was not chosen, by their long names.
    pub idle: Vec<&'static str>,
}

impl Init {
    /// Replaces each `-` by a line from `line`, in the order of the flags.
    pub fn read_stdin(&mut self, mut line: impl FnMut() -> std::io::Result<String>) -> Result<()> {
        for (flag, value) in &mut self.secrets {
            if *value == SecretArg::Stdin {
                let text = line()
                    .map_err(|e| Error::from(e).context(format!("read --{flag} from standard input")))?;
                let text = zeroize::Zeroizing::new(text);
                let text = text.strip_suffix('\n').unwrap_or(&text);
                let text = text.strip_suffix('\r').unwrap_or(text);
                if text.is_empty() {
                    return Err(usage(format!("standard input has no line for --{flag}")));
                }
                *value = SecretArg::Given(Secret::new(text));
            }
        }
        Ok(())
    }

    /// The value of a secret flag, e.g. `proton-pass`.
    pub fn secret(&self, flag: &str) -> Option<&Secret> {
        self.secrets.iter().rev().find(|(f, _)| *f == flag).and_then(|(_, v)| v.secret())
    }
}

/// Parses the arguments behind the program's name.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Invocation> {
    let mut parser = lexopt::Parser::from_args(args);
    let mut given = Given::default();
    let mut global = Global::default();
    while let Some(arg) = parser.next().map_err(|e| usage(e.to_string()))? {
        let (long, short) = match arg {
            Arg::Value(word) => {
                given.word(word)?;
                continue;
            }
            Arg::Short('V') => {
                given.version = true;
                continue;
            }
            Arg::Long("version") => {
                given.version = true;
                continue;
            }
            Arg::Long(name) => (Some(name.to_owned()), None),
            Arg::Short(c) => (None, Some(c)),
        };
        let flag = given.flag(long.as_deref(), short)?;
        let value = match flag.takes {
            Some(kind) => Some(read_value(flag, kind, &mut parser)?),
            None => None,
        };
        match (flag.long, value) {
            ("help", _) => given.help = true,
            ("verbose", _) => global.verbose = global.verbose.saturating_add(1),
            ("quiet", _) => global.quiet = true,
            ("config-dir", Some(Taken::Value(Value::Text(dir)))) => {
                global.config_dir = Some(PathBuf::from(dir))
            }
            (long, value) => given.values.push((long, value)),
        }
    }
    Ok(Invocation { global, command: given.command()? })
}

fn usage(text: impl Into<String>) -> Error {
    Error::new(Exit::Usage, text)
}

#[cfg(test)]
mod tests;
