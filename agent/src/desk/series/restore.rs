//! Series that an earlier agent kept.
//!
//! Owns what became of the run that was under way: where the journal says that it began, what is left of it is ended and it is
//! told as interrupted, and where that cannot be ended the series waits; only where nothing says so it is given out again. A series of which a part of the journal was lost is
//! ended, and that is told: nothing runs by guess.

use std::rc::Rc;

use orderly_model::schedule::{Event, Fate, Plan, Series};
use orderly_signing::Envelope;
use orderly_signing::digest::Digest;
use orderly_signing::order::{Action, Order, Repeat};
use orderly_wire::to_server::EndOfSeries;
use tokio_util::sync::CancellationToken;

use super::Live;
use super::run::Run;
use crate::desk::Desk;
use crate::desk::intake::interrupted;
use crate::desk::recovery::end;
use crate::exec::chain;
use crate::journal::record::Armed;
use crate::journal::series::Kept;

impl Desk {
    /// Takes up the series that the journal holds and nobody follows yet: all of them at the start, and later those that
    /// could not be followed then.
    pub(in crate::desk) async fn restore_series(self: &Rc<Self>) {
        let missing: Vec<String> = {
            let state = self.state.borrow();
            let live = state.journal.live_series();
            live.into_iter().filter(|invocation| !state.series.contains_key(invocation)).collect()
        };
        for invocation in missing {
            self.restore(&invocation).await;
        }
        self.forget_content();
    }

    async fn restore(self: &Rc<Self>, invocation: &str) {
        let (kept, armed) = {
            let state = self.state.borrow();
            let Some(kept) = state.journal.series(invocation) else { return };
            let armed = if state.journal.is_doubtful(kept) { Ok(None) } else { state.journal.armed(kept) };
            match armed {
                Ok(armed) => (kept.clone(), armed),
                Err(error) => {
                    tracing::error!(invocation.id = invocation, error = %chain(&error), "a series cannot be taken up yet");
                    return;
                }
            }
        };
        let machine = armed.and_then(|armed| machine(&armed, &kept));
        let began = kept.began.as_ref();
        let begun =
            began.filter(|began| machine.as_ref().is_none_or(|(machine, _)| machine.running() == Some(began.number)));
        if let Some(tree) = begun.and_then(|began| began.tree.as_ref())
            && let Err(error) = end(tree).await
        {
            tracing::error!(
                invocation.id = invocation,
                error,
                "what is left of a run cannot be ended yet, and its series waits for that"
            );
            return;
        }
        // A stop may have come meanwhile.
        let unchanged = |now: &Kept| now.ended_ms.is_none() && now.order == kept.order;
        if !self.state.borrow().journal.series(invocation).is_some_and(unchanged) {
            return;
        }
        let Some((machine, content)) = machine else {
            tracing::error!(
                invocation.id = invocation,
                "where a series stood is lost with a part of the journal: it is ended"
            );
            if let Err(error) = self.end_series(invocation, EndOfSeries::Lost, None) {
                tracing::error!(invocation.id = invocation, error = %chain(&error), "the end of a series is not recorded yet");
            }
            return;
        };
        let zone = match self.zones.find(machine.plan().zone()) {
            Ok(zone) => zone,
            Err(error) => {
                tracing::error!(invocation.id = invocation, error = %chain(&error), "a series waits for its time zone");
                return;
            }
        };
        let due = machine.running_due();
        let told = self.state.borrow().journal.next_seq().saturating_sub(1);
        let untold = kept.untold.clone();
        let live = Live { machine, order: kept.order, content, zone, run: None, told, untold };
        self.state.borrow_mut().series.insert(invocation.to_owned(), live);
        let done = match (due, begun) {
            (Some(due), Some(began)) => {
                let stop = CancellationToken::new();
                let run = Run { invocation: invocation.to_owned(), number: began.number, due, late: None, stop };
                let reason = "the agent ended while the run was under way; what was left of it has been ended, how far it came is not known";
                let told = self.end_of_run(began.order, &run, interrupted(reason));
                self.record_end(&run, &told, Event::Restarted { fate: Fate::Ended })
            }
            _ => self.advance(invocation, super::Step::default(), |machine, reading, zone| {
                machine.apply(Event::Restarted { fate: Fate::NeverStarted }, reading, zone)
            }),
        };
        if let Err(error) = done {
            tracing::error!(invocation.id = invocation, error = %chain(&error), "a series cannot be taken up yet");
            self.state.borrow_mut().series.remove(invocation);
        }
    }
}

/// The machine as it stood, and the content that it runs. The order was verified when it was taken, and is again before each run.
fn machine(armed: &Armed, kept: &Kept) -> Option<(Series, Digest)> {
    let envelope = Envelope::parse(&armed.envelope).ok()?;
    if envelope.digest() != kept.order {
        return None;
    }
    let order: Order = serde_json::from_slice(&envelope.payload).ok()?;
    let (Repeat::Series(wanted), Action::Script(script)) = (&order.repeat, &order.action) else { return None };
    let plan = Plan::new(wanted, order.issued_ms).ok()?;
    Some((Series::restore(plan, kept.state.clone()).ok()?, script.content))
}
