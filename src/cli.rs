//! The command line as a value. Parsing argv does nothing else: no file is opened, no line read, nothing printed.
//! What there is to say stands in the tables of `cli/spec.rs`; an unknown flag or a bad value is one line that says
//! which and what is allowed, exit 2.

pub mod complete;
pub mod help;
pub mod man;
pub mod spec;

use crate::address::IpNet;
use crate::config::Fastest;
use crate::config::keys::{Kind, Value};
use crate::config::secret::Secret;
use crate::error::{Error, Exit, Result};
use crate::provider::{Country, ProviderKind};
use crate::time::{Duration, millis};
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

/// A flag's value as it was taken from argv.
#[derive(Clone, Debug, PartialEq)]
enum Taken {
    Value(Value),
    Stdin,
}

fn read_value(flag: &spec::Flag, kind: Kind, parser: &mut lexopt::Parser) -> Result<Taken> {
    let allowed = kind.allowed();
    let value = parser.value().map_err(|_| usage(format!("--{} needs a value: {allowed}", flag.long)))?;
    let text =
        value.into_string().map_err(|_| usage(format!("the value of --{} is not UTF-8 text", flag.long)))?;
    if kind == Kind::Secret && text == "-" {
        return Ok(Taken::Stdin);
    }
    kind.parse(&text)
        .map(Taken::Value)
        .ok_or_else(|| usage(format!("--{} cannot be '{text}'; it must be {allowed}", flag.long)))
}

/// What was seen so far.
#[derive(Default)]
struct Given {
    command: Option<&'static spec::Command>,
    /// `pvpn help`, and the command behind it.
    asks_help: bool,
    word: Option<&'static str>,
    values: Vec<(&'static str, Option<Taken>)>,
    help: bool,
    version: bool,
}

impl Given {
    fn word(&mut self, word: OsString) -> Result<()> {
        let text = word.to_string_lossy();
        match self.command {
            None if text == "help" && !self.asks_help => self.asks_help = true,
            None => {
                let all = spec::COMMANDS.iter().map(|c| c.name).collect::<Vec<_>>().join(", ");
                let found = spec::find(&text);
                self.command = Some(
                    found.ok_or_else(|| usage(format!("unknown command '{text}'; there are {all}, help")))?,
                );
            }
            Some(command) => match command.word {
                Some((_, allowed)) if self.word.is_none() && !self.asks_help => {
                    let found = allowed.iter().find(|w| **w == text);
                    self.word = Some(found.ok_or_else(|| {
                        usage(format!(
                            "'{} {text}' is unknown; there are {}",
                            command.name,
                            allowed.join(", ")
                        ))
                    })?);
                }
                // A password with a blank in it may have come apart: such a word is not repeated.
                _ if command.flags.iter().any(spec::Flag::is_secret) => {
                    return Err(usage(format!("{} takes flags alone, not a word without one", command.name)));
                }
                _ => return Err(usage(format!("unexpected argument '{text}' after {}", command.name))),
            },
        }
        Ok(())
    }

    fn flag(&self, long: Option<&str>, short: Option<char>) -> Result<&'static spec::Flag> {
        let own = self.command.map_or(&[][..], |c| c.flags);
        let is = |f: &&spec::Flag| match (long, short) {
            (Some(name), _) => f.long == name || f.also == Some(name),
            (None, c) => f.short.is_some() && f.short == c,
        };
        own.iter().chain(spec::GLOBAL).find(is).ok_or_else(|| {
            let name = long.map_or_else(|| format!("-{}", short.unwrap_or('?')), |l| format!("--{l}"));
            let allowed = own
                .iter()
                .chain(spec::GLOBAL)
                .map(|f| format!("--{}", f.long))
                .collect::<Vec<_>>()
                .join(", ");
            let place =
                self.command.map_or_else(|| "before a command".to_owned(), |c| format!("for {}", c.name));
            usage(format!("unknown flag {name} {place}; there are {allowed}"))
        })
    }

    fn has(&self, long: &str) -> bool {
        self.values.iter().any(|(l, _)| *l == long)
    }

    /// The last value given for a flag.
    fn value(&self, long: &str) -> Option<&Value> {
        self.values.iter().rev().find(|(l, _)| *l == long).and_then(|(_, v)| match v {
            Some(Taken::Value(value)) => Some(value),
            _ => None,
        })
    }

    fn text(&self, long: &str) -> Option<String> {
        match self.value(long) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    fn bool(&self, long: &str) -> Option<bool> {
        match self.value(long) {
            Some(Value::Bool(b)) => Some(*b),
            _ => None,
        }
    }

    /// The bounds of the flag's kind make the conversion hold.
    fn number<T: TryFrom<u64>>(&self, long: &str) -> Option<T> {
        match self.value(long) {
            Some(Value::Number(n)) => T::try_from(*n).ok(),
            _ => None,
        }
    }

    fn command(&self) -> Result<Command> {
        if self.version {
            return Ok(Command::Version);
        }
        if self.help || self.asks_help {
            return Ok(Command::Help(self.command));
        }
        let Some(command) = self.command else {
            return Err(usage("which command? `pvpn help` lists them"));
        };
        Ok(match command.name {
            "init" => Command::Init(Box::new(self.init())),
            "connect" => Command::Connect(self.connect()),
            "disconnect" => Command::Disconnect { ks: self.bool("ks") },
            "status" => Command::Status { json: self.has("json"), check: self.has("check") },
            "list" => Command::List { filter: self.filter(), json: self.has("json") },
            "killswitch" => Command::Killswitch { what: self.killswitch()?, yes: self.has("yes") },
            "check" => {
                Command::Check { json: self.has("json"), drop: self.has("drop"), yes: self.has("yes") }
            }
            "doctor" => Command::Doctor { bundle: self.text("bundle").map(PathBuf::from) },
            _ => Command::Logout { provider: self.text("provider").and_then(|p| p.parse().ok()) },
        })
    }

    fn killswitch(&self) -> Result<Killswitch> {
        match self.word {
            Some("on") => Ok(Killswitch::On),
            Some("off") => Ok(Killswitch::Off),
            Some("status") => Ok(Killswitch::Status),
            _ => Err(usage("killswitch needs a word: on, off or status")),
        }
    }

    fn filter(&self) -> Filter {
        Filter {
            provider: self.text("provider").and_then(|p| p.parse().ok()),
            cc: match self.value("cc") {
                Some(Value::Countries(list)) => Some(list.clone()),
                _ => None,
            },
            city: self.text("city"),
            secure_core: self.has("sc"),
            p2p: self.has("p2p"),
            fastest: self.text("fastest").map(|f| if f == "api" { Fastest::Api } else { Fastest::Ping }),
            threshold: self.number("threshold"),
        }
    }

    fn connect(&self) -> Connect {
        Connect {
            filter: self.filter(),
            latency_cutoff: self.number("latency-cutoff").map(millis),
            server: self.text("server"),
            dns: self.bool("dns"),
            ks: self.bool("ks"),
            foreground: self.has("foreground"),
            yes: self.has("yes"),
        }
    }

    fn init(&self) -> Init {
        let login = |l: String| if l == "code" { ProtonLogin::Code } else { ProtonLogin::Password };
        Init {
            proton: self.has("proton"),
            pia: self.has("pia"),
            qb: self.has("qb"),
            network: self.has("network"),
            proton_login: self.text("proton-login").map(login),
            proton_user: self.text("proton-user"),
            wireguard_port: self.number("wireguard-port"),
            session_dir: self.text("session-dir").map(PathBuf::from),
            pia_user: self.text("pia-user"),
            pia_region: match self.value("pia-region") {
                Some(Value::List(list)) => Some(list.clone()),
                _ => None,
            },
            qb_enable: self.bool("qb-enable"),
            qb_url: self.text("qb-url"),
            qb_user: self.text("qb-user"),
            ks_default: self.bool("ks-default"),
            dns_default: self.bool("dns-default"),
            threshold_default: self.number("threshold-default"),
            lan: match self.value("lan") {
                Some(Value::Nets(list)) => Some(list.clone()),
                _ => None,
            },
            non_interactive: self.has("non-interactive"),
            secrets: self.values.iter().filter_map(secret_arg).collect(),
        }
    }
}

fn secret_arg((long, taken): &(&'static str, Option<Taken>)) -> Option<(&'static str, SecretArg)> {
    match taken {
        Some(Taken::Stdin) => Some((long, SecretArg::Stdin)),
        Some(Taken::Value(Value::Secret(secret))) => Some((long, SecretArg::Given(secret.clone()))),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
