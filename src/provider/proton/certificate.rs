//! The key of this machine and its certificate: the API signs the Ed25519 public key in persistent mode, with port
//! forwarding in its features, and every server of the plan then takes the X25519 key derived from the same seed.
//! One key serves all servers, one tunnel at a time. A renewal keeps the key, so `.conf` files stay good
//! (ProtonMail/WebClients `containers/vpn/WireGuardConfigurationSection`, hatemosphere/protonvpn-wg-confgen).

use super::keys::Seed;
use crate::time::UnixTime;
use crate::wire::json::{Value, quote};
use zeroize::Zeroizing;

/// A year, the longest a persistent certificate lives (confgen `API_REFERENCE.md`, measured).
const DURATION: &str = "525600 min";
/// Renewed this long before its end where the API names no time; a quarter of a shorter life. Chosen: a Pi that is
/// off for a holiday still comes back in time.
const RENEW_AHEAD_SECS: u64 = 30 * 86_400;
/// A certificate that ends within this is a problem; chosen.
const SOON_SECS: u64 = 7 * 86_400;
/// The account page's limit of `DeviceName`.
const DEVICE_NAME_MOST: usize = 100;

/// What the certificate is asked to allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wishes {
    pub netshield: u8,
    pub vpn_accelerator: bool,
    pub port_forwarding: bool,
}

/// What is known of the certificate the API gave; its text is of no use to plain WireGuard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    pub wishes: Wishes,
    /// Whether the reply says that ports are forwarded; `None` where it says nothing.
    pub forwards: Option<bool>,
    pub issued_at: UnixTime,
    pub renew_at: UnixTime,
    pub expires_at: UnixTime,
}

impl Certificate {
    /// Reads the reply of `/vpn/v1/certificate`.
    pub fn parse(reply: &Value, wishes: Wishes, wall: UnixTime) -> Option<Certificate> {
        let expires_at = UnixTime(reply.at("ExpirationTime").number()?);
        let life = expires_at.0.saturating_sub(wall.0);
        let ahead = expires_at.0 - RENEW_AHEAD_SECS.min(life / 4).min(expires_at.0);
        let named = reply.at("RefreshTime").number().filter(|at| *at > wall.0 && *at < expires_at.0);
        // In responses an object with either spelling of its keys, or an empty array.
        let features = reply.at("Features");
        let forwards =
            features.at("port-forwarding").truth().or_else(|| features.at("PortForwarding").truth());
        let renew_at = UnixTime(named.unwrap_or(ahead));
        Some(Certificate { wishes, forwards, issued_at: wall, renew_at, expires_at })
    }

    /// Whether servers take the key. A wall clock from before its issue is wrong and tells nothing.
    pub fn is_alive(&self, wall: UnixTime) -> bool {
        wall < self.issued_at || wall < self.expires_at
    }

    /// Whether it is time to tell a person that it was not renewed: half of the time there is for that has passed.
    pub fn ends_soon(&self, wall: UnixTime) -> bool {
        let left = self.expires_at.0.saturating_sub(self.renew_at.0) / 2;
        wall.0 >= self.expires_at.0.saturating_sub(left.min(SOON_SECS))
    }

    pub fn is_due(&self, wall: UnixTime) -> bool {
        wall >= self.renew_at
    }
}

/// `key.json`: whose key it is, the seed, and the certificate where there is one.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyFile {
    pub user: String,
    pub seed: Seed,
    pub certificate: Option<Certificate>,
}

impl KeyFile {
    pub fn emit(&self) -> Zeroizing<String> {
        let mut out = Zeroizing::new(String::with_capacity(512));
        out.push_str("{\"version\":1,\"user\":");
        quote(&mut out, &self.user);
        out.push_str(",\"seed\":");
        quote(&mut out, self.seed.reveal_text().reveal());
        if let Some(c) = &self.certificate {
            let w = c.wishes;
            out.push_str(&format!(
                ",\"certificate\":{{\"netshield\":{},\"vpn_accelerator\":{},\"port_forwarding\":{}",
                w.netshield, w.vpn_accelerator, w.port_forwarding
            ));
            if let Some(forwards) = c.forwards {
                out.push_str(&format!(",\"forwards\":{forwards}"));
            }
            let (issued, renew, expires) = (c.issued_at.0, c.renew_at.0, c.expires_at.0);
            out.push_str(&format!(",\"issued_at\":{issued},\"renew_at\":{renew},\"expires_at\":{expires}}}"));
        }
        out.push_str("}\n");
        out
    }

    pub fn read(file: &Value) -> Option<KeyFile> {
        let c = file.at("certificate");
        let time = |key| c.at(key).number().map(UnixTime);
        let certificate = || {
            Some(Certificate {
                wishes: Wishes {
                    netshield: u8::try_from(c.at("netshield").number()?).ok()?,
                    vpn_accelerator: c.at("vpn_accelerator").truth()?,
                    port_forwarding: c.at("port_forwarding").truth()?,
                },
                forwards: c.at("forwards").truth(),
                issued_at: time("issued_at")?,
                renew_at: time("renew_at")?,
                expires_at: time("expires_at")?,
            })
        };
        Some(KeyFile {
            user: file.at("user").text()?.to_owned(),
            seed: Seed::parse(file.at("seed").text()?)?,
            certificate: certificate(),
        })
    }
}

/// The body of the request. `RandomNAT` is inverted: true is strict NAT, which forwarding needs.
pub fn request(pem: &str, device: &str, wishes: Wishes, renew: bool) -> String {
    let mut out = String::from("{\"ClientPublicKey\":");
    quote(&mut out, pem);
    out.push_str(",\"ClientPublicKeyMode\":\"EC\",\"Mode\":\"persistent\",\"DeviceName\":");
    quote(&mut out, &device.chars().take(DEVICE_NAME_MOST).collect::<String>());
    out.push_str(&format!(
        ",\"Duration\":\"{DURATION}\",{}\"Features\":{{\"NetShieldLevel\":{},\"RandomNAT\":true,\"SplitTCP\":{},\"PortForwarding\":{}}}}}",
        if renew { "\"Renew\":true," } else { "" },
        wishes.netshield,
        wishes.vpn_accelerator,
        wishes.port_forwarding
    ));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const WISHES: Wishes = Wishes { netshield: 1, vpn_accelerator: true, port_forwarding: true };

    fn parse(text: &str, wall: u64) -> Option<Certificate> {
        Certificate::parse(&Value::parse(text.as_bytes()).unwrap(), WISHES, UnixTime(wall))
    }

    #[test]
    fn the_apis_own_time_of_renewal_is_kept() {
        let text = r#"{"Code":1000,"ExpirationTime":1800000000,"RefreshTime":1797000000,"Features":{"port-forwarding":true}}"#;
        let c = parse(text, 1_790_000_000).unwrap();
        assert_eq!((c.renew_at, c.expires_at), (UnixTime(1_797_000_000), UnixTime(1_800_000_000)));
        assert_eq!(c.forwards, Some(true));
        assert!(!c.is_due(UnixTime(1_796_999_999)) && c.is_due(UnixTime(1_797_000_000)));
    }

    #[test]
    fn without_one_it_is_a_month_or_a_quarter_of_its_life_ahead() {
        let year = parse(r#"{"ExpirationTime":31536000,"Features":[]}"#, 0).unwrap();
        assert_eq!(year.renew_at, UnixTime(31_536_000 - 30 * 86_400));
        let hour =
            parse(r#"{"ExpirationTime":1003600,"RefreshTime":5,"Features":{"PortForwarding":1}}"#, 1_000_000);
        assert_eq!(hour.unwrap().renew_at, UnixTime(1_002_700));
        assert!(parse(r#"{"ExpirationTime":null}"#, 0).is_none());
    }

    #[test]
    fn forwarding_is_read_in_every_spelling() {
        for (features, forwards) in [
            (r#"{"port-forwarding":true}"#, Some(true)),
            (r#"{"PortForwarding":0}"#, Some(false)),
            (r#"{"PortForwarding":"1"}"#, Some(true)),
            ("[]", None),
            ("{}", None),
        ] {
            let c = parse(&format!("{{\"ExpirationTime\":10,\"Features\":{features}}}"), 0).unwrap();
            assert_eq!(c.forwards, forwards, "{features}");
        }
    }

    #[test]
    fn a_certificate_lives_until_its_end_and_the_last_week_is_a_problem() {
        let c = parse(r#"{"ExpirationTime":2000}"#, 1000).unwrap();
        assert!(c.is_alive(UnixTime(1999)) && !c.is_alive(UnixTime(2000)));
        assert!(c.is_alive(UnixTime(0)), "a clock that was not set yet");
        assert!(!c.ends_soon(UnixTime(1874)) && c.ends_soon(UnixTime(1875)), "half of its last quarter");
        let year = parse(r#"{"ExpirationTime":31536000}"#, 0).unwrap();
        assert!(!year.ends_soon(UnixTime(358 * 86_400 - 1)) && year.ends_soon(UnixTime(358 * 86_400)));
    }

    #[test]
    fn the_key_file_reads_back() {
        let certificate = parse(r#"{"ExpirationTime":2000,"Features":{"port-forwarding":false}}"#, 1000);
        for certificate in [None, certificate] {
            let file = KeyFile { user: "a\"b".to_owned(), seed: Seed::new([7; 32]), certificate };
            let again = KeyFile::read(&Value::parse(file.emit().as_bytes()).unwrap());
            assert!(again == Some(file));
        }
    }

    #[test]
    fn the_request_is_the_one_of_the_download_page() {
        let body = request("-----BEGIN\nX\n", "pvpn", WISHES, true);
        let v = Value::parse(body.as_bytes()).unwrap();
        assert_eq!(v.at("ClientPublicKey").text(), Some("-----BEGIN\nX\n"));
        assert_eq!(v.at("Mode").text(), Some("persistent"));
        assert!(
            v.at("Renew").truth() == Some(true) && v.at("Features").at("RandomNAT").truth() == Some(true)
        );
        assert_eq!(v.at("Features").at("NetShieldLevel").number(), Some(1));
        assert!(!request("", "", WISHES, false).contains("Renew"));
    }
}
