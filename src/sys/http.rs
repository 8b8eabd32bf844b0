//! Sends the requests of `wire::http` for real: ureq over sockets, resolver and TLS of our own, since a request says
//! by which way it leaves and whom it trusts.
//!
//! One connection per request, closed after it: a connection must not outlive a change of tunnel. No proxy of the
//! environment, no cookies, no retries. A redirect from `https` never leads to `http`. Errors name the host, never
//! the path, the query, a header or a body.

mod transport;
mod trust;

pub use trust::anchors_from_pem;

use super::resolve::{self, Resolver};
use super::socket::Egress;
use crate::wire::http::{HttpError, Method, Request, Response, Route};
use std::io::{self, Read};
use std::net::SocketAddr;
use transport::{Names, Sockets};
use ureq::Agent;
use ureq::config::Config;
use ureq::http::{self, Uri};

/// Sends one request and returns the head of its reply with the body still to be read. Blocks; called on worker
/// threads and in commands.
pub trait Http {
    fn send(&self, request: &Request) -> Result<Response, HttpError>;
}

/// A response head longer than this is refused; chosen: several times what any API here sends.
const HEAD_MOST: usize = 32 << 10;
/// Read buffer while a request runs; chosen: one TLS record (RFC 8446 section 5.1) and its head.
const BUFFER: usize = 16 << 10;

/// The real [`Http`].
#[derive(Clone, Debug, Default)]
pub struct Client {
    outside: Vec<SocketAddr>,
}

impl Client {
    /// `outside`: the name servers for [`Route::Outside`], as [`resolve::outside_servers`] gives them. Requests by
    /// other routes use the servers that `/etc/resolv.conf` names when they are sent.
    pub fn new(outside: Vec<SocketAddr>) -> Client {
        Client { outside }
    }

    fn resolver(&self, route: &Route) -> Resolver {
        match route {
            Route::Outside => Resolver::new(self.outside.clone(), Egress::outside()),
            // The machine's resolver may listen on loopback, so the question is not bound to the tunnel.
            Route::Tunnel { .. } | Route::Local => Resolver::new(resolve::machine_servers(), Egress::plain()),
        }
    }

    fn agent(&self, request: &Request, uri: &Uri) -> Result<Agent, HttpError> {
        let tls = uri.scheme_str() == Some("https");
        let config = Config::builder()
            .http_status_as_error(false)
            .https_only(tls)
            .proxy(None)
            .max_redirects(u32::from(request.redirects))
            .max_redirects_will_error(false)
            .timeout_global(Some(request.timeout))
            .max_response_header_size(HEAD_MOST)
            .input_buffer_size(BUFFER)
            .max_idle_connections(0)
            .user_agent("")
            .build();
        let sockets = Sockets::new(
            Egress::from(&request.route),
            tls.then(|| trust::config(&request.trust)).transpose()?,
        );
        let fixed = request.connect_to.and_then(|to| Some((uri.host()?.to_owned(), to)));
        Ok(Agent::with_parts(config, sockets, Names::new(fixed, self.resolver(&request.route))))
    }
}

impl Http for Client {
    fn send(&self, request: &Request) -> Result<Response, HttpError> {
        let uri: Uri = request.url.parse().map_err(|_| HttpError::Protocol("not an address".to_owned()))?;
        let host = uri.host().unwrap_or_default().to_owned();
        let agent = self.agent(request, &uri)?;
        let mut builder = http::Request::builder().uri(uri).method(match request.method {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
            Method::Delete => http::Method::DELETE,
        });
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        let malformed = |_| HttpError::Protocol("malformed address or header".to_owned());
        let reply = match &request.body {
            Some(body) => {
                let request = builder.body(body.as_slice()).map_err(malformed)?;
                agent.run(agent.configure_request(request).allow_non_standard_methods(true).build())
            }
            None => agent.run(builder.body(()).map_err(malformed)?),
        };
        let (head, body) = reply.map_err(|e| explain(e, &host))?.into_parts();
        let text = |v: &http::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
        Ok(Response {
            status: head.status.as_u16(),
            headers: head.headers.iter().map(|(n, v)| (n.as_str().to_owned(), text(v))).collect(),
            body: Box::new(Bounded { body: body.into_reader(), left: request.body_limit }),
        })
    }
}

/// A body that ends in an error at its limit.
struct Bounded<R> {
    body: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, b: &mut [u8]) -> io::Result<usize> {
        let n = self.body.read(b).map_err(|e| match e.get_ref().and_then(|e| e.downcast_ref()) {
            Some(ureq::Error::Timeout(_)) => {
                io::Error::new(io::ErrorKind::TimedOut, "the reply took too long")
            }
            _ => e,
        })?;
        let too_long = || io::Error::new(io::ErrorKind::InvalidData, "the reply is longer than allowed");
        self.left = self.left.checked_sub(n as u64).ok_or_else(too_long)?;
        Ok(n)
    }
}

/// Our own word for what ureq says. Its texts may hold whole addresses, so only chosen ones are passed on.
fn explain(e: ureq::Error, host: &str) -> HttpError {
    let protocol = |what: &str| HttpError::Protocol(format!("{host}: {what}"));
    match e {
        ureq::Error::Timeout(_) => HttpError::TimedOut,
        ureq::Error::HostNotFound => HttpError::Resolve(format!("{host}: no such name")),
        ureq::Error::Other(e) => match e.downcast::<HttpError>() {
            Ok(ours) => *ours,
            Err(_) => protocol("request failed"),
        },
        ureq::Error::Io(e) if e.kind() == io::ErrorKind::TimedOut => HttpError::TimedOut,
        ureq::Error::Io(e) => HttpError::Connect(format!("{host}: {e}")),
        ureq::Error::BadUri(_) => protocol("not an address"),
        ureq::Error::RequireHttpsOnly(_) => protocol("redirected to an unprotected address"),
        ureq::Error::LargeResponseHeader(..) => protocol("the head of the reply is too long"),
        ureq::Error::RedirectFailed | ureq::Error::TooManyRedirects => protocol("redirected too often"),
        ureq::Error::Decompress(..) => protocol("the reply is not valid gzip"),
        _ => protocol("the reply is not HTTP"),
    }
}

#[cfg(test)]
mod tests;
