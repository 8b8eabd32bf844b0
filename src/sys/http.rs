//! Sends the requests of `wire::http` for real.

use crate::wire::http::{HttpError, Request, Response};

/// Sends one request and returns the head of its reply with the body still to be read. Blocks; called on worker
/// threads and in commands.
pub trait Http {
    fn send(&self, request: &Request) -> Result<Response, HttpError>;
}
