//! What agents learned when. Owns the table of features with the agent version that each needs, which features an order uses,
//! and the sentence for an instance that is too old. Never decides what becomes of it: a refusal has the code
//! `ClientNeedUpgrade`.

use std::fmt;
use std::str::FromStr;

use orderly_signing::order::{Action, Due, Order, Repeat, ScriptAction, Substitution, Termination};

use crate::error::{ParseError, serde_by_text};
use crate::name::PluginVersion;

/// The version of an agent: SemVer, as the agent tells it among its facts. A pre-release is older than its release, so it does
/// not have what the release brings.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentVersion(PluginVersion);

impl AgentVersion {
    /// The version as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for AgentVersion {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let version = text.parse::<PluginVersion>();
        version.map(Self).map_err(|error| ParseError::new("agent version", text, error.why()))
    }
}

impl fmt::Display for AgentVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl fmt::Debug for AgentVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

serde_by_text!(AgentVersion);

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident $since:literal $what:literal;)*) => {
        /// Something that an order can ask of an agent.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Feature {
            $($(#[$doc])* $name,)*
        }

        impl Feature {
            /// Every feature.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The version of the first agent that has it.
            pub fn since(self) -> &'static str {
                match self { $(Self::$name => $since,)* }
            }

            /// What it is, in words that follow "for".
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $what,)* }
            }
        }
    };
}

features! {
    /// A script, run once.
    Script "0.1.0" "scripts";
    /// A plugin, run once.
    Plugin "0.1.0" "plugins";
    /// A stop.
    Stop "0.1.0" "stopping tasks";
    /// Values as environment variables.
    ParametersAsVariables "0.2.0" "parameters as environment variables";
    /// Values as text.
    ParametersAsText "0.2.0" "parameters as text";
    /// A launcher.
    Launcher "0.2.0" "launchers";
    /// Standard input.
    StandardInput "0.2.0" "standard input";
    /// Limits on processor, memory and processes.
    Resources "0.2.0" "limits on resources";
    /// Only the script's own process ended.
    ProcessOnly "0.2.0" "ending the script's process alone";
    /// A container.
    Container "0.2.0" "containers";
    /// Exit codes that power off or restart.
    ExitEffects "0.2.0" "exit codes that power off or restart the instance";
    /// A file put on the instance.
    FilePut "0.2.0" "putting files";
    /// A file taken from the instance.
    FileCollect "0.2.0" "collecting files";
    /// A trial.
    DryRun "0.2.0" "dry runs";
    /// `rate`, `at` and cron.
    Schedule "0.2.0" "schedules";
    /// The next and each start of the instance.
    Reboot "0.2.0" "running at the instance's start";
}

/// A feature that an agent is too old for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the agent is version {have}, but {} need at least version {}: update the agent",
    .feature.as_str(), .feature.since()
)]
pub struct TooOld {
    /// What is asked.
    pub feature: Feature,
    /// What the agent is, as it says.
    pub have: AgentVersion,
}

impl Feature {
    /// Whether an agent of this version has it.
    ///
    /// # Errors
    /// With both versions, where it has not.
    pub fn check(self, have: &AgentVersion) -> Result<(), TooOld> {
        // The table's versions parse (a test sees to it); one that did not would be had by nobody.
        match self.since().parse::<AgentVersion>() {
            Ok(since) if *have >= since => Ok(()),
            _ => Err(TooOld { feature: self, have: have.clone() }),
        }
    }

    /// The features that an order uses, in the order of the table.
    pub fn of(order: &Order) -> Vec<Self> {
        let mut features = Vec::new();
        match &order.action {
            Action::Script(script) => Self::of_script(script, &mut features),
            Action::Plugin { .. } => features.push(Self::Plugin),
            Action::File(_) => features.push(Self::FilePut),
            Action::Collect(_) => features.push(Self::FileCollect),
            Action::Stop { .. } => features.push(Self::Stop),
        }
        match &order.repeat {
            Repeat::Once => {}
            Repeat::DryRun => features.push(Self::DryRun),
            Repeat::Series(series) => match series.due {
                Due::Frequency(_) => features.push(Self::Schedule),
                Due::NextReboot | Due::EveryReboot => features.push(Self::Reboot),
            },
        }
        features.sort();
        features
    }

    fn of_script(script: &ScriptAction, features: &mut Vec<Self>) {
        features.push(Self::Script);
        match script.substitution {
            Substitution::Off => {}
            Substitution::Environment => features.push(Self::ParametersAsVariables),
            Substitution::Text => features.push(Self::ParametersAsText),
        }
        let asked = [
            (script.launcher.is_some(), Self::Launcher),
            (script.stdin.is_some(), Self::StandardInput),
            (script.resources.is_some(), Self::Resources),
            (script.termination == Termination::Process, Self::ProcessOnly),
            (script.container.is_some(), Self::Container),
            (script.exit_effects, Self::ExitEffects),
        ];
        features.extend(asked.into_iter().filter(|(asked, _)| *asked).map(|(_, feature)| feature));
    }
}

/// What an order asks that an agent of this version does not have, all at once.
pub fn too_old(order: &Order, have: &AgentVersion) -> Vec<TooOld> {
    Feature::of(order).into_iter().filter_map(|feature| feature.check(have).err()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Digest;
    use orderly_signing::merkle::Targets;
    use orderly_signing::order::{Container, Misfire, Overlap, Resources, Series};

    fn order(action: Action, repeat: Repeat) -> Order {
        let id = "0".repeat(26);
        Order {
            version: 1,
            order: format!("o-{id}"),
            invocation: format!("t-{id}"),
            principal: "alice".into(),
            issued_ms: 1,
            not_before_ms: 1,
            expires_ms: 2,
            targets: Targets { count: 1, root: Digest::ZERO },
            action,
            repeat,
        }
    }

    #[test]
    fn every_version_of_the_table_is_one() {
        for feature in Feature::ALL {
            let since: AgentVersion = feature.since().parse().unwrap();
            assert_eq!(feature.check(&since), Ok(()));
        }
    }

    #[test]
    fn all_that_an_order_uses_is_found() {
        let plain = ScriptAction::new(b"true");
        assert_eq!(Feature::of(&order(Action::Script(plain.clone()), Repeat::Once)), [Feature::Script]);
        let full = ScriptAction {
            substitution: Substitution::Text,
            launcher: Some("a".into()),
            stdin: Some(String::new()),
            resources: Some(Resources::default()),
            container: Some(Container::default()),
            exit_effects: true,
            termination: Termination::Process,
            ..plain
        };
        let series = |due| {
            Repeat::Series(Series { revision: 1, due, until_ms: None, misfire: Misfire::Skip, overlap: Overlap::Skip })
        };
        use Feature as F;
        assert_eq!(
            Feature::of(&order(Action::Script(full), series(Due::Frequency("rate(1h)".into())))),
            [
                F::Script,
                F::ParametersAsText,
                F::Launcher,
                F::StandardInput,
                F::Resources,
                F::ProcessOnly,
                F::Container,
                F::ExitEffects,
                F::Schedule
            ]
        );
        let stop = Action::Stop { order: Digest::ZERO, invocation: String::new() };
        assert_eq!(Feature::of(&order(stop.clone(), series(Due::EveryReboot))), [F::Stop, F::Reboot]);
        assert_eq!(Feature::of(&order(stop, Repeat::DryRun)), [F::Stop, F::DryRun]);
    }

    #[test]
    fn client_need_upgrade_says_both_versions() {
        let dry = order(Action::Script(ScriptAction::new(b"true")), Repeat::DryRun);
        let told = too_old(&dry, &"0.1.0".parse().unwrap());
        assert_eq!(told.len(), 1);
        assert_eq!(
            told[0].to_string(),
            "the agent is version 0.1.0, but dry runs need at least version 0.2.0: update the agent"
        );
        for new in ["0.2.0", "0.10.0", "1.0.0-rc.1"] {
            assert_eq!(too_old(&dry, &new.parse().unwrap()), []);
        }
        assert_eq!(too_old(&dry, &"0.2.0-rc.1".parse().unwrap()).len(), 1);
        assert!("0.2".parse::<AgentVersion>().is_err());
    }
}
