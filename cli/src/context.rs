//! What every command gets: settings, printer, keys, trust, and a client when it asks for one.
//!
//! Owns nothing else. Made once in `main`.

use crate::client::Client;
use crate::error::Failure;
use crate::keystore::Keystore;
use crate::output::Printer;
use crate::settings::Settings;
use crate::trust::TrustStore;

/// The surroundings of a command.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// What is configured.
    pub(crate) settings: Settings,
    /// The way to the terminal.
    pub(crate) printer: Printer,
    /// Keys of this configuration directory.
    pub(crate) keys: Keystore,
    /// Trust of this configuration directory.
    pub(crate) trust: TrustStore,
}

impl Context {
    /// Puts the parts together.
    pub(crate) fn new(settings: Settings, printer: Printer) -> Self {
        let (keys, trust) = (Keystore::new(&settings.dir), TrustStore::new(&settings.dir));
        Self { settings, printer, keys, trust }
    }

    /// A client of the configured server.
    ///
    /// # Errors
    /// Server or CA are not configured.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Client::new(&self.settings)
    }
}
