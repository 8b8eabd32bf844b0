//! How ureq connects: addresses by our resolver, sockets by the request's way out, TLS by its trust.
//!
//! A read or write keeps ureq's limit as a whole, however many packets it takes. An end of the connection that is no proper end
//! (no close_notify, a reset) is an error: else a cut body without a length would pass for a whole one.

use crate::sys::Clock;
use crate::sys::clock::System;
use crate::sys::resolve::Resolver;
use crate::sys::socket::{self, Egress};
use crate::time::{Duration, Instant, millis};
use crate::wire::http::HttpError;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Stream};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use ureq::Error;
use ureq::http::Uri;
use ureq::unversioned::resolver::{self, ResolvedSocketAddrs};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

/// Addresses asked of the resolver that are tried; ureq's own list holds 16.
const ADDRESSES_MOST: usize = 8;

/// Finds addresses: the fixed one of its host, else by the resolver.
#[derive(Debug)]
pub struct Names {
    fixed: Option<(String, SocketAddr)>,
    resolver: Resolver,
}

impl Names {
    pub fn new(fixed: Option<(String, SocketAddr)>, resolver: Resolver) -> Names {
        Names { fixed, resolver }
    }
}

impl resolver::Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        _: &ureq::config::Config,
        limit: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().ok_or(Error::HostNotFound)?;
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let mut addrs = resolver::Resolver::empty(self);
        match &self.fixed {
            Some((fixed, to)) if fixed.eq_ignore_ascii_case(host) => addrs.push(*to),
            _ => {
                let found = self.resolver.resolve(host, *limit.after);
                let found = found.map_err(|e| other(HttpError::Resolve(format!("{host}: {e}"))))?;
                for addr in found.into_iter().take(ADDRESSES_MOST) {
                    addrs.push(SocketAddr::new(addr, port));
                }
            }
        }
        Ok(addrs)
    }
}

/// Makes the connections of one request.
pub struct Sockets {
    egress: Egress,
    tls: Option<Arc<ClientConfig>>,
}

impl Sockets {
    pub fn new(egress: Egress, tls: Option<Arc<ClientConfig>>) -> Sockets {
        Sockets { egress, tls }
    }

    /// The first address that takes a connection; each gets an equal share of the time left.
    fn connect_any(
        &self,
        host: &str,
        addrs: &[SocketAddr],
        deadline: Instant,
    ) -> Result<TcpStream, HttpError> {
        let mut why = HttpError::TimedOut;
        for (i, &addr) in addrs.iter().enumerate() {
            let left = deadline.since(System.now());
            if left.is_zero() {
                break;
            }
            match socket::tcp(addr, &self.egress, left / (addrs.len() - i) as u32) {
                Ok(stream) => return Ok(stream),
                Err(e) if e.kind() == io::ErrorKind::TimedOut => why = HttpError::TimedOut,
                Err(e) => why = HttpError::Connect(format!("{host}: connect to {addr}: {e}")),
            }
        }
        Err(why)
    }
}

impl Connector for Sockets {
    type Out = Connection;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Connection>, Error> {
        let host = details.uri.host().ok_or(Error::HostNotFound)?;
        let deadline = System.now() + *details.timeout.after;
        let socket = self.connect_any(host, &details.addrs, deadline).map_err(other)?;
        let mut connection = Connection {
            socket,
            tls: None,
            buffers: LazyBuffers::new(
                details.config.input_buffer_size(),
                details.config.output_buffer_size(),
            ),
        };
        if details.needs_tls() {
            let config = self.tls.clone().ok_or(Error::TlsRequired)?;
            connection.start_tls(host, config, deadline).map_err(other)?;
        }
        Ok(Some(connection))
    }
}

/// One connection, plain or TLS.
pub struct Connection {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    buffers: LazyBuffers,
}

impl Connection {
    fn start_tls(
        &mut self,
        host: &str,
        config: Arc<ClientConfig>,
        deadline: Instant,
    ) -> Result<(), HttpError> {
        let failed = |e: &dyn fmt::Display| HttpError::Tls(format!("{host}: {e}"));
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = match bare.parse::<IpAddr>() {
            Ok(addr) => ServerName::from(addr),
            Err(_) => ServerName::try_from(bare.to_owned()).map_err(|e| failed(&e))?,
        };
        let mut tls = ClientConnection::new(config, name).map_err(|e| failed(&e))?;
        let mut socket = Timed { socket: &self.socket, deadline };
        while tls.is_handshaking() {
            tls.complete_io(&mut socket).map_err(|e| match e.kind() {
                io::ErrorKind::TimedOut => HttpError::TimedOut,
                io::ErrorKind::InvalidData => failed(&e),
                _ => HttpError::Connect(format!("{host}: TLS handshake: {e}")),
            })?;
        }
        self.tls = Some(Box::new(tls));
        Ok(())
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, limit: NextTimeout) -> Result<(), Error> {
        let mut socket = Timed { socket: &self.socket, deadline: System.now() + *limit.after };
        let output = &self.buffers.output()[..amount];
        let sent = match &mut self.tls {
            None => socket.write_all(output),
            Some(tls) => {
                let mut stream = Stream::new(tls.as_mut(), &mut socket);
                stream.write_all(output).and_then(|()| stream.flush())
            }
        };
        sent.map_err(|e| failure(e, limit))
    }

    fn await_input(&mut self, limit: NextTimeout) -> Result<bool, Error> {
        let mut socket = Timed { socket: &self.socket, deadline: System.now() + *limit.after };
        let space = self.buffers.input_append_buf();
        let read = match &mut self.tls {
            None => socket.read(space),
            Some(tls) => Stream::new(tls.as_mut(), &mut socket).read(space),
        };
        let n = read.map_err(|e| failure(e, limit))?;
        self.buffers.input_appended(n);
        Ok(n > 0)
    }

    /// Connections are not used again.
    fn is_open(&mut self) -> bool {
        false
    }

    fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

/// ureq takes these kinds for a proper end of a body without a length; here they are errors like any other.
fn failure(e: io::Error, limit: NextTimeout) -> Error {
    match e.kind() {
        io::ErrorKind::TimedOut => Error::Timeout(limit.reason),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            Error::Io(io::Error::other(format!("connection cut: {e}")))
        }
        _ => Error::Io(e),
    }
}

fn other(e: HttpError) -> Error {
    Error::Other(Box::new(e))
}

/// A socket whose reads and writes all end at one deadline.
struct Timed<'a> {
    socket: &'a TcpStream,
    deadline: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.since(System.now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left.max(millis(1))) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, b: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(self.left()?))?;
        self.socket.read(b).map_err(timed_out)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, b: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(self.left()?))?;
        self.socket.write(b).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn timed_out(e: io::Error) -> io::Error {
    if e.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { e }
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sockets({:?})", self.egress)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}
