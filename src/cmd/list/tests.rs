use super::*;
use crate::config::load;
use crate::error::Exit;
use crate::provider::{Connection, Country, Endpoint, Features, ProviderKind};
use crate::time::millis;
use std::path::Path;

fn config() -> Config {
    let text =
        "[connect]\nfastest = ping\n[port_forwarding]\nenable = true\n[network]\nthreshold_default = 60\n";
    load::parse(text, Path::new("/c"), Path::new("/h")).unwrap()
}

fn server(name: &str, score: Option<f64>) -> Server {
    Server {
        provider: ProviderKind::Proton,
        id: name.to_owned(),
        name: name.to_owned(),
        host: None,
        country: Country::parse(&name[..2]),
        city: None,
        region: None,
        load: Some(90),
        score,
        features: Features { forwards: Some(false), ..Features::default() },
        endpoint: Endpoint::Addr("203.0.113.11:51820".parse().unwrap()),
        tcp_probe: None,
        exit_address: None,
    }
}

fn servers() -> [Server; 3] {
    [server("NL#12", Some(1.0)), server("NL#2", Some(2.0)), server("CH#1", None)]
}

/// A provider that lists these.
struct Fixed(Vec<Server>);

impl Provider for Fixed {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Proton
    }

    fn list_servers(&mut self, _: bool) -> Result<Vec<Server>> {
        Ok(self.0.clone())
    }

    fn open(&mut self, _: &Server) -> Result<Connection> {
        panic!("a list opens nothing")
    }
}

fn text_of(
    servers: &[Server],
    filter: &cli::Filter,
    shape: Shape,
    measure: &mut dyn FnMut(&[&Server]) -> Result<Vec<Measured>>,
) -> Result<String> {
    let listing = list(&mut Fixed(servers.to_vec()), filter, &config(), measure)?;
    let mut text = String::new();
    listing.emit(shape, &mut |piece| {
        text.push_str(piece);
        Ok::<_, Error>(())
    })?;
    Ok(text)
}

fn never(_: &[&Server]) -> Result<Vec<Measured>> {
    panic!("nothing was to be measured")
}

fn first_cells(text: &str) -> Vec<&str> {
    text.lines().map(|l| l.split('\t').next().unwrap()).collect()
}

#[test]
fn without_fastest_it_is_by_name_whole_and_unmeasured() {
    let text = text_of(&servers(), &cli::Filter::default(), Shape::Tabs, &mut never).unwrap();
    assert_eq!(first_cells(&text), ["CH#1", "NL#2", "NL#12"]);
}

#[test]
fn by_api_it_is_by_score() {
    let filter = cli::Filter { fastest: Some(Fastest::Api), ..cli::Filter::default() };
    let text = text_of(&servers(), &filter, Shape::Tabs, &mut never).unwrap();
    assert_eq!(first_cells(&text), ["NL#12", "NL#2", "CH#1"]);
}

#[test]
fn by_ping_all_that_match_are_measured_and_silent_ones_come_last() {
    let cc = Some(vec![Country::parse("NL").unwrap()]);
    let filter = cli::Filter { fastest: Some(Fastest::Ping), cc, ..cli::Filter::default() };
    let mut asked = Vec::new();
    let mut measure = |servers: &[&Server]| {
        asked.extend(servers.iter().map(|s| s.name.clone()));
        let rtts = [None, Some(millis(12))].map(|rtt| Measured { sent: 3, received: 3, rtt });
        Ok(rtts.iter().rev().copied().collect())
    };
    let text = text_of(&servers(), &filter, Shape::Json, &mut measure).unwrap();
    assert_eq!(asked, ["NL#2", "NL#12"]);
    let (first, second) = (text.find("NL#2").unwrap(), text.find("NL#12").unwrap());
    assert!(first < second && text.contains("\"rtt_ms\":12") && text.contains("\"rtt_ms\":null"), "{text}");
}

#[test]
fn no_match_is_its_own_exit_code() {
    let filter = cli::Filter { cc: Some(vec![Country::parse("SE").unwrap()]), ..cli::Filter::default() };
    let error = text_of(&servers(), &filter, Shape::Tabs, &mut never).unwrap_err();
    assert_eq!(error.exit(), Exit::NoServer);
}

#[test]
fn a_region_is_one_row_at_the_fastest_of_its_servers() {
    let of_region = |region: &str, cn: &str| Server {
        provider: ProviderKind::Pia,
        id: format!("{region}/{cn}"),
        region: Some(region.to_owned()),
        host: Some(cn.to_owned()),
        endpoint: Endpoint::Addr(format!("203.0.113.{}:1337", &cn[1..]).parse().unwrap()),
        ..server(region, None)
    };
    let servers = [of_region("swiss", "s1"), of_region("nl_a", "s2"), of_region("swiss", "s3")];
    let text = text_of(&servers, &cli::Filter::default(), Shape::Tabs, &mut never).unwrap();
    assert_eq!(first_cells(&text), ["nl_a", "swiss"]);
    let filter = cli::Filter { fastest: Some(Fastest::Ping), ..cli::Filter::default() };
    let mut measure = |servers: &[&Server]| {
        let rtt = |s: &&Server| if s.id == "swiss/s3" { millis(4) } else { millis(9) };
        Ok(servers.iter().map(|s| Measured { sent: 3, received: 3, rtt: Some(rtt(s)) }).collect())
    };
    let text = text_of(&servers, &filter, Shape::Tabs, &mut measure).unwrap();
    assert_eq!(first_cells(&text), ["swiss", "nl_a"]);
    assert!(text.contains("203.0.113.3:1337"));
}
