//! How the server is recognised: by the CA certificate that its owner gave out, or by that certificate's fingerprint.
//!
//! Owns the TLS configuration (1.3 alone) and the check of a pinned fingerprint. With a fingerprint the server must send
//! its CA in the chain; the certificate is then verified as usual under that CA and no other.

use std::sync::Arc;

use orderly_signing::Digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::error::{Failure, OrFail as _};
use crate::settings::Ca;

/// The TLS configuration for this CA, and the CA's fingerprint.
///
/// # Errors
/// The CA's file cannot be read or holds no certificate.
pub(super) fn config(ca: &Ca) -> Result<(ClientConfig, Digest), Failure> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .or_setup(|| "TLS 1.3 is not available".to_owned())?;
    match ca {
        Ca::File(path) => {
            let failed = || format!("the CA certificate `{}` cannot be used", path.display());
            let certificate = CertificateDer::from_pem_file(path).map_err(|error| {
                Failure::setup(failed()).because(error).hint("the server keeps it as `ca.pem` in its data directory")
            })?;
            let fingerprint = Digest::of(&certificate);
            let mut roots = RootCertStore::empty();
            roots.add(certificate).or_setup(failed)?;
            Ok((builder.with_root_certificates(roots).with_no_client_auth(), fingerprint))
        }
        Ca::Fingerprint(fingerprint) => {
            let verifier = PinnedCa { fingerprint: *fingerprint, provider };
            let config = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
            Ok((config, *fingerprint))
        }
    }
}

/// Trusts the one CA whose DER has this SHA-256, wherever it stands in the chain that the server sends.
#[derive(Debug)]
struct PinnedCa {
    fingerprint: Digest,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedCa {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let ca = intermediates.iter().find(|certificate| Digest::of(certificate) == self.fingerprint);
        let Some(ca) = ca else {
            return Err(CertificateError::UnknownIssuer.into());
        };
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
