//! Exit codes that do something to the instance. Owns which code means what on which system; whether an order lets
//! them, and how they are carried out, is the agent's.

use crate::instance::Platform;

/// What becomes of an instance after a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// It is powered off.
    PowerOff,
    /// It is restarted.
    Restart,
}

impl Effect {
    /// What this exit code asks for, nothing for most of them: 193 and 194, on Windows 3009 and 3010 (ECS API 5.4).
    pub const fn of(platform: Platform, exit_code: i32) -> Option<Self> {
        match (platform, exit_code) {
            (Platform::Linux | Platform::FreeBsd, 193) | (Platform::Windows, 3009) => Some(Self::PowerOff),
            (Platform::Linux | Platform::FreeBsd, 194) | (Platform::Windows, 3010) => Some(Self::Restart),
            _ => None,
        }
    }

    /// In words that follow "the instance is".
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PowerOff => "powered off",
            Self::Restart => "restarted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_four_codes_mean_something_each_on_its_system() {
        let meaning = |platform| {
            let all = -1..70_000;
            all.filter_map(|code| Effect::of(platform, code).map(|effect| (code, effect))).collect::<Vec<_>>()
        };
        let unix = [(193, Effect::PowerOff), (194, Effect::Restart)];
        assert_eq!(meaning(Platform::Linux), unix);
        assert_eq!(meaning(Platform::FreeBsd), unix);
        assert_eq!(meaning(Platform::Windows), [(3009, Effect::PowerOff), (3010, Effect::Restart)]);
    }
}
