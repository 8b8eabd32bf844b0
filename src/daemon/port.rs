//! Who holds the forwarded port, and who is told of it.

use super::connection::Up;
use super::lease::{self, Holder, natpmp};
use super::{Action, Daemon, LeaseEvent, publish, sync};
use crate::config::PortForwarding;
use crate::provider::PortHold;
use crate::provider::pia::forward::Gateway;
use crate::time::{Instant, UnixTime};
use crate::wire::http::Route;
use std::net::{IpAddr, SocketAddr};

impl Daemon {
    /// Tells the machine that keeps qBittorrent what it is to have.
    pub(super) fn desire(&mut self, now: Instant) {
        let Some(up) = &self.up else { return };
        let addresses = &up.ready.connection.tunnel.addresses;
        let Some(address) = addresses.iter().find(|a| a.is_ipv4()).or(addresses.first()) else { return };
        let port = self.holder.view(now).number;
        let desired = sync::Desired { port, interface: up.interface.clone(), address: address.addr };
        self.sync.handle(now, sync::Input::Desired(Some(desired)));
    }

    pub(super) fn holder_of(&self, now: Instant, up: &Up, carried: Option<(u16, Instant)>) -> Holder {
        if !self.config.port_forwarding.enable {
            return Holder::Off;
        }
        match &up.ready.connection.port {
            PortHold::Unavailable(why) => Holder::Unavailable(why.clone()),
            PortHold::NatPmp { gateway } => {
                let settings = self.natpmp_settings(*gateway);
                Holder::NatPmp(Box::new(natpmp::NatPmp::new(settings, now, carried)))
            }
            PortHold::Pia { server_vip, cn } => {
                let (_, Some(source)) = up.gateway(None) else {
                    return Holder::Unavailable(
                        "the tunnel has no address to ask for a port from".to_owned(),
                    );
                };
                let route = Route::Tunnel { interface: up.interface.clone(), source };
                let gateway = Gateway { server_vip: *server_vip, cn: cn.clone(), route };
                Holder::Pia(Box::new(lease::pia::Pia::new(gateway, carried)))
            }
        }
    }

    /// The same for a tunnel that an earlier supervisor left.
    pub(super) fn adopted_holder(&self, now: Instant, up: &Up, kept: Option<(u16, Instant)>) -> Holder {
        match (self.holder_of(now, up, kept), &up.ready.connection.port, kept) {
            (Holder::NatPmp(_), PortHold::NatPmp { gateway }, Some((port, since))) => {
                let settings = self.natpmp_settings(*gateway);
                Holder::NatPmp(Box::new(natpmp::NatPmp::adopt(settings, now, port, since)))
            }
            (Holder::Pia(holder), ..) => Holder::Pia(Box::new(holder.adopted())),
            (other, ..) => other,
        }
    }

    /// `[port_forwarding]` was read again. What counts at the next change alone is looked up then.
    pub(super) fn take_up_forwarding(&mut self, now: Instant, before: PortForwarding) {
        let settings = &self.config.port_forwarding;
        let is_other_gateway = settings.gateway != before.gateway;
        let is_other_log = settings.log_fallback.is_some() != before.log_fallback.is_some();
        let is_switched = settings.enable != before.enable;
        if settings.file != before.file {
            self.actions.extend(before.file.map(Action::Withdraw));
            self.publisher.handle(now, publish::Input::Lost(publish::Target::SecondFile));
        }
        let Some(up) = &self.up else { return };
        let is_natpmp = matches!(up.ready.connection.port, PortHold::NatPmp { .. });
        if !is_switched && !(is_natpmp && (is_other_gateway || is_other_log)) {
            return;
        }
        let view = self.holder.view(now);
        let kept = view.number.map(|n| (n, view.since.unwrap_or(now)));
        self.holder =
            if is_other_gateway { self.holder_of(now, up, kept) } else { self.adopted_holder(now, up, kept) };
        self.reopen_sockets();
        self.write_record(now);
    }

    /// `gateway`: the provider's; the configured one comes first.
    fn natpmp_settings(&self, gateway: IpAddr) -> natpmp::Settings {
        natpmp::Settings {
            gateway: self.config.port_forwarding.gateway.unwrap_or(gateway),
            own_port: self.config.qbittorrent.port,
            log_fallback: self.config.port_forwarding.log_fallback.is_some(),
        }
    }

    pub(super) fn handle_lease(&mut self, now: Instant, event: LeaseEvent) {
        match event {
            LeaseEvent::Datagram { from, bytes } => self.hear(now, from, &bytes),
            LeaseEvent::SocketFailed(why) => self.holder.handle(now, lease::Input::SocketFailed(&why)),
            LeaseEvent::Log(text) => self.holder.handle(now, lease::Input::Log(&text)),
            LeaseEvent::Reply { id, reply } => {
                self.holder.handle(now, lease::Input::Reply { id, wall: self.wall, reply });
            }
            LeaseEvent::Grant(kept) => self.holder.handle(now, lease::Input::Grant(kept)),
            LeaseEvent::Token(result) => self.holder.handle(now, lease::Input::Token(result)),
        }
    }

    pub(super) fn hear(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        self.holder.handle(now, lease::Input::Datagram { from, bytes });
    }

    /// Two clocks read in whole seconds do not agree on the last one: what is shown stays until it is off by more.
    fn date_port(&mut self, now: Instant) {
        let since = self.holder.view(now).since;
        let at = since.map(|at| UnixTime(self.wall.0.saturating_sub(now.since(at).as_secs())));
        let stays = matches!((at, self.port_since), (Some(at), Some(shown)) if at.0.abs_diff(shown.0) <= 1);
        if !stays {
            self.port_since = at;
        }
    }

    /// Gives the port to those who are told of it.
    pub(super) fn publish(&mut self, now: Instant) {
        self.date_port(now);
        if self.up.is_some() {
            let number = self.holder.view(now).number;
            self.publisher.handle(now, publish::Input::Number(number));
        }
        while let Some(action) = self.publisher.poll_action() {
            match action {
                publish::Action::OpenFirewall(number) => {
                    if let Some(up) = &mut self.up {
                        up.open_port = number;
                    }
                    self.refresh_policy();
                    self.write_record(now);
                    self.publisher.handle(now, publish::Input::Done(publish::Target::Firewall, Ok(())));
                }
                publish::Action::TellQbittorrent(_) => {
                    self.desire(now);
                    self.publisher.handle(now, publish::Input::Done(publish::Target::Qbittorrent, Ok(())));
                }
                other => self.actions.push_back(Action::Publish(other)),
            }
        }
    }
}
