//! The HTTP client: one pinned TLS connection to the configured server.
//!
//! Owns requests, the bearer token's header, problem details as errors, and the reader of server-sent events. Never
//! retries: the person at the terminal decides. Never trusts a CA other than the configured one.

mod bytes;
mod events;
mod pages;
mod tls;

use std::time::Duration;

use orderly_signing::Digest;
use orderly_wire::http::Page;
use orderly_wire::http::problem::Problem;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use bytes::{Broken, STALLED};
pub(crate) use events::Events;

use crate::env;
use crate::error::{Failure, OrFail as _};
use crate::settings::{Settings, Token};

/// How long a connection may take; a server that is up answers in milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an answer may take, uploads of 64 MiB included. Streams of events have no limit.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// The configured server.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    server: String,
    token: Option<Token>,
    ca_fingerprint: Digest,
}

impl Client {
    /// Makes the client; the first request connects.
    ///
    /// # Errors
    /// Server or CA are not configured, or the CA cannot be read.
    pub(crate) fn new(settings: &Settings) -> Result<Self, Failure> {
        let server = settings.server.clone().ok_or_else(|| {
            Failure::setup("no server is configured").hint(format!(
                "set `{}`, pass `--server`, or write `server = \"https://…\"` into `{}`",
                env::SERVER,
                settings.config_file().display()
            ))
        })?;
        let ca = settings.ca.as_ref().ok_or_else(|| {
            Failure::setup("the server's CA is not configured, so the server cannot be recognised").hint(format!(
                "set `{}` or pass `--ca`: the path of the server's `ca.pem`, or its fingerprint",
                env::CA
            ))
        })?;
        let (tls, ca_fingerprint) = tls::config(ca)?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("orderly/", env!("CARGO_PKG_VERSION")))
            .build()
            .or_setup(|| "the HTTP client cannot be made".to_owned())?;
        Ok(Self { http, server, token: settings.token.clone(), ca_fingerprint })
    }

    /// The server's address.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// The fingerprint of the CA by which the server is recognised.
    pub(crate) const fn ca_fingerprint(&self) -> &Digest {
        &self.ca_fingerprint
    }

    /// `GET`, the answer as JSON.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        read(self.send(self.request(Method::GET, path)).await?).await
    }

    /// `POST` of JSON, the answer as JSON.
    pub(crate) async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Failure> {
        read(self.send(self.request(Method::POST, path).json(body)).await?).await
    }

    /// `PUT` of JSON, the answer as JSON.
    pub(crate) async fn put<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, Failure> {
        read(self.send(self.request(Method::PUT, path).json(body)).await?).await
    }

    /// `POST` or `PUT` of bytes of this media type, the answer as JSON.
    pub(crate) async fn send_bytes<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        media_type: &str,
        bytes: Vec<u8>,
    ) -> Result<T, Failure> {
        let request = self.request(method, path).header(reqwest::header::CONTENT_TYPE, media_type).body(bytes);
        read(self.send(request).await?).await
    }

    /// `POST` of JSON without an answer that matters.
    pub(crate) async fn post_only<B: Serialize + Sync>(&self, path: &str, body: &B) -> Result<(), Failure> {
        self.send(self.request(Method::POST, path).json(body)).await.map(drop)
    }

    /// `DELETE` without an answer that matters.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.send(self.request(Method::DELETE, path)).await.map(drop)
    }

    /// One page of at most `limit` rows.
    pub(crate) async fn page<T: DeserializeOwned>(&self, path: &str, limit: u32) -> Result<Page<T>, Failure> {
        let join = if path.contains('?') { '&' } else { '?' };
        self.get(&format!("{path}{join}limit={limit}")).await
    }

    /// Opens a stream of server-sent events.
    pub(crate) async fn events(&self, path: &str) -> Result<Events, Failure> {
        let request = self.http.request(Method::GET, format!("{}{path}", self.server));
        let request = self.authorised(request).header(reqwest::header::ACCEPT, "text/event-stream");
        self.send(request).await.map(Events::new)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.authorised(self.http.request(method, format!("{}{path}", self.server))).timeout(REQUEST_TIMEOUT)
    }

    fn authorised(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token.secret()),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| self.broken(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.bytes().await.unwrap_or_default();
        Err(self.refused(status, &body))
    }

    fn broken(&self, error: reqwest::Error) -> Failure {
        let connect = error.is_connect();
        let failure =
            Failure::server(format!("no answer from the server `{}`", self.server)).because(error.without_url());
        if connect { failure.hint("is it running, and are `--server` and `--ca` right?") } else { failure }
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> Failure {
        let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
            return Failure::server(format!("the server `{}` answered {status}", self.server));
        };
        let message = told(&problem);
        let mut failure = Failure::server(message);
        if let Some(hint) = problem.hint {
            failure = failure.hint(hint);
        } else if matches!(problem.code.as_str(), "order-role" | "order-signature") {
            failure = failure.hint("`orderly trust status` shows whose keys may sign; `--key KEY` takes another one");
        } else if status == StatusCode::UNAUTHORIZED && self.token.is_none() {
            failure = failure.hint(format!("no token is configured: set `{}` or pass `--token-file`", env::TOKEN));
        }
        failure
    }
}

/// What went wrong, each fault once: a single one is in the detail, several get a line each.
fn told(problem: &Problem) -> String {
    let mut message = problem.title.clone();
    let listed = match problem.faults.as_slice() {
        [] => false,
        [one] => problem.detail.as_ref().is_none_or(|detail| !detail.contains(&one.message)),
        _ => true,
    };
    if let Some(detail) = problem.detail.as_ref().filter(|_| !listed) {
        message.push_str(&format!(": {detail}"));
    }
    for fault in problem.faults.iter().filter(|_| listed) {
        message.push_str(&format!("\n  {}: {}", fault.field, fault.message));
    }
    message.push_str(&format!(" [{}]", problem.code));
    message
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, Failure> {
    let bytes = response
        .bytes()
        .await
        .map_err(|error| Failure::server("the server's answer broke off").because(error.without_url()))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Failure::server("the server's answer is not what this version of orderly expects")
            .because(error)
            .hint("are server and CLI of the same release?")
    })
}

/// A value as it may stand in a path or a query (RFC 3986: everything but unreserved characters is escaped).
pub(crate) fn encode(value: &str) -> String {
    value.bytes().fold(String::with_capacity(value.len()), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_fault_is_told_once() {
        let problem = |faults: &[(&str, &str)], detail: &str| -> Problem {
            let faults: Vec<_> = faults
                .iter()
                .map(|(field, message)| serde_json::json!({ "field": field, "message": message }))
                .collect();
            serde_json::from_value(serde_json::json!({
                "type": "urn:orderly:problem:x", "status": 422, "code": "x", "title": "no", "detail": detail,
                "faults": faults, "request_id": "r",
            }))
            .unwrap()
        };
        assert_eq!(told(&problem(&[], "why")), "no: why [x]");
        assert_eq!(told(&problem(&[("cwd", "is bad")], "`cwd` is bad")), "no: `cwd` is bad [x]");
        let two = [("cwd", "is bad"), ("user", "is worse")];
        assert_eq!(told(&problem(&two, "`cwd` is bad; `user` is worse")), "no\n  cwd: is bad\n  user: is worse [x]");
    }

    #[test]
    fn values_cannot_leave_their_place_in_a_url() {
        assert_eq!(encode("a/../b?c&d=é"), "a%2F..%2Fb%3Fc%26d%3D%C3%A9");
        assert_eq!(encode("os-audit_1.0~x"), "os-audit_1.0~x");
    }
}
