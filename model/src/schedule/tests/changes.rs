//! What a change of the wall clock by daylight saving time does.
//!
//! Berlin 2026: 29 March 02:00 → 03:00, 25 October 03:00 → 02:00. New York 2026: 8 March, 1 November. Lord Howe 2026:
//! 4 October 02:00 → 02:30, 5 April 02:00 → 01:30.

use super::{next, time, zone};
use crate::schedule::Frequency;

#[test]
fn a_time_that_does_not_exist_is_due_once_at_the_end_of_the_gap() {
    let berlin = next("0 30 2 * * ? Europe/Berlin", "2026-03-28T00:00:00Z", 3);
    assert_eq!(berlin, ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    let new_york = next("0 15,45 2 * * ? America/New_York", "2026-03-08T00:00:00Z", 2);
    assert_eq!(new_york, ["2026-03-08T07:00:00Z", "2026-03-09T06:15:00Z"], "two times, one run");
    let howe = next("0 10 2 * * ? Australia/Lord_Howe", "2026-10-03T00:00:00Z", 2);
    assert_eq!(howe, ["2026-10-03T15:30:00Z", "2026-10-04T15:10:00Z"]);
    let named_anyway = next("0 0 2,3 * * ? Europe/Berlin", "2026-03-29T00:00:00Z", 2);
    assert_eq!(named_anyway, ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"], "one run, not two");
}

#[test]
fn a_time_that_exists_twice_is_due_the_first_time() {
    let berlin = next("0 30 2 * * ? Europe/Berlin", "2026-10-24T12:00:00Z", 2);
    assert_eq!(berlin, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    let howe = next("0 45 1 * * ? Australia/Lord_Howe", "2026-04-04T00:00:00Z", 2);
    assert_eq!(howe, ["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"]);
    let in_the_second_pass = next("0 30 2 * * ? Europe/Berlin", "2026-10-25T01:10:00Z", 1);
    assert_eq!(in_the_second_pass, ["2026-10-26T01:30:00Z"]);
}

#[test]
fn an_interval_is_kept_over_both_changes() {
    let spring = next("0 30 * * * ? Europe/Berlin", "2026-03-29T00:00:00Z", 3);
    assert_eq!(spring, ["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z"]);
    let autumn = next("0 30 0-23 * * ? Europe/Berlin", "2026-10-25T00:00:00Z", 3);
    assert_eq!(autumn, ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"]);
}

#[test]
fn minutes_by_interval_in_a_named_hour_are_made_up_for_and_run_in_both_passes() {
    let spring = next("0 0/30 2 * * ? Europe/Berlin", "2026-03-28T12:00:00Z", 2);
    assert_eq!(spring, ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"]);
    let autumn = next("0 0/30 2 * * ? Europe/Berlin", "2026-10-24T12:00:00Z", 5);
    let passes = ["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"];
    assert_eq!(autumn[..4], passes);
    assert_eq!(autumn[4], "2026-10-26T01:00:00Z");
}

#[test]
fn at_takes_the_end_of_a_gap_and_the_first_of_two() {
    assert_eq!(next("at(2026-03-29 02:30:00 Europe/Berlin)", "2026-01-01T00:00:00Z", 2), ["2026-03-29T01:00:00Z"]);
    assert_eq!(next("at(2026-10-25 02:30:00 Europe/Berlin)", "2026-01-01T00:00:00Z", 2), ["2026-10-25T00:30:00Z"]);
    assert_eq!(
        next("at(2026-10-04 02:10:00 Australia/Lord_Howe)", "2026-01-01T00:00:00Z", 2),
        ["2026-10-03T15:30:00Z"]
    );
}

#[test]
fn a_day_that_a_zone_left_out_is_made_up_for() {
    // Samoa had no 30 December 2011.
    let samoa = next("0 0 10 30 12 ? 2011 Pacific/Apia", "2011-12-01T00:00:00Z", 2);
    assert_eq!(samoa, ["2011-12-30T10:00:00Z"]);
}

#[test]
fn far_and_impossible_times_are_found_at_once() {
    let begun = std::time::Instant::now();
    assert_eq!(next("0 0 2 29 2 ? 2096 Europe/Berlin", "2026-01-01T00:00:00Z", 2), ["2096-02-29T01:00:00Z"]);
    let never: Frequency = "0 0 2 30 2 ? Europe/Berlin".parse().unwrap();
    let now = time("2026-10-25T00:30:00Z");
    assert_eq!(never.next_after(now, &zone("Europe/Berlin"), now), None);
    assert!(begun.elapsed().as_secs() < 2, "{:?}", begun.elapsed());
}
