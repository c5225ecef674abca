//! What the parent and its one-shot child say to each other: the request, calls with replies, and the end.
//!
//! Owns the types and their framing (length as four little-endian bytes, then JSON). The parent believes nothing of what a
//! child says: whatever matters is checked again where it is used.

use std::io;

use orderly_model::report::{Outcome, Report};
use orderly_signing::Digest;
use orderly_signing::receipt::Use;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::limits::Limits;
use crate::platform::{SandboxReport, UserChange};

/// Most bytes of one frame: a full report, its text escaped once more, has room.
const FRAME_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Most bytes of one chunk of a program's output or of a response's body.
pub(crate) const CHUNK_MAX_BYTES: usize = 64 * 1024;

/// What the child is to do. Read from descriptor 0.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) mode: Mode,
    /// The grants as JSON; nothing is granted where there are none.
    pub(crate) grants: Option<String>,
    pub(crate) limits: Limits,
    pub(crate) arguments: Vec<(String, String)>,
    pub(crate) facts: Option<PluginFacts>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) user: UserChange,
    pub(crate) require_sandbox: bool,
    /// The clock of a plugin without `clock` stands here; unix milliseconds.
    pub(crate) started_ms: i64,
    /// The random bytes of a plugin without `random` follow from this.
    pub(crate) seed: Digest,
    /// Whether each use of a capability is told at once.
    pub(crate) trace: bool,
}

/// Which function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    Run,
    Describe,
}

/// What a plugin with the capability `facts` sees of its instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginFacts {
    /// The instance's id.
    pub instance_id: String,
    /// Its host name.
    pub hostname: String,
    /// `x86_64`, `aarch64`, …
    pub architecture: String,
    /// `linux`, `windows`, `freebsd`.
    pub system: String,
    /// As `uname -r` prints it.
    pub kernel: String,
    /// Names and values of os-release(5), in the file's order.
    pub os_release: Vec<(String, String)>,
    /// The instance's tags.
    pub tags: Vec<(String, String)>,
}

/// From the child.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Up {
    /// The box is closed, the guest starts.
    Ready(SandboxReport),
    Progress {
        done: u32,
        total: u32,
        message: String,
    },
    /// A capability was used; only where `trace` was asked.
    Used(String),
    Call {
        id: u32,
        call: Call,
    },
    End(Box<End>),
}

/// The child's last word.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    pub(crate) outcome: ChildEnd,
    pub(crate) report: Report,
    pub(crate) used: Vec<Use>,
}

/// How the run came out, as the child saw it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum ChildEnd {
    Outcome(Outcome),
    Failure(Failure),
    Described(Box<Description>),
    Trap(String),
    Deadline,
    OutOfMemory,
    /// Nothing ran, since something is not granted or not allowed: all reasons.
    Refused(Vec<String>),
    /// Nothing ran, since it could not be started.
    NotStarted(String),
}

/// Why a plugin says that it did not do its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Failure {
    /// A parameter is wrong.
    InvalidParameter {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something that it needs is not on this instance.
    NotApplicable(String),
    /// A grant that it needs was refused.
    Denied(String),
    /// Anything else.
    Failed(String),
}

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line for people.
    pub summary: String,
    /// The parameters that it takes.
    pub parameters: Vec<DescribedParameter>,
}

/// A parameter as the plugin describes it. Whether it fits its rules is for the caller to check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescribedParameter {
    /// Its name.
    pub name: String,
    /// `text`, `integer` or `boolean`.
    pub kind: String,
    /// One line for people.
    pub description: String,
    /// The value where none is given.
    pub default: Option<String>,
    /// What the whole value must match.
    pub pattern: Option<String>,
    /// The only values, where there are any.
    pub allowed: Vec<String>,
}

/// What the child cannot do itself.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Call {
    Spawn {
        executable: String,
        arguments: Vec<String>,
    },
    /// The next output or the end of a program.
    Next {
        child: u32,
    },
    Kill {
        child: u32,
    },
    Http(HttpRequest),
    /// The next chunk of a response's body.
    Body {
        response: u32,
    },
    /// The response is not wanted any more.
    Close {
        response: u32,
    },
}

/// To the child.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Down {
    pub(crate) id: u32,
    pub(crate) reply: Reply,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Reply {
    Done,
    Spawned {
        child: u32,
    },
    Output {
        stderr: bool,
        data: Bytes,
    },
    Exited(crate::platform::Exit),
    Response {
        response: u32,
        status: u16,
        headers: Vec<(String, Bytes)>,
    },
    /// Nothing where the body has ended.
    Body(Option<Bytes>),
    Refused(ProcessRefusal),
    HttpRefused(HttpRefusal),
}

/// Why a program does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum ProcessRefusal {
    Denied(String),
    NotFound(String),
    TooMany,
    Failed(String),
}

/// Why a request was not sent or not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum HttpRefusal {
    /// No grant covers it.
    Denied,
    /// The name resolves to an address that is not granted.
    Address,
    Dns(String),
    Refused,
    Tls(String),
    TimedOut,
    TooLarge,
    Invalid(String),
    Protocol(String),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpRequest {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, Bytes)>,
    pub(crate) body: Bytes,
    /// Milliseconds until the response's head must be there; the broker's own limit where nothing is asked.
    pub(crate) timeout_ms: Option<u64>,
}

/// Bytes, base64 in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use base64::Engine as _;
        serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use base64::Engine as _;
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        base64::engine::general_purpose::STANDARD.decode(text.as_bytes()).map(Self).map_err(serde::de::Error::custom)
    }
}

/// Reads one frame; nothing at a clean end.
pub(crate) async fn read<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    if from.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut length[1..]).await?;
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too long"));
    }
    let mut frame = vec![0; length];
    from.read_exact(&mut frame).await?;
    Ok(Some(serde_json::from_slice(&frame)?))
}

/// One frame as bytes.
pub(crate) fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = frame.len() - 4;
    if length > FRAME_MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too long"));
    }
    if let Some(head) = frame.get_mut(..4) {
        head.copy_from_slice(&(length as u32).to_le_bytes());
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[tokio::test]
    async fn frames_come_back_and_end_cleanly() {
        let reply = Reply::Output { stderr: true, data: Bytes(vec![0, 255, 7]) };
        let bytes = encode(&Down { id: 7, reply }).unwrap();
        let mut from = bytes.as_slice();
        let down: Down = read(&mut from).await.unwrap().unwrap();
        let Reply::Output { stderr: true, data } = down.reply else { panic!("{down:?}") };
        assert_eq!((down.id, data.0), (7, vec![0, 255, 7]));
        assert!(read::<Down>(&mut from).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn torn_long_and_unknown_frames_are_refused() {
        for bad in [&[1u8, 0][..], &[2, 0, 0, 0, b'{'], &[255, 255, 255, 255], b"\x0d\0\0\0{\"id\":1,\"x\":2"] {
            let mut from = bad;
            assert!(read::<Down>(&mut from).await.is_err(), "{bad:?}");
        }
    }
}
