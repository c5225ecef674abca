//! Taking the orders of series in: the first one, changes, and stops.
//!
//! Owns check 9 of a series: its content is kept, then the promise is on the disk in one write, then something may be due. Never
//! takes a series that it could not run without a server.

use std::rc::Rc;

use orderly_model::schedule::{Event, Series};
use orderly_model::task::{ResultCode, TaskStatus};
use orderly_signing::digest::Digest;
use orderly_signing::error::Check;
use orderly_signing::order::{Action, Order, Repeat, ScriptAction};
use orderly_signing::verify::Verified;
use orderly_wire::to_agent::Offer;
use orderly_wire::to_server::{EndOfSeries, ReportEvent};
use tokio_util::sync::CancellationToken;

use super::{Live, SERIES_MAX, Step};
use crate::clock::{effective_ms, local_ms};
use crate::desk::claims::Claims;
use crate::desk::intake::raised;
use crate::desk::stop::STOP_KEPT_MS;
use crate::desk::{Desk, Phase};
use crate::exec::{Outcome, chain};
use crate::journal::Known;
use crate::journal::record::{Armed, Record, Seen};
use crate::platform;
use crate::policy::{self, Refused};

impl Desk {
    /// Checks 6 to 9 of a series.
    pub(in crate::desk) async fn intake_series(
        self: &Rc<Self>,
        claims: &Claims,
        order: &Verified<Order>,
        offer: &Offer,
        stop: &CancellationToken,
    ) {
        let content = tokio::select! {
            content = self.admit_series(order, offer) => content,
            () = self.closing.cancelled() => {
                self.state.borrow_mut().active.remove(&claims.digest);
                return;
            }
        };
        if stop.is_cancelled() {
            let outcome = Outcome::without_run(TaskStatus::Cancelled, None, "it was stopped before it was accepted");
            return self.end_unaccepted(claims.digest, Some(order), &order.invocation, order.expires_ms, outcome);
        }
        if let Err(refused) = content.and_then(|content| self.arm(order, offer, &content)) {
            return self.refuse(claims, Some(order), &refused);
        }
        self.state.borrow_mut().active.remove(&claims.digest);
        tracing::info!(invocation.id = %order.invocation, order = %claims.digest, "a series is accepted");
    }

    /// Checks 6 to 8 of a series, as each of its runs will be checked again; gives the content.
    async fn admit_series(self: &Rc<Self>, order: &Verified<Order>, offer: &Offer) -> Result<Vec<u8>, Refused> {
        let Action::Script(ScriptAction { content, content_bytes, .. }) = &order.action else {
            return Err(Refused::because(Check::Payload, "a series of anything but a script is not carried out"));
        };
        let mut admitted = self.gate(&self.state.borrow()).script(order, offer.content.as_deref())?;
        let content = match &offer.content {
            Some(content) => content.clone(),
            None => {
                let bytes = self.fetched(*content, *content_bytes).await?;
                let order = self.verified(offer)?;
                admitted = self.gate(&self.state.borrow()).script(&order, Some(&bytes))?;
                bytes
            }
        };
        order.check_content(&content)?;
        self.gate(&self.state.borrow()).filled(order, admitted, content.clone(), &offer.built_ins)?;
        Ok(content)
    }

    /// Check 9.
    fn arm(self: &Rc<Self>, order: &Verified<Order>, offer: &Offer, content: &[u8]) -> Result<(), Refused> {
        let Repeat::Series(wanted) = &order.repeat else {
            return Err(Refused::because(Check::Payload, "the order is of no series"));
        };
        let plan = policy::series::plan(wanted, order.issued_ms, &self.zones)?;
        let zone = self.zones.find(plan.zone());
        let zone = zone.map_err(|error| Refused::lacking(ResultCode::CommandNotApplicable, chain(&error)))?;
        let unrecorded = |reason: String| {
            Refused::because(Check::Journal, format!("the series cannot be recorded, so it is not kept: {reason}"))
        };
        let reading = platform::reading(&self.boot);
        let digest = order.digest();
        let invocation = order.invocation.clone();
        let mut state = self.state.borrow_mut();
        policy::not_replayed(&state.journal, order)?;
        let known = state.series.get(&invocation).map(|live| live.machine.clone());
        if known.is_none() && state.journal.series(&invocation).is_some() {
            let reason = "where the series stands is not known yet on this instance, so it cannot be changed: stop it, and make a new one";
            return Err(Refused::lacking(ResultCode::CommandNotApplicable, reason));
        }
        if known.is_none() && state.series.len() >= SERIES_MAX {
            let reason = format!("{SERIES_MAX} series are kept on this instance, the most that it takes: stop some");
            return Err(Refused::lacking(ResultCode::TaskConcurrencyLimit, reason));
        }
        if let Some(mut machine) = known.clone() {
            let revised = machine.revise(plan.clone(), &reading, &zone);
            revised.map_err(|error| Refused::because(Check::Replay, chain(&error)))?;
        }
        let content = self.kept.keep(content).map_err(|error| unrecorded(error.to_string()))?;
        let now_ms = local_ms();
        let machine = known.unwrap_or_else(|| Series::arm(plan.clone(), &reading));
        let mut records = vec![
            Record::Seen(Seen {
                order: digest,
                id: Some(order.order.clone()),
                invocation: Some(invocation.clone()),
                at_ms: now_ms,
                expires_ms: order.expires_ms,
                stopping: false,
                series: true,
            }),
            Record::Armed(Box::new(Armed {
                invocation: invocation.clone(),
                order: digest,
                revision: wanted.revision,
                envelope: offer.order.clone(),
                proof: offer.proof.clone(),
                plugin: None,
                built_ins: offer.built_ins.clone(),
                at_ms: effective_ms(now_ms, state.journal.floor_ms()),
                expires_ms: order.expires_ms,
                // Where it stands by now is in the same entry, behind this.
                state: machine.state().clone(),
            })),
        ];
        records.extend(raised(&state, order));
        let before = state.series.get(&invocation).map(|live| (live.order, live.content));
        let told = state.journal.next_seq();
        let live = state.series.entry(invocation.clone()).or_insert_with(|| Live {
            machine,
            order: digest,
            content,
            zone,
            run: None,
            told,
            untold: Vec::new(),
        });
        (live.order, live.content) = (digest, content);
        drop(state);
        let accepted = (digest, 0, ReportEvent::Accepted { at_ms: now_ms });
        let step = Step { records, reports: vec![accepted], ..Step::default() };
        let changes = before.is_some();
        let done = self.advance(&invocation, step, |machine, reading, zone| {
            let revised = if changes { machine.revise(plan, reading, zone) } else { Ok(Vec::new()) };
            let mut actions = revised.unwrap_or_default();
            actions.extend(machine.apply(Event::Tick, reading, zone));
            actions
        });
        done.map_err(|error| {
            let mut state = self.state.borrow_mut();
            match before {
                Some(before) => {
                    if let Some(live) = state.series.get_mut(&invocation) {
                        (live.order, live.content) = before;
                    }
                }
                None => {
                    state.series.remove(&invocation);
                }
            }
            unrecorded(chain(&error))
        })
    }

    /// Stops the series that the order is of, or the one of the invocation; says whether there is such a series.
    pub(in crate::desk) fn stop_series(
        self: &Rc<Self>,
        stop: &Verified<Order>,
        target: Digest,
        invocation: &str,
    ) -> bool {
        let state = self.state.borrow();
        let invocation = state.journal.invocation(&target).unwrap_or_else(|| invocation.to_owned());
        let Some(kept) = state.journal.series(&invocation).filter(|kept| kept.ended_ms.is_none()) else { return false };
        let (order, revision) = (kept.order, kept.revision.saturating_add(1));
        // A change of it that is still being checked is not taken any more.
        if let Some(active) = state.active.get(&target).filter(|active| active.phase == Phase::Checking) {
            active.stop.cancel();
        }
        let live = state.series.get(&invocation);
        let machine = live.is_some();
        let run = live.and_then(|live| live.run.clone()).filter(|(_, stop)| !stop.is_cancelled());
        let running = live.is_some_and(|live| live.machine.running().is_some());
        let first = running && state.journal.known(&order) == Some(Known::Open { stopping: false });
        let records = raised(&state, stop).into_iter().collect();
        drop(state);
        tracing::info!(invocation.id = %invocation, %order, "a series is stopped");
        let stopping = first.then_some((order, 0, ReportEvent::Stopping { at_ms: local_ms() }));
        let expires_ms = Some(stop.expires_ms.saturating_add(STOP_KEPT_MS));
        let step = Step { records, reports: stopping.into_iter().collect(), expires_ms, ..Step::default() };
        let done = if machine {
            self.advance(&invocation, step, |machine, reading, zone| {
                machine.stop(revision, reading, zone).unwrap_or_default()
            })
        } else {
            self.end_series(&invocation, EndOfSeries::Stopped, expires_ms)
        };
        if let Err(error) = done {
            tracing::error!(invocation.id = %invocation, error = %chain(&error), "a stop of a series is not recorded: its run is ended, the server has to send the stop again");
            if let Some((_, stop)) = run {
                stop.cancel();
            }
        }
        true
    }
}
