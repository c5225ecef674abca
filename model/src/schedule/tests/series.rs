//! A series, case by case.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use orderly_signing::order::{self, Due};

use super::{time, zone};
use crate::schedule::{
    Action, Cause, Event, Fate, MISSED_COUNT_MAX, Misfire, Missed, Overlap, Plan, PlanError, Reading, Reason, Series,
    SeriesEnd, SeriesError, State,
};

/// When all series here are made.
const MADE: &str = "2026-03-01T00:00:00Z";

pub(super) fn plan(revision: u32, made: Timestamp, due: Due, misfire: Misfire, overlap: Overlap) -> Plan {
    let words = order::Series { revision, due, until_ms: None, misfire, overlap };
    Plan::new(&words, made.as_millisecond()).unwrap()
}

fn changed(series: &order::Series) -> Plan {
    Plan::new(series, time(MADE).as_millisecond()).unwrap()
}

fn every(frequency: &str) -> Due {
    Due::Frequency(frequency.to_owned())
}

/// The clocks of one start of the instance, in step, `after_s` seconds after [`MADE`].
fn at(after_s: i64) -> Reading {
    reading(after_s, after_s, "boot-1")
}

fn reading(wall_s: i64, elapsed_s: i64, boot: &str) -> Reading {
    let elapsed = u64::try_from(elapsed_s).unwrap() * 1000;
    Reading::new(after(wall_s), elapsed, elapsed, boot.parse().unwrap())
}

fn after(seconds: i64) -> Timestamp {
    Timestamp::from_second(time(MADE).as_second() + seconds).unwrap()
}

fn run(due_s: i64, number: u32) -> Action {
    Action::Run { due: after(due_s), number, late: None }
}

fn skip(first_s: i64, last_s: i64, count: u64, reason: Reason) -> Action {
    Action::Skip { missed: Missed { first: after(first_s), last: after(last_s), count, exact: true }, reason }
}

fn armed(due: Due, misfire: Misfire, overlap: Overlap) -> Series {
    Series::arm(plan(1, time(MADE), due, misfire, overlap), &at(0))
}

/// As after a restart: from the text of the state.
fn restored(series: &Series) -> Series {
    let text = serde_json::to_string(series.state()).unwrap();
    assert!(text.len() < 2048, "{text}");
    let state: State = serde_json::from_str(&text).unwrap();
    assert_eq!(&state, series.state());
    Series::restore(series.plan().clone(), state).unwrap()
}

fn tick(series: &mut Series, after_s: i64) -> Vec<Action> {
    series.apply(Event::Tick, &at(after_s), &TimeZone::UTC)
}

fn ended(series: &mut Series, number: u32, after_s: i64) -> Vec<Action> {
    series.apply(Event::Ended { number }, &at(after_s), &TimeZone::UTC)
}

#[test]
fn runs_on_the_grid_one_after_the_other() {
    let mut series = armed(every("rate(60s)"), Misfire::Skip, Overlap::Skip);
    assert_eq!(series.next_wake(&TimeZone::UTC), Some(after(60)));
    assert_eq!(tick(&mut series, 59), []);
    assert_eq!(tick(&mut series, 60), [run(60, 1)]);
    assert_eq!(tick(&mut series, 60), [], "the same occurrence never twice");
    assert_eq!(ended(&mut series, 1, 70), []);
    assert_eq!(ended(&mut series, 1, 75), [], "a second word of the same end");
    assert_eq!(tick(&mut series, 125), [run(120, 2)], "a little late is in time");
}

#[test]
fn missed_ones_are_left_out_and_told_or_made_up_for_by_one_run() {
    let reason = Reason::Missed(Cause::Late);
    let mut series = armed(every("rate(60s)"), Misfire::Skip, Overlap::Skip);
    tick(&mut series, 1);
    assert_eq!(tick(&mut series, 5 * 60 + 45), [skip(60, 300, 5, reason)]);
    assert_eq!(tick(&mut series, 8 * 60 + 5), [skip(360, 420, 2, reason), run(480, 1)]);

    let mut series = armed(every("rate(60s)"), Misfire::RunOnce, Overlap::Skip);
    tick(&mut series, 1);
    let once = Action::Run { due: after(60), number: 1, late: Some(Cause::Late) };
    let replaced = Reason::Replaced(Cause::Late);
    assert_eq!(tick(&mut series, 5 * 60 + 45), [skip(120, 300, 4, replaced), once]);
    assert_eq!(ended(&mut series, 1, 350), []);
    assert_eq!(tick(&mut series, 8 * 60 + 5), [skip(360, 420, 2, replaced), run(480, 2)], "one run, not two at once");
}

#[test]
fn a_missed_run_says_why() {
    let missed = |prepare: &dyn Fn(&mut Series), event: Event, reading: Reading| {
        let mut series = armed(every("rate(10m)"), Misfire::Skip, Overlap::Skip);
        prepare(&mut series);
        let actions = series.apply(event, &reading, &TimeZone::UTC);
        actions.iter().find_map(|action| match action {
            Action::Skip { reason, .. } => Some(*reason),
            _ => None,
        })
    };
    let settled = |series: &mut Series| assert_eq!(tick(series, 1), []);
    let restart = Event::Restarted { fate: Fate::Ended };
    assert_eq!(missed(&|_| (), Event::Tick, at(700)), Some(Reason::Missed(Cause::Undelivered)));
    assert_eq!(missed(&settled, Event::Tick, at(700)), Some(Reason::Missed(Cause::Late)));
    assert_eq!(missed(&settled, restart, at(700)), Some(Reason::Missed(Cause::AgentDown)));
    assert_eq!(missed(&settled, restart, reading(700, 20, "boot-2")), Some(Reason::Missed(Cause::AgentDown)));
    let leapt = reading(700, 2, "boot-1");
    assert_eq!(missed(&settled, Event::Tick, leapt), Some(Reason::Missed(Cause::ClockSetForward)));
    let slept = Reading::new(after(700), 700_000, 5_000, "boot-1".parse().unwrap());
    assert_eq!(missed(&settled, Event::Tick, slept), Some(Reason::Missed(Cause::Suspended)));
}

#[test]
fn a_clock_that_is_set_forward_is_a_misfire_even_onto_an_occurrence() {
    let mut series = armed(every("rate(60s)"), Misfire::Skip, Overlap::Skip);
    tick(&mut series, 1);
    let leapt = series.apply(Event::Tick, &reading(600, 2, "boot-1"), &TimeZone::UTC);
    assert_eq!(leapt, [skip(60, 600, 10, Reason::Missed(Cause::ClockSetForward))]);
    // And back again: what was only left out is due again, so that a mistaken clock costs nothing.
    assert_eq!(series.apply(Event::Tick, &reading(4, 4, "boot-1"), &TimeZone::UTC), []);
    assert_eq!(tick(&mut series, 60), [run(60, 1)]);
}

#[test]
fn a_clock_that_is_set_back_runs_nothing_again_and_that_is_told_once() {
    let mut series = armed(every("rate(60s)"), Misfire::RunOnce, Overlap::Skip);
    for number in 1..=10 {
        let due = i64::from(number) * 60;
        assert_eq!(tick(&mut series, due), [run(due, number)]);
        ended(&mut series, number, due + 1);
    }
    let back = |wall_s: i64, elapsed_s: i64| reading(wall_s, elapsed_s, "boot-1");
    let mut at_back = |wall_s, elapsed_s| series.apply(Event::Tick, &back(wall_s, elapsed_s), &TimeZone::UTC);
    assert_eq!(at_back(300, 602), [Action::Waits { until: after(600) }]);
    assert_eq!(at_back(360, 662), []);
    assert_eq!(at_back(600, 902), [], "ran before the clock was set back");
    assert_eq!(at_back(660, 962), [run(660, 11)]);
}

#[test]
fn a_new_revision_mends_a_series_that_waits_for_its_clock() {
    let words = order::Series {
        revision: 1,
        due: every("rate(60s)"),
        until_ms: None,
        misfire: Misfire::Skip,
        overlap: Overlap::Skip,
    };
    let mut series = armed(words.due.clone(), words.misfire, words.overlap);
    tick(&mut series, 60);
    series.apply(Event::Ended { number: 1 }, &reading(61, 61, "boot-1"), &TimeZone::UTC);
    let far = 1_000_020; // a clock that ran ahead long enough for a run in time
    series.apply(Event::Tick, &reading(far - 60, 62, "boot-1"), &TimeZone::UTC);
    assert_eq!(series.apply(Event::Tick, &reading(far, 122, "boot-1"), &TimeZone::UTC), [run(far, 2)]);
    let waits = series.apply(Event::Ended { number: 2 }, &reading(130, 130, "boot-1"), &TimeZone::UTC);
    assert_eq!(waits, [Action::Waits { until: after(far) }]);
    let next = Plan::new(&order::Series { revision: 2, ..words }, after(150).as_millisecond()).unwrap();
    assert_eq!(series.revise(next, &at(160), &TimeZone::UTC), Ok(vec![]));
    assert_eq!(tick(&mut series, 210), [run(210, 3)]);
}

#[test]
fn overlap_skip_leaves_out_what_is_due_meanwhile() {
    let mut series = armed(every("rate(60s)"), Misfire::Skip, Overlap::Skip);
    assert_eq!(tick(&mut series, 60), [run(60, 1)]);
    assert_eq!(tick(&mut series, 120), [skip(120, 120, 1, Reason::Overlap)]);
    assert_eq!(ended(&mut series, 1, 130), []);
    assert_eq!(tick(&mut series, 180), [run(180, 2)]);
}

#[test]
fn overlap_queue_lets_one_wait() {
    let mut series = armed(every("rate(60s)"), Misfire::Skip, Overlap::Queue);
    assert_eq!(tick(&mut series, 60), [run(60, 1)]);
    assert_eq!(tick(&mut series, 120), []);
    assert_eq!(tick(&mut series, 180), [skip(180, 180, 1, Reason::WaitingFull)]);
    let mut series = restored(&series);
    assert_eq!(series.apply(Event::Restarted { fate: Fate::Alive }, &at(190), &TimeZone::UTC), []);
    assert_eq!(ended(&mut series, 1, 200), [run(120, 2)]);
    assert_eq!(ended(&mut series, 2, 239), []);
}

#[test]
fn overlap_kill_old_starts_when_nothing_of_the_old_one_is_alive() {
    let mut series = armed(every("rate(60s)"), Misfire::Skip, Overlap::KillOld);
    assert_eq!(tick(&mut series, 60), [run(60, 1)]);
    assert_eq!(tick(&mut series, 120), [Action::Kill { number: 1 }]);
    assert_eq!(tick(&mut series, 180), [skip(120, 120, 1, Reason::Superseded)], "asked to end once");
    let mut series = restored(&series);
    let again = series.apply(Event::Restarted { fate: Fate::Alive }, &at(190), &TimeZone::UTC);
    assert_eq!(again, [Action::Kill { number: 1 }], "whoever was asked may have died");
    assert_eq!(ended(&mut series, 1, 200), [run(180, 2)]);
}

#[test]
fn a_run_that_crashed_before_it_began_is_given_out_again_with_its_number() {
    let mut series = armed(every("rate(60s)"), Misfire::Skip, Overlap::Skip);
    assert_eq!(tick(&mut series, 60), [run(60, 1)]);
    let never = Event::Restarted { fate: Fate::NeverStarted };
    let mut soon = restored(&series);
    assert_eq!(soon.apply(never, &at(65), &TimeZone::UTC), [run(60, 1)]);
    let mut late = restored(&series);
    let missed = Reason::Missed(Cause::AgentDown);
    assert_eq!(late.apply(never, &at(119), &TimeZone::UTC), [skip(60, 60, 1, missed)]);
    assert_eq!(tick(&mut late, 120), [run(120, 1)], "its number is free again");
    let mut crashed = restored(&series);
    assert_eq!(crashed.apply(Event::Restarted { fate: Fate::Ended }, &at(65), &TimeZone::UTC), []);
    assert_eq!(tick(&mut crashed, 120), [run(120, 2)], "what began is never begun again");
}

#[test]
fn a_restart_of_the_agent_neither_doubles_nor_loses() {
    let mut series = armed(every("rate(60s)"), Misfire::RunOnce, Overlap::Skip);
    assert_eq!(tick(&mut series, 60), [run(60, 1)]);
    ended(&mut series, 1, 61);
    let mut series = restored(&series);
    let restart = Event::Restarted { fate: Fate::Ended };
    assert_eq!(series.apply(restart, &at(62), &TimeZone::UTC), []);
    let mut series = restored(&series);
    let late = Action::Run { due: after(120), number: 2, late: Some(Cause::AgentDown) };
    let replaced = skip(180, 180, 1, Reason::Replaced(Cause::AgentDown));
    assert_eq!(series.apply(restart, &at(235), &TimeZone::UTC), [replaced, late]);
}

#[test]
fn at_runs_once_and_ends_also_where_it_was_missed() {
    let at_time = every("at(2026-03-01 00:10:00)");
    let mut series = armed(at_time.clone(), Misfire::Skip, Overlap::Skip);
    assert_eq!(tick(&mut series, 600), [run(600, 1)]);
    assert_eq!(series.next_wake(&TimeZone::UTC), None);
    assert_eq!(ended(&mut series, 1, 610), [Action::EndOfSeries { end: SeriesEnd::Completed }]);
    assert!(series.has_ended());
    assert_eq!(tick(&mut series, 700), []);
    let mut missed = armed(at_time, Misfire::Skip, Overlap::Skip);
    let reason = Reason::Missed(Cause::Undelivered);
    let end = Action::EndOfSeries { end: SeriesEnd::Completed };
    assert_eq!(tick(&mut missed, 700), [skip(600, 600, 1, reason), end], "never dropped in silence");
}

#[test]
fn nothing_begins_from_until_on() {
    let until = |misfire, overlap| {
        let words = order::Series {
            revision: 1,
            due: every("rate(60s)"),
            until_ms: Some(after(180).as_millisecond()),
            misfire,
            overlap,
        };
        Series::arm(changed(&words), &at(0))
    };
    let end = Action::EndOfSeries { end: SeriesEnd::Completed };
    let mut series = until(Misfire::Skip, Overlap::Queue);
    assert_eq!(tick(&mut series, 60), [run(60, 1)]);
    assert_eq!(tick(&mut series, 120), []);
    assert_eq!(ended(&mut series, 1, 180), [skip(120, 120, 1, Reason::Over), end.clone()], "180 is excluded");
    let mut late = until(Misfire::RunOnce, Overlap::Skip);
    tick(&mut late, 1);
    let missed = skip(60, 120, 2, Reason::Missed(Cause::Late));
    assert_eq!(tick(&mut late, 181 + 60), [missed, end], "no run after the end makes up for one before it");
}

#[test]
fn a_higher_revision_changes_and_a_lower_one_is_refused() {
    let words = |revision, frequency| order::Series {
        revision,
        due: every(frequency),
        until_ms: None,
        misfire: Misfire::Skip,
        overlap: Overlap::Queue,
    };
    let mut series = Series::arm(changed(&words(3, "rate(60s)")), &at(0));
    tick(&mut series, 60);
    tick(&mut series, 120);
    let rolled_back = series.revise(changed(&words(3, "rate(2m)")), &at(130), &TimeZone::UTC);
    assert_eq!(rolled_back, Err(SeriesError::RevisionNotHigher { asked: 3, known: 3 }));
    assert!(series.stop(2, &at(130), &TimeZone::UTC).is_err());
    let changes = series.revise(changed(&words(4, "rate(2m)")), &at(130), &TimeZone::UTC);
    assert_eq!(changes, Ok(vec![skip(120, 120, 1, Reason::Revised)]), "the run goes on");
    assert_eq!(ended(&mut series, 1, 140), []);
    assert_eq!(tick(&mut series, 240), [run(240, 2)]);
    let other = Series::restore(changed(&words(5, "rate(2m)")), series.state().clone());
    assert_eq!(other, Err(SeriesError::OtherRevision { order: 5, state: 4 }));
}

#[test]
fn a_stop_ends_what_runs_and_begins_nothing() {
    let mut series = armed(every("rate(60s)"), Misfire::Skip, Overlap::Queue);
    tick(&mut series, 60);
    tick(&mut series, 120);
    let stopped = series.stop(2, &at(130), &TimeZone::UTC).unwrap();
    assert_eq!(stopped, [skip(120, 120, 1, Reason::Stopped), Action::Kill { number: 1 }]);
    assert_eq!(tick(&mut series, 180), []);
    assert_eq!(ended(&mut series, 1, 181), [Action::EndOfSeries { end: SeriesEnd::Stopped }]);
    assert_eq!(series.stop(3, &at(190), &TimeZone::UTC), Err(SeriesError::Over));

    let mut idle = armed(every("rate(60s)"), Misfire::Skip, Overlap::Queue);
    let stopped = idle.stop(2, &at(60), &TimeZone::UTC).unwrap();
    let due_now = skip(60, 60, 1, Reason::Stopped);
    assert_eq!(stopped, [due_now, Action::EndOfSeries { end: SeriesEnd::Stopped }]);
}

#[test]
fn a_boot_is_told_from_a_restart_by_the_boot_id() {
    let restart = Event::Restarted { fate: Fate::Ended };
    let booted = |series: &Series, after_s, boot| {
        let mut series = restored(series);
        let actions = series.apply(restart, &reading(after_s, 5, boot), &TimeZone::UTC);
        (series, actions)
    };
    let next = armed(Due::NextReboot, Misfire::Skip, Overlap::Skip);
    let (next, actions) = booted(&next, 50, "boot-1");
    assert_eq!(actions, [], "a restart");
    let (mut next, actions) = booted(&next, 100, "boot-2");
    assert_eq!(actions, [run(100, 1)]);
    let end = Action::EndOfSeries { end: SeriesEnd::Completed };
    assert_eq!(next.apply(Event::Ended { number: 1 }, &reading(110, 15, "boot-2"), &TimeZone::UTC), [end]);

    let every = armed(Due::EveryReboot, Misfire::Skip, Overlap::Skip);
    let (every, first) = booted(&every, 100, "boot-2");
    let (every, again) = booted(&every, 120, "boot-2");
    let (_, second) = booted(&every, 200, "boot-3");
    assert_eq!((first, again, second), (vec![run(100, 1)], vec![], vec![run(200, 2)]));
}

#[test]
fn a_boot_id_that_cannot_be_read_starts_no_run() {
    for due in [Due::NextReboot, Due::EveryReboot] {
        let mut series = armed(due.clone(), Misfire::Skip, Overlap::Skip);
        let mut seen = |after_s, boot| series.apply(Event::Tick, &reading(after_s, after_s, boot), &TimeZone::UTC);
        assert_eq!((seen(50, "unknown"), seen(60, "boot-1")), (vec![], vec![]), "{due:?}: it is the same start");
        assert_eq!(seen(70, "boot-2"), [run(70, 1)], "{due:?}");

        let plan = plan(1, time(MADE), due.clone(), Misfire::Skip, Overlap::Skip);
        let mut series = Series::arm(plan, &reading(0, 0, "unknown"));
        let before = series.clone();
        assert_eq!(series.apply(Event::Tick, &reading(50, 50, "boot-1"), &TimeZone::UTC), [], "{due:?}: nobody knows");
        assert!(!series.is_found_again_from(&before), "{due:?}: a restart in a later start would not know it");
        assert_eq!(series.apply(Event::Tick, &reading(99, 9, "boot-2"), &TimeZone::UTC), [run(99, 1)], "{due:?}");
    }
}

#[test]
fn a_boot_run_that_never_began_begins_after_a_crash() {
    let mut series = armed(Due::NextReboot, Misfire::Skip, Overlap::Skip);
    series.apply(Event::Restarted { fate: Fate::Ended }, &reading(100, 5, "boot-2"), &TimeZone::UTC);
    let mut series = restored(&series);
    let never = Event::Restarted { fate: Fate::NeverStarted };
    assert_eq!(series.apply(never, &reading(400, 305, "boot-2"), &TimeZone::UTC), [run(100, 1)]);
}

#[test]
fn a_new_zone_holds_from_then_on() {
    let mut series = armed(every("0 0 10 * * ?"), Misfire::Skip, Overlap::Skip);
    let berlin = series.apply(Event::Tick, &at(9 * 3600), &zone("Europe/Berlin"));
    assert_eq!(berlin, [run(9 * 3600, 1)]);
    series.apply(Event::Ended { number: 1 }, &at(9 * 3600 + 1), &zone("Europe/Berlin"));
    assert_eq!(series.next_wake(&zone("America/New_York")), Some(after(15 * 3600)));
    assert_eq!(series.apply(Event::Tick, &at(15 * 3600), &zone("America/New_York")), [run(15 * 3600, 2)]);
}

#[test]
fn ten_years_away_are_told_without_counting_them_all() {
    let mut series = armed(every("*/10 * * * * ?"), Misfire::Skip, Overlap::Skip);
    tick(&mut series, 1);
    let begun = std::time::Instant::now();
    let actions = tick(&mut series, 10 * 365 * 86_400);
    let [Action::Skip { missed, .. }, Action::Run { number: 1, .. }] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!((missed.first, missed.count, missed.exact), (after(10), MISSED_COUNT_MAX, false));
    assert!(begun.elapsed().as_secs() < 2, "{:?}", begun.elapsed());
}

#[test]
fn an_order_with_a_frequency_or_a_time_that_is_none_is_no_plan() {
    let words =
        |due, until_ms| order::Series { revision: 1, due, until_ms, misfire: Misfire::Skip, overlap: Overlap::Skip };
    assert!(matches!(Plan::new(&words(every("hourly"), None), 0), Err(PlanError::Frequency(_))));
    let far = Plan::new(&words(Due::NextReboot, Some(i64::MAX)), 0);
    assert_eq!(far, Err(PlanError::Time { field: "until_ms", ms: i64::MAX }));
}
