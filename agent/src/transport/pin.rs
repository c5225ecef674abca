//! The verifier that knows one CA, by its fingerprint.
//!
//! Owns that one rule and the client's TLS configuration around it. Chain, name, validity and signatures are checked
//! by webpki as always; only the root store is ours, and it has one certificate in it.

use std::sync::Arc;

use orderly_signing::digest::Digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, OtherError, PeerIncompatible, RootCertStore, SignatureScheme, version,
};

/// None of the certificates that the server sent is the pinned CA.
#[derive(Debug, thiserror::Error)]
#[error("the server's chain does not hold the pinned CA certificate {wanted}")]
pub(super) struct WrongCa {
    /// The pin.
    pub wanted: Digest,
    /// What was sent instead, leaf first.
    pub offered: Vec<Digest>,
}

/// The [`WrongCa`] inside of a TLS error, if that is what it is.
pub(super) fn wrong_ca(error: &Error) -> Option<&WrongCa> {
    match error {
        Error::Other(OtherError(inner)) => inner.downcast_ref(),
        _ => None,
    }
}

/// TLS 1.3 alone, the pinned CA alone, no client certificate.
///
/// # Errors
/// The library lacks TLS 1.3.
pub(super) fn client_config(ca: Digest) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Pinned { ca, provider: Arc::clone(&provider) });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // Proofs are bound to a whole handshake, and the tickets of a resumption would only cost memory.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

#[derive(Debug)]
struct Pinned {
    ca: Digest,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(ca) = chain.iter().find(|certificate| Digest::of(certificate) == self.ca) else {
            let offered = std::iter::once(leaf).chain(chain).map(|certificate| Digest::of(certificate)).collect();
            return Err(Error::Other(OtherError(Arc::new(WrongCa { wanted: self.ca, offered }))));
        };
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| Error::General(error.to_string()))?
            .verify_server_cert(leaf, chain, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
