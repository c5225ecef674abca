//! What a script in a container must pass besides the checks of every script.
//!
//! Owns what does not go with a container, and as how mighty it counts: whoever may start programs through a container's runtime is
//! as mighty as root on the instance, whatever user the script has inside. Which container is meant is looked up when the script's
//! turn comes, since containers come and go.

use orderly_host::platform::{Quota, TreeKind};
use orderly_model::name::UserName;
use orderly_model::policy::native_tier;
use orderly_model::task::ResultCode;
use orderly_signing::error::Check;
use orderly_signing::order::{Order, ScriptAction, ScriptKind, Termination};
use orderly_signing::verify::Verified;

use super::{Gate, Refused};
use crate::exec::account::Account;
use crate::exec::chain;
use crate::exec::script::{AdmittedScript, quota};

impl Gate<'_> {
    /// Checks 6 and 8 of a script in a container, whose content has been checked.
    pub(super) fn contained(&self, order: &Verified<Order>, action: &ScriptAction) -> Result<AdmittedScript, Refused> {
        let lacking = |reason: &str| Refused::lacking(ResultCode::CommandNotApplicable, reason);
        if let Some(what) = beside(action) {
            return Err(lacking(&format!("{what} does not go with a container")));
        }
        if !self.containers.enabled {
            let reason =
                "this instance's `agent.toml` says `containers.enabled = false`: no order runs anything in a container";
            return Err(Refused::because(Check::LocalPolicy, reason));
        }
        let own = Account::find(None, Some("/"))?;
        self.tier(order, native_tier(true))?;
        let name: UserName = own.name().parse().map_err(|error| Refused::because(Check::LocalPolicy, chain(&error)))?;
        let allowed = self.local.check_native(&name, order.operators());
        allowed.map_err(|reason| Refused::because(Check::LocalPolicy, reason))?;
        if !own.is_root() || self.trees.kind() != TreeKind::Cgroup {
            let reason = "a script in a container is ended through its cgroup, for which the agent needs to run as root on an instance with cgroup v2";
            return Err(lacking(reason));
        }
        Ok(AdmittedScript { action: action.clone(), account: own })
    }
}

/// What an order asks that is not to be had in a container.
fn beside(action: &ScriptAction) -> Option<&'static str> {
    match action {
        ScriptAction { launcher: Some(_), .. } => Some("a launcher"),
        ScriptAction { exit_effects: true, .. } => Some("an exit code that restarts the instance"),
        ScriptAction { termination: Termination::Process, .. } => Some("ending the script's process alone"),
        ScriptAction { interpreter: ScriptKind::PowerShell | ScriptKind::Bat, .. } => {
            Some("another script than a shell's")
        }
        _ if quota(action) != Quota::default() => Some("a limit on what it may use, which the container has,"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use orderly_signing::order::Resources;

    use super::*;

    #[test]
    fn nothing_of_an_order_for_a_container_is_left_out() {
        let plain = ScriptAction::new(b"true");
        assert_eq!(beside(&plain), None);
        let limits = Resources { processes: Some(9), ..Resources::default() };
        for action in [
            ScriptAction { launcher: Some("sh {{ACS::ScriptFileName}}".to_owned()), ..plain.clone() },
            ScriptAction { exit_effects: true, ..plain.clone() },
            ScriptAction { termination: Termination::Process, ..plain.clone() },
            ScriptAction { interpreter: ScriptKind::Bat, ..plain.clone() },
            ScriptAction { resources: Some(limits), ..plain },
        ] {
            assert!(beside(&action).is_some(), "{action:?}");
        }
    }
}
