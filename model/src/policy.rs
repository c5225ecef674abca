//! The local policy: what an instance's owner allows, in `[policy]` of `agent.toml`. It can only
//! narrow what the fleet's signed policy allows. Owns the meaning; the agent asks before each run.

use serde::{Deserialize, Serialize};

use orderly_signing::keyring::Tier;

use crate::capability::{HostPattern, HttpRule, PathPattern, ProcessRule, RunAs};
use crate::instance::Sandbox;
use crate::name::{AbsolutePath, UserName};

/// When an order needs an operator's signature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperatorSignature {
    /// When the fleet's signed policy says so.
    #[default]
    Policy,
    /// Always: what the server alone has signed never runs here.
    Always,
}

/// Whether the documents that say what is trusted are within their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// All are.
    Fresh,
    /// The keyring or an approval has expired: work above `stale_tier` is refused, all else goes on.
    Stale,
}

/// What an instance's owner allows. A list that is absent allows all; an empty list allows nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LocalPolicy {
    /// Whether scripts may run.
    pub native: bool,
    /// The users that scripts may run as, and plugins and their programs that do not run unprivileged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<UserName>>,
    /// Whether plugins may run.
    pub plugins: bool,
    /// The highest tier that may run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tier: Option<Tier>,
    /// When an order needs an operator's signature.
    pub operator_signature: OperatorSignature,
    /// What plugins may read at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_read: Option<Vec<PathPattern>>,
    /// What plugins may write at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_write: Option<Vec<PathPattern>>,
    /// The hosts that plugins may speak to at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Vec<HostPattern>>,
    /// The programs that plugins may have started at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<Vec<AbsolutePath>>,
    /// Whether a plugin is refused where Landlock or seccomp is not there.
    pub require_sandbox: bool,
    /// The highest tier of new work while keyring or approval are expired.
    pub stale_tier: Tier,
}

impl Default for LocalPolicy {
    /// Everything that the fleet's policy allows; while documents are expired, plugins that read only.
    fn default() -> Self {
        Self {
            native: true,
            users: None,
            plugins: true,
            max_tier: None,
            operator_signature: OperatorSignature::Policy,
            files_read: None,
            files_write: None,
            http: None,
            process: None,
            require_sandbox: false,
            stale_tier: Tier::PluginReadOnly,
        }
    }
}

/// The tier of a script: by whether the user that it runs as is user number 0 (or Windows' System), whatever its name.
pub fn native_tier(superuser: bool) -> Tier {
    if superuser { Tier::NativeRoot } else { Tier::NativeUser }
}

impl LocalPolicy {
    /// Whether a script may run as `user` for an order with so many distinct operators' signatures.
    ///
    /// # Errors
    /// The reason, for the receipt.
    pub fn check_native(&self, user: &UserName, operators: usize) -> Result<(), String> {
        if !self.native {
            return Err("this instance's policy runs no scripts (`native = false`)".to_owned());
        }
        self.check_user(user)?;
        self.check_signature(operators)
    }

    /// Whether plugins may run for an order with so many distinct operators' signatures. What the plugin may
    /// touch is the question of `grant::grants`.
    ///
    /// # Errors
    /// The reason, for the receipt.
    pub fn check_plugin(&self, operators: usize, sandbox: &Sandbox) -> Result<(), String> {
        if !self.plugins {
            return Err("this instance's policy runs no plugins (`plugins = false`)".to_owned());
        }
        let missing = sandbox.missing();
        if self.require_sandbox && !missing.is_empty() {
            let missing = missing.join(" and ");
            return Err(format!(
                "this instance's policy insists on a full sandbox (`require_sandbox`), and its kernel lacks {missing}"
            ));
        }
        self.check_signature(operators)
    }

    /// Whether work of this tier may start.
    ///
    /// # Errors
    /// The reason, for the receipt.
    pub fn check_tier(&self, tier: Tier, freshness: Freshness) -> Result<(), String> {
        if let Some(most) = self.max_tier
            && tier > most
        {
            return Err(format!(
                "it is of the tier {tier}, and this instance's policy allows {most} at most (`max_tier`)"
            ));
        }
        if freshness == Freshness::Stale && tier > self.stale_tier {
            let most = self.stale_tier;
            return Err(format!(
                "the keyring or the approval has expired, and until there is a new one this instance starts nothing above the tier {most} (`stale_tier`); this is of {tier}"
            ));
        }
        Ok(())
    }

    /// Whether somebody may run as this user.
    ///
    /// # Errors
    /// The reason, for the receipt.
    pub fn check_user(&self, user: &UserName) -> Result<(), String> {
        match &self.users {
            Some(users) if !users.contains(user) => {
                Err(format!("this instance's policy does not allow the user `{user}` (`users`)"))
            }
            _ => Ok(()),
        }
    }

    fn check_signature(&self, operators: usize) -> Result<(), String> {
        if self.operator_signature == OperatorSignature::Always && operators == 0 {
            return Err("this instance's policy insists on an operator's signature (`operator_signature = \"always\"`), and the order has none".to_owned());
        }
        Ok(())
    }

    /// Whether the policy allows a plugin to run as this user; anybody may run unprivileged.
    pub(crate) fn allows_run_as(&self, user: &RunAs) -> bool {
        let Some(users) = &self.users else {
            return true;
        };
        *user == RunAs::Unprivileged || users.iter().any(|allowed| allowed.as_str() == user.as_str())
    }

    pub(crate) fn allows_read(&self, pattern: &PathPattern) -> bool {
        covered(&self.files_read, |ceiling| ceiling.covers(pattern))
    }

    pub(crate) fn allows_write(&self, pattern: &PathPattern) -> bool {
        covered(&self.files_write, |ceiling| ceiling.covers(pattern))
    }

    pub(crate) fn allows_http(&self, rule: &HttpRule) -> bool {
        covered(&self.http, |ceiling| ceiling.covers(&rule.host))
    }

    pub(crate) fn allows_process(&self, rule: &ProcessRule) -> bool {
        covered(&self.process, |ceiling| *ceiling == rule.executable)
    }
}

fn covered<T>(ceilings: &Option<Vec<T>>, covers: impl Fn(&T) -> bool) -> bool {
    ceilings.as_ref().is_none_or(|ceilings| ceilings.iter().any(covers))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn policy(text: &str) -> LocalPolicy {
        toml::from_str(text).unwrap()
    }

    const FULL: Sandbox = Sandbox { landlock_abi: 4, seccomp: true, own_user: true, cgroup: true };

    #[test]
    fn nothing_written_is_the_default() {
        assert_eq!(policy(""), LocalPolicy::default());
        let root = "root".parse().unwrap();
        assert!(policy("").check_native(&root, 0).is_ok());
        assert!(policy("").check_plugin(0, &Sandbox::default()).is_ok());
        for tier in Tier::ALL {
            assert!(policy("").check_tier(tier, Freshness::Fresh).is_ok());
            assert_eq!(policy("").check_tier(tier, Freshness::Stale).is_ok(), tier == Tier::PluginReadOnly);
        }
    }

    #[test]
    fn each_setting_narrows_and_says_so() {
        let root = "root".parse().unwrap();
        let bob = "bob".parse().unwrap();
        let native = |text: &str, operators| policy(text).check_native(&root, operators).unwrap_err();
        assert!(native("native = false", 1).contains("`native = false`"));
        assert!(native("users = [\"bob\"]", 1).contains("`users`"));
        assert!(policy("users = [\"bob\"]").check_native(&bob, 0).is_ok());
        assert!(native("users = []", 1).contains("`users`"));
        assert!(native("operator_signature = \"always\"", 0).contains("`operator_signature"));
        assert!(policy("operator_signature = \"always\"").check_native(&root, 1).is_ok());
        assert!(policy("plugins = false").check_plugin(1, &FULL).is_err());
        assert!(policy("require_sandbox = true").check_plugin(1, &FULL).is_ok());
        let lacks = policy("require_sandbox = true").check_plugin(1, &Sandbox { landlock_abi: 0, ..FULL }).unwrap_err();
        assert!(lacks.contains("lacks Landlock"), "{lacks}");
        let tier = policy("max_tier = \"plugin-write\"");
        assert!(tier.check_tier(Tier::PluginWrite, Freshness::Fresh).is_ok());
        assert!(tier.check_tier(Tier::PluginNetwork, Freshness::Fresh).is_err());
        let stale = policy("stale_tier = \"native-root\"");
        assert!(stale.check_tier(native_tier(true), Freshness::Stale).is_ok());
    }

    #[test]
    fn unknown_and_wrong_settings_are_refused() {
        for bad in [
            "nativ = true",
            "max_tier = \"all\"",
            "files_read = [\"/**\"]",
            "users = [\"0\"]",
            "operator_signature = \"never\"",
        ] {
            assert!(toml::from_str::<LocalPolicy>(bad).is_err(), "{bad}");
        }
    }
}
