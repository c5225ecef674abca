//! The certificate authority of this server and the certificate that it signs for itself.
//!
//! The key is written first, the certificate after it: a crash between leaves a key without a certificate, which nobody has
//! pinned yet, and the next start makes the certificate of it.

use std::path::Path;

use jiff::Timestamp;
use jiff::tz::Offset;
use orderly_signing::digest::Digest;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde::{Deserialize, Serialize};

use super::Authority;
use super::directory::{KeyError, read, write};

/// Days that the authority is good for: agents pin it, so it outlives the machines.
const AUTHORITY_DAYS: i64 = 20 * 365;

/// Days that the server's certificate is good for.
const SERVER_DAYS: i64 = 398;

/// Days before its end from which on a start makes a new one.
const RENEW_DAYS: i64 = 120;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What is remembered of the server's certificate beside it.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Made {
    names: Vec<String>,
    authority: Digest,
    expires_ms: i64,
}

fn params(common_name: &str, names: Vec<String>, from_ms: i64, days: i64) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    // A day of room for clocks that are behind.
    let (year, month, day) = date(from_ms - DAY_MS);
    params.not_before = rcgen::date_time_ymd(year, month, day);
    let (year, month, day) = date(from_ms + days * DAY_MS);
    params.not_after = rcgen::date_time_ymd(year, month, day);
    Ok(params)
}

fn date(at_ms: i64) -> (i32, u8, u8) {
    let date = Offset::UTC.to_datetime(Timestamp::from_millisecond(at_ms).unwrap_or_default()).date();
    (i32::from(date.year()), u8::try_from(date.month()).unwrap_or(1), u8::try_from(date.day()).unwrap_or(1))
}

fn authority_params(now_ms: i64) -> Result<CertificateParams, rcgen::Error> {
    let mut params = params("Orderly server CA", Vec::new(), now_ms, AUTHORITY_DAYS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// Opens the authority, or makes it.
pub(super) fn open(data_dir: &Path) -> Result<(Authority, Issuer<'static, KeyPair>), KeyError> {
    let cert_path = data_dir.join("ca.pem");
    let key_path = data_dir.join("keys").join("ca.key.pem");
    let certificate = |source| KeyError::Certificate { path: key_path.clone(), source };
    let cert = read(&cert_path)?;
    let key = match (read(&key_path)?, &cert) {
        (Some(text), _) => KeyPair::from_pem(&text).map_err(certificate)?,
        (None, Some(_)) => return Err(KeyError::AuthorityWithoutKey { cert: cert_path, key: key_path }),
        (None, None) => {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(certificate)?;
            write(&key_path, &key.serialize_pem())?;
            key
        }
    };
    // The name and the key are all that the server's certificate takes from these.
    let params = authority_params(crate::clock::now_ms()).map_err(certificate)?;
    let pem = match cert {
        Some(pem) => pem,
        None => {
            let pem = params.self_signed(&key).map_err(certificate)?.pem();
            write(&cert_path, &pem)?;
            pem
        }
    };
    let der = CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|source| KeyError::Pem { path: cert_path.clone(), source })?;
    let fingerprint = Digest::of(&der);
    Ok((Authority { pem, fingerprint, der }, Issuer::new(params, key)))
}

/// The server's chain and key: those of the last start while they cover the names and are not near their end.
pub(super) fn server(
    data_dir: &Path,
    public: &[String],
    authority: &Authority,
    issuer: &Issuer<'static, KeyPair>,
    now_ms: i64,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), KeyError> {
    let keys = data_dir.join("keys");
    // One file, so that certificate and key are always those of each other.
    let (pair_path, made_path) = (keys.join("tls.pem"), keys.join("tls.json"));
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    names.extend(public.iter().cloned());
    names.sort_unstable();
    names.dedup();
    if let Some(wrong) = names.iter().find(|name| ServerName::try_from(name.as_str()).is_err()) {
        return Err(KeyError::Name(wrong.clone()));
    }
    let made: Option<Made> = read(&made_path)?.and_then(|text| serde_json::from_str(&text).ok());
    let good = made.is_some_and(|made| {
        made.names == names && made.authority == authority.fingerprint && now_ms + RENEW_DAYS * DAY_MS < made.expires_ms
    });
    let pair = match read(&pair_path)? {
        Some(pair) if good => pair,
        _ => {
            let certificate = |source| KeyError::Certificate { path: pair_path.clone(), source };
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(certificate)?;
            let mut params = params("Orderly server", names.clone(), now_ms, SERVER_DAYS).map_err(certificate)?;
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.use_authority_key_identifier_extension = true;
            let cert = params.signed_by(&key, issuer).map_err(certificate)?;
            let pair = format!("{}{}", cert.pem(), key.serialize_pem());
            let made = Made { names, authority: authority.fingerprint, expires_ms: now_ms + SERVER_DAYS * DAY_MS };
            // The pair first: a crash between makes the next start do it again.
            write(&pair_path, &pair)?;
            write(&made_path, &serde_json::to_string(&made).unwrap_or_default())?;
            pair
        }
    };
    let pem = |source| KeyError::Pem { path: pair_path.clone(), source };
    let leaf = CertificateDer::from_pem_slice(pair.as_bytes()).map_err(pem)?;
    let key = PrivateKeyDer::from_pem_slice(pair.as_bytes()).map_err(pem)?;
    Ok((vec![leaf, authority.der.clone()], key))
}
