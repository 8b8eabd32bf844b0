//! How people name servers and places, and how they sort them.

use crate::provider::{ProviderKind, Server};
use std::cmp::Ordering;
use std::net::{IpAddr, SocketAddr};

/// Whether `name` names this server: its name, host name, id (a file's with or without `.conf`), region, or entry
/// address with or without port.
pub fn is_named(s: &Server, name: &str) -> bool {
    let stem = s.id.strip_suffix(".conf");
    let texts = [Some(s.name.as_str()), s.host.as_deref(), Some(s.id.as_str()), stem, s.region.as_deref()];
    if texts.into_iter().flatten().any(|t| t.eq_ignore_ascii_case(name)) {
        return true;
    }
    match s.endpoint.addr() {
        Some(entry) => name.parse::<IpAddr>() == Ok(entry.ip()) || name.parse::<SocketAddr>() == Ok(entry),
        None => {
            s.endpoint.to_string().rsplit_once(':').is_some_and(|(host, _)| host.eq_ignore_ascii_case(name))
        }
    }
}

pub fn is_in_city(s: &Server, city: &str) -> bool {
    let wanted = folded(city);
    let is_wanted = |t: &str| folded(t) == wanted;
    let is_pia = s.provider == ProviderKind::Pia;
    // PIA's places are regions, many named `DE Frankfurt`.
    let after_country =
        |place: &str| place.split_once(' ').is_some_and(|(cc, c)| cc.len() == 2 && is_wanted(c));
    s.city.as_deref().is_some_and(|c| is_wanted(c) || is_pia && after_country(c))
        || is_pia && (is_wanted(&s.name) || s.region.as_deref().is_some_and(is_wanted))
}

/// Letters and digits alone, lower case, without the accents of Latin-1: `São Paulo` is `sao-paulo`.
pub fn folded(text: &str) -> String {
    let fold = |c: char| match c {
        'à'..='å' => 'a',
        'ç' => 'c',
        'è'..='ë' => 'e',
        'ì'..='ï' => 'i',
        'ñ' => 'n',
        'ò'..='ö' | 'ø' => 'o',
        'ù'..='ü' => 'u',
        'ý' | 'ÿ' => 'y',
        other => other,
    };
    text.chars().flat_map(char::to_lowercase).filter(|c| c.is_alphanumeric()).map(fold).collect()
}

/// Names as people sort them: `NL#2` before `NL#12`.
pub fn natural(a: &str, b: &str) -> Ordering {
    let digits = |t: &str| t.bytes().take_while(u8::is_ascii_digit).count();
    let (mut a, mut b) = (a, b);
    loop {
        let (n, m) = (digits(a), digits(b));
        let order = if n > 0 && m > 0 {
            let (x, y) = (a[..n].trim_start_matches('0'), b[..m].trim_start_matches('0'));
            let order = x.len().cmp(&y.len()).then(x.cmp(y));
            (a, b) = (&a[n..], &b[m..]);
            order
        } else {
            let (mut x, mut y) = (a.chars(), b.chars());
            let (c, d) = (x.next(), y.next());
            if c.is_none() && d.is_none() {
                return Ordering::Equal;
            }
            (a, b) = (x.as_str(), y.as_str());
            c.cmp(&d)
        };
        if order.is_ne() {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_sort_by_value() {
        let mut names = ["NL#12", "NL#2", "NL", "CH#100", "NL#002b", "NL#2a"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["CH#100", "NL", "NL#2", "NL#2a", "NL#002b", "NL#12"]);
        assert_eq!(natural("é1", "é1"), Ordering::Equal);
    }

    #[test]
    fn places_are_alike_without_case_accents_and_signs() {
        assert_eq!(folded("São Paulo"), folded("sao-paulo"));
        assert_eq!(folded("ZÜRICH"), "zurich");
        assert_ne!(folded("London"), folded("Londonderry"));
    }
}
