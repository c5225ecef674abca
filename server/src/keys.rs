//! The server's own keys in the data directory: CA, TLS, dispatch.
//!
//! Owns the files and the rule that each is either whole or absent. Never holds a key of the fleet's owners: root, vetting and
//! operator keys are made where the operator is.

mod authority;
mod directory;

use std::path::Path;
use std::sync::Arc;

use orderly_signing::digest::Digest;
use orderly_signing::key::SecretKey;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub use directory::KeyError;

use crate::clock;

/// The certificate authority's public half.
#[derive(Debug, Clone)]
pub struct Authority {
    /// The certificate in PEM, as in `ca.pem`.
    pub pem: String,
    /// SHA-256 of its DER: what agents and people pin.
    pub fingerprint: Digest,
    /// Its DER.
    pub der: CertificateDer<'static>,
}

/// All keys that the server works with.
#[derive(Debug)]
pub struct Keys {
    /// The CA.
    pub authority: Authority,
    /// The server's certificate and the CA's.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the server's certificate.
    pub tls: PrivateKeyDer<'static>,
    /// The key that signs orders.
    pub dispatch: Arc<SecretKey>,
}

/// Opens the keys of a data directory, and makes those that are not there yet.
///
/// `names` are the public names of the server beside the local ones.
///
/// # Errors
/// Where a file cannot be read or written, or a key is there without what belongs to it.
pub fn open(data_dir: &Path, names: &[String]) -> Result<Keys, KeyError> {
    directory::prepare(data_dir)?;
    let (authority, issuer) = authority::open(data_dir)?;
    let (chain, tls) = authority::server(data_dir, names, &authority, &issuer, clock::now_ms())?;
    let dispatch = Arc::new(directory::dispatch(data_dir)?);
    Ok(Keys { authority, chain, tls, dispatch })
}

#[cfg(test)]
mod tests;
