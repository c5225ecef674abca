//! What this instance is, told to the server at enrolment and with each link.
//!
//! Owns the gathering and the caps: texts are cut to what the server takes rather than refused, since an agent with an
//! odd `os-release` must still link. It never runs a program. Gathered once per process.

use orderly_host::platform::{TreeKind, Trees, sandbox};
use orderly_model::instance::{FACT_ENTRIES_MAX, FACT_TEXT_MAX_BYTES, Facts, Platform, Sandbox};
use orderly_model::plugin::WIT_SUPPORTED;

use crate::platform;

/// The agent's version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Gathers the facts.
pub(crate) fn gather(trees: &Trees) -> Facts {
    let mut os_release: Vec<_> =
        platform::os_release().into_iter().map(|(name, value)| (clean(&name), clean(&value))).collect();
    os_release.truncate(FACT_ENTRIES_MAX);
    let sandboxed = sandbox::probe();
    Facts {
        hostname: clean(&platform::hostname()),
        architecture: std::env::consts::ARCH.to_owned(),
        system: Platform::Linux,
        kernel: clean(&platform::kernel()),
        os_release,
        agent_version: VERSION.to_owned(),
        wit: WIT_SUPPORTED.iter().map(ToString::to_string).collect(),
        sandbox: Sandbox {
            landlock_abi: sandboxed.landlock.unwrap_or(0),
            seccomp: sandboxed.seccomp,
            own_user: sandboxed.uid_dropped,
            cgroup: trees.kind() == TreeKind::Cgroup,
        },
    }
}

fn clean(text: &str) -> String {
    let mut text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.truncate(text.floor_char_boundary(FACT_TEXT_MAX_BYTES));
    text
}
