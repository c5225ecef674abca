//! The desk: where orders come in, tasks are kept track of, and reports go out.
//!
//! Owns the journal, the keyring in force and the list of tasks at hand; nobody else changes them. Everything here runs
//! on one thread, and no borrow of the state lives across an await: methods that touch it are not async. Offers,
//! stops and ends are handled in [`intake`] and [`work`]; what an earlier agent left is handled in [`recovery`].
//! It stops by [`Desk::close`]: no new orders, running tasks are ended and reported as interrupted.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use orderly_host::cache::Cache;
use orderly_host::platform::Trees;
use orderly_model::instance::Facts;
use orderly_model::schedule::BootId;
use orderly_signing::digest::Digest;
use orderly_signing::keyring::Keyring;
use orderly_signing::verify::{Verified, verify_keyring};
use orderly_wire::to_agent::Offer;
use orderly_wire::to_server::{Report, ToServer};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::artifacts::Artifacts;
use crate::artifacts::kept::KeptContent;
use crate::clock::zone::Zones;
use crate::clock::{effective_ms, floor_after_keyring, local_ms};
use crate::config::Config;
use crate::directory::Directory;
use crate::exec::file::notes::Notes;
use crate::identity::{self, Identity};
use crate::journal::{self, Journal, JournalError};
use crate::platform;
use crate::transfer::Transfer;

mod approvals;
mod claims;
mod code;
mod intake;
mod receipts;
mod recovery;
mod series;
mod stop;
#[cfg(test)]
mod tests;
mod work;

/// Frames of live output that wait for the link; more are dropped.
pub(crate) const LIVE_QUEUE: usize = 64;

/// What the desk works with.
pub(crate) struct Deps {
    /// Who we are.
    pub identity: Rc<Identity>,
    /// The local configuration.
    pub config: Config,
    /// The data directory.
    pub directory: Directory,
    /// Content and components.
    pub artifacts: Artifacts,
    /// The content of series.
    pub kept: KeptContent,
    /// The way for files.
    pub transfer: Transfer,
    /// The notes of staged files.
    pub notes: Notes,
    /// Process trees.
    pub trees: Trees,
    /// What this instance is.
    pub facts: Facts,
    /// The journal.
    pub journal: Journal,
    /// The keyring in force.
    pub keyring: Verified<Keyring>,
    /// This program, which is re-executed for plugin runs.
    pub program: PathBuf,
}

/// The desk. Shared by reference within the one thread.
pub(crate) struct Desk {
    identity: Rc<Identity>,
    config: Config,
    directory: Directory,
    artifacts: Artifacts,
    kept: KeptContent,
    zones: Zones,
    transfer: Transfer,
    notes: Notes,
    trees: Trees,
    facts: Facts,
    program: PathBuf,
    /// The start of the instance, read once: a look that fails later is no start.
    boot: BootId,
    state: RefCell<State>,
    outbox: Notify,
    /// Something has changed when a series is to be looked at.
    wake: Notify,
    rewind: Cell<Option<u64>>,
    live: mpsc::Sender<ToServer>,
    /// One permit per task that may run at the same time.
    slots: Rc<Semaphore>,
    /// One large download at a time, so that memory stays bounded.
    fetching: Semaphore,
    /// Opened at the first plugin: it costs memory that an agent without plugins need not have.
    compiled: RefCell<Option<Rc<Cache>>>,
    /// Whether a task waits to let compiled code go.
    letting_go: Cell<bool>,
    tasks: TaskTracker,
    closing: CancellationToken,
}

struct State {
    journal: Journal,
    keyring: Rc<Verified<Keyring>>,
    active: HashMap<Digest, Active>,
    /// The series that are followed, by their invocations.
    series: HashMap<String, series::Live>,
}

/// A task at hand.
struct Active {
    stop: CancellationToken,
    phase: Phase,
    /// Bytes that its end may need in the journal.
    room: u64,
    /// Bytes of memory that it holds while it waits.
    held: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Its order is being checked; nothing is promised yet.
    Checking,
    /// Accepted.
    Accepted,
}

impl Desk {
    /// Sets the desk up. Live output goes into `live`.
    pub(crate) fn new(deps: Deps, live: mpsc::Sender<ToServer>) -> Rc<Self> {
        let slots = Rc::new(Semaphore::new(deps.config.running_max));
        Rc::new(Self {
            identity: deps.identity,
            config: deps.config,
            directory: deps.directory,
            artifacts: deps.artifacts,
            kept: deps.kept,
            zones: Zones::of_system(),
            transfer: deps.transfer,
            notes: deps.notes,
            trees: deps.trees,
            facts: deps.facts,
            program: deps.program,
            boot: platform::boot(),
            state: RefCell::new(State {
                journal: deps.journal,
                keyring: Rc::new(deps.keyring),
                active: HashMap::new(),
                series: HashMap::new(),
            }),
            outbox: Notify::new(),
            wake: Notify::new(),
            rewind: Cell::new(None),
            live,
            slots,
            fetching: Semaphore::new(1),
            compiled: RefCell::new(None),
            letting_go: Cell::new(false),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        })
    }

    /// Who we are.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What this instance is.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The time between heart-beats, where the owner of this instance has set one.
    pub(crate) fn heartbeat(&self) -> Option<Duration> {
        self.config.heartbeat
    }

    /// Revision of the keyring in force.
    pub(crate) fn keyring_revision(&self) -> u64 {
        self.state.borrow().keyring.revision
    }

    /// Takes an offer in. Answers by reports.
    pub(crate) fn offer(self: &Rc<Self>, offer: Offer) {
        if !self.closing.is_cancelled() {
            self.tasks.spawn_local(Rc::clone(self).intake(offer));
        }
    }

    /// The next report behind `told` that is not acknowledged.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub(crate) fn next_report(&self, told: u64) -> Result<Option<Report>, JournalError> {
        self.state.borrow().journal.next_report(told)
    }

    /// Waits until there may be something new to tell. Carries no data: look again.
    pub(crate) async fn news(&self) {
        self.outbox.notified().await;
    }

    /// The lowest report that was asked for once more.
    pub(crate) fn take_rewind(&self) -> Option<u64> {
        self.rewind.take()
    }

    /// Reports up to `seq` are safe.
    pub(crate) fn acknowledge(&self, seq: u64) {
        if let Err(error) = self.state.borrow_mut().journal.acknowledge(seq, local_ms()) {
            tracing::warn!(error = %crate::exec::chain(&error), "an acknowledgement is not recorded, its reports will be sent again");
        }
        // What was left out of series may wait for this.
        self.wake.notify_one();
    }

    /// A keyring that the server says is newer. It is put in force only if the pinned root keys signed it and its
    /// revision is higher than ours.
    pub(crate) fn keyring_update(&self, bytes: &[u8]) {
        let mut state = self.state.borrow_mut();
        let now_ms = effective_ms(local_ms(), state.journal.floor_ms());
        let revision = state.keyring.revision;
        let keyring = match verify_keyring(bytes, &self.identity.pins.root, revision, now_ms) {
            Ok(keyring) if keyring.revision == revision => return,
            Ok(keyring) => keyring,
            Err(refusal) => {
                tracing::warn!(check = %refusal.check, reason = %refusal.reason, "a keyring from the server is refused");
                return;
            }
        };
        if let Err(error) = identity::save_keyring(&self.directory, &keyring) {
            tracing::error!(error = %crate::exec::chain(&error), "a newer keyring cannot be stored, the old one stays in force");
            return;
        }
        let floor = floor_after_keyring(state.journal.floor_ms(), &keyring);
        if let Err(error) = state.journal.append(&[journal::record::floor(floor)]) {
            tracing::warn!(error = %crate::exec::chain(&error), "the clock's floor is not recorded");
        }
        tracing::info!(keyring.revision = keyring.revision, "a newer keyring is in force");
        state.keyring = Rc::new(keyring);
    }

    /// Stops: no new orders, running and waiting tasks are ended and reported as interrupted.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
