//! Putting the agent together, and the order in which it stops.
//!
//! Everything long-lived is spawned here. Stop order: no new orders; running tasks are ended and their ends written to the
//! journal; the link sends what it can for two seconds; the process leaves. What could not be sent is sent by the next
//! agent.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use orderly_host::error::TreeError;
use orderly_host::platform::Trees;
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use crate::artifacts::Artifacts;
use crate::artifacts::kept::KeptContent;
use crate::clock::{effective_ms, floor_after_keyring, local_ms};
use crate::config::{self, Config, ConfigError};
use crate::desk::{Deps, Desk, LIVE_QUEUE};
use crate::directory::{Directory, DirectoryError};
use crate::exec::file::notes::Notes;
use crate::identity::{self, Identity, IdentityError};
use crate::journal::{Expect, Found, Journal, JournalError};
use crate::transfer::Transfer;
use crate::{facts, journal, link, shutdown};

/// The agent cannot run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// The configuration.
    #[error("the agent does not start")]
    Config(#[source] ConfigError),
    /// The data directory.
    #[error("the agent does not start")]
    Directory(#[source] DirectoryError),
    /// The identity.
    #[error("the agent does not start")]
    Identity(#[source] IdentityError),
    /// The journal.
    #[error("the agent does not start, since it could not keep its promises")]
    Journal(#[source] JournalError),
    /// Process trees.
    #[error("the agent does not start: process trees cannot be followed")]
    Trees(#[source] TreeError),
    /// Something of the system.
    #[error("the agent does not start: {doing}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

/// Runs until a signal says stop.
///
/// # Errors
/// It cannot start.
pub(crate) async fn run(data: &Path, config: Option<&Path>) -> Result<(), RunError> {
    let directory = Directory::enter(data).map_err(RunError::Directory)?;
    let path = config.map_or_else(|| data.join(config::NAME), PathBuf::from);
    let config = Config::load(&path, config.is_some()).map_err(RunError::Config)?;
    let identity = Rc::new(Identity::load(&directory).map_err(RunError::Identity)?);
    let keyring = identity::keyring(&directory, &identity.pins.root, local_ms()).map_err(RunError::Identity)?;
    // The keyring that came with the enrolment counts for the floor as each later one does, and a journal that is lost or
    // damaged is distrusted from no earlier time than that.
    let floor_ms = floor_after_keyring(0, &keyring);
    let (mut journal, found) = Journal::open(directory.path(), Expect::Existing, effective_ms(local_ms(), floor_ms))
        .map_err(RunError::Journal)?;
    tell(&found);
    if floor_ms > journal.floor_ms()
        && let Err(error) = journal.append(&[journal::record::floor(floor_ms)])
    {
        tracing::warn!(error = %crate::exec::chain(&error), "the clock's floor is not recorded");
    }
    let program =
        std::env::current_exe().map_err(|source| RunError::System { doing: "its own program is not found", source })?;
    let trees = Trees::probe(identity.id().as_str(), &program).map_err(RunError::Trees)?;
    trees.sweep();
    let artifacts = Artifacts::open(&directory, Rc::clone(&identity)).map_err(RunError::Directory)?;
    let kept = KeptContent::open(&directory).map_err(RunError::Directory)?;
    let transfer = Transfer::new(Rc::clone(&identity));
    let notes = Notes::open(&directory).map_err(RunError::Directory)?;
    let facts = facts::gather(&trees);
    tracing::info!(
        instance.id = %identity.id(), server = %identity.server, version = facts::VERSION,
        trees = ?trees.kind(), keyring.revision = keyring.revision, "starting"
    );
    let deps =
        Deps { identity, config, directory, artifacts, kept, transfer, notes, trees, facts, journal, keyring, program };
    LocalSet::new().run_until(serve(deps)).await
}

async fn serve(deps: Deps) -> Result<(), RunError> {
    let stop = CancellationToken::new();
    shutdown::on_signals(stop.clone())
        .map_err(|source| RunError::System { doing: "signals cannot be caught", source })?;
    let (live, frames) = mpsc::channel(LIVE_QUEUE);
    let desk = Desk::new(deps, live);
    desk.recover().await;
    let parting = CancellationToken::new();
    let link = tokio::task::spawn_local(link::run(Rc::clone(&desk), frames, parting.clone()));
    stop.cancelled().await;
    desk.close().await;
    parting.cancel();
    let _ = link.await;
    tracing::info!("stopped");
    Ok(())
}

fn tell(found: &Found) {
    match found {
        Found::Whole | Found::New => {}
        Found::Torn(bytes) => {
            tracing::warn!(bytes, "the journal's last write had been cut off; nobody was told of it, it is removed");
        }
        Found::Corrupt(offset, aside) => {
            let aside = aside.display();
            tracing::error!(offset, %aside, "the journal is damaged: it is set aside, what is whole is kept, and orders signed before now are refused");
        }
        Found::Missing => {
            tracing::error!("the journal is gone: orders signed before now are refused, since they may have run");
        }
    }
}
