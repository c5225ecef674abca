//! The verdicts that this crate gives when it says no.
//!
//! Owns [`Check`] (which check refused, with its stable code) and [`Refusal`] (that check and a sentence for people),
//! and the error of documents that are not as they must be. It never decides anything itself.

use std::fmt;

use thiserror::Error;

/// The check that refused. Its code travels in receipts and is asserted by tests, so a code never changes.
///
/// The order of the variants is the order in which an agent checks (`trust`: what an agent checks, 1 to 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Check {
    /// The bytes are longer, or hold more parts, than any honest document.
    Size,
    /// The bytes are not a DSSE envelope.
    Envelope,
    /// The envelope holds another kind of document than the one that was expected.
    PayloadType,
    /// No signature verifies under a key that may sign this.
    Signature,
    /// Signatures verify, but only under keys whose role may not sign this.
    Role,
    /// The keyring's root keys are not the pinned ones.
    Pin,
    /// The document is older than one that was already accepted.
    Rollback,
    /// The signed payload does not parse, or a value in it is out of bounds.
    Payload,
    /// The instance is not in the signed set of targets.
    Target,
    /// The time for acceptance has not begun.
    NotYetValid,
    /// The time for acceptance is over.
    Expired,
    /// The same order id was seen with another digest, or a series revision went back.
    Replay,
    /// Content, component or manifest are not the bytes that the order names.
    Content,
    /// The security team's approval does not cover this plugin, or is over.
    Catalogue,
    /// The plugin's statement is not by a publisher that the approval names, or speaks about other bytes.
    Publisher,
    /// The plugin asks for a capability that was not approved or is not allowed here.
    Capabilities,
    /// Too few distinct keys signed for what is asked.
    Threshold,
    /// The local policy of the instance says no.
    LocalPolicy,
    /// The journal could not record the order.
    Journal,
    /// The clock of the instance cannot be believed.
    Clock,
    /// The receipt is for another order.
    ReceiptOrder,
    /// The receipt is not that of the run after the one that it was held against.
    ReceiptChain,
    /// The instance id is not that of the key that signed.
    Instance,
}

impl Check {
    /// Every check, in order.
    pub const ALL: [Self; 23] = [
        Self::Size,
        Self::Envelope,
        Self::PayloadType,
        Self::Signature,
        Self::Role,
        Self::Pin,
        Self::Rollback,
        Self::Payload,
        Self::Target,
        Self::NotYetValid,
        Self::Expired,
        Self::Replay,
        Self::Content,
        Self::Catalogue,
        Self::Publisher,
        Self::Capabilities,
        Self::Threshold,
        Self::LocalPolicy,
        Self::Journal,
        Self::Clock,
        Self::ReceiptOrder,
        Self::ReceiptChain,
        Self::Instance,
    ];

    /// The stable code, as receipts carry it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Envelope => "envelope",
            Self::PayloadType => "payload-type",
            Self::Signature => "signature",
            Self::Role => "role",
            Self::Pin => "pin",
            Self::Rollback => "rollback",
            Self::Payload => "payload",
            Self::Target => "target",
            Self::NotYetValid => "not-yet-valid",
            Self::Expired => "expired",
            Self::Replay => "replay",
            Self::Content => "content",
            Self::Catalogue => "catalogue",
            Self::Publisher => "publisher",
            Self::Capabilities => "capabilities",
            Self::Threshold => "threshold",
            Self::LocalPolicy => "local-policy",
            Self::Journal => "journal",
            Self::Clock => "clock",
            Self::ReceiptOrder => "receipt-order",
            Self::ReceiptChain => "receipt-chain",
            Self::Instance => "instance",
        }
    }

    /// The check with this code, or nothing.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|check| check.code() == code)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A refusal: the check that said no, and a sentence that says what, where and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{check}: {reason}")]
pub struct Refusal {
    /// Which check refused.
    pub check: Check,
    /// A sentence for people.
    pub reason: String,
}

impl Refusal {
    /// Makes a refusal. The reason is a sentence without the name of the check in front.
    #[must_use]
    pub fn new(check: Check, reason: impl Into<String>) -> Self {
        Self { check, reason: reason.into() }
    }
}

/// A value in a document is out of the bounds that its type sets.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{field}` {problem}")]
pub struct Invalid {
    /// The field, with its path inside the document.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl Invalid {
    /// Makes the error; the problem continues the sentence that the field begins.
    #[must_use]
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn codes_are_distinct_and_found_again() {
        for check in Check::ALL {
            assert_eq!(Check::from_code(check.code()), Some(check));
        }
        assert_eq!(Check::from_code("no-such-check"), None);
    }

    #[test]
    fn a_refusal_reads_as_check_and_reason() {
        let refusal = Refusal::new(Check::NotYetValid, "too early");
        assert_eq!(refusal.to_string(), "not-yet-valid: too early");
    }
}
