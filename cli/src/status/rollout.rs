//! How a rollout goes and will go, in words, and what a person may say to it next.
//!
//! Owns the words only; what may start is the model's rule, and the server's to follow.

use orderly_model::rollout::{Confirm, RolloutPolicy};
use orderly_wire::http::rollout::RolloutView;

use crate::output::time;

/// The state of a rollout that starts nothing more until it is resumed.
pub(crate) const HALTED: &str = "halted";

/// Where it is: `wave 2 of 11, rolling`.
pub(crate) fn place(view: &RolloutView) -> String {
    match (view.wave, view.waves) {
        (0, _) => format!("before the first wave, {}", view.state),
        (_, 1) => view.state.clone(),
        (wave, waves) => format!("wave {wave} of {waves}, {}", view.state),
    }
}

/// How it goes, in one line.
pub(crate) fn rollout(view: &RolloutView) -> String {
    let until = view.until_ms.map(|until| format!(" until {} (UTC)", time(until))).unwrap_or_default();
    let total = view.held.saturating_add(view.started);
    let mut line = format!(
        "{}{until}: {} of {total} started, {} open, {} error(s)",
        place(view),
        view.started,
        view.open,
        view.errors
    );
    if view.lost > 0 {
        line.push_str(&format!(", {} of them lost", view.lost));
    }
    if let Some(reason) = &view.reason {
        line.push_str("; ");
        line.push_str(reason);
    }
    line
}

/// What a person may say to it now; nothing where it goes on by itself.
pub(crate) fn next(view: &RolloutView, id: &str) -> Option<String> {
    match view.state.as_str() {
        HALTED => Some(format!(
            "`orderly invocation resume {id} --errors {}` goes on, `orderly invocation stop {id}` cancels the rest",
            view.errors
        )),
        "confirming" => Some(format!(
            "look at it, then `orderly invocation confirm {id} --wave {}` starts the next wave; `orderly invocation stop {id}` cancels the rest",
            view.wave
        )),
        _ => None,
    }
}

/// How so many tasks will spread, in one line.
pub(crate) fn policy(policy: &RolloutPolicy, total: u64) -> String {
    let (first, further) = policy.wave_sizes(total);
    let mut parts = vec![match policy.waves(total) {
        0 | 1 => format!("one wave of {total}"),
        2 => format!("2 waves, {first} first, then {further}"),
        waves => format!("{waves} waves, {first} first, then {further} at a time"),
    }];
    if let Some(most) = policy.max_concurrency {
        parts.push(format!("at most {} open at a time", most.of(total).max(1)));
    }
    if policy.pause_s > 0 {
        parts.push(format!("{} between waves", span(policy.pause_s.into())));
    }
    match policy.confirm {
        Confirm::Never => {}
        Confirm::AfterCanary => parts.push("the first wave waits for `invocation confirm`".to_owned()),
        Confirm::EachWave => parts.push("each wave waits for `invocation confirm`".to_owned()),
    }
    if let Some(borne) = policy.max_errors {
        parts.push(format!("halts at error {}", borne.of(total).saturating_add(1)));
    }
    parts.join("; ")
}

/// A span as people read it, in its two largest units that are not zero: `1d 2h`.
pub(crate) fn span(seconds: u64) -> String {
    let units = [(seconds / 86_400, 'd'), (seconds / 3600 % 24, 'h'), (seconds / 60 % 60, 'm'), (seconds % 60, 's')];
    let parts = units.into_iter().filter(|(count, _)| *count > 0).take(2);
    let parts: Vec<String> = parts.map(|(count, unit)| format!("{count}{unit}")).collect();
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn view(state: &str, more: serde_json::Value) -> RolloutView {
        let mut view = serde_json::json!({
            "policy": {"canary": "1", "batch": "50"}, "state": state, "wave": 2, "waves": 11,
            "held": 449, "started": 51, "open": 3, "errors": 4, "lost": 0,
        });
        view.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(view).unwrap()
    }

    #[test]
    fn how_it_goes_is_one_line_and_says_what_a_person_may_do() {
        let rolling = view("rolling", serde_json::json!({}));
        assert_eq!(rollout(&rolling), "wave 2 of 11, rolling: 51 of 500 started, 3 open, 4 error(s)");
        assert_eq!(next(&rolling, "t-x"), None);
        let halted = view("halted", serde_json::json!({"reason": "halted by alice: lunch", "lost": 1}));
        assert!(rollout(&halted).ends_with("4 error(s), 1 of them lost; halted by alice: lunch"), "{halted:?}");
        let told = next(&halted, "t-x").unwrap();
        assert!(told.contains("invocation resume t-x --errors 4`") && told.contains("invocation stop t-x`"), "{told}");
        let told = next(&view("confirming", serde_json::json!({})), "t-x").unwrap();
        assert!(told.contains("invocation confirm t-x --wave 2`"), "{told}");
        let pausing = view("pausing", serde_json::json!({"until_ms": 0, "wave": 1, "waves": 1}));
        assert!(rollout(&pausing).starts_with("pausing until 1970-01-01 00:00:00 (UTC): "), "{}", rollout(&pausing));
    }

    #[test]
    fn how_it_will_spread_is_said_in_numbers_of_this_fleet() {
        let told = |json: &str, total| policy(&serde_json::from_str(json).unwrap(), total);
        let waved = r#"{"canary":"1","batch":"50","max_concurrency":"3%","pause_s":300,"max_errors":"2","confirm":"each-wave"}"#;
        assert_eq!(
            told(waved, 500),
            "11 waves, 1 first, then 50 at a time; at most 15 open at a time; 5m between waves; \
             each wave waits for `invocation confirm`; halts at error 3"
        );
        assert_eq!(told(r#"{"canary":"1"}"#, 3), "2 waves, 1 first, then 2");
        assert_eq!(told(r#"{"max_concurrency":"1"}"#, 3), "one wave of 3; at most 1 open at a time");
    }

    #[test]
    fn spans_have_their_two_largest_units() {
        assert_eq!(
            [0, 59, 60, 90, 3600, 93_660, 604_800].map(span),
            ["0s", "59s", "1m", "1m 30s", "1h", "1d 2h", "7d"]
        );
        assert_eq!(span(86_400 + 60), "1d 1m");
    }
}
