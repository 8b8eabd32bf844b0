//! What was seen of argv while it is read, and the typed command made of it at the end.

use super::{Command, Connect, Filter, Init, Killswitch, ProtonLogin, SecretArg, spec, usage};
use crate::config::Fastest;
use crate::config::keys::{Kind, Value};
use crate::error::Result;
use crate::time::millis;
use std::ffi::OsString;
use std::path::PathBuf;

/// A flag's value as it was taken from argv.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Taken {
    Value(Value),
    Stdin,
}

pub(super) fn read_value(flag: &spec::Flag, kind: Kind, parser: &mut lexopt::Parser) -> Result<Taken> {
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
pub(super) struct Given {
    command: Option<&'static spec::Command>,
    /// `pvpn help`, and the command behind it.
    asks_help: bool,
    word: Option<&'static str>,
    pub(super) values: Vec<(&'static str, Option<Taken>)>,
    pub(super) help: bool,
    pub(super) version: bool,
}

impl Given {
    pub(super) fn word(&mut self, word: OsString) -> Result<()> {
        let text = word.to_string_lossy();
        match self.command {
            None if text == "help" => self.asks_help = true,
            None => {
                let all = spec::COMMANDS.iter().map(|c| c.name).collect::<Vec<_>>().join(", ");
                let found = spec::find(&text);
                self.command = Some(
                    found.ok_or_else(|| usage(format!("unknown command '{text}'; there are {all}, help")))?,
                );
            }
            Some(command) => match command.word {
                Some((_, allowed)) if self.word.is_none() && !self.asks_help => {
                    let hidden = [spec::RESTORE, spec::COVER];
                    let hidden = hidden.iter().filter(|_| command.name == "killswitch");
                    let found = allowed.iter().chain(hidden).find(|w| **w == text);
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

    pub(super) fn flag(&self, long: Option<&str>, short: Option<char>) -> Result<&'static spec::Flag> {
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
                .map(|f| f.long)
                .chain(["version"])
                .map(|long| format!("--{long}"))
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

    pub(super) fn command(&self) -> Result<Command> {
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
            Some(spec::RESTORE) => Ok(Killswitch::Restore),
            Some(spec::COVER) => Ok(Killswitch::Cover),
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
            idle: self.idle(),
        }
    }

    /// Flags of parts that are left alone, since others were chosen.
    fn idle(&self) -> Vec<&'static str> {
        let given = self.values.iter().map(|(long, _)| *long);
        if !["proton", "pia", "qb", "network"].iter().any(|part| self.has(part)) {
            return Vec::new();
        }
        given.filter(|long| part_of(long).is_some_and(|part| !self.has(part))).collect()
    }
}

/// The part of `init` that a flag answers a question of.
fn part_of(long: &str) -> Option<&'static str> {
    match long {
        "wireguard-port" | "session-dir" => Some("proton"),
        "ks-default" | "dns-default" | "threshold-default" | "lan" => Some("network"),
        _ => ["proton", "pia", "qb"]
            .into_iter()
            .find(|part| long.strip_prefix(part).is_some_and(|r| r.starts_with('-'))),
    }
}

fn secret_arg((long, taken): &(&'static str, Option<Taken>)) -> Option<(&'static str, SecretArg)> {
    match taken {
        Some(Taken::Stdin) => Some((long, SecretArg::Stdin)),
        Some(Taken::Value(Value::Secret(secret))) => Some((long, SecretArg::Given(secret.clone()))),
        _ => None,
    }
}
