//! Which instances an invocation is for, as people say it. Owns the kinds, the sample and what "failed and offline" means; who
//! they are in the end is the store's to find, and the signed set's to hold.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::InvocationId;
use crate::limits::TARGETS_MAX;
use crate::name::GroupName;
use crate::selector::Selector;
use crate::task::TaskStatus;
use crate::{Digest, InstanceId};

/// Which instances are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Among whom.
    pub among: Among,
    /// Where there is one, only some of them, taken by lot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
}

/// Among whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Among {
    /// These; at least one, at most 1,000,000.
    Instances(BTreeSet<InstanceId>),
    /// All that the selector matches.
    Selector(Selector),
    /// All of a saved group, as it is at that time.
    Group(GroupName),
    /// The whole fleet.
    All,
    /// Those for which another invocation did not come out well.
    Rest(Rest),
}

/// Those for which an invocation did not come out well, to run something again there and only there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rest {
    /// Of which invocation.
    pub of: InvocationId,
    /// Those where it was tried: Failed, Error, Timeout, Invalid.
    #[serde(default)]
    pub failed: bool,
    /// Those that it did not reach: Aborted.
    #[serde(default)]
    pub offline: bool,
}

impl Rest {
    /// Whether a task of the invocation that has this status is meant. One that is still open is not, nor is one that somebody
    /// stopped.
    pub fn takes(&self, status: TaskStatus) -> bool {
        match status {
            TaskStatus::Failed | TaskStatus::Error | TaskStatus::Timeout | TaskStatus::Invalid => self.failed,
            TaskStatus::Aborted => self.offline,
            _ => false,
        }
    }
}

/// Some of many, taken by lot. The same seed takes the same ones, and as many of those that are still there where the fleet has
/// changed meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// How many; all where there are fewer. At least 1.
    pub count: u32,
    /// What the lot depends on; from the system's random source where nobody says.
    pub seed: u64,
}

impl Sample {
    /// The instances that the lot falls on, sorted.
    pub fn take(&self, among: impl IntoIterator<Item = InstanceId>) -> Vec<InstanceId> {
        let lot = |instance: &InstanceId| {
            let mut bytes = self.seed.to_be_bytes().to_vec();
            bytes.extend_from_slice(instance.as_str().as_bytes());
            *Digest::of(&bytes).as_bytes()
        };
        let mut lots: Vec<_> = among.into_iter().map(|instance| (lot(&instance), instance)).collect();
        lots.sort();
        lots.dedup();
        lots.truncate(usize::try_from(self.count).unwrap_or(usize::MAX));
        let mut taken: Vec<InstanceId> = lots.into_iter().map(|(_, instance)| instance).collect();
        taken.sort();
        taken
    }
}

/// A target that means nobody, or too many.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetFault {
    /// No instance is named.
    #[error("the target names no instance")]
    Empty,
    /// More instances than an order can be for.
    #[error("the target names {count} instances; at most {TARGETS_MAX} are allowed")]
    TooMany {
        /// How many are named.
        count: usize,
    },
    /// A sample of none.
    #[error("a sample of 0 instances is none: write at least 1")]
    EmptySample,
    /// Neither failed nor offline ones.
    #[error("of invocation {of} neither the failed nor the offline instances are asked for: say which, or both")]
    EmptyRest {
        /// Of which invocation.
        of: InvocationId,
    },
}

impl Target {
    /// What is wrong with it, all at once.
    pub fn check(&self) -> Vec<TargetFault> {
        let mut faults = Vec::new();
        match &self.among {
            Among::Instances(instances) if instances.is_empty() => faults.push(TargetFault::Empty),
            Among::Instances(instances) if instances.len() > TARGETS_MAX => {
                faults.push(TargetFault::TooMany { count: instances.len() });
            }
            Among::Rest(Rest { of, failed: false, offline: false }) => faults.push(TargetFault::EmptyRest { of: *of }),
            _ => {}
        }
        if self.sample.is_some_and(|sample| sample.count == 0) {
            faults.push(TargetFault::EmptySample);
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn instance(number: u32) -> InstanceId {
        let letters = b"abcdefghijklmnopqrstuvwxyz234567";
        let body: String =
            (0..26).map(|place| char::from(letters[(number >> (5 * place.min(5))) as usize & 31])).collect();
        format!("i-{body}").parse().unwrap()
    }

    #[test]
    fn all_kinds_round_trip_and_unknown_ones_are_refused() {
        let of = InvocationId::new(0, [0; 10]);
        for among in [
            Among::Instances([instance(1), instance(2)].into()),
            Among::Selector("env=prod or a=b".parse().unwrap()),
            Among::Group("web".parse().unwrap()),
            Among::All,
            Among::Rest(Rest { of, failed: true, offline: false }),
        ] {
            let target = Target { among, sample: Some(Sample { count: 3, seed: 7 }) };
            assert_eq!(target.check(), []);
            let json = serde_json::to_string(&target).unwrap();
            assert_eq!(serde_json::from_str::<Target>(&json).unwrap(), target, "{json}");
        }
        for bad in [r#"{"among":"everybody"}"#, r#"{"among":"all","but":1}"#, r#"{"among":{"selector":"env"}}"#] {
            assert!(serde_json::from_str::<Target>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn who_means_nobody_is_told_so() {
        let target = |among| Target { among, sample: Some(Sample { count: 0, seed: 0 }) };
        assert_eq!(target(Among::Instances(BTreeSet::new())).check(), [TargetFault::Empty, TargetFault::EmptySample]);
        let of = InvocationId::new(0, [0; 10]);
        let rest = Rest { of, failed: false, offline: false };
        assert_eq!(target(Among::Rest(rest)).check().len(), 2);
    }

    #[test]
    fn failed_and_offline_ones_and_nobody_else() {
        let of = InvocationId::new(0, [0; 10]);
        let taken = |failed, offline| {
            let rest = Rest { of, failed, offline };
            TaskStatus::ALL.into_iter().filter(|status| rest.takes(*status)).map(TaskStatus::as_str).collect::<Vec<_>>()
        };
        assert_eq!(taken(true, false), ["Failed", "Error", "Timeout", "Invalid"]);
        assert_eq!(taken(false, true), ["Aborted"]);
        assert_eq!(taken(false, false), Vec::<&str>::new());
    }

    proptest! {
        #[test]
        fn a_sample_is_the_same_again_and_keeps_those_who_stay(seed: u64, count in 1..40u32, fleet in 1..80u32, gone in 0..80u32) {
            let sample = Sample { count, seed };
            let all: Vec<_> = (0..fleet).map(instance).collect();
            let taken = sample.take(all.iter().cloned().rev());
            prop_assert_eq!(taken.len(), count.min(fleet) as usize);
            prop_assert_eq!(&taken, &sample.take(all.iter().cloned().chain(all.iter().cloned())));
            let gone = instance(gone % fleet);
            let after = sample.take(all.iter().filter(|instance| **instance != gone).cloned());
            prop_assert!(taken.iter().filter(|instance| **instance != gone).all(|instance| after.contains(instance)));
        }
    }

    #[test]
    fn every_instance_has_the_same_chance() {
        let mut taken = [0; 20];
        for seed in 0..2000 {
            for instance in (Sample { count: 5, seed }).take((0..20).map(instance)) {
                let number = (0..20).find(|number| self::instance(*number) == instance).unwrap();
                taken[number as usize] += 1;
            }
        }
        assert!(taken.iter().all(|count| (400..600).contains(count)), "{taken:?}");
    }
}
