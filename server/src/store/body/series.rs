//! Recording what instances observed of series. The number of statements does not grow with the batch but per chunk.

use std::collections::{BTreeMap, BTreeSet};

use orderly_model::task::TaskStatus;
use orderly_signing::digest::Digest;
use sqlx::{QueryBuilder, Row as _};
use tracing::warn;

use super::super::CHUNK;
use super::record::{Known, TaskKey, Touched};
use super::task::{code, status};
use super::{Conn, Db, digest_or_none};
use crate::store::StoreError;
use crate::store::fact::series::{RUN_LOST, RunEnd, SeriesFact, Skips, can_be};
use crate::store::fact::{Ended, RECEIPT_REFUSED, TaskNow, What};
use crate::store::row::{InstanceKey, InvocationKey, Skip};

/// A task and the number of a run.
type RunKey = (InvocationKey, InstanceKey, i32);

/// A run, as far as facts ask for it.
#[derive(Debug)]
struct Run<'a> {
    status: TaskStatus,
    digest: Option<Digest>,
    due_ms: i64,
    late: Option<&'a str>,
    started_ms: Option<i64>,
    end: Option<&'a Ended>,
    code: Option<&'static str>,
    finished_ms: Option<i64>,
    changed: bool,
}

/// What is stored of the series that a batch is about.
#[derive(Debug, Default)]
pub(super) struct Kept<'a> {
    runs: BTreeMap<RunKey, Run<'a>>,
    skips: BTreeMap<(TaskKey, String), (Skips, bool)>,
}

impl<'a> Kept<'a> {
    /// Reads what the facts about series ask for.
    pub(super) async fn read(
        conn: &mut Conn,
        about: &[(TaskKey, &Known, &'a What)],
        tasks: &BTreeMap<TaskKey, Touched<'a>>,
    ) -> Result<Self, StoreError> {
        let mut kept = Self::default();
        let (mut runs, mut skips) = (BTreeSet::new(), BTreeSet::new());
        for (key, _, what) in about.iter().filter(|(_, known, _)| known.series) {
            let Some(task) = tasks.get(key) else { continue };
            runs.insert((key.0, key.1, task.generation));
            match what {
                What::Series(SeriesFact::RunEnded(run)) => {
                    let number = i32::try_from(run.end.generation).unwrap_or(i32::MAX);
                    runs.extend([(key.0, key.1, number), (key.0, key.1, number.saturating_sub(1))]);
                }
                What::Series(SeriesFact::Began { generation, .. }) | What::Unproven { generation, .. } => {
                    runs.insert((key.0, key.1, *generation));
                }
                What::Series(SeriesFact::Skipped(_)) => drop(skips.insert(*key)),
                _ => {}
            }
        }
        let runs: Vec<_> = runs.into_iter().collect();
        for chunk in runs.chunks(CHUNK) {
            let mut query = QueryBuilder::<Db>::new("WITH r(inv, inst, gen) AS (");
            query.push_values(chunk, |mut row, (invocation, instance, generation)| {
                row.push_bind(*invocation).push_bind(*instance).push_bind(*generation);
            });
            query.push(
                ") SELECT u.invocation_id, u.instance_id, u.generation, u.status, u.receipt_digest, u.due_ms, u.started_ms \
                 FROM r JOIN runs u ON u.invocation_id = r.inv AND u.instance_id = r.inst AND u.generation = r.gen",
            );
            let persistent = chunk.len() == CHUNK || chunk.len() == 1;
            for row in query.build().persistent(persistent).fetch_all(&mut *conn).await? {
                let run = Run {
                    status: status(row.try_get(3)?)?,
                    digest: digest_or_none(row.try_get(4)?)?,
                    due_ms: row.try_get(5)?,
                    late: None,
                    started_ms: row.try_get(6)?,
                    end: None,
                    code: None,
                    finished_ms: None,
                    changed: false,
                };
                kept.runs.insert((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?), run);
            }
        }
        let skips: Vec<_> = skips.into_iter().collect();
        for chunk in skips.chunks(CHUNK) {
            let mut query = QueryBuilder::<Db>::new("WITH r(inv, inst) AS (");
            query.push_values(chunk, |mut row, (invocation, instance)| {
                row.push_bind(*invocation).push_bind(*instance);
            });
            query.push(
                ") SELECT s.invocation_id, s.instance_id, s.reason, s.first_ms, s.last_ms, s.skipped, s.counted_all, s.told_ms, \
                 s.newest_first_ms, s.newest_skipped FROM r \
                 JOIN skips s ON s.invocation_id = r.inv AND s.instance_id = r.inst",
            );
            let persistent = chunk.len() == CHUNK || chunk.len() == 1;
            for row in query.build().persistent(persistent).fetch_all(&mut *conn).await? {
                let reason: String = row.try_get(2)?;
                let all = Skip {
                    reason: reason.clone(),
                    first_ms: row.try_get(3)?,
                    last_ms: row.try_get(4)?,
                    count: row.try_get(5)?,
                    exact: row.try_get::<i32, _>(6)? != 0,
                    told_ms: row.try_get(7)?,
                };
                let skips = Skips { all, newest_first_ms: row.try_get(8)?, newest_count: row.try_get(9)? };
                kept.skips.insert(((row.try_get(0)?, row.try_get(1)?), reason), (skips, false));
            }
        }
        Ok(kept)
    }

    /// Takes in a fact about a series.
    pub(super) fn apply(&mut self, key: TaskKey, task: &mut Touched<'a>, known: &Known, what: &'a What) {
        if task.now.proven {
            return;
        }
        let refused = |reason| {
            warn!(instance.id = %task.instance_uid, invocation.id = known.uid, reason, "a report of a series was refused");
        };
        let after = match what {
            What::Accepted => task.now.armed(),
            What::Stopping => task.now.after(what),
            // Only an order that was never taken ends without a run.
            What::Ended(end) if task.taken() || !end.is_of(&known.uid, 1) => {
                refused("a receipt without a run, of a series that was taken");
                None
            }
            What::Ended(end) => {
                let after = task.now.after(what);
                task.ended = after.is_some().then_some(&**end);
                after
            }
            What::Unproven { generation, at_ms } if task.taken() => self.unproven(key, task, *generation, *at_ms),
            What::Unproven { .. } => task.now.after(what),
            What::Series(SeriesFact::Began { generation, received_ms, .. })
                if !can_be(*generation, known.created_ms, *received_ms) =>
            {
                refused("a run of a number that cannot be");
                None
            }
            What::Series(SeriesFact::Began { generation, due_ms, late, at_ms, received_ms }) => {
                let news = *generation > task.generation && !self.runs.contains_key(&(key.0, key.1, *generation));
                let after = task.now.run_began(*at_ms).filter(|_| news);
                if after.is_some() {
                    self.lost(key, task.generation, *received_ms);
                    task.generation = *generation;
                    let run = Run { late: late.as_deref(), started_ms: Some(*at_ms), ..Run::due(*due_ms) };
                    self.runs.insert((key.0, key.1, *generation), run);
                }
                after
            }
            What::Series(SeriesFact::RunEnded(run)) => self.run_ended(key, task, known, run),
            What::Series(SeriesFact::Skipped(skip)) => {
                let entry = self.skips.remove(&(key, skip.reason.clone()));
                let skips = match &entry {
                    Some((skips, _)) => skips.clone().with(skip.clone()),
                    None => Skips::new(skip.clone()),
                };
                self.skips.insert((key, skip.reason.clone()), (skips, true));
                None
            }
            What::Series(SeriesFact::Over { end, at_ms, received_ms }) => {
                let last = self.runs.get(&(key.0, key.1, task.generation)).map(|run| run.status);
                self.lost(key, task.generation, *received_ms);
                task.now.over(*end, last, *at_ms)
            }
        };
        if let Some(after) = after {
            task.now = after;
            task.changed = true;
        }
    }

    fn run_ended(&mut self, key: TaskKey, task: &mut Touched<'a>, known: &Known, run: &'a RunEnd) -> Option<TaskNow> {
        let number = i32::try_from(run.end.generation).unwrap_or(i32::MAX);
        let there = self.runs.get(&(key.0, key.1, number));
        // Told again, or of a past that was never heard of. What no receipt proves yet may still get one.
        if there.map_or(number < task.generation, |there| there.digest.is_some()) {
            return None;
        }
        let before = self.runs.get(&(key.0, key.1, number.saturating_sub(1))).and_then(|before| before.digest);
        let wrong = if !can_be(number, known.created_ms, run.end.received_ms) {
            Some("a run of a number that cannot be")
        } else if !run.end.is_of(&known.uid, number) {
            Some("a receipt of another series")
        } else if run.previous.is_some() != (number > 1) || (before.is_some() && before != run.previous) {
            Some("a receipt that does not follow that of the run before")
        } else {
            None
        };
        if let Some(reason) = wrong {
            warn!(instance.id = %task.instance_uid, invocation.id = known.uid, run = number, reason, "a report of a series was refused");
            // The end is believed of the run that is under way, what it says is not.
            let under_way = there.is_some();
            return under_way.then(|| self.unproven(key, task, number, run.end.received_ms)).flatten();
        }
        // The task's row tells the newest run.
        let after = if number < task.generation { None } else { Some(task.now.run_ended(&run.end)?) };
        let late = there.and_then(|there| there.late);
        let ended = Run {
            status: run.end.status,
            digest: Some(run.digest),
            late,
            started_ms: run.end.started_ms,
            end: Some(&run.end),
            finished_ms: Some(run.end.finished_ms),
            ..Run::due(run.due_ms)
        };
        self.runs.insert((key.0, key.1, number), ended);
        if number > task.generation {
            self.lost(key, task.generation, run.end.received_ms);
            task.generation = number;
        }
        after
    }

    /// The run of this number ended, and nothing proves how.
    fn unproven(&mut self, key: TaskKey, task: &Touched<'a>, number: i32, at_ms: i64) -> Option<TaskNow> {
        self.close(key, number, RECEIPT_REFUSED, at_ms)?;
        task.now.run_unproven().filter(|_| number >= task.generation)
    }

    /// The run of this number is over where it is under way, since what followed it is told and its end was not.
    fn lost(&mut self, key: TaskKey, number: i32, at_ms: i64) {
        let _none_under_way = self.close(key, number, RUN_LOST, at_ms);
    }

    /// Ends a run that is under way without a receipt; nothing where it is not.
    fn close(&mut self, key: TaskKey, number: i32, code: &'static str, at_ms: i64) -> Option<()> {
        let run = self.runs.get_mut(&(key.0, key.1, number)).filter(|run| !run.status.is_final())?;
        (run.status, run.code, run.finished_ms, run.changed) = (TaskStatus::Error, Some(code), Some(at_ms), true);
        Some(())
    }

    /// Stores what has changed.
    pub(super) async fn write(self, conn: &mut Conn) -> Result<(), StoreError> {
        let runs: Vec<_> = self.runs.iter().filter(|(_, run)| run.changed).collect();
        for chunk in runs.chunks(CHUNK) {
            let mut query = QueryBuilder::<Db>::new(
                "INSERT INTO runs (invocation_id, instance_id, generation, status, due_ms, late, exit_code, code, reason, \
                 check_code, started_ms, finished_ms, output_bytes, dropped_bytes, output_digest, receipt_digest, receipt, output, report) ",
            );
            query.push_values(chunk, |mut row, ((invocation, instance, generation), run)| {
                let end = run.end;
                row.push_bind(*invocation)
                    .push_bind(*instance)
                    .push_bind(*generation)
                    .push_bind(code(run.status))
                    .push_bind(run.due_ms)
                    .push_bind(run.late)
                    .push_bind(end.and_then(|end| end.exit_code))
                    .push_bind(end.and_then(|end| end.code.as_deref()).or(run.code))
                    .push_bind(end.and_then(|end| end.reason.as_deref()))
                    .push_bind(end.and_then(|end| end.check.as_deref()))
                    .push_bind(run.started_ms)
                    .push_bind(run.finished_ms)
                    .push_bind(end.map_or(0, |end| end.output_bytes))
                    .push_bind(end.map_or(0, |end| end.dropped_bytes))
                    .push_bind(end.map(|end| &end.output_digest.as_bytes()[..]))
                    .push_bind(run.digest.as_ref().map(|digest| &digest.as_bytes()[..]))
                    .push_bind(end.map(|end| &end.receipt[..]))
                    .push_bind(end.map(|end| &end.output[..]))
                    .push_bind(end.and_then(|end| end.report.as_deref()));
            });
            // A run goes in where it begins, and once more where it ends; what a receipt proves stays.
            query.push(
                " ON CONFLICT (invocation_id, instance_id, generation) DO UPDATE SET status = excluded.status, \
                 due_ms = excluded.due_ms, late = COALESCE(runs.late, excluded.late), exit_code = excluded.exit_code, \
                 code = excluded.code, reason = excluded.reason, check_code = excluded.check_code, \
                 started_ms = excluded.started_ms, finished_ms = excluded.finished_ms, output_bytes = excluded.output_bytes, \
                 dropped_bytes = excluded.dropped_bytes, output_digest = excluded.output_digest, receipt_digest = excluded.receipt_digest, \
                 receipt = excluded.receipt, output = excluded.output, report = excluded.report \
                 WHERE runs.receipt IS NULL",
            );
            query.build().persistent(chunk.len() == CHUNK || chunk.len() == 1).execute(&mut *conn).await?;
        }
        let skips: Vec<_> = self.skips.iter().filter(|(_, (_, changed))| *changed).collect();
        for chunk in skips.chunks(CHUNK) {
            let mut query = QueryBuilder::<Db>::new(
                "INSERT INTO skips (invocation_id, instance_id, reason, first_ms, last_ms, skipped, counted_all, told_ms, \
                 newest_first_ms, newest_skipped) ",
            );
            query.push_values(chunk, |mut row, (((invocation, instance), reason), (skips, _))| {
                row.push_bind(*invocation)
                    .push_bind(*instance)
                    .push_bind(reason.as_str())
                    .push_bind(skips.all.first_ms)
                    .push_bind(skips.all.last_ms)
                    .push_bind(skips.all.count)
                    .push_bind(i32::from(skips.all.exact))
                    .push_bind(skips.all.told_ms)
                    .push_bind(skips.newest_first_ms)
                    .push_bind(skips.newest_count);
            });
            query.push(
                " ON CONFLICT (invocation_id, instance_id, reason) DO UPDATE SET first_ms = excluded.first_ms, \
                 last_ms = excluded.last_ms, skipped = excluded.skipped, counted_all = excluded.counted_all, \
                 told_ms = excluded.told_ms, newest_first_ms = excluded.newest_first_ms, \
                 newest_skipped = excluded.newest_skipped",
            );
            query.build().persistent(chunk.len() == CHUNK || chunk.len() == 1).execute(&mut *conn).await?;
        }
        Ok(())
    }
}

impl Run<'_> {
    /// One that has begun.
    fn due(due_ms: i64) -> Self {
        Self {
            status: TaskStatus::Running,
            digest: None,
            due_ms,
            late: None,
            started_ms: None,
            end: None,
            code: None,
            finished_ms: None,
            changed: true,
        }
    }
}
