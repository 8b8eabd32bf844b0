//! The commands, flags and words of pvpn as data: the parser, `--help`, the man page and the completions are all made
//! from these tables, so they cannot disagree.

use crate::config::keys::Kind;

/// One flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag {
    pub long: &'static str,
    pub short: Option<char>,
    /// Another long spelling.
    pub also: Option<&'static str>,
    /// `None`: a switch.
    pub takes: Option<Kind>,
    /// How the value is called in the help; empty for a switch.
    pub value: &'static str,
    pub help: &'static str,
}

/// One command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    pub name: &'static str,
    pub alias: Option<&'static str>,
    /// A word it needs after its name, with what is allowed.
    pub word: Option<(&'static str, &'static [&'static str])>,
    /// A line in the list of commands.
    pub summary: &'static str,
    /// Paragraphs of its own page.
    pub text: &'static [&'static str],
    pub flags: &'static [Flag],
    pub examples: &'static [Example],
    /// Exit codes with a meaning of their own here.
    pub exits: &'static [(u8, &'static str)],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example {
    pub line: &'static str,
    pub says: &'static str,
}

const fn switch(long: &'static str, help: &'static str) -> Flag {
    Flag { long, short: None, also: None, takes: None, value: "", help }
}

const fn flag(long: &'static str, value: &'static str, takes: Kind, help: &'static str) -> Flag {
    Flag { long, short: None, also: None, takes: Some(takes), value, help }
}

impl Flag {
    const fn short(self, short: char) -> Flag {
        Flag { short: Some(short), ..self }
    }

    const fn also(self, also: &'static str) -> Flag {
        Flag { also: Some(also), ..self }
    }

    /// Whether its value is read from standard input for `-`, and wiped from argv.
    pub fn is_secret(&self) -> bool {
        self.takes == Some(Kind::Secret)
    }
}

const PERCENT: Kind = Kind::Number { min: 1, max: 100 };
const PROVIDERS: Kind = Kind::Word(&["proton", "pia", "file"]);

/// Flags that count before and after the command.
pub const GLOBAL: &[Flag] = &[
    flag(
        "config-dir",
        "DIR",
        Kind::Path,
        "where config.ini and keys are (PVPN_CONFIG_DIR; ~/.pvpn-cli/pvpn)",
    ),
    switch("verbose", "show decisions; twice: packets").short('v'),
    switch("quiet", "show errors alone").short('q'),
    switch("help", "show help").short('h'),
];

const PROVIDER: Flag =
    flag("provider", "NAME", PROVIDERS, "proton, pia, or file for wireguard/*.conf; else the configured one");
const CC: Flag =
    flag("cc", "CC", Kind::Countries, "country, two letters; or several in order of preference: NL,CH")
        .short('c')
        .also("country");
const CITY: Flag = flag("city", "NAME", Kind::Text, "only servers in this city");
const SC: Flag = switch("sc", "only Secure Core servers").also("securecore");
const P2P: Flag = switch("p2p", "only servers that forward ports");
const FASTEST: Flag = flag(
    "fastest",
    "HOW",
    Kind::Word(&["ping", "api"]),
    "ping measures round trips, api trusts the provider's numbers",
)
.short('f');
const THRESHOLD: Flag =
    flag("threshold", "PERCENT", PERCENT, "leave out servers with more load than this (1..100)").short('t');
const JSON: Flag = switch("json", "one JSON text for programs");

const INIT: &[Flag] = &[
    switch("proton", "ask about Proton VPN only"),
    switch("pia", "ask about Private Internet Access only"),
    switch("qb", "ask about qBittorrent only"),
    switch("network", "ask about the kill switch, DNS and the LAN only"),
    flag(
        "proton-login",
        "HOW",
        Kind::Word(&["password", "code"]),
        "by password, or by a code approved on another device",
    ),
    flag("proton-user", "NAME", Kind::Text, "Proton user name"),
    flag("proton-pass", "PASS", Kind::Secret, "Proton password; - reads a line of standard input"),
    flag("proton-2fa", "CODE", Kind::Secret, "second-factor code; - reads a line of standard input"),
    flag("wireguard-port", "PORT", Kind::Number { min: 1, max: 65535 }, "the endpoint's port (51820)"),
    flag("session-dir", "DIR", Kind::Path, "where the Proton session lives"),
    flag("pia-user", "NAME", Kind::Text, "PIA user name"),
    flag("pia-pass", "PASS", Kind::Secret, "PIA password; - reads a line of standard input"),
    flag("pia-region", "LIST", Kind::List, "regions in order of preference"),
    flag("qb-enable", "BOOL", Kind::Bool, "whether qBittorrent is told the port"),
    flag("qb-url", "URL", Kind::Url, "the WebUI's address"),
    flag("qb-user", "NAME", Kind::Text, "the WebUI's user name"),
    flag("qb-pass", "PASS", Kind::Secret, "the WebUI's password; - reads a line of standard input"),
    flag("qb-api-key", "KEY", Kind::Secret, "the WebUI's API key; - reads a line of standard input"),
    flag("ks-default", "BOOL", Kind::Bool, "whether connect closes the kill switch"),
    flag("dns-default", "BOOL", Kind::Bool, "whether connect uses the provider's resolver"),
    flag("threshold-default", "PERCENT", PERCENT, "load above which servers are left out"),
    flag("lan", "NETS", Kind::Nets, "networks that stay reachable, comma separated"),
    switch("non-interactive", "never ask"),
];

/// All commands, in the order people meet them.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "init",
        alias: None,
        word: None,
        summary: "ask a few questions and write config.ini",
        text: &[
            "Asks about the provider, qBittorrent and the network, checks the answers (the login is tried, the \
             WebUI reached) and writes config.ini. Part flags choose what is asked; what was not chosen stays as \
             it is, comments and order of the file included. A flag that answers a question saves the asking; \
             with --non-interactive nothing is asked at all.",
            "A password given as a flag is wiped from the process list at once. The value - reads one line of \
             standard input instead, in the order of the flags.",
        ],
        flags: INIT,
        examples: &[
            Example { line: "pvpn init", says: "everything, asked in turn" },
            Example {
                line: "pvpn init --proton --proton-login code",
                says: "log in by a code, without a password",
            },
            Example {
                line: "pvpn init --pia --pia-user p1234567 --pia-pass - --non-interactive < pass",
                says: "from a script",
            },
        ],
        exits: &[(10, "the login was refused"), (13, "the provider's API cannot be reached")],
    },
    Command {
        name: "connect",
        alias: Some("c"),
        word: None,
        summary: "bring the tunnel up, hold the port, tell qBittorrent",
        text: &[
            "Chooses a server, brings WireGuard up, holds the forwarded port and tells qBittorrent about it; \
             returns when traffic flows. A process stays behind that keeps it so. What no flag says comes from \
             config.ini. A healthy connection that meets the request stays; else the server is switched, without \
             a gap in the kill switch.",
            "--ks false does not close the kill switch, but does not open a closed one either: that is \
             `pvpn killswitch off` or `pvpn disconnect --ks false`.",
        ],
        flags: &[
            PROVIDER,
            CC,
            CITY,
            SC,
            P2P,
            FASTEST,
            THRESHOLD,
            flag(
                "latency-cutoff",
                "MS",
                Kind::Number { min: 1, max: 60_000 },
                "stop measuring at the first server faster than this",
            )
            .short('l'),
            flag("dns", "BOOL", Kind::Bool, "use the provider's resolver"),
            flag("ks", "BOOL", Kind::Bool, "close the kill switch"),
            flag("server", "NAME", Kind::Text, "this server: its name, host name or entry address"),
            switch("foreground", "stay here and keep the connection (for services)"),
            switch("yes", "do not ask before closing the kill switch on a remote session"),
        ],
        examples: &[
            Example { line: "pvpn connect --cc NL --p2p", says: "the fastest Dutch server with a port" },
            Example { line: "pvpn c --ks true", says: "and nothing leaves beside the tunnel" },
            Example { line: "pvpn connect --provider file --server NL#12", says: "a .conf from wireguard/" },
        ],
        exits: &[
            (0, "traffic flows; the port is held or known to be unavailable"),
            (4, "connected, but qBittorrent was not told within 10 s"),
            (10, "the login was refused"),
            (11, "no server matches"),
            (12, "connected, but no port was granted in 30 s; asking goes on"),
            (13, "the provider's API cannot be reached"),
            (14, "the server does not answer"),
        ],
    },
    Command {
        name: "disconnect",
        alias: Some("d"),
        word: None,
        summary: "take the tunnel away",
        text: &[
            "Takes the tunnel, its routes and its DNS away. The kill switch stays as it is unless --ks says \
                 otherwise; the last line says which.",
        ],
        flags: &[flag("ks", "BOOL", Kind::Bool, "false opens the machine, true leaves it closed")],
        examples: &[
            Example { line: "pvpn disconnect", says: "a closed kill switch stays closed" },
            Example { line: "pvpn d --ks false", says: "everything as it was before connect" },
        ],
        exits: &[(0, "done, also when there was no tunnel")],
    },
    Command {
        name: "status",
        alias: Some("s"),
        word: None,
        summary: "say in one line how it is, then in detail",
        text: &[
            "Shows the connection, the port and what is wrong. Needs no root. Works when the background \
                 process is dead: it then reads the kernel and the last snapshot, and says so.",
        ],
        flags: &[JSON, switch("check", "print nothing, only the exit code")],
        examples: &[
            Example { line: "pvpn status", says: "for people" },
            Example { line: "pvpn status --json | jq .port.number", says: "for programs" },
            Example { line: "pvpn s --check || mail -s vpn me", says: "for cron" },
        ],
        exits: &[
            (0, "connected and healthy"),
            (3, "disconnected"),
            (4, "connected, with problems"),
            (5, "blocked: kill switch closed, no tunnel"),
            (6, "connecting"),
        ],
    },
    Command {
        name: "list",
        alias: None,
        word: None,
        summary: "list servers",
        text: &[
            "Prints a table on a terminal and tab-separated columns without header into a pipe: NAME COUNTRY \
                 CITY FEATURES LOAD ENDPOINT RTT; sorted by name, with --fastest api by the provider's score, \
                 with --fastest ping by measured round trip. Unknown is -.",
        ],
        flags: &[PROVIDER, CC, CITY, SC, P2P, FASTEST, THRESHOLD, JSON],
        examples: &[
            Example { line: "pvpn list --cc NL,CH --p2p", says: "what connect may choose from" },
            Example { line: "pvpn list --cc SE --fastest ping", says: "measured, fastest first" },
        ],
        exits: &[(11, "no server matches")],
    },
    Command {
        name: "killswitch",
        alias: None,
        word: Some(("WHAT", &["on", "off", "status"])),
        summary: "close or open the machine, tunnel or not",
        text: &[
            "on closes every way out but the tunnel and the LAN, with or without a tunnel, and keeps it so \
                 over a reboot where the boot service is installed. off opens the machine. status prints on or \
                 off and needs no root.",
        ],
        flags: &[switch("yes", "do not ask before closing it on a remote session")],
        examples: &[
            Example { line: "pvpn killswitch on", says: "nothing leaves" },
            Example { line: "pvpn killswitch status", says: "on or off" },
        ],
        exits: &[(3, "status: off")],
    },
    Command {
        name: "check",
        alias: None,
        word: None,
        summary: "prove the promises from inside",
        text: &["What address the world sees, which resolver answers, IPv6, a socket bound to the physical \
                 interface, the forwarded port: each line ok, failed or unknown with its reason."],
        flags: &[
            JSON,
            switch("drop", "take the tunnel's traffic away for five seconds and show that nothing gets out"),
            switch("yes", "do not ask before --drop"),
        ],
        examples: &[Example { line: "pvpn check", says: "is anything leaking?" }],
        exits: &[(0, "nothing found"), (3, "disconnected"), (4, "something found")],
    },
    Command {
        name: "doctor",
        alias: None,
        word: None,
        summary: "find what is wrong and say what to do",
        text: &[
            "Looks at the kernel, capabilities, clock, other VPNs and firewalls, MTU, LAN and qBittorrent, \
                 offline where it can.",
        ],
        flags: &[flag(
            "bundle",
            "FILE",
            Kind::Path,
            "write a report for a bug, secrets and addresses left out",
        )],
        examples: &[Example { line: "pvpn doctor --bundle report.txt", says: "something to send along" }],
        exits: &[(0, "nothing found"), (4, "something found")],
    },
    Command {
        name: "logout",
        alias: None,
        word: None,
        summary: "end the provider's session, there and here",
        text: &[
            "Ends the session at the provider and removes its tokens from this machine. The password in \
                 config.ini stays.",
        ],
        flags: &[flag("provider", "NAME", Kind::Word(&["proton", "pia"]), "which; else the configured one")],
        examples: &[Example { line: "pvpn logout --provider proton", says: "revokes the tokens" }],
        exits: &[],
    },
];

/// Every exit code with its meaning (`product.md`, Commands).
pub const EXITS: &[(u8, &str)] = &[
    (0, "done; status: connected and healthy; check, doctor: nothing found"),
    (1, "failed"),
    (2, "usage"),
    (3, "disconnected (status, check); killswitch status: off"),
    (
        4,
        "connected, with problems; check, doctor: something found; connect: qBittorrent not told within 10 s",
    ),
    (5, "blocked: kill switch closed, no tunnel"),
    (6, "connecting"),
    (10, "login refused"),
    (11, "no server matches"),
    (12, "connected, but no port was granted in 30 s; asking goes on"),
    (13, "the provider's API is unreachable or failing"),
    (14, "the server does not answer"),
    (77, "not permitted: not root"),
    (78, "bad configuration"),
    (130, "interrupted"),
];

/// Files worth knowing, for the man page.
pub const FILES: &[(&str, &str)] = &[
    ("~/.pvpn-cli/pvpn/config.ini", "settings, mode 0600"),
    ("~/.pvpn-cli/pvpn/wireguard/*.conf", "servers of --provider file"),
    ("~/.pvpn-cli/pvpn/pvpn.log", "the log, turned over by size"),
    ("/run/pvpn/status.json", "the last snapshot, readable by all"),
    ("/run/pvpn/forwarded_port", "the forwarded port: one number and a newline, absent while there is none"),
    ("/var/lib/pvpn/", "what outlives a reboot"),
];

/// Words of `killswitch` for the boot service and for udev alone: no page names them.
pub const RESTORE: &str = "restore";
pub const COVER: &str = "cover";

/// The command of this name or alias.
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|c| c.name == name || c.alias == Some(name))
}

/// The long names of all flags whose values are wiped from argv.
pub fn secret_flags() -> impl Iterator<Item = &'static str> + Clone {
    COMMANDS.iter().flat_map(|c| c.flags).filter(|f| f.is_secret()).map(|f| f.long)
}
