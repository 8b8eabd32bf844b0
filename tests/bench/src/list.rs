//! A server list like Proton's, and two ways to read it.

use pvpn::provider::proton::servers::ServerList;
use serde::Deserialize;
use std::error::Error;
use std::fmt::Write as _;
use std::fs::File;
use std::hint::black_box;
use std::sync::OnceLock;

/// What Proton listed in 2026, rounded.
const SERVERS: usize = 18_000;
/// Bytes of the whole, as its API sends it.
const BODY: usize = 13_500_000;
/// For the count of instructions: callgrind is fifty times slower.
const FEW: usize = 500;

const PLACES: [(&str, &str); 8] = [
    ("NL", "Amsterdam"),
    ("CH", "Zurich"),
    ("US", "New York"),
    ("DE", "Frankfurt"),
    ("SE", "Stockholm"),
    ("JP", "Tokyo"),
    ("CA", "Montreal"),
    ("IS", "Reykjavik"),
];

/// `text` padded by its own number, so that each is another one.
fn padded(n: usize, length: usize) -> String {
    let mut text = String::new();
    let mut state = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while text.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push(char::from(b'A' + (state % 26) as u8));
    }
    text
}

fn body(servers: usize) -> String {
    let mut body = String::from(r#"{"Code":1000,"LogicalServers":["#);
    for n in 0..servers {
        let (country, city) = PLACES[n % PLACES.len()];
        let (id, physical, key) = (padded(n, 86), padded(n + SERVERS, 86), padded(n % 4_000, 42));
        let comma = if n == 0 { "" } else { "," };
        let (a, b) = (n / 250 % 250, n % 250);
        // Writing to a String cannot fail.
        let _ = write!(
            body,
            r#"{comma}{{"Name":"{country}#{n}","EntryCountry":"{country}","ExitCountry":"{country}","Domain":"node-{}.protonvpn.net","Tier":2,"Features":12,"Region":null,"City":"{city}","Score":{}.{:06},"HostCountry":null,"ID":"{id}==","Location":{{"Lat":52.370000000000005,"Long":4.9000000000000004}},"Status":1,"Servers":[{{"EntryIP":"185.{}.{a}.{b}","ExitIP":"185.{}.{a}.{b}","Domain":"node-{}.protonvpn.net","ID":"{physical}==","Label":"{}","X25519PublicKey":"{key}A=","Generation":0,"Status":1,"ServicesDown":0,"ServicesDownReason":null}}],"Load":{}}}"#,
            n / 4,
            1 + n % 3,
            n * 37 % 1_000_000,
            10 + n % 90,
            10 + n % 90,
            n / 4,
            n % 4,
            n % 100,
        );
    }
    body.push_str("]}");
    body
}

pub fn write_body(file: &str) -> std::io::Result<()> {
    let mut body = body(SERVERS);
    // As much white space as is missing: the count and the size are both those of the real list.
    let missing = BODY.saturating_sub(body.len());
    body.extend(std::iter::repeat_n(' ', missing));
    std::fs::write(file, body)
}

/// pvpn's own: as a stream, into tables.
pub fn read(file: &str) -> Result<ServerList, Box<dyn Error>> {
    let list = ServerList::parse(File::open(file)?).map_err(|e| format!("{e:?}"))?;
    assert_eq!(list.len(), SERVERS);
    Ok(list)
}

pub fn read_hot() -> Result<(), Box<dyn Error>> {
    static FEW_OF_THEM: OnceLock<String> = OnceLock::new();
    let body = FEW_OF_THEM.get_or_init(|| body(FEW));
    black_box(ServerList::parse(body.as_bytes()).map_err(|e| format!("{e:?}"))?);
    Ok(())
}

/// The fields that pvpn keeps, as serde programs keep them.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Reply {
    logical_servers: Vec<Logical>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(dead_code, reason = "read to be kept in memory")]
struct Logical {
    name: String,
    exit_country: String,
    host_country: Option<String>,
    domain: String,
    city: Option<String>,
    tier: u8,
    features: u16,
    score: f64,
    #[serde(rename = "ID")]
    id: String,
    status: u8,
    load: u8,
    servers: Vec<Physical>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[allow(dead_code, reason = "read to be kept in memory")]
struct Physical {
    #[serde(rename = "EntryIP")]
    entry_ip: String,
    #[serde(rename = "ExitIP")]
    exit_ip: String,
    #[serde(rename = "X25519PublicKey")]
    public_key: String,
    status: u8,
}

/// As most do it: the body, then the whole of it at once.
pub fn read_by_serde(file: &str) -> Result<Reply, Box<dyn Error>> {
    let reply: Reply = serde_json::from_slice(&std::fs::read(file)?)?;
    assert_eq!(reply.logical_servers.len(), SERVERS);
    Ok(reply)
}
