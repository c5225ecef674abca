//! TLS to a server under test, with its CA pinned.
//!
//! Owns the client configuration and a raw connection with its exported key material. It never trusts the machine's roots.

use std::net::SocketAddr;
use std::sync::Arc;

use orderly_wire::version::EXPORTER_LABEL;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A client configuration that trusts exactly the certificates of this PEM text.
///
/// # Panics
/// Where the text holds no certificate.
#[must_use]
pub fn client_config(ca_pem: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(certificate.expect("PEM")).expect("a CA certificate");
    }
    assert!(!roots.is_empty(), "no CA certificate in the text");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
    Arc::new(versions.expect("ring speaks TLS 1.3").with_root_certificates(roots).with_no_client_auth())
}

/// Connects, and exports the key material that proofs sign.
///
/// # Errors
/// Where the server is not there or is not the one of the CA.
pub async fn connect(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
) -> std::io::Result<(TlsStream<TcpStream>, [u8; 32])> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::IpAddress(address.ip().into());
    let stream = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await?;
    let exporter = stream.get_ref().1.export_keying_material([0_u8; 32], EXPORTER_LABEL, None);
    let exporter = exporter.map_err(std::io::Error::other)?;
    Ok((stream, exporter))
}
