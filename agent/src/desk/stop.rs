//! Doing what a verified stop of an order that runs once says. That of a series is in `series/arm`.

use orderly_model::task::TaskStatus;
use orderly_signing::digest::Digest;
use orderly_signing::order::Order;
use orderly_signing::verify::Verified;
use orderly_wire::to_server::ReportEvent;

use super::intake::{raised, report};
use super::{Desk, Phase};
use crate::clock::local_ms;
use crate::exec::{Outcome, chain};
use crate::journal::Known;
use crate::policy;

/// How long behind its own end a stop for an order that never came is remembered: longer than that order, which was signed before
/// the stop was, can be accepted.
pub(super) const STOP_KEPT_MS: i64 = policy::LIFETIME_MAX_MS;

impl Desk {
    /// Does what a verified stop says. Needs no record of its own: stopping twice is stopping once, and its receipt is
    /// the stopped task's.
    pub(super) fn stop(&self, stop: &Verified<Order>, target: Digest, invocation: &str) {
        let mut state = self.state.borrow_mut();
        let known = state.journal.invocation(&target);
        let invocation = known.as_deref().unwrap_or(invocation);
        let phase = state.active.get(&target).map(|active| (active.phase, active.stop.clone()));
        match (phase, state.journal.known(&target)) {
            (Some((Phase::Checking, token)), _) => token.cancel(),
            (Some((Phase::Accepted, token)), known) => {
                if known == Some(Known::Open { stopping: false }) {
                    let event = ReportEvent::Stopping { at_ms: local_ms() };
                    let mut records: Vec<_> = raised(&state, stop).into_iter().collect();
                    records.push(report(&state.journal, target, Some(invocation.to_owned()), event));
                    if let Err(error) = state.journal.append(&records) {
                        tracing::warn!(order = %target, error = %chain(&error), "a stop is followed but not recorded");
                    }
                }
                tracing::info!(invocation.id = invocation, order = %target, "stopping");
                token.cancel();
                drop(state);
                self.outbox.notify_one();
            }
            (None, Some(_)) => {
                drop(state);
                self.answered(&target);
            }
            (None, None) => {
                drop(state);
                let outcome = Outcome::without_run(
                    TaskStatus::Cancelled,
                    None,
                    "it was stopped before it arrived, and will not run",
                );
                self.end_unaccepted(target, None, invocation, stop.expires_ms.saturating_add(STOP_KEPT_MS), outcome);
            }
        }
    }
}
