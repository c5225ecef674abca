//! The certificate that handshakes use, and its renewal while the server runs.
//!
//! A start makes a new certificate when the last one nears its end; a server that runs for a year must do so as well, or no agent could
//! link any more. Stops with its phase.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tracing::{error, info};

use crate::keys::{KeyError, Keys};
use crate::shutdown::Phase;

/// How often the certificate is looked at.
const LOOK: Duration = Duration::from_secs(24 * 60 * 60);

/// The certificate of new handshakes.
#[derive(Debug)]
pub(super) struct Current {
    // A std lock: held to clone or replace a pointer, never over an await.
    key: RwLock<Arc<CertifiedKey>>,
    provider: Arc<CryptoProvider>,
}

impl Current {
    pub(super) fn new(keys: &Keys, provider: Arc<CryptoProvider>) -> Result<Self, rustls::Error> {
        let key = CertifiedKey::from_der(keys.chain.clone(), keys.tls.clone_key(), &provider)?;
        Ok(Self { key: RwLock::new(Arc::new(key)), provider })
    }

    fn now(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the certificate of these keys, and says whether it is another one.
    fn replace(&self, keys: &Keys) -> Result<bool, rustls::Error> {
        if self.now().cert == keys.chain {
            return Ok(false);
        }
        let key = CertifiedKey::from_der(keys.chain.clone(), keys.tls.clone_key(), &self.provider)?;
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
        Ok(true)
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }
}

/// Looks at the certificate once a day; `open` opens the keys anew, and makes a new certificate when it is time.
pub(super) fn renew(
    current: Arc<Current>,
    phase: &Phase,
    open: impl Fn() -> Result<Keys, KeyError> + Send + Sync + 'static,
) {
    let stop = phase.token();
    let open = Arc::new(open);
    phase.spawn("certificate", async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => return,
            }
            let open = Arc::clone(&open);
            match tokio::task::spawn_blocking(move || open()).await {
                Ok(Ok(keys)) => match current.replace(&keys) {
                    Ok(true) => info!("the server's certificate was renewed"),
                    Ok(false) => {}
                    Err(failure) => error!(error = %failure, "the server's new certificate cannot be used"),
                },
                Ok(Err(failure)) => error!(error = ?failure, "the server's certificate cannot be looked at"),
                Err(failure) => error!(error = %failure, "the server's certificate cannot be looked at"),
            }
        }
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn another_certificate_replaces_the_one_in_use() {
        let directory = crate::tests::private_directory();
        let open = |names: &[String]| crate::keys::open(directory.path(), names).unwrap();
        let first = open(&[]);
        let current = Current::new(&first, Arc::new(rustls::crypto::ring::default_provider())).unwrap();
        assert!(!current.replace(&open(&[])).unwrap());
        let second = open(&["renewed.example.com".to_owned()]);
        assert!(current.replace(&second).unwrap());
        assert_eq!(current.now().cert, second.chain);
    }
}
