//! Each row of the grammar of frequencies, and what is refused with which words.

use super::{frequency, next, refusal, time, zone_of};
use crate::schedule::{Frequency, RepeatMode, RepeatModeError, Unusable};

#[test]
fn rate_is_60_s_to_7_days_in_s_m_h_d() {
    for good in ["rate(60s)", "rate(1m)", "rate(604800s)", "rate(10080m)", "rate(168h)", "rate(7d)", "rate(05m)"] {
        assert!(good.parse::<Frequency>().is_ok(), "{good}");
    }
    assert_eq!(frequency("rate(05m)").to_string(), "rate(5m)");
    let bounds = "write one from `60s` to `7d`";
    assert_eq!(refusal("rate(59s)"), format!("period `59s` at character 6: {bounds}"));
    for bad in ["rate(0m)", "rate(604801s)", "rate(169h)", "rate(8d)", "rate(999999d)"] {
        assert!(refusal(bad).ends_with(bounds), "{bad}");
    }
    for bad in ["rate(5)", "rate(m)", "rate()", "rate(5 m)", "rate(-5m)", "rate(5w)", "rate(1.5h)", "rate(005m)"] {
        assert!(refusal(bad).contains("without blanks"), "{bad}: {}", refusal(bad));
    }
    assert!(refusal("rate(5m").contains("end it with `)`"));
}

#[test]
fn rate_ticks_from_creation_and_never_at_once() {
    let expected = ["2026-01-01T00:05:00.5Z", "2026-01-01T00:10:00.5Z"];
    assert_eq!(next("rate(5m)", "2026-01-01T00:00:00.5Z", 2), expected);
    let (rate, created) = (frequency("rate(5m)"), time("2026-01-01T00:00:00Z"));
    let after = |after| rate.next_after(time(after), &zone_of(&rate), created).map(|due| due.to_string());
    assert_eq!(after("2025-12-31T00:00:00Z").as_deref(), Some("2026-01-01T00:05:00Z"), "before its creation");
    assert_eq!(after("2026-01-01T00:05:00Z").as_deref(), Some("2026-01-01T00:10:00Z"), "its own time is over");
    assert_eq!(after("2026-03-01T00:02:00Z").as_deref(), Some("2026-03-01T00:05:00Z"), "the grid is kept");
}

#[test]
fn rate_is_more_than_the_timeout() {
    let (rate, now) = (frequency("rate(60s)"), time("2026-01-01T00:00:00Z"));
    assert_eq!(rate.check(now, &zone_of(&rate), 59), Ok(()));
    let refused = rate.check(now, &zone_of(&rate), 60).unwrap_err();
    assert_eq!(refused, Unusable::RateWithinTimeout { period_s: 60, timeout_s: 60 });
}

#[test]
fn at_is_once_and_utc_without_a_zone() {
    assert_eq!(next("at(2030-06-01 10:00:00)", "2026-01-01T00:00:00Z", 2), ["2030-06-01T10:00:00Z"]);
    assert_eq!(next("at(2030-06-01 10:00:00 Asia/Shanghai)", "2026-01-01T00:00:00Z", 2), ["2030-06-01T02:00:00Z"]);
    assert_eq!(next("at(2030-06-01 10:00:00 GMT-7:00)", "2026-01-01T00:00:00Z", 2), ["2030-06-01T17:00:00Z"]);
    assert_eq!(next("at(2030-06-01 10:00:00 UTC)", "2030-06-01T10:00:00Z", 1), [""; 0]);
    for bad in ["at()", "at(2030-06-01)", "at(2030-06-01T10:00:00)", "at(2030-06-01 10:00:00 UTC UTC)"] {
        assert!(refusal(bad).contains("at(yyyy-MM-dd HH:mm:ss)"), "{bad}");
    }
    let day = "date `2030-02-29` at character 4: write a day that exists, from 1970 to 2099";
    assert_eq!(refusal("at(2030-02-29 10:00:00)"), day);
    assert!(refusal("at(2100-01-01 10:00:00)").starts_with("date `2100-01-01`"));
    for bad in
        ["at(2030-6-01 10:00:00)", "at(30-06-01 10:00:00)", "at(2030-06-01-01 10:00:00)", "at(+030-06-01 10:00:00)"]
    {
        assert!(refusal(bad).contains("yyyy-MM-dd"), "{bad}");
    }
    for bad in ["at(2030-06-01 24:00:00)", "at(2030-06-01 10:60:00)", "at(2030-06-01 10:00:60)", "at(2030-06-01 10:00)"]
    {
        assert!(refusal(bad).starts_with("time of day"), "{bad}");
    }
    let (late, now) = (frequency("at(2026-01-01 00:00:00)"), time("2026-01-01T00:00:00Z"));
    assert_eq!(late.check(now, &zone_of(&late), 60), Err(Unusable::NeverDue { now }));
}

#[test]
fn zones_are_iana_names_gmt_offsets_or_utc() {
    let zone = |text: &str| frequency(&format!("0 0 0 * * ? {text}")).zone().map(ToString::to_string);
    let good =
        ["Asia/Shanghai", "America/Argentina/Buenos_Aires", "Etc/GMT+8", "Japan", "GMT", "UTC", "GMT+8:00", "GMT-7:30"];
    for good in good {
        assert_eq!(zone(good).as_deref(), Some(good));
    }
    assert_eq!(frequency("0 0 0 * * ?").zone(), None, "the instance's own");
    for bad in ["GMT+08:00", "GMT+8", "GMT+15:00", "GMT+8:0", "GMT+8:60", "GMT+:00", "GMT+0"] {
        assert!(refusal(&format!("0 0 0 * * ? {bad}")).contains("GMT+8:00"), "{bad}");
    }
    for bad in ["A/../B", "A//B", "/A", "A/", "Ä", "A.B", &format!("A{}", "b".repeat(64))] {
        assert!(bad.starts_with('/') || refusal(&format!("0 0 0 * * ? 2030 {bad}")).starts_with("time zone"), "{bad}");
    }
    assert!(refusal("0 0 0 * * ? 2030 /etc/passwd").starts_with("time zone `/etc/passwd` at character 18"));
}

#[test]
fn six_to_eight_fields() {
    assert!(refusal("* * * * *").starts_with("number of fields (5)"));
    assert!(refusal("").starts_with("number of fields (0) is empty at character 1"));
    assert!(refusal("@daily").contains("rate(5m)"));
    assert_eq!(
        refusal("0 0 0 * * ? 2030 UTC more"),
        "field `more` at character 22: leave it out: the year and the time zone are the last two"
    );
    assert_eq!(frequency("  0  0\t0 * * ? ").to_string(), "0 0 0 * * ?");
    assert!(format!("0 0 0 * * ? {}", " ".repeat(256)).parse::<Frequency>().is_err());
}

#[test]
fn second_and_minute_are_0_to_59() {
    for field in [0, 1] {
        let with = |text: &str| {
            let mut fields = ["0", "0", "0", "*", "*", "?"];
            fields[field] = text;
            fields.join(" ")
        };
        for good in ["*", "0", "59", "08", "00", "0-59", "*/20", "5/10", "10-20/2", "1,2,30-40,*/7"] {
            assert!(with(good).parse::<Frequency>().is_ok(), "{good}");
        }
        for bad in [
            "60", "-1", "1-60", "?", "L", "W", "1#1", "", "1,", ",1", "1-", "*/0", "*/60", "1/", "a", "008", "*,5",
            "1--2",
        ] {
            assert!(with(bad).parse::<Frequency>().is_err(), "{bad}");
        }
    }
    assert_eq!(refusal("0 60 0 * * ?"), "minute `60` at character 3: write a number from 0 to 59");
    assert_eq!(refusal("0 */60 0 * * ?"), "step of the minute `60` at character 5: write a number from 1 to 59");
    assert_eq!(
        refusal("0 5,008 0 * * ?"),
        "minute `008` at character 5: write a number from 0 to 59, with at most one leading zero"
    );
}

#[test]
fn hour_is_0_to_23() {
    assert_eq!(next("0 0 23 * * ?", "2026-01-01T00:00:00Z", 1), ["2026-01-01T23:00:00Z"]);
    assert_eq!(refusal("0 0 24 * * ?"), "hour `24` at character 5: write a number from 0 to 23");
    let down = "hour `22-5` at character 5: the range goes down; write two ranges: `22-23,0-5`";
    assert_eq!(refusal("0 0 22-5 * * ?"), down);
}

#[test]
fn day_is_1_to_31_with_l_w_lw() {
    assert_eq!(
        next("0 0 0 31 * ?", "2026-01-01T00:00:00Z", 3),
        ["2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"]
    );
    assert_eq!(
        next("0 0 0 L 2 ?", "2026-01-01T00:00:00Z", 3),
        ["2026-02-28T00:00:00Z", "2027-02-28T00:00:00Z", "2028-02-29T00:00:00Z"]
    );
    assert_eq!(
        next("0 0 0 LW * ?", "2026-01-01T00:00:00Z", 3),
        ["2026-01-30T00:00:00Z", "2026-02-27T00:00:00Z", "2026-03-31T00:00:00Z"]
    );
    // 2026-08-15 is a Saturday, 2026-08-16 a Sunday; 2026-08-01 a Saturday, 2026-05-31 a Sunday: never another month.
    assert_eq!(next("0 0 0 15W 8 ?", "2026-01-01T00:00:00Z", 1), ["2026-08-14T00:00:00Z"]);
    assert_eq!(next("0 0 0 16W 8 ?", "2026-01-01T00:00:00Z", 1), ["2026-08-17T00:00:00Z"]);
    assert_eq!(next("0 0 0 1W 8 ?", "2026-01-01T00:00:00Z", 1), ["2026-08-03T00:00:00Z"]);
    assert_eq!(next("0 0 0 31W 5 ?", "2026-01-01T00:00:00Z", 1), ["2026-05-29T00:00:00Z"]);
    assert_eq!(
        next("0 0 0 1W,15,L 1 ? 2026", "2025-01-01T00:00:00Z", 9),
        ["2026-01-01T00:00:00Z", "2026-01-15T00:00:00Z", "2026-01-31T00:00:00Z"]
    );
    for bad in ["0", "32", "W", "0W", "32W", "L-3", "LW/2", "1#2", "L5", "MON"] {
        assert!(refusal(&format!("0 0 0 {bad} * ?")).contains("at character 7"), "{bad}");
    }
    assert!(refusal("0 0 0 W * ?").contains("`15W`"));
}

#[test]
fn month_is_1_to_12_or_jan_to_dec() {
    assert_eq!(frequency("0 0 0 1 JAN-mar,Dec ?").to_string(), "0 0 0 1 1-3,12 ?");
    assert_eq!(refusal("0 0 0 1 13 ?"), "month `13` at character 9: write a number from 1 to 12 or JAN to DEC");
    assert!(refusal("0 0 0 1 MON ?").starts_with("month `MON`"));
}

#[test]
fn weekday_is_1_monday_to_7_sunday_with_l_and_nth() {
    // 2026-01-05 is a Monday.
    assert_eq!(next("0 0 0 ? * 1", "2026-01-01T00:00:00Z", 1), ["2026-01-05T00:00:00Z"]);
    assert_eq!(next("0 0 0 ? * 7", "2026-01-01T00:00:00Z", 1), ["2026-01-04T00:00:00Z"]);
    assert_eq!(next("0 0 0 ? * SUN", "2026-01-01T00:00:00Z", 1), ["2026-01-04T00:00:00Z"]);
    assert_eq!(next("0 0 0 ? * 6L", "2026-01-01T00:00:00Z", 1), ["2026-01-31T00:00:00Z"], "last Saturday");
    assert_eq!(next("0 0 0 ? * 4#2", "2026-01-01T00:00:00Z", 1), ["2026-01-08T00:00:00Z"], "second Thursday");
    assert_eq!(next("0 0 0 ? * 4#5", "2026-01-01T00:00:00Z", 2), ["2026-01-29T00:00:00Z", "2026-04-30T00:00:00Z"]);
    assert_eq!(frequency("0 0 0 ? * mon-FRI,SATL,SUN#1").to_string(), "0 0 0 ? * 1-5,6L,7#1");
    assert!(refusal("0 0 0 ? * 0").contains("1 is Monday and 7 is Sunday"));
    assert!(refusal("0 0 0 ? * FRI-MON").contains("`5-7,1-1`"));
    for bad in ["8", "L", "0L", "1#0", "1#6", "1#", "#1", "15W", "1-5L"] {
        assert!(refusal(&format!("0 0 0 ? * {bad}")).contains("at character 1"), "{bad}");
    }
}

#[test]
fn year_is_the_current_one_to_2099() {
    assert_eq!(
        next("0 0 0 1 1 ? 2027-2099/2", "2026-01-01T00:00:00Z", 2),
        ["2027-01-01T00:00:00Z", "2029-01-01T00:00:00Z"]
    );
    assert_eq!(next("0 0 0 1 1 ? *", "2098-06-01T00:00:00Z", 9), ["2099-01-01T00:00:00Z"], "nothing is due after 2099");
    for bad in ["1969", "2100", "26", "?", "002026"] {
        assert!(
            refusal(&format!("0 0 0 1 1 ? {bad}")).starts_with("year"),
            "{bad}: {}",
            refusal(&format!("0 0 0 1 1 ? {bad}"))
        );
    }
    let now = time("2026-12-31T23:30:00Z");
    let check = |text: &str| frequency(text).check(now, &zone_of(&frequency(text)), 60);
    assert_eq!(check("0 0 0 1 1 ? 2027"), Ok(()));
    assert_eq!(check("0 0 0 1 1 ? 2025"), Err(Unusable::YearOver { year: 2025, current: 2026 }));
    assert_eq!(check("0 0 0 ? * 1 2026/2"), Ok(()));
    let berlin = check("0 0 0 1 1 ? 2026-2030 Europe/Berlin");
    assert_eq!(berlin, Err(Unusable::YearOver { year: 2026, current: 2027 }), "it is 2027 there");
}

#[test]
fn at_most_one_leading_zero() {
    assert_eq!(frequency("00 08 01 07 09 ?").to_string(), "0 8 1 7 9 ?");
    for bad in ["008 0 0 * * ?", "0 000 0 * * ?", "0 0 0/008 * * ?", "0 0 0 ? * 1#002"] {
        assert!(bad.parse::<Frequency>().is_err(), "{bad}");
    }
}

#[test]
fn one_of_day_and_weekday_is_given_and_the_other_is_a_question_mark() {
    for good in ["0 0 0 * * *", "0 0 0 * * ?", "0 0 0 ? * *", "0 0 0 1 * ?", "0 0 0 ? * 1"] {
        assert!(good.parse::<Frequency>().is_ok(), "{good}");
    }
    assert_eq!(refusal("0 0 0 1 * *"), "weekday `*` at character 11: write `?`, as the day is given");
    assert_eq!(refusal("0 0 0 * * 1"), "day `*` at character 7: write `?`, as the weekday is given");
    assert!(refusal("0 0 0 1 * 1").contains("write `?` for the other one"));
    assert!(refusal("0 0 0 ? * ?").contains("write `*` for every day"));
}

#[test]
fn the_documented_examples() {
    let shanghai = next("0 15 10 ? * * 2022 Asia/Shanghai", "2022-01-01T00:00:00Z", 1);
    assert_eq!(shanghai, ["2022-01-01T02:15:00Z"]);
    let offset = next("0 0/30 10-11 * * ? 2022 GMT+8:00", "2022-01-01T02:00:00Z", 4);
    assert_eq!(
        offset,
        ["2022-01-01T02:30:00Z", "2022-01-01T03:00:00Z", "2022-01-01T03:30:00Z", "2022-01-02T02:00:00Z"]
    );
    let years = next("0 0/5 14 * 10 ? 2022/2 UTC", "2022-10-31T14:50:00Z", 2);
    assert_eq!(years, ["2022-10-31T14:55:00Z", "2024-10-01T14:00:00Z"]);
    assert_eq!(next("0 */20 * * * *", "2026-01-01T00:00:00Z", 2), ["2026-01-01T00:20:00Z", "2026-01-01T00:40:00Z"]);
}

#[test]
fn cron_leaves_at_least_10_s_and_at_least_the_timeout() {
    let now = time("2026-01-01T00:00:00Z");
    let check = |text: &str, timeout_s| frequency(text).check(now, &zone_of(&frequency(text)), timeout_s);
    assert_eq!(check("* * * * * ?", 1), Err(Unusable::TooOften { interval_s: 1 }));
    assert_eq!(check("*/9 * * * * ?", 1), Err(Unusable::TooOften { interval_s: 6 }), "54 to 60");
    assert_eq!(check("*/10 * * * * ?", 10), Ok(()));
    assert_eq!(check("*/10 * * * * ?", 11), Err(Unusable::IntervalWithinTimeout { interval_s: 10, timeout_s: 11 }));
    assert_eq!(check("0,55 59,0 * * * ?", 1), Err(Unusable::TooOften { interval_s: 5 }));
    assert_eq!(check("0,5 0 0 1 1 ?", 1), Err(Unusable::TooOften { interval_s: 5 }), "once a year, twice");
    assert_eq!(
        check("0 0 0,23 * * ?", 3601),
        Err(Unusable::IntervalWithinTimeout { interval_s: 3600, timeout_s: 3601 })
    );
    assert_eq!(check("0 0 0,23 1 * ?", 23 * 3600), Ok(()), "the 1st is never followed by a 1st");
    assert_eq!(check("0 0 12 31,1 * ?", 86_400), Ok(()));
    assert_eq!(check("0 0 0 1 1 ? 2027", 86_400), Ok(()), "once");
    assert_eq!(check("0 0 0 30 2 ?", 60), Err(Unusable::NeverDue { now }));
}

#[test]
fn repeat_modes_and_frequencies_go_together() {
    for mode in RepeatMode::ALL {
        assert_eq!(mode.to_string().parse(), Ok(mode));
        assert_eq!(RepeatMode::resolve(Some(mode), true), Ok(RepeatMode::Period), "with a frequency always Period");
    }
    assert_eq!(RepeatMode::resolve(None, false), Ok(RepeatMode::Once));
    assert_eq!(RepeatMode::resolve(Some(RepeatMode::DryRun), false), Ok(RepeatMode::DryRun));
    assert_eq!(RepeatMode::resolve(Some(RepeatMode::Period), false), Err(RepeatModeError::FrequencyMissing));
    assert!("once".parse::<RepeatMode>().is_err());
}

#[test]
fn series_that_is_over_before_it_is_due_is_refused() {
    let now = time("2026-11-24T12:00:00Z");
    let check = |text: &str, until: &str| {
        let frequency = frequency(text);
        let zone = frequency.zone().map(|_| zone_of(&frequency));
        frequency.check_until(now, zone.as_ref(), time(until))
    };
    let over = |until: &str| Err(Unusable::OverBeforeDue { until: time(until) });
    assert_eq!(check("rate(1h)", "2026-11-24T13:00:01Z"), Ok(()));
    assert_eq!(check("rate(1h)", "2026-11-24T13:00:00Z"), over("2026-11-24T13:00:00Z"), "the end is exclusive");
    assert_eq!(check("at(2030-01-01 00:00:00)", "2029-01-01T00:00:00Z"), over("2029-01-01T00:00:00Z"));
    assert_eq!(check("0 0 3 ? * * Asia/Tokyo", "2026-11-24T19:00:00Z"), Ok(()));
    // Without a zone: 3 o'clock comes within the hour somewhere, New Year's does not.
    assert_eq!(check("0 0 3 ? * *", "2026-11-24T19:00:00Z"), Ok(()));
    assert_eq!(check("0 0 0 1 1 ?", "2026-11-24T19:00:00Z"), over("2026-11-24T19:00:00Z"));
}
