//! The version of the agent link, and how the two ends agree on one.

/// The newest version of the link that this build speaks. It goes up when a frame changes in a way that
/// the other end cannot ignore.
pub const LINK_VERSION: u32 = 1;

/// The oldest version of the link that this build still speaks.
pub const LINK_VERSION_MIN: u32 = 1;

/// The label under which both ends export 32 bytes of TLS key material (RFC 5705, RFC 8446 section 7.5) that
/// the agent's proof signs, with no context. A relayed proof fails, since another connection exports other bytes.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-orderly-link";

/// The version to speak with an agent that offers `oldest..=newest`, or `None` where the ranges do not meet.
#[must_use]
pub fn agree(oldest: u32, newest: u32) -> Option<u32> {
    let best = newest.min(LINK_VERSION);
    (best >= oldest && best >= LINK_VERSION_MIN).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_that_both_speak_is_chosen() {
        assert_eq!(agree(1, 1), Some(1));
        assert_eq!(agree(1, 9), Some(LINK_VERSION));
    }

    #[test]
    fn ranges_that_do_not_meet_have_no_version() {
        assert_eq!(agree(LINK_VERSION + 1, LINK_VERSION + 3), None);
        assert_eq!(agree(0, 0), None);
    }
}
