//! Requests over http. Needs an `http` capability for the host, the port and the method.
//!
//! Owns the way from a request to the answer's bytes over WASI's `outgoing-handler`. The agent resolves the name, checks
//! the address and makes the connection; it follows no redirect, and neither does this module. Waits until the answer
//! is there, the deadline of the run is the only limit on time.
//!
//! ```no_run
//! use orderly_plugin::http::{self, Request};
//!
//! # fn main() -> Result<(), http::Error> {
//! let answer = Request::get("https://status.example.com/health?short=1").header("accept", "text/plain").send(64 * 1024)?;
//! assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
//! # Ok(())
//! # }
//! ```

use std::fmt;

use wasip2::http::outgoing_handler;
use wasip2::http::types::{ErrorCode, Fields, IncomingBody, Method, OutgoingBody, OutgoingRequest, Scheme};
use wasip2::io::streams::StreamError;

/// Bytes written or read in one call; WASI allows no more than 4 KiB for a write that waits.
const WRITE_CHUNK: usize = 4 * 1024;
const READ_CHUNK: u64 = 64 * 1024;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// What is wrong with the request, before anybody was asked.
    Invalid(&'static str),
    /// No grant covers the request, or the address that the name resolves to is not allowed.
    Denied(String),
    /// The answer's body is longer than the given limit in bytes.
    TooLong(usize),
    /// Anything else, in WASI's words.
    Failed(String),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) => write!(formatter, "no valid request: {why}"),
            Self::Denied(why) => write!(formatter, "not granted: {why}"),
            Self::TooLong(limit) => write!(formatter, "the answer is longer than {limit} bytes"),
            Self::Failed(why) => formatter.write_str(why),
        }
    }
}

impl std::error::Error for Error {}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => Self::Denied(format!("{code:?}")),
            other => Self::Failed(format!("{other:?}")),
        }
    }
}

/// A request in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status, redirects and errors included.
    pub status: u16,
    /// Names in lower case, and values, as they came.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Request {
    /// Begins a request with this method, in capitals.
    #[must_use]
    pub fn new(method: &str, url: &str) -> Self {
        Self { method: method.to_owned(), url: url.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// Begins a `GET`.
    #[must_use]
    pub fn get(url: &str) -> Self {
        Self::new("GET", url)
    }

    /// Adds a header. Headers about the connection and the length are the agent's.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it and waits for the whole answer, whose body may have at most `limit` bytes.
    ///
    /// # Errors
    /// See [`Error`]. A status that says no is an answer and no error.
    pub fn send(&self, limit: usize) -> Result<Response, Error> {
        let target = Target::parse(&self.url).map_err(Error::Invalid)?;
        let fields = Fields::from_list(&self.headers).map_err(|_| Error::Invalid("a header"))?;
        if !self.body.is_empty() {
            // A host that counts by itself may forbid the header, and then does not need it.
            let _ = fields.append("content-length", self.body.len().to_string().as_bytes());
        }
        let request = OutgoingRequest::new(fields);
        let set = request.set_method(&method(&self.method)).is_ok()
            && request.set_scheme(Some(if target.tls { &Scheme::Https } else { &Scheme::Http })).is_ok()
            && request.set_authority(Some(target.authority)).is_ok()
            && request.set_path_with_query(Some(&target.path)).is_ok();
        if !set {
            return Err(Error::Invalid("the method or the address"));
        }
        let body = request.body().map_err(|()| Error::Failed("the request has no body".to_owned()))?;
        let pending = outgoing_handler::handle(request, None)?;
        self.write(&body)?;
        OutgoingBody::finish(body, None)?;
        pending.subscribe().block();
        let answer = match pending.get() {
            Some(Ok(answer)) => answer?,
            _ => return Err(Error::Failed("the host lost the answer".to_owned())),
        };
        let headers = answer.headers().entries();
        let body = answer.consume().map_err(|()| Error::Failed("the answer has no body".to_owned()))?;
        Ok(Response { status: answer.status(), headers, body: read(&body, limit)? })
    }

    fn write(&self, body: &OutgoingBody) -> Result<(), Error> {
        if self.body.is_empty() {
            return Ok(());
        }
        let stream = body.write().map_err(|()| Error::Failed("the request's body is closed".to_owned()))?;
        for chunk in self.body.chunks(WRITE_CHUNK) {
            stream.blocking_write_and_flush(chunk).map_err(|error| Error::Failed(format!("{error:?}")))?;
        }
        Ok(())
    }
}

fn read(body: &IncomingBody, limit: usize) -> Result<Vec<u8>, Error> {
    let stream = body.stream().map_err(|()| Error::Failed("the answer's body is closed".to_owned()))?;
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(READ_CHUNK) {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(error) => return Err(Error::Failed(format!("{error:?}"))),
        }
        if bytes.len() > limit {
            return Err(Error::TooLong(limit));
        }
    }
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

/// The parts of an address that WASI wants.
#[derive(Debug, PartialEq, Eq)]
struct Target<'u> {
    tls: bool,
    authority: &'u str,
    path: String,
}

impl<'u> Target<'u> {
    fn parse(url: &'u str) -> Result<Self, &'static str> {
        let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err("the address begins with neither `https://` nor `http://`"),
        };
        // What follows `#` is for the reader and never sent.
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.is_empty() || authority.contains('@') {
            return Err("the address needs a host, and no user");
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { tls, authority, path })
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn addresses_are_taken_apart() {
        let parts = |url| Target::parse(url).map(|target| (target.tls, target.authority, target.path));
        assert_eq!(parts("https://a.example/b?c=/d#e"), Ok((true, "a.example", "/b?c=/d".to_owned())));
        assert_eq!(parts("http://[::1]:8080"), Ok((false, "[::1]:8080", "/".to_owned())));
        assert_eq!(parts("http://a?b"), Ok((false, "a", "/?b".to_owned())));
        for wrong in ["ftp://a", "https:///x", "https://user@a/", "a.example"] {
            assert!(parts(wrong).is_err(), "{wrong}");
        }
    }
}
