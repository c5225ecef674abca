//! How an invocation spreads over its instances: the options of a rollout.
//!
//! Owns what they come to, and refuses before anything is signed what could not be. The rule itself is the model's.

use clap::{Args, ValueEnum};
use orderly_model::limits::DELIVERY_DEADLINE_MAX_S;
use orderly_model::rollout::{Amount, Confirm, PAUSE_MAX_S, Pace, PolicyFault, RolloutPolicy};

use crate::args::seconds;
use crate::error::Failure;
use crate::status::span;

/// How it spreads.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rollout")]
pub(super) struct RolloutArgs {
    /// Most instances that are at it at a time, as 10 or 10%
    #[arg(long, value_name = "COUNT|PERCENT")]
    max_concurrency: Option<Amount>,
    /// Most errors that are borne: one more, and nothing more starts until `invocation resume`; 0 halts at the first
    #[arg(long, value_name = "COUNT|PERCENT")]
    max_errors: Option<Amount>,
    /// How many instances go first, as a wave of their own
    #[arg(long, value_name = "COUNT|PERCENT")]
    canary: Option<Amount>,
    /// How many instances go in each further wave; all the rest in one where absent
    #[arg(long, value_name = "COUNT|PERCENT")]
    batch: Option<Amount>,
    /// How long to wait between the end of a wave and the next, at most 7d
    #[arg(long, value_name = "SPAN", value_parser = pause)]
    pause: Option<u32>,
    /// Let no wave begin before somebody has looked at the one before and said `invocation confirm`
    #[arg(
        long, value_enum, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "each-wave"
    )]
    confirm: Option<Where>,
}

/// Where a person has to say "go on".
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Where {
    /// After the canaries only
    AfterCanary,
    /// After each wave
    EachWave,
}

/// Reads a pause, in seconds.
fn pause(text: &str) -> Result<u32, String> {
    let pause = u32::try_from(seconds(text)?).ok().filter(|seconds| *seconds <= PAUSE_MAX_S);
    pause.ok_or_else(|| format!("`{text}` is too long: at most 7d are allowed"))
}

impl RolloutArgs {
    /// The rollout that is asked for; nothing where all is to start at once.
    ///
    /// # Errors
    /// Options that do not go together, or pauses that no order lives long enough for.
    pub(super) fn read(&self, total: u64, deadline_s: u32) -> Result<Option<RolloutPolicy>, Failure> {
        let policy = RolloutPolicy {
            max_concurrency: self.max_concurrency,
            max_errors: self.max_errors,
            canary: self.canary,
            batch: self.batch,
            pause_s: self.pause.unwrap_or(0),
            confirm: match self.confirm {
                None => Confirm::Never,
                Some(Where::AfterCanary) => Confirm::AfterCanary,
                Some(Where::EachWave) => Confirm::EachWave,
            },
        };
        if policy == RolloutPolicy::default() {
            return Ok(None);
        }
        let mut faults: Vec<String> = policy.check().iter().map(told).collect();
        if !policy.holds_back() && faults.is_empty() {
            faults.push("nothing would be held back: add `--max-concurrency`, `--canary` or `--batch`".to_owned());
        }
        if !faults.is_empty() {
            return Err(Failure::usage(faults.join("; ")));
        }
        let least_s = policy.least_s(total, Pace { accept_s: deadline_s, run_s: 0 });
        if least_s > u64::from(DELIVERY_DEADLINE_MAX_S) {
            return Err(Failure::usage(format!(
                "{} pause(s) of {} and {} for the last wave to be accepted are {}, and an order lives at most 7d",
                policy.waves(total).saturating_sub(1),
                span(policy.pause_s.into()),
                span(deadline_s.into()),
                span(least_s)
            ))
            .hint(
                "make the waves larger (`--batch`), or the pauses (`--pause`) or the deadline (`--deadline`) shorter",
            ));
        }
        Ok(Some(policy))
    }
}

/// What is wrong with a policy, in the words of the command line.
fn told(fault: &PolicyFault) -> String {
    let flag = |field: &str| format!("`--{}`", field.trim_end_matches("_s").replace('_', "-"));
    match fault {
        PolicyFault::Zero { field } => format!("{} is 0: nothing would ever start", flag(field)),
        PolicyFault::Pause { seconds } => format!("`--pause` is {seconds} s: at most 7d are allowed"),
        PolicyFault::OneWave { field } => {
            format!(
                "{} is for what comes between waves, but there is one wave only: add `--canary` or `--batch`",
                flag(field)
            )
        }
        PolicyFault::NoCanary => "`--confirm=after-canary` waits for canaries: add `--canary`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        rollout: RolloutArgs,
    }

    fn read(line: &str, total: u64) -> Result<Option<RolloutPolicy>, Failure> {
        Line::try_parse_from(["x"].into_iter().chain(line.split_whitespace())).unwrap().rollout.read(total, 60)
    }

    #[test]
    fn options_come_to_a_policy_and_none_of_them_to_no_rollout() {
        assert_eq!(read("", 500).unwrap(), None);
        let line = "--max-concurrency 10% --max-errors 2 --canary 1 --batch 50 --pause 5m --confirm";
        let asked = r#"{"max_concurrency":"10%","max_errors":"2","canary":"1","batch":"50","pause_s":300,"confirm":"each-wave"}"#;
        assert_eq!(read(line, 500).unwrap(), Some(serde_json::from_str(asked).unwrap()));
        let canary = read("--canary 1 --confirm=after-canary", 5).unwrap().unwrap();
        assert_eq!(canary.confirm, Confirm::AfterCanary);
    }

    #[test]
    fn what_could_not_be_is_refused_in_words_of_the_command_line() {
        for (line, says) in [
            ("--max-errors 2", "add `--max-concurrency`"),
            ("--max-concurrency 0", "`--max-concurrency` is 0"),
            ("--max-concurrency 5 --pause 5m", "`--pause` is for what comes between waves"),
            ("--max-concurrency 5 --confirm", "`--confirm` is for what comes between waves"),
            ("--batch 5 --confirm=after-canary", "add `--canary`"),
        ] {
            let refused = read(line, 500).unwrap_err();
            assert!(refused.to_string().contains(says), "{line}: {refused}");
        }
    }

    #[test]
    fn pauses_that_no_order_outlives_are_refused_with_the_sum() {
        assert!(read("--batch 1 --pause 1d", 7).is_ok());
        let refused = read("--batch 1 --pause 1d", 8).unwrap_err().to_string();
        assert!(refused.starts_with("7 pause(s) of 1d and 1m "), "{refused}");
        assert!(refused.contains("are 7d 1m,"), "{refused}");
    }
}
