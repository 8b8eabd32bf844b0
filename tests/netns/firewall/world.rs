//! A Pi in a namespace: `eth0` leads to the ISP and the LAN, `wgp0` stands in for the tunnel, a container hangs on
//! `docker0`. The other ends (`isp`, `far`, `pod`) have no addresses: what comes out there is heard by a packet socket,
//! what goes in is written by one. Routes send everything but a few networks to the ISP: only rules keep it in.
//!
//! All runs on one CPU, so that packets arrive in the order in which they were sent, and a marker sent last tells that
//! all before it have arrived.

use super::frame::{Frame, TAG, mac};
use crate::run;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::socket::{
    self, AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, sockopt,
};
use nix::unistd::Pid;
use pvpn::firewall::Policy;
use pvpn::firewall::ruleset::Ruleset;
use pvpn::sys::netlink::Socket;
use pvpn::sys::nft;
use pvpn::sys::socket::Egress;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// A neighbour in the LAN, the router, a host in the internet that routes send to the ISP, one that they send into the
/// tunnel, and the container.
pub const NEIGHBOUR: &str = "192.168.1.66";
pub const ROUTER: &str = "192.168.1.1";
pub const PI: &str = "192.168.1.10";
pub const BARE: &str = "8.8.8.8";
pub const TUNNELLED: &str = "198.51.100.7";
pub const POD: &str = "172.17.0.2";
pub const TUNNEL_ADDRESS: &str = "10.2.0.2";

pub struct World {
    pub nft: Socket,
}

/// A packet socket on one link.
pub struct Ear(OwnedFd);

impl World {
    pub fn new() -> World {
        let mut one = CpuSet::new();
        one.set(0).unwrap();
        sched_setaffinity(Pid::from_raw(0), &one).unwrap();

        run("ip link set lo up");
        for (i, (near, far)) in [("eth0", "isp"), ("wgp0", "far"), ("docker0", "pod")].into_iter().enumerate()
        {
            let (a, b) = (mac(0x10 + i as u8), mac(0x20 + i as u8));
            run(&format!("ip link add {near} address {a} type veth peer name {far} address {b}"));
            write_sysctl(&format!("ipv6/conf/{far}/disable_ipv6"), "1");
            write_sysctl(&format!("ipv6/conf/{near}/accept_ra"), "0");
        }
        run("ip link set wgp0 mtu 1420 arp off");
        run("ip addr add 192.168.1.10/24 dev eth0");
        run("ip addr add 10.2.0.2/32 dev wgp0");
        run("ip addr add 172.17.0.1/16 dev docker0");
        run("ip -6 addr add 2001:db8::10/64 dev eth0 nodad");
        run("ip -6 addr add 2a07:b944::2:2/128 dev wgp0 nodad");
        for link in ["eth0", "isp", "wgp0", "far", "docker0", "pod"] {
            run(&format!("ip link set {link} up"));
        }
        for host in [ROUTER, NEIGHBOUR, "fe80::1"] {
            run(&format!("ip neigh add {host} lladdr {} dev eth0 nud permanent", mac(1)));
        }
        run(&format!("ip neigh add {POD} lladdr {} dev docker0 nud permanent", mac(2)));
        run("ip route add default via 192.168.1.1");
        run("ip -6 route add default via fe80::1 dev eth0");
        for net in ["10.2.0.0/24", "198.51.100.0/24", "2a07:b944::/64"] {
            run(&format!("ip route add {net} dev wgp0"));
        }
        for setting in ["ipv4/conf/all/rp_filter", "ipv4/conf/eth0/rp_filter", "ipv4/conf/wgp0/rp_filter"] {
            write_sysctl(setting, "0");
        }
        write_sysctl("ipv4/ip_forward", "1");
        World { nft: nft::open().unwrap() }
    }

    pub fn load(&mut self, policy: &Policy) -> &mut World {
        self.load_rules(&Ruleset::of(policy))
    }

    pub fn load_rules(&mut self, rules: &Ruleset) -> &mut World {
        nft::load(&mut self.nft, rules).unwrap();
        self
    }

    /// What leaves for the ISP while `deed` is done: `udp 8.8.8.8:53` and so on. The kernel's own discovery is left out.
    pub fn leaves(&self, deed: impl FnOnce()) -> Vec<String> {
        self.comes_out("eth0", "isp", deed)
    }

    /// What goes into the tunnel while `deed` is done.
    pub fn enters_tunnel(&self, deed: impl FnOnce()) -> Vec<String> {
        self.comes_out("wgp0", "far", deed)
    }

    /// What is handed to the container while `deed` is done.
    pub fn reaches_pod(&self, deed: impl FnOnce()) -> Vec<String> {
        self.comes_out("docker0", "pod", deed)
    }

    fn comes_out(&self, near: &str, far: &str, deed: impl FnOnce()) -> Vec<String> {
        let frames = self.frames(near, far, deed);
        frames.iter().map(Frame::summary).filter(|s| !s.is_empty()).collect()
    }

    /// What comes out at the far end of a link while `deed` is done.
    pub fn frames(&self, near: &str, far: &str, deed: impl FnOnce()) -> Vec<Frame> {
        let ear = Ear::on(far);
        deed();
        Ear::on(near).send(&Frame::marker());
        ear.until_marker()
    }

    /// Writes a frame to the far end of a link, for the Pi's station on it.
    pub fn arrives(&self, far: &str, frame: &Frame) {
        let stations = [("isp", 0x10), ("far", 0x11), ("pod", 0x12)];
        let (_, station) = stations.into_iter().find(|(name, _)| *name == far).unwrap();
        Ear::on(far).send(&frame.clone().at_station(station));
    }

    /// Whether a datagram, written to the far end of a link, reaches this port of the Pi.
    pub fn reaches(&self, port: u16, far: &str, frame: &Frame) -> bool {
        let heard = UdpSocket::bind(("::", port)).unwrap();
        // The LAN may come in under every policy, so this one arrives last.
        let marker = UdpSocket::bind((PI, 7)).unwrap();
        self.arrives(far, frame);
        self.arrives("isp", &Frame::udp(NEIGHBOUR, 1, PI, 7));
        wait_readable(marker.as_fd());
        heard.set_nonblocking(true).unwrap();
        let mut buffer = [0; 64];
        heard.recv(&mut buffer).is_ok_and(|len| &buffer[..len] == TAG)
    }
}

impl Ear {
    pub fn on(link: &str) -> Ear {
        let flags = SockFlag::SOCK_CLOEXEC;
        let fd = socket::socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll).unwrap();
        let _ = socket::setsockopt(&fd, sockopt::RcvBuf, &(8 << 20));
        bind_packet(&fd, link, libc::ETH_P_ALL as u16);
        Ear(fd)
    }

    /// A socket whose frames the kernel takes for this protocol.
    pub fn claiming(link: &str, protocol: u16) -> Ear {
        let ear = Ear::on(link);
        bind_packet(&ear.0, link, protocol);
        ear
    }

    /// A socket that only sends.
    pub fn deaf(link: &str) -> Ear {
        let flags = SockFlag::SOCK_CLOEXEC;
        let fd = socket::socket(AddressFamily::Packet, SockType::Raw, flags, None).unwrap();
        bind_packet(&fd, link, 0);
        Ear(fd)
    }

    /// All frames that are there.
    pub fn drain(&self) -> Vec<Frame> {
        std::iter::from_fn(|| self.next()).collect()
    }

    pub fn fd(&self) -> &OwnedFd {
        &self.0
    }

    pub fn send(&self, frame: &Frame) {
        // Refused when an egress chain drops it.
        let _ = socket::send(self.0.as_raw_fd(), &frame.0, MsgFlags::empty());
    }

    /// Frames that came in by the link before the marker.
    fn until_marker(&self) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            wait_readable(self.0.as_fd());
            let frame = self.next().unwrap();
            if frame == Frame::marker() {
                return frames;
            }
            frames.push(frame);
        }
    }

    /// The next frame, if one is there.
    pub fn next(&self) -> Option<Frame> {
        let mut buffer = vec![0; 65_536];
        let len = socket::recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT).ok()?;
        buffer.truncate(len);
        Some(Frame(buffer))
    }
}

fn bind_packet(fd: &OwnedFd, link: &str, protocol: u16) {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol.to_be(),
        sll_ifindex: nix::net::if_::if_nametoindex(link).unwrap() as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the address is a sockaddr_ll of that length and outlives the call.
    let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) };
    assert_eq!(bound, 0, "{}", std::io::Error::last_os_error());
}

fn wait_readable(fd: std::os::fd::BorrowedFd<'_>) {
    let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
    let ready = poll(&mut fds, PollTimeout::from(10_000u16)).unwrap();
    assert_eq!(ready, 1, "the marker never came");
}

pub fn write_sysctl(path: &str, value: &str) {
    fs::write(format!("/proc/sys/net/{path}"), value).unwrap_or_else(|e| panic!("{path}: {e}"));
}

fn socket_for(kind: SockType, to: SocketAddr, egress: &Egress) -> OwnedFd {
    pvpn::sys::socket::open(to.is_ipv4(), kind, SockFlag::SOCK_NONBLOCK, None, egress).unwrap()
}

/// Sends one datagram; whether the kernel takes it is nobody's concern here.
pub fn send_udp(to: &str, egress: &Egress) {
    let _ = udp_socket(to, egress).send_to(TAG, to);
}

/// A socket for datagrams to this address.
pub fn udp_socket(to: &str, egress: &Egress) -> UdpSocket {
    UdpSocket::from(socket_for(SockType::Datagram, to.parse().unwrap(), egress))
}

/// Begins a connection.
pub fn send_syn(to: &str, egress: &Egress) {
    let to: SocketAddr = to.parse().unwrap();
    let fd = socket_for(SockType::Stream, to, egress);
    let _ = socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(to));
}

/// By the routes.
pub fn plain() -> Egress {
    Egress::plain()
}

/// Past the routes, by the link to the ISP.
pub fn bound() -> Egress {
    Egress { device: Some("eth0".to_owned()), ..Egress::default() }
}

pub fn marked(mark: u32) -> Egress {
    Egress { mark: Some(mark), ..bound() }
}
