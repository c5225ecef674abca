//! The Docker Engine API, as far as a script in a container needs it: finding one, and starting a program in it.
//!
//! Owns the requests, what is read of the answers, and the word for each failure. One connection for each request, over a Unix
//! socket; an answer has [`ANSWER_TIME`] and at most [`ANSWER_MAX_BYTES`]. The API's paths carry no version: the runtime's newest
//! is then meant, and what is used here is in all of them.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use orderly_model::task::ResultCode;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::net::UnixStream;
use tokio_util::task::AbortOnDropHandle;

/// Time for one answer.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Most bytes of an answer.
const ANSWER_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Most characters of what the runtime says that are told to people.
const TOLD_MAX_CHARS: usize = 500;

/// The runtime did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    /// There is no socket.
    #[error(
        "there is no container runtime at `{socket}`: this agent speaks the Docker Engine API; where its socket is elsewhere, write `docker = \"/path\"` below `[containers]` in `agent.toml`",
        socket = .0.display()
    )]
    Absent(PathBuf),
    /// The socket is there and does not answer.
    #[error("the container runtime at `{socket}` cannot be reached", socket = .0.display())]
    Connect(PathBuf, #[source] std::io::Error),
    /// No answer in time.
    #[error("the container runtime did not answer within {} s", ANSWER_TIME.as_secs())]
    Slow,
    /// The exchange broke, or the answer is not one.
    #[error("the container runtime's answer cannot be read: {0}")]
    Broken(String),
    /// The runtime refused.
    #[error("the container runtime says {status}: {told}")]
    Refused {
        /// The status of its answer.
        status: StatusCode,
        /// Its words.
        told: String,
    },
}

impl EngineError {
    /// The word for it (ECS API 5.7).
    pub(super) fn code(&self) -> ResultCode {
        match self {
            Self::Absent(_) => ResultCode::UnsupportedContainerRuntime,
            Self::Connect(..) => ResultCode::ContainerConnectFailed,
            Self::Slow => ResultCode::ContainerRuntimeTimeout,
            Self::Refused { status: StatusCode::NOT_FOUND, .. } => ResultCode::ContainerNotFound,
            // Not running, or paused.
            Self::Refused { status: StatusCode::CONFLICT, .. } => ResultCode::ContainerStateAbnormal,
            Self::Broken(_) | Self::Refused { .. } => ResultCode::ContainerRuntimeInternalError,
        }
    }
}

/// A container, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Listed {
    /// 64 hexadecimal digits.
    #[serde(rename = "Id")]
    pub id: String,
    /// Its names, each behind a `/`; further slashes are in those by which others link to it.
    #[serde(rename = "Names", default)]
    pub names: Vec<String>,
    /// `running`, `paused`, `exited` and so on.
    #[serde(rename = "State", default)]
    pub state: String,
}

/// A program that is to be started in a container.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Program {
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    pub tty: bool,
    /// The container's own where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    pub env: Vec<String>,
    pub cmd: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Made {
    #[serde(rename = "Id")]
    id: String,
}

/// What the runtime says of a program.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct State {
    pub running: bool,
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// 0 where it never came to a process.
    #[serde(default)]
    pub pid: i32,
}

#[derive(Debug, Deserialize)]
struct Problem {
    message: String,
}

/// A runtime.
pub(super) struct Engine<'a> {
    pub socket: &'a Path,
}

impl Engine<'_> {
    /// The containers of which `filter` (`id` or `name`) matches `value`, those that do not run among them.
    pub(super) async fn containers(&self, filter: &str, value: &str) -> Result<Vec<Listed>, EngineError> {
        let filters = serde_json::json!({ filter: [value] }).to_string();
        self.answer(Method::GET, &format!("/containers/json?all=1&filters={}", escaped(&filters)), None).await
    }

    /// Prepares a program, and gives its id.
    pub(super) async fn prepare(&self, container: &str, program: &Program) -> Result<String, EngineError> {
        let body = serde_json::to_vec(program).map_err(|error| EngineError::Broken(error.to_string()))?;
        let made: Made = self.answer(Method::POST, &format!("/containers/{container}/exec"), Some(body)).await?;
        let fits = !made.id.is_empty() && made.id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        fits.then_some(made.id).ok_or_else(|| EngineError::Broken("it gives an id that is none".to_owned()))
    }

    /// Starts a program; gives its input and its framed output.
    pub(super) async fn start(&self, program: &str) -> Result<TokioIo<Upgraded>, EngineError> {
        let exchange = async {
            let body = br#"{"Detach":false,"Tty":false}"#.to_vec();
            let (response, driver) = self.send(Method::POST, &format!("/exec/{program}/start"), Some(body)).await?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                return Err(refusal(response).await);
            }
            let upgraded = hyper::upgrade::on(response).await;
            drop(driver);
            upgraded.map(TokioIo::new).map_err(|error| EngineError::Broken(error.to_string()))
        };
        tokio::time::timeout(ANSWER_TIME, exchange).await.unwrap_or(Err(EngineError::Slow))
    }

    /// How a program is doing.
    pub(super) async fn state(&self, program: &str) -> Result<State, EngineError> {
        self.answer(Method::GET, &format!("/exec/{program}/json"), None).await
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<T, EngineError> {
        let exchange = async {
            let (response, _driver) = self.send(method, path, body).await?;
            if !response.status().is_success() {
                return Err(refusal(response).await);
            }
            let bytes = read(response).await?;
            serde_json::from_slice(&bytes).map_err(|error| EngineError::Broken(error.to_string()))
        };
        tokio::time::timeout(ANSWER_TIME, exchange).await.unwrap_or(Err(EngineError::Slow))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<(Response<Incoming>, Driver), EngineError> {
        let stream = UnixStream::connect(self.socket).await.map_err(|error| match error.kind() {
            ErrorKind::NotFound => EngineError::Absent(self.socket.to_owned()),
            _ => EngineError::Connect(self.socket.to_owned(), error),
        })?;
        let broken = |error: hyper::Error| EngineError::Broken(error.to_string());
        let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let driver = AbortOnDropHandle::new(tokio::spawn(driver.with_upgrades()));
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "docker");
        if path.ends_with("/start") {
            request = request.header(header::CONNECTION, "Upgrade").header(header::UPGRADE, "tcp");
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|error| EngineError::Broken(error.to_string()))?;
        let response = sender.send_request(request).await.map_err(broken)?;
        Ok((response, driver))
    }
}

/// What moves a connection; with it the connection ends.
type Driver = AbortOnDropHandle<Result<(), hyper::Error>>;

async fn read(response: Response<Incoming>) -> Result<Bytes, EngineError> {
    let body = Limited::new(response.into_body(), ANSWER_MAX_BYTES).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|error| EngineError::Broken(error.to_string()))
}

async fn refusal(response: Response<Incoming>) -> EngineError {
    let status = response.status();
    let bytes = match read(response).await {
        Ok(bytes) => bytes,
        Err(error) => return error,
    };
    let told = match serde_json::from_slice::<Problem>(&bytes) {
        Ok(problem) => problem.message,
        Err(_) => String::from_utf8_lossy(&bytes).into_owned(),
    };
    EngineError::Refused { status, told: told.escape_debug().take(TOLD_MAX_CHARS).collect() }
}

/// For a query: everything but letters and digits as `%XX`.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}
