//! Why an order is not followed: the check that said no, or what the instance lacks.
//!
//! Owns which code and check a refusal is reported with. Decides nothing.

use orderly_model::task::ResultCode;
use orderly_signing::error::{Check, Refusal};

use crate::exec::account::AccountError;
use crate::exec::chain;

/// An order is not followed.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The check that said no; nothing where the order itself is in order but this instance lacks what it names.
    pub check: Option<Check>,
    /// A word for it, which also says under which status it is reported.
    pub code: ResultCode,
    /// A sentence for people.
    pub reason: String,
}

impl Refused {
    /// A check said no.
    pub(crate) fn because(check: Check, reason: impl Into<String>) -> Self {
        let code = match check {
            Check::Capabilities => ResultCode::CapabilityDenied,
            Check::Journal => ResultCode::JournalUnavailable,
            _ => ResultCode::OrderRefused,
        };
        Self { check: Some(check), code, reason: reason.into() }
    }

    /// The instance lacks something.
    pub(crate) fn lacking(code: ResultCode, reason: impl Into<String>) -> Self {
        Self { check: None, code, reason: reason.into() }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::because(refusal.check, refusal.reason)
    }
}

impl From<AccountError> for Refused {
    fn from(error: AccountError) -> Self {
        let code = match error {
            AccountError::Database(_) | AccountError::NoUser(_) | AccountError::NotRoot { .. } => {
                ResultCode::AccountNotExists
            }
            AccountError::NoDirectory(_) | AccountError::RelativeDirectory(_) => ResultCode::DirectoryNotExists,
        };
        Self::lacking(code, chain(&error))
    }
}
