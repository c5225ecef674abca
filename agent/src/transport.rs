//! The way to the server: TCP, TLS 1.3 with the pinned CA, and the key material that proofs are bound to.
//!
//! Owns how the server is authenticated: its chain must hold the CA certificate whose SHA-256 was pinned at enrolment,
//! and its own certificate must be issued by that CA for the name that we asked for. No other CA of the machine
//! counts. It never sends a word of the application; a connection ends when it is dropped.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use orderly_signing::digest::Digest;
use orderly_wire::version::EXPORTER_LABEL;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) mod backoff;
pub(crate) mod exchange;
mod pin;
pub(crate) mod request;

/// Time for name, TCP and TLS together.
const CONNECT_TIME: Duration = Duration::from_secs(20);

/// How long sent bytes may go unacknowledged before the kernel gives a connection up. Without it a server that
/// vanished would be missed for many minutes.
const UNACKNOWLEDGED_TIME: Duration = Duration::from_secs(60);

/// The server cannot be reached, or is not the one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Nobody answers.
    #[error("server `{0}` cannot be reached: is the address right, is the server running, is a firewall between?")]
    Unreachable(Endpoint, #[source] io::Error),
    /// It took too long.
    #[error("server `{0}` did not answer within {CONNECT_TIME:?}")]
    Slow(Endpoint),
    /// Another CA.
    #[error(
        "server `{endpoint}` does not show the pinned CA: `{wanted}` is pinned, it shows {offered}; another server, somebody in between, or a mistyped `--ca`"
    )]
    WrongCa {
        /// The server.
        endpoint: Endpoint,
        /// The pin.
        wanted: Digest,
        /// Fingerprints that it sent.
        offered: String,
    },
    /// TLS failed in another way.
    #[error("server `{0}`: the TLS handshake failed")]
    Tls(Endpoint, #[source] io::Error),
    /// The library has no such key material.
    #[error("server `{0}`: the connection gives no key material to bind a proof to")]
    Exporter(Endpoint, #[source] rustls::Error),
}

/// Where the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    host: String,
    port: u16,
}

/// A text is not the address of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a server's address, write `https://HOST:PORT`")]
pub(crate) struct EndpointError(String);

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let wrong = || EndpointError(text.escape_debug().to_string());
        let uri: http::Uri = text.parse().map_err(|_| wrong())?;
        let path_ok = matches!(uri.path(), "" | "/") && uri.query().is_none();
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(wrong)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if uri.scheme_str() != Some("https") || !path_ok || ServerName::try_from(host.clone()).is_err() {
            return Err(wrong());
        }
        Ok(Self { host, port: authority.port_u16().unwrap_or(443) })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority())
    }
}

impl Endpoint {
    /// `host:port`, as the `Host` header has it.
    pub(crate) fn authority(&self) -> String {
        let brackets = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        format!("{}{}{}:{}", brackets.0, self.host, brackets.1, self.port)
    }
}

/// An authenticated connection.
pub(crate) struct Connection {
    /// The stream.
    pub stream: TlsStream<TcpStream>,
    /// 32 bytes that only the two ends of this connection know.
    pub exporter: [u8; 32],
}

/// Connects with the pinned CA.
///
/// # Errors
/// The server cannot be reached, is slow, or is not the one.
pub(crate) async fn connect(endpoint: &Endpoint, ca: &Digest) -> Result<Connection, ConnectError> {
    tokio::time::timeout(CONNECT_TIME, handshake(endpoint, ca))
        .await
        .map_err(|_| ConnectError::Slow(endpoint.clone()))?
}

async fn handshake(endpoint: &Endpoint, ca: &Digest) -> Result<Connection, ConnectError> {
    let unreachable = |error| ConnectError::Unreachable(endpoint.clone(), error);
    let tcp = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await.map_err(unreachable)?;
    tcp.set_nodelay(true).map_err(unreachable)?;
    let unacknowledged_ms = u32::try_from(UNACKNOWLEDGED_TIME.as_millis()).unwrap_or(u32::MAX);
    rustix::net::sockopt::set_tcp_user_timeout(&tcp, unacknowledged_ms).map_err(|error| unreachable(error.into()))?;
    let config =
        pin::client_config(*ca).map_err(|error| ConnectError::Tls(endpoint.clone(), io::Error::other(error)))?;
    // `Endpoint` is made from names that parse only.
    let name = ServerName::try_from(endpoint.host.clone())
        .map_err(|error| ConnectError::Tls(endpoint.clone(), io::Error::other(error)))?;
    let stream =
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await.map_err(|error| refused(endpoint, error))?;
    let exporter = stream
        .get_ref()
        .1
        .export_keying_material([0; 32], EXPORTER_LABEL, None)
        .map_err(|error| ConnectError::Exporter(endpoint.clone(), error))?;
    Ok(Connection { stream, exporter })
}

fn refused(endpoint: &Endpoint, error: io::Error) -> ConnectError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).and_then(pin::wrong_ca) {
        Some(wrong) => ConnectError::WrongCa {
            endpoint: endpoint.clone(),
            wanted: wrong.wanted,
            offered: wrong.offered.iter().map(|digest| format!("`{digest}`")).collect::<Vec<_>>().join(", "),
        },
        None => ConnectError::Tls(endpoint.clone(), error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn addresses_are_read_and_said_in_one_form() {
        for (text, shown) in [
            ("https://127.0.0.1:7443", "https://127.0.0.1:7443"),
            ("https://orderly.example/", "https://orderly.example:443"),
            ("https://[::1]:7443", "https://[::1]:7443"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
        for wrong in ["http://h:1", "h:1", "https://", "https://u@h:1", "https://h:1/x", "https://h:1?q", "https://a b"]
        {
            assert!(wrong.parse::<Endpoint>().is_err(), "{wrong}");
        }
    }
}
