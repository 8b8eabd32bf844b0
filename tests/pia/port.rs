//! The port's holder with its real requests against the test PIA's gateways, by a clock that is scripted.

use crate::named;
use crate::site::{Site, in_namespace};
use pvpn::daemon::lease::pia::Pia as Holder;
use pvpn::daemon::lease::{Action, Input, PortState};
use pvpn::provider::pia::forward::Gateway;
use pvpn::provider::pia::{keep_port, kept_port, trust};
use pvpn::provider::{Connection, PortHold, Provider};
use pvpn::sys::Clock;
use pvpn::sys::files::Disk;
use pvpn::sys::http::{Client, Http};
use pvpn::time::{Duration, secs};
use pvpn::wire::http::{HttpError, Reply, Request, Route};

/// A connection and its holder, performing as the supervisor would.
struct Held<'a> {
    site: &'a Site,
    holder: Holder,
}

impl<'a> Held<'a> {
    fn open(site: &'a Site, id: &str) -> Held<'a> {
        let server = named(&site.pia().list_servers(false).unwrap(), id);
        let connection = site.pia().open(&server).unwrap();
        let mut held = Held { site, holder: Holder::new(gateway(&connection), None) };
        held.settle();
        held
    }

    fn settle(&mut self) {
        while let Some(action) = self.holder.poll_action() {
            let config = self.site.config();
            let (now, wall) = (self.site.clock.now(), self.site.clock.wall());
            let input = match action {
                Action::ReadGrant => Input::Grant(kept_port(&config, &Disk)),
                Action::KeepGrant(grant) => {
                    keep_port(&config, &Disk, grant.as_ref()).unwrap();
                    continue;
                }
                Action::Token { refused: None } => Input::Token(self.site.pia().token()),
                Action::Token { refused: Some(token) } => Input::Token(self.site.pia().replace_token(&token)),
                Action::Send { id, request } => Input::Reply { id, wall, reply: self.send(request) },
                other => panic!("{other:?}"),
            };
            self.holder.handle(now, input);
        }
    }

    fn send(&self, request: Request) -> Result<Reply, HttpError> {
        let trust = trust::server_trust(&self.site.config().pia, &Disk).unwrap();
        let response = Client::new(Vec::new()).send(&Request { trust, ..request })?;
        Reply::read(response).map_err(|e| HttpError::Protocol(e.to_string()))
    }

    /// Lives so long.
    fn live(&mut self, time: Duration) {
        let until = self.site.clock.now() + time;
        while let Some(next) = self.holder.poll_timeout().filter(|next| *next <= until) {
            self.site.clock.sleep(next.since(self.site.clock.now()));
            self.holder.handle(self.site.clock.now(), Input::Wake);
            self.settle();
        }
        self.site.clock.sleep(until.since(self.site.clock.now()));
    }

    fn port(&self) -> (PortState, Option<u16>) {
        let view = self.holder.view(self.site.clock.now());
        (view.state, view.number)
    }

    fn text(&self) -> String {
        self.holder.view(self.site.clock.now()).text.unwrap_or_default()
    }
}

fn gateway(connection: &Connection) -> Gateway {
    let PortHold::Pia { server_vip, cn } = connection.port.clone() else { panic!("{:?}", connection.port) };
    let source = connection.tunnel.addresses[0].addr;
    Gateway { server_vip, cn, route: Route::Tunnel { interface: "lo".into(), source } }
}

/// Who has the port bound, by server.
fn bound(site: &Site, port: u16) -> Vec<String> {
    let state = site.state();
    let servers = state.items().iter();
    let has = |s: &&pvpn::wire::json::Value| s.at("bound").at(&port.to_string()).text().is_some();
    servers.filter(has).map(|s| s.at("cn").text().unwrap().to_owned()).collect()
}

use PortState::{Asking, Doubtful, Held as Holds};

#[test]
fn a_port_is_got_and_follows_to_other_servers_and_processes() {
    in_namespace("port::a_port_is_got_and_follows_to_other_servers_and_processes", || {
        let site = Site::start("port");
        let held = Held::open(&site, "swiss/zurich406");
        assert_eq!(held.port(), (Holds, Some(40_123)));
        assert_eq!(site.calls(), ["list 200", "token 200", "addkey 200", "signature 200", "bind 200"]);
        assert_eq!(bound(&site, 40_123), ["zurich406"]);
        drop(held);
        let mut held = Held::open(&site, "uk/london407");
        assert_eq!(held.port(), (Holds, Some(40_123)));
        assert_eq!(site.calls(), ["addkey 200", "bind 200"]);
        held.live(secs(3600));
        assert_eq!(site.calls(), ["bind 200"; 6]);
    });
}

#[test]
fn a_server_that_has_forgotten_all_gets_key_and_port_again() {
    in_namespace("port::a_server_that_has_forgotten_all_gets_key_and_port_again", || {
        let site = Site::start("forgot");
        let mut held = Held::open(&site, "swiss/zurich406");
        site.order(r#"{"drop_keys":true}"#);
        held.live(secs(600));
        assert_eq!(held.port(), (Doubtful, Some(40_123)));
        assert!(held.text().contains("Unauthorized client"));
        site.calls();
        let held = Held::open(&site, "swiss/zurich406");
        assert_eq!(held.port(), (Holds, Some(40_123)));
        assert_eq!(site.calls(), ["addkey 200", "bind 200"]);
    });
}

#[test]
fn a_gateway_that_is_slow_to_be_ready_costs_seconds() {
    in_namespace("port::a_gateway_that_is_slow_to_be_ready_costs_seconds", || {
        let site = Site::start("slow");
        site.faults(r#"{"signature":{"cut":true,"times":4}}"#);
        let mut held = Held::open(&site, "swiss/zurich406");
        assert_eq!(held.port(), (Asking, None));
        held.live(secs(15));
        assert_eq!(held.port(), (Holds, Some(40_123)));
    });
}

#[test]
fn a_busy_port_is_given_up_for_another() {
    in_namespace("port::a_busy_port_is_given_up_for_another", || {
        let site = Site::start("busy");
        let mut held = Held::open(&site, "swiss/zurich406");
        site.order(r#"{"busy":[40123]}"#);
        held.live(secs(605));
        assert_eq!(held.port(), (Doubtful, Some(40_123)));
        held.live(secs(10));
        assert_eq!(held.port(), (Holds, Some(50_321)));
        assert_eq!(kept_port(&site.config(), &Disk).unwrap().port, 50_321);
        assert_eq!(bound(&site, 50_321), ["zurich406"]);
    });
}

#[test]
fn a_token_that_is_over_costs_one_login() {
    in_namespace("port::a_token_that_is_over_costs_one_login", || {
        let site = Site::start("over");
        site.faults(
            r#"{"signature":{"status":401,"body":"{\"status\":\"ERROR\",\"message\":\"Login failed!\"}"}}"#,
        );
        let held = Held::open(&site, "swiss/zurich406");
        assert_eq!(held.port(), (Holds, Some(40_123)));
        let calls = site.calls();
        assert_eq!(calls[2..], ["addkey 200", "signature 401", "token 200", "signature 200", "bind 200"]);
    });
}

#[test]
fn a_refused_signature_is_replaced_and_web_pages_are_not_believed() {
    in_namespace("port::a_refused_signature_is_replaced_and_web_pages_are_not_believed", || {
        let site = Site::start("refused");
        let mut held = Held::open(&site, "swiss/zurich406");
        site.calls();
        site.faults(r#"{"bind":{"status":400,"type":"text/html","body":"<html>"}}"#);
        held.live(secs(601));
        assert_eq!(held.port(), (Holds, Some(40_123)));
        assert_eq!(site.calls(), ["bind 400", "bind 200"]);
        site.faults(
            r#"{"bind":{"status":400,"body":"{\"status\":\"ERROR\",\"message\":\"invalid signature\"}"}}"#,
        );
        held.live(secs(610));
        assert_eq!(held.port(), (Holds, Some(50_321)));
        assert_eq!(site.calls(), ["bind 400", "signature 200", "bind 200"]);
    });
}

#[test]
fn a_gateway_of_another_name_is_not_asked_for_anything() {
    in_namespace("port::a_gateway_of_another_name_is_not_asked_for_anything", || {
        let site = Site::start("name");
        let mut held = Held::open(&site, "swiss/zurich406");
        held.live(secs(1));
        site.calls();
        // The name of one server at the address of another: several share a region.
        let connection =
            site.pia().open(&named(&site.pia().list_servers(false).unwrap(), "uk/london407")).unwrap();
        let wrong = Gateway { cn: "zurich406".into(), ..gateway(&connection) };
        let mut held = Held { site: &site, holder: Holder::new(wrong, None) };
        held.settle();
        held.live(secs(60));
        assert_eq!(held.port(), (Asking, None));
        assert!(held.text().contains("not valid for name"), "{}", held.text());
        assert_eq!(site.calls(), ["addkey 200"]);
    });
}

#[test]
fn a_signature_goes_out_word_for_word() {
    in_namespace("port::a_signature_goes_out_word_for_word", || {
        let site = Site::start("word");
        let held = Held::open(&site, "swiss/zurich406");
        drop(held);
        // The payload has odd blanks in it, and the gateway signs its bytes: a rebuilt one would be refused.
        let text = std::fs::read_to_string(site.path("port.json")).unwrap();
        assert!(text.starts_with("{\"version\":1,\"payload\":\""));
        assert_eq!(site.calls().last().unwrap(), "bind 200");
        let mangled = text.replacen("ey", "e3", 1);
        std::fs::write(site.path("port.json"), mangled).unwrap();
        let held = Held::open(&site, "swiss/zurich406");
        assert_eq!(held.port().0, Holds);
    });
}
