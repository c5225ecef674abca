//! Taking an order in: the nine checks in their order, then the promise.
//!
//! Owns what happens between an offer and "accepted" or "refused"; a stop that was checked is handed on. An order that is in the journal already is
//! answered with its state and never checked or started again: its digest is over all that was signed, so it is the
//! very order that was checked when it came first. Every refusal is reported with a receipt.

use std::rc::Rc;

use orderly_model::task::{ResultCode, TaskStatus};
use orderly_signing::digest::Digest;
use orderly_signing::error::Check;
use orderly_signing::order::{Action, Order, Repeat, ScriptAction};
use orderly_signing::verify::Verified;
use orderly_wire::to_agent::Offer;
use orderly_wire::to_server::{Report, ReportEvent};
use tokio_util::sync::CancellationToken;

use super::claims::Claims;
use super::series::series_again;
use super::work::{Job, Task};
use super::{Active, Desk, Phase, State};
use crate::clock::{effective_ms, floor_after_order, local_ms};
use crate::exec::{Outcome, chain};
use crate::journal::record::Record;
use crate::journal::{self, Journal, Known};
use crate::policy::{self, Gate, Refused};

/// Bytes of all scripts that run or wait: memory is bounded whatever a server sends.
const HELD_MAX_BYTES: u64 = 32 * 1024 * 1024;

/// Offers whose content is being fetched, or waits for that.
const CHECKING_MAX: usize = 64;

/// How the bytes begin over which the digest of an order goes. Sent bare they would be refused under that very digest, and
/// the receipt would be one about the order.
const PAE_HEAD: &[u8] = b"DSSEv1 ";

/// Room in the journal that is always set aside for refusals and stops.
pub(super) const HEADROOM_BYTES: u64 = 32 * 1024;

impl Desk {
    /// Checks an offer, and accepts it, refuses it or does what its stop says.
    pub(super) async fn intake(self: Rc<Self>, offer: Offer) {
        if offer.order.starts_with(PAE_HEAD) {
            tracing::warn!("what is no order but has the digest of one is not answered");
            return;
        }
        let claims = Claims::of(&offer.order);
        if self.answered(&claims.digest) {
            return;
        }
        let Some(stop) = self.begin(claims.digest) else { return };
        if self.state.borrow().active.values().filter(|active| active.phase == Phase::Checking).count() > CHECKING_MAX {
            let reason = "too many orders wait for their content on this instance: try again later";
            return self.refuse(&claims, None, &Refused::lacking(ResultCode::TaskConcurrencyLimit, reason));
        }
        let order = match self.verified(&offer) {
            Ok(order) => order,
            Err(refused) => return self.refuse(&claims, None, &refused),
        };
        if let Action::Stop { order: target, invocation } = &order.action {
            self.state.borrow_mut().active.remove(&claims.digest);
            if !self.stop_series(&order, *target, invocation) {
                self.stop(&order, *target, invocation);
            }
            return;
        }
        if self.crowded(false) {
            self.state.borrow_mut().active.remove(&claims.digest);
            return;
        }
        if matches!(order.repeat, Repeat::Series(_)) {
            return self.intake_series(&claims, &order, &offer, &stop).await;
        }
        let live = offer.live;
        let admitted = tokio::select! {
            admitted = self.admit(&order, offer) => admitted,
            () = self.closing.cancelled() => {
                // Nothing is promised and nothing refused: the next agent gets the offer again.
                self.state.borrow_mut().active.remove(&claims.digest);
                return;
            }
        };
        match admitted {
            Ok(job) => self.accept(&claims, &order, job, live, stop),
            Err(refused) => self.refuse(&claims, Some(&order), &refused),
        }
    }

    /// Whether the order is known; then its state is told again.
    pub(super) fn answered(&self, order: &Digest) -> bool {
        let mut state = self.state.borrow_mut();
        let Some(known) = state.journal.known(order) else { return false };
        if let Some(seq) = state.journal.first_report_about(order) {
            drop(state);
            self.tell_again(seq);
            return true;
        }
        if let Some(told) = series_again(&state.journal, order) {
            let recorded = state.journal.append(&[told]);
            drop(state);
            if let Err(error) = recorded {
                tracing::warn!(%order, error = %chain(&error), "the state of a known series cannot be told again");
            }
            self.outbox.notify_one();
            return true;
        }
        let again = match known {
            Known::Open { .. } => Ok(Some((None, ReportEvent::Accepted { at_ms: local_ms() }))),
            Known::Ended => state.journal.ended(order).map(|ended| {
                ended.map(|(invocation, finished)| (invocation, ReportEvent::Finished(Box::new(finished))))
            }),
        };
        let told = again.and_then(|again| {
            let Some((invocation, event)) = again else { return Ok(()) };
            let invocation = invocation.or_else(|| state.journal.invocation(order));
            let report = report(&state.journal, *order, invocation, event);
            state.journal.append(&[report])
        });
        if let Err(error) = told {
            tracing::warn!(%order, error = %chain(&error), "the state of a known order cannot be told again");
        }
        drop(state);
        self.outbox.notify_one();
        true
    }

    fn tell_again(&self, seq: u64) {
        let lowest = self.rewind.get().map_or(seq, |other| other.min(seq));
        self.rewind.set(Some(lowest));
        self.outbox.notify_one();
    }

    /// Marks the order as being checked; nothing where it is already.
    fn begin(&self, order: Digest) -> Option<CancellationToken> {
        let mut state = self.state.borrow_mut();
        if state.active.contains_key(&order) {
            return None;
        }
        let stop = CancellationToken::new();
        state.active.insert(order, Active { stop: stop.clone(), phase: Phase::Checking, room: 0, held: 0 });
        Some(stop)
    }

    /// Checks 1 to 5.
    pub(super) fn verified(&self, offer: &Offer) -> Result<Verified<Order>, Refused> {
        let state = self.state.borrow();
        let gate = self.gate(&state);
        let order = gate.order(&offer.order, &offer.proof)?;
        policy::not_for_ever(&order, gate.now_ms)?;
        policy::not_replayed(&state.journal, &order)?;
        Gate::carried_out(&order)?;
        Ok(order)
    }

    pub(super) fn gate<'a>(&'a self, state: &'a State) -> Gate<'a> {
        Gate {
            keyring: &state.keyring,
            me: self.identity.id(),
            local: &self.config.policy,
            effects: self.config.effects.as_ref(),
            containers: &self.config.containers,
            trees: &self.trees,
            sandbox: &self.facts.sandbox,
            now_ms: effective_ms(local_ms(), state.journal.floor_ms()),
        }
    }

    /// Checks 6 to 8, with the content or the component at hand afterwards. A server can take its time with what it is
    /// asked for, so all checks that time, keyring or journal decide are made again behind a fetch.
    async fn admit(self: &Rc<Self>, order: &Verified<Order>, mut offer: Offer) -> Result<Job, Refused> {
        match &order.action {
            Action::Script(ScriptAction { content, content_bytes, .. }) => {
                let mut admitted = self.gate(&self.state.borrow()).script(order, offer.content.as_deref())?;
                let bytes = match offer.content.take() {
                    Some(bytes) => bytes,
                    None => {
                        let bytes = self.fetched(*content, *content_bytes).await?;
                        let order = self.verified(&offer)?;
                        admitted = self.gate(&self.state.borrow()).script(&order, Some(&bytes))?;
                        bytes
                    }
                };
                order.check_content(&bytes)?;
                let told = &offer.built_ins;
                let script = self.gate(&self.state.borrow()).filled(order, admitted, bytes, told)?;
                Ok(Job::Script(Box::new(script)))
            }
            Action::Plugin { timeout_s, output_bytes, .. } => {
                let job = |admitted| Job::plugin(admitted, *timeout_s, *output_bytes);
                let admitted = self.admitted(order, offer.plugin.as_ref())?;
                if self.has_code(&admitted) {
                    return Ok(job(admitted));
                }
                let _one = self.fetching.acquire().await;
                let (digest, bytes) = (admitted.plugin.component, admitted.component_bytes);
                let fetched = self.artifacts.component(digest, bytes).await;
                fetched.map_err(|error| Refused::because(Check::Content, chain(&error)))?;
                let order = self.verified(&offer)?;
                Ok(job(self.admitted(&order, offer.plugin.as_ref())?))
            }
            Action::File(_) | Action::Collect(_) => {
                Ok(Job::Move(Box::new(self.gate(&self.state.borrow()).file(order)?)))
            }
            Action::Stop { .. } => {
                Err(Refused::because(Check::Payload, "the order names no work that this agent does"))
            }
        }
    }

    pub(super) async fn fetched(&self, digest: Digest, bytes: u64) -> Result<Vec<u8>, Refused> {
        let _one = self.fetching.acquire().await;
        self.artifacts.fetch(digest, bytes).await.map_err(|error| Refused::because(Check::Content, chain(&error)))
    }

    /// Check 9: the promise on the disk, then the work.
    fn accept(
        self: &Rc<Self>,
        claims: &Claims,
        order: &Verified<Order>,
        job: Job,
        live: bool,
        stop: CancellationToken,
    ) {
        let digest = order.digest();
        let mut state = self.state.borrow_mut();
        if self.closing.is_cancelled() {
            // Nothing is promised, so the next agent gets the offer again.
            state.active.remove(&digest);
            return;
        }
        if stop.is_cancelled() {
            drop(state);
            let outcome = Outcome::without_run(TaskStatus::Cancelled, None, "it was stopped before it was accepted");
            return self.end_unaccepted(digest, Some(order), &order.invocation, order.expires_ms, outcome);
        }
        if let Err(reason) = self.full(&state, &job) {
            drop(state);
            return self.refuse(claims, Some(order), &Refused::lacking(ResultCode::TaskConcurrencyLimit, reason));
        }
        let now_ms = local_ms();
        let trial = order.repeat == Repeat::DryRun;
        let task = Task { order: digest, invocation: order.invocation.clone(), run: None, job, trial, live, stop };
        let (room, held) = (task.job.room(), task.job.held());
        let mut records = vec![journal::record::seen(
            digest,
            Some(order.order.clone()),
            Some(order.invocation.clone()),
            now_ms,
            order.expires_ms,
        )];
        records.extend(self.planned_tree(&task).map(|tree| journal::record::tree(digest, tree)));
        records.extend(raised(&state, order));
        records.push(report(
            &state.journal,
            digest,
            Some(order.invocation.clone()),
            ReportEvent::Accepted { at_ms: now_ms },
        ));
        let total = state.active.values().map(|active| active.room).sum::<u64>() + room + HEADROOM_BYTES;
        if let Err(error) = state.journal.reserve(total).and_then(|()| state.journal.append(&records)) {
            drop(state);
            let refused = Refused::because(
                Check::Journal,
                format!("the order cannot be recorded, so it is not run: {}", chain(&error)),
            );
            return self.refuse(claims, Some(order), &refused);
        }
        if let Some(active) = state.active.get_mut(&digest) {
            active.phase = Phase::Accepted;
            (active.room, active.held) = (room, held);
        }
        drop(state);
        tracing::info!(invocation.id = %task.invocation, order = %digest, "accepted");
        self.outbox.notify_one();
        self.tasks.spawn_local(Rc::clone(self).work(task));
    }

    /// Whether this instance has too much to do to take this on.
    fn full(&self, state: &State, job: &Job) -> Result<(), String> {
        let waiting = state.active.values().filter(|active| active.phase == Phase::Accepted).count();
        let most = self.config.running_max + self.config.queued_max;
        if waiting >= most {
            return Err(format!(
                "{most} tasks run or wait on this instance, the most that it takes (`running_max` and `queued_max`): try again later"
            ));
        }
        let held = state.active.values().map(|active| active.held).sum::<u64>();
        if held > 0 && held + job.held() > HELD_MAX_BYTES {
            return Err(format!(
                "the scripts that run or wait on this instance have {held} bytes, with this one more than {HELD_MAX_BYTES}: try again later"
            ));
        }
        Ok(())
    }

    /// Whether so much waits to be told, or to be remembered, that an offer must stay without an answer. It is not recorded,
    /// so that the server may offer it again; a refusal that could be forgotten while its order is in force is not given.
    fn crowded(&self, unverified: bool) -> bool {
        let crowded = self.state.borrow_mut().journal.crowded(unverified, local_ms());
        if crowded {
            tracing::warn!(
                "an offer stays without an answer: the server does not acknowledge, or offers what nobody signed"
            );
        }
        crowded
    }

    /// Answers with a refusal. Where the disk is full the answer is at least sent.
    pub(super) fn refuse(&self, claims: &Claims, order: Option<&Verified<Order>>, refused: &Refused) {
        let check = refused.check.map_or("none", Check::code);
        tracing::warn!(order = %claims.digest, check, reason = %refused.reason, "refused");
        let finished = self.refusal(claims.digest, claims.invocation.as_deref(), refused);
        let replayed = refused.check == Some(Check::Replay);
        let id = order.filter(|_| !replayed).map(|order| order.order.clone());
        let expires_ms = order.map_or(claims.expires_ms, |order| order.expires_ms);
        let seen = journal::record::seen(claims.digest, id, claims.invocation.clone(), local_ms(), expires_ms);
        self.answer(claims.digest, claims.invocation.clone(), vec![seen], ReportEvent::Finished(Box::new(finished)));
    }

    /// Ends an order that was never accepted.
    pub(super) fn end_unaccepted(
        &self,
        digest: Digest,
        order: Option<&Verified<Order>>,
        invocation: &str,
        expires_ms: i64,
        outcome: Outcome,
    ) {
        let finished = self.finished(digest, invocation, outcome);
        let id = order.map(|order| order.order.clone());
        let seen = journal::record::seen(digest, id, Some(invocation.to_owned()), local_ms(), expires_ms);
        self.answer(digest, Some(invocation.to_owned()), vec![seen], ReportEvent::Finished(Box::new(finished)));
    }

    fn answer(&self, digest: Digest, invocation: Option<String>, mut records: Vec<Record>, event: ReportEvent) {
        self.state.borrow_mut().active.remove(&digest);
        if self.crowded(records.iter().any(Record::is_unverified)) {
            return;
        }
        let mut state = self.state.borrow_mut();
        let told = report(&state.journal, digest, invocation, event);
        records.push(told.clone());
        if let Err(error) = state.journal.append(&records) {
            tracing::error!(order = %digest, error = %chain(&error), "an answer is sent but not recorded");
            if let Record::Report(told) = told {
                state.journal.tell_unrecorded(*told);
            }
        }
        drop(state);
        self.outbox.notify_one();
    }
}

/// A report with the next sequence number.
pub(super) fn report(journal: &Journal, order: Digest, invocation: Option<String>, event: ReportEvent) -> Record {
    Record::Report(Box::new(Report { seq: journal.next_seq(), order, invocation, generation: 1, event }))
}

pub(super) fn raised(state: &State, order: &Verified<Order>) -> Option<Record> {
    let floor = floor_after_order(state.journal.floor_ms(), order, &state.keyring, local_ms());
    (floor > state.journal.floor_ms()).then(|| journal::record::floor(floor))
}

/// What a task is called that the agent did not see to its end.
pub(super) fn interrupted(reason: &str) -> Outcome {
    Outcome::without_run(TaskStatus::Error, Some(ResultCode::ExecutionInterrupted), reason)
}
