//! How a frame becomes one WebSocket text message and back, and how large one may be.
//!
//! Never reads a socket. A frame over its limit is refused before it is parsed.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest frame to an agent, in bytes: an order of 256 KiB and 64 KiB of content, both in Base64,
/// a manifest, a statement and an approval fit with room to spare.
pub const TO_AGENT_MAX: usize = 1024 * 1024;

/// The largest frame to a server, in bytes: a receipt, 1 MiB of report and the largest kept output in Base64.
pub const TO_SERVER_MAX: usize = 8 * 1024 * 1024;

/// Why a message is not a frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Longer than the limit for its direction.
    #[error("a frame of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// Bytes that came.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Not the JSON of a frame of this direction.
    #[error("not a frame of the agent link")]
    Malformed(#[source] serde_json::Error),
}

/// Reads one frame of at most `limit` bytes.
///
/// # Errors
/// Where the text is too large or not the JSON of a `T`.
pub fn decode<T: DeserializeOwned>(text: &str, limit: usize) -> Result<T, FrameError> {
    if text.len() > limit {
        return Err(FrameError::TooLarge { size: text.len(), limit });
    }
    serde_json::from_str(text).map_err(FrameError::Malformed)
}

/// Writes one frame.
///
/// # Errors
/// Where the value cannot be written as JSON; the frames of this crate always can.
pub fn encode<T: Serialize>(frame: &T) -> Result<String, FrameError> {
    serde_json::to_string(frame).map_err(FrameError::Malformed)
}

/// Bytes as Base64 text in JSON (RFC 4648 section 4).
pub mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer};

    /// Writes the bytes as Base64 text.
    ///
    /// # Errors
    /// What the serializer answers.
    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    /// Reads Base64 text.
    ///
    /// # Errors
    /// Where the value is not text or not Base64.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}

/// Optional bytes as Base64 text in JSON; absent where there are none.
pub mod optional_base64_bytes {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Bytes(#[serde(with = "super::base64_bytes")] Vec<u8>);

    /// Writes the bytes as Base64 text, or null.
    ///
    /// # Errors
    /// What the serializer answers.
    pub fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        bytes.as_ref().map(|bytes| Bytes(bytes.clone())).serialize(serializer)
    }

    /// Reads Base64 text or null.
    ///
    /// # Errors
    /// Where the value is neither null nor Base64 text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        Ok(Option::<Bytes>::deserialize(deserializer)?.map(|bytes| bytes.0))
    }
}
