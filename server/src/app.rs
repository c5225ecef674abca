//! Everything long-lived, started here and stopped in the order of [`Shutdown`].

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::api::{self, Api};
use crate::blobs::{BlobError, Blobs, Quota, sweep};
use crate::config::Config;
use crate::intake::Intake;
use crate::link::{LinkDeps, Links, Presence};
use crate::live::Hub;
use crate::offer::Offers;
use crate::retention::{self, Keep};
use crate::shutdown::Shutdown;
use crate::store::{Store, StoreError};
use crate::trust::{Trust, TrustError};
use crate::{dispatch, gateway, keys};

/// Why the server did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The keys of the data directory.
    #[error("the keys cannot be opened")]
    Keys(#[from] keys::KeyError),
    /// The store.
    #[error("the store cannot be opened")]
    Store(#[from] StoreError),
    /// The keyring in the store.
    #[error("the keyring cannot be loaded")]
    Trust(#[from] TrustError),
    /// The blob directory.
    #[error("the blob directory cannot be opened")]
    Blobs(#[from] BlobError),
    /// The administrator's token.
    #[error("there is no administrator's token")]
    Admin(#[from] api::AdminError),
    /// The certificate.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The address.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Signals of the system.
    #[error("signals cannot be heard")]
    Signals(#[source] std::io::Error),
}

/// Runs the server until it is told to stop (SIGTERM or ctrl-c).
///
/// # Errors
/// Where it cannot start.
pub async fn run(config: Config) -> Result<(), AppError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(AppError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(AppError::Signals)?;
    let shutdown = Shutdown::default();
    let started = start(config, &shutdown, say).await.map(drop);
    if started.is_ok() {
        tokio::select! {
            _ = terminate.recv() => info!("told to stop"),
            _ = interrupt.recv() => info!("told to stop"),
        }
    }
    shutdown.run().await;
    started
}

/// Starts everything, says what programs wait for, and answers the address that it listens on and its store.
pub(crate) async fn start(
    config: Config,
    shutdown: &Shutdown,
    mut say: impl FnMut(&str),
) -> Result<(SocketAddr, Store), AppError> {
    raise_descriptors();
    let public_names = names(&config);
    let keys = keys::open(&config.data_dir, &public_names)?;
    let store = match &config.database_url {
        Some(url) => Store::open_postgres(url, &shutdown.store).await?,
        None => Store::open_lite(&config.data_dir, &shutdown.store).await?,
    };
    let data_dir = config.data_dir.clone();
    let tls = gateway::tls(&keys, &shutdown.accepting, move || keys::open(&data_dir, &public_names))?;
    let blobs = Blobs::open(
        config.data_dir.join("blobs"),
        store.clone(),
        Quota { file_bytes: config.file_max_bytes, total_bytes: config.storage_max_bytes },
    )?;
    sweep::spawn(blobs.clone(), &shutdown.dispatching);
    let keep = Keep { days: config.keep_days, count: config.keep_count };
    retention::spawn(store.clone(), keep, &shutdown.dispatching);
    let trust = Trust::load(store.clone(), Arc::clone(&keys.dispatch)).await?;
    trust.follow(&shutdown.dispatching);
    let listener =
        TcpListener::bind(config.listen).await.map_err(|source| AppError::Listen { address: config.listen, source })?;
    let address = listener.local_addr().map_err(|source| AppError::Listen { address: config.listen, source })?;
    api::admin_token(&store, config.new_admin_token, |token| say(&format!("admin token: {token}"))).await?;

    let hub = Hub::default();
    let links = Links::default();
    let offers = Offers::new(store.clone());
    let rolls = dispatch::Rolls::default();
    let intake = Intake::spawn(store.clone(), hub.clone(), Arc::clone(&rolls), &shutdown.intake);
    let presence = Presence::spawn(store.clone(), &shutdown.intake);
    let nudge =
        dispatch::spawn(store.clone(), offers.clone(), links.clone(), hub.clone(), rolls, &shutdown.dispatching);
    let link = LinkDeps {
        store: store.clone(),
        links,
        presence,
        intake,
        hub,
        offers,
        keyring: trust.watch(),
        stop: shutdown.links.token(),
    };
    let api = Api {
        store: store.clone(),
        trust,
        authority: keys.authority,
        blobs,
        scripts: config.scripts(),
        keep,
        nudge,
        link,
        accepting: shutdown.accepting.clone(),
        links: shutdown.links.clone(),
        throttle: Default::default(),
        uploads: Api::upload_room(),
        reports: Api::report_room(),
    };
    gateway::spawn(listener, tls, api::router(Arc::new(api)), &shutdown.accepting);
    info!(%address, "listening");
    say(&format!("listening on https://{address}"));
    Ok((address, store))
}

/// The public names of the certificate: those that are given, and the address where it is one that others can use.
fn names(config: &Config) -> Vec<String> {
    let mut names = config.public_name.clone();
    let ip = config.listen.ip();
    if !ip.is_loopback() && !ip.is_unspecified() {
        names.push(ip.to_string());
    }
    if !ip.is_loopback() && names.is_empty() {
        warn!("the certificate names this machine only as localhost; say by which `--public-name` agents reach it");
    }
    names
}

/// Prints a line that programs wait for. Nobody may be reading any more, which is no reason to stop.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Raises the soft limit of open files to the hard one: each link needs a descriptor, and the usual soft limit is 1024.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        warn!(error = %error, "the limit of open files could not be raised");
    }
}
