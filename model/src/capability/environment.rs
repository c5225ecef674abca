//! `environment`: variables of the agent's environment that a plugin may see, each by its whole
//! name. There is no wildcard: environments hold secrets under names that nobody foresees.

use crate::name::EnvName;

/// Whether a name is likely to hold a secret, so that whoever approves it is warned. Never a refusal.
pub fn unsafe_name(name: &EnvName) -> bool {
    let upper = name.as_str().to_ascii_uppercase();
    ["SECRET", "TOKEN", "PASSW", "CREDENTIAL", "PRIVATE", "APIKEY", "API_KEY", "ACCESS_KEY"]
        .iter()
        .any(|word| upper.contains(word))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn warns_of_names_of_secrets() {
        for name in ["AWS_SECRET_ACCESS_KEY", "db_password", "GITHUB_TOKEN"] {
            assert!(unsafe_name(&name.parse().unwrap()), "{name}");
        }
        for name in ["LANG", "PATH", "TZ"] {
            assert!(!unsafe_name(&name.parse().unwrap()), "{name}");
        }
    }
}
