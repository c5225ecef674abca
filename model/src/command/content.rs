//! The content of a command as it comes in: how it is encoded and how large it may be. Owns the three limits and what they are
//! measured on; what is in the content is the template's affair.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::{ParseError, serde_by_text};
use crate::limits::{
    CONTENT_LIMIT_MAX_BASE64_BYTES, SCRIPT_RUN_MAX_BASE64_BYTES, SCRIPT_STORED_MAX_BASE64_BYTES,
    UPLOAD_MAX_BASE64_BYTES,
};
use crate::template::base64_bytes;

/// How content is written in a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ContentEncoding {
    /// As it is.
    #[default]
    PlainText,
    /// Base64 with padding; line breaks between its characters are taken away.
    Base64,
}

impl ContentEncoding {
    /// As Cloud Assistant has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PlainText => "PlainText",
            Self::Base64 => "Base64",
        }
    }

    /// The bytes that a text stands for.
    ///
    /// # Errors
    /// Where it is no Base64.
    pub fn decode(self, text: &str) -> Result<Vec<u8>, ParseError> {
        match self {
            Self::PlainText => Ok(text.as_bytes().to_vec()),
            Self::Base64 => {
                let packed: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
                STANDARD.decode(packed).map_err(|error| ParseError::new("Base64 content", text, error.to_string()))
            }
        }
    }

    /// The text that stands for bytes: as it is where they are UTF-8.
    pub fn encode(content: &[u8]) -> (Self, String) {
        match std::str::from_utf8(content) {
            Ok(text) => (Self::PlainText, text.to_owned()),
            Err(_) => (Self::Base64, STANDARD.encode(content)),
        }
    }
}

impl FromStr for ContentEncoding {
    type Err = ParseError;

    /// In any capitals, as in Cloud Assistant; a word that is neither is refused, where Cloud Assistant would silently take the
    /// default.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let known = [Self::PlainText, Self::Base64].into_iter().find(|this| this.as_str().eq_ignore_ascii_case(text));
        known.ok_or_else(|| ParseError::new("content encoding", text, "write `PlainText` or `Base64`"))
    }
}

impl fmt::Display for ContentEncoding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

serde_by_text!(ContentEncoding);

/// What content is for, which decides how large it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContentUse {
    /// Of a command that is kept.
    Stored,
    /// Of a script that is run and not kept.
    Unsaved,
    /// Of a file that travels with its order.
    Upload,
}

/// How large content may be, in bytes of its **Base64** form, before and after substitution. Each 1 to 4 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentLimits {
    stored: usize,
    unsaved: usize,
    upload: usize,
}

impl Default for ContentLimits {
    /// Cloud Assistant's: 18, 24 and 32 KiB.
    fn default() -> Self {
        Self {
            stored: SCRIPT_STORED_MAX_BASE64_BYTES,
            unsaved: SCRIPT_RUN_MAX_BASE64_BYTES,
            upload: UPLOAD_MAX_BASE64_BYTES,
        }
    }
}

/// Content that is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("has {base64_bytes} bytes as Base64 ({bytes} as they are); at most {most} are allowed here")]
pub struct ContentTooLarge {
    /// Its bytes.
    pub bytes: usize,
    /// Bytes of its Base64 form.
    pub base64_bytes: usize,
    /// How large that may be.
    pub most: usize,
}

impl ContentLimits {
    /// The most that a server can set.
    pub const MOST: Self = Self {
        stored: CONTENT_LIMIT_MAX_BASE64_BYTES,
        unsaved: CONTENT_LIMIT_MAX_BASE64_BYTES,
        upload: CONTENT_LIMIT_MAX_BASE64_BYTES,
    };

    /// Limits in bytes of the Base64 form.
    ///
    /// # Errors
    /// Names the first limit that is not 1 to 4 MiB.
    pub fn new(stored: usize, unsaved: usize, upload: usize) -> Result<Self, ParseError> {
        for (what, limit) in [
            ("limit of stored commands", stored),
            ("limit of scripts that are not kept", unsaved),
            ("limit of files", upload),
        ] {
            if !(1..=CONTENT_LIMIT_MAX_BASE64_BYTES).contains(&limit) {
                let why = format!("write 1 to {CONTENT_LIMIT_MAX_BASE64_BYTES} bytes");
                return Err(ParseError::new(what, &limit.to_string(), why));
            }
        }
        Ok(Self { stored, unsaved, upload })
    }

    /// The limit for a use, in bytes of the Base64 form.
    pub fn of(&self, content: ContentUse) -> usize {
        match content {
            ContentUse::Stored => self.stored,
            ContentUse::Unsaved => self.unsaved,
            ContentUse::Upload => self.upload,
        }
    }

    /// Checks the size of content.
    ///
    /// # Errors
    /// Where it is too large.
    pub fn check(&self, content: ContentUse, bytes: usize) -> Result<(), ContentTooLarge> {
        let (base64_bytes, most) = (base64_bytes(bytes), self.of(content));
        if base64_bytes <= most { Ok(()) } else { Err(ContentTooLarge { bytes, base64_bytes, most }) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn limits_hold_on_the_base64_form_at_their_edges() {
        let limits = ContentLimits::default();
        for (content, kib) in [(ContentUse::Stored, 18), (ContentUse::Unsaved, 24), (ContentUse::Upload, 32)] {
            let most = kib * 1024 / 4 * 3;
            assert_eq!(limits.check(content, most), Ok(()));
            let told = limits.check(content, most + 1).unwrap_err();
            assert_eq!((told.base64_bytes, told.most), (kib * 1024 + 4, kib * 1024));
        }
        assert_eq!(base64_bytes(usize::MAX), usize::MAX, "no wrapping around");
    }

    #[test]
    fn a_server_can_set_up_to_4_mib() {
        let most = CONTENT_LIMIT_MAX_BASE64_BYTES;
        assert_eq!(ContentLimits::new(most, most, most), Ok(ContentLimits::MOST));
        assert!(ContentLimits::new(0, 1, 1).is_err() && ContentLimits::new(1, 1, most + 1).is_err());
    }

    #[test]
    fn base64_is_strict_but_for_line_breaks() {
        assert_eq!(ContentEncoding::Base64.decode("ZWNo\r\nbyAx\n").unwrap(), b"echo 1");
        for bad in ["ZWNobyAx=", "ZWNobyA", "ZWNo byAx", "ZWNobyAx!", "ZWNobyB="] {
            assert!(ContentEncoding::Base64.decode(bad).is_err(), "{bad}");
        }
        assert_eq!("base64".parse(), Ok(ContentEncoding::Base64));
        assert_eq!("PLAINTEXT".parse(), Ok(ContentEncoding::PlainText));
        assert!("utf8".parse::<ContentEncoding>().is_err());
    }

    proptest! {
        #[test]
        fn content_round_trips_and_is_measured_as_it_is_encoded(content: Vec<u8>) {
            let (encoding, text) = ContentEncoding::encode(&content);
            prop_assert_eq!(&encoding.decode(&text).unwrap(), &content);
            prop_assert_eq!(STANDARD.encode(&content).len(), base64_bytes(content.len()));
        }
    }
}
