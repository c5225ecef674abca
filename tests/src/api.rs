//! A client of the HTTP API, as a test wants it: answers or problems, and waits for ends.
//!
//! Owns the requests. It believes nothing: bodies are read as the wire types, so a shape that differs fails the test.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use orderly_signing::InstanceId;
use orderly_wire::http::Page;
use orderly_wire::http::activation::{CreateActivation, CreatedActivation};
use orderly_wire::http::instance::{InstanceView, SetTags};
use orderly_wire::http::invocation::{CreateInvocation, Evidence, InvocationView, StopInvocation};
use orderly_wire::http::plugin::PluginView;
use orderly_wire::http::problem::{PROBLEM_JSON, Problem};
use orderly_wire::http::task::{TaskDetail, TaskView};
use orderly_wire::http::trust::TrustView;
use reqwest::{Client, Method, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use crate::tls;
use crate::wait;

/// The machine's clock in Unix milliseconds.
///
/// # Panics
/// Where it stands before 1970.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    i64::try_from(since.as_millis()).expect("a clock before the year 292 million")
}

/// Statuses that a task keeps.
const ENDS: &[&str] =
    &["Invalid", "Aborted", "Success", "Failed", "Error", "Timeout", "Cancelled", "Stopped", "Terminated"];

/// Whether a task of this status has ended.
#[must_use]
pub fn ended(status: &str) -> bool {
    ENDS.contains(&status)
}

/// A client with one token.
#[derive(Clone)]
pub struct Api {
    base: String,
    token: String,
    client: Client,
    runtime: Handle,
}

impl Api {
    /// A client of the server at `base`, whose CA this is.
    ///
    /// # Panics
    /// Where the client cannot be made.
    #[must_use]
    pub fn new(runtime: &Handle, base: &str, token: &str, ca_pem: &str) -> Self {
        let config = tls::client_config(ca_pem).as_ref().clone();
        let client = Client::builder().tls_backend_preconfigured(config).timeout(Duration::from_secs(30));
        let client = client.no_proxy().build().expect("a client");
        Self { base: base.to_owned(), token: token.to_owned(), client, runtime: runtime.clone() }
    }

    /// The same server with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    /// Sends a request: status, media type and body.
    ///
    /// # Errors
    /// Where no answer came.
    pub fn exchange(&self, request: RequestBuilder) -> Result<(u16, String, Vec<u8>), reqwest::Error> {
        self.runtime.block_on(async {
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            let kind = answer.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
            let kind = kind.to_owned();
            Ok((status, kind, answer.bytes().await?.to_vec()))
        })
    }

    fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Box<Problem>> {
        let (status, kind, body) = self.exchange(request).unwrap_or_else(|error| panic!("no answer: {error:?}"));
        let text = String::from_utf8_lossy(&body);
        if (200..300).contains(&status) {
            let body: &[u8] = if body.is_empty() { b"null" } else { &body };
            return Ok(serde_json::from_slice(body).unwrap_or_else(|error| panic!("{error} in the answer {text}")));
        }
        assert!(kind.starts_with(PROBLEM_JSON), "an error {status} of the type `{kind}`: {text}");
        let problem: Problem = serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error} in {text}"));
        assert_eq!(problem.status, status, "the body says another status than the answer: {text}");
        Err(Box::new(problem))
    }

    /// `GET`.
    ///
    /// # Errors
    /// The problem that the server answers.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Box<Problem>> {
        self.answer(self.request(Method::GET, path))
    }

    /// `GET` of a text.
    ///
    /// # Panics
    /// Where the answer is an error.
    #[must_use]
    pub fn get_text(&self, path: &str) -> String {
        let (status, _, body) = self.exchange(self.request(Method::GET, path)).expect("an answer");
        let text = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(status, 200, "{text}");
        text
    }

    /// A request with a JSON body.
    ///
    /// # Errors
    /// The problem that the server answers.
    pub fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Box<Problem>> {
        self.answer(self.request(method, path).json(body))
    }

    /// A request with a body of bytes.
    ///
    /// # Errors
    /// The problem that the server answers.
    pub fn send_bytes<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: Vec<u8>,
    ) -> Result<T, Box<Problem>> {
        self.answer(self.request(method, path).header("content-type", kind).body(body))
    }

    /// The server's keys and the keyring in force.
    #[must_use]
    pub fn trust(&self) -> TrustView {
        self.get("/v1/trust").unwrap_or_else(|problem| panic!("{problem:?}"))
    }

    /// A new activation.
    #[must_use]
    pub fn activation(&self, max: u32) -> CreatedActivation {
        let body = CreateActivation {
            name: None,
            ttl_s: None,
            max_instances: Some(max),
            tags: BTreeMap::new(),
            networks: Vec::new(),
        };
        self.send(Method::POST, "/v1/activations", &body).unwrap_or_else(|problem| panic!("{problem:?}"))
    }

    /// One instance.
    #[must_use]
    pub fn instance(&self, id: &InstanceId) -> InstanceView {
        self.get(&format!("/v1/instances/{id}")).unwrap_or_else(|problem| panic!("{problem:?}"))
    }

    /// Replaces the tags of an instance.
    pub fn tag(&self, id: &InstanceId, tags: &[(&str, &str)]) {
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let path = format!("/v1/instances/{id}/tags");
        let answer: Result<serde_json::Value, _> = self.send(Method::PUT, &path, &SetTags { tags });
        answer.unwrap_or_else(|problem| panic!("{problem:?}"));
    }

    /// Waits until the instance's link is up or down.
    pub fn wait_online(&self, id: &InstanceId, online: bool) {
        wait::until(&format!("{id} to be online: {online}"), wait::SOON, || {
            (self.instance(id).online == online).then_some(())
        });
    }

    /// Makes an invocation.
    ///
    /// # Errors
    /// The problem that the server answers.
    pub fn create(&self, request: &CreateInvocation) -> Result<InvocationView, Box<Problem>> {
        self.send(Method::POST, "/v1/invocations", request)
    }

    /// One invocation.
    #[must_use]
    pub fn invocation(&self, id: &str) -> InvocationView {
        self.get(&format!("/v1/invocations/{id}")).unwrap_or_else(|problem| panic!("{problem:?}"))
    }

    /// Stops an invocation on all its instances.
    pub fn stop(&self, id: &str) {
        let path = format!("/v1/invocations/{id}/stop");
        let answer: Result<serde_json::Value, _> = self.send(Method::POST, &path, &StopInvocation::default());
        answer.unwrap_or_else(|problem| panic!("{problem:?}"));
    }

    /// All tasks of an invocation, page by page.
    #[must_use]
    pub fn tasks(&self, invocation: &str) -> Vec<TaskView> {
        let mut tasks = Vec::new();
        let mut after = String::new();
        loop {
            let path = format!("/v1/invocations/{invocation}/tasks?limit=1000{after}");
            let page: Page<TaskView> = self.get(&path).unwrap_or_else(|problem| panic!("{problem:?}"));
            tasks.extend(page.items);
            match page.next {
                Some(next) => after = format!("&after={next}"),
                None => return tasks,
            }
        }
    }

    /// One task with its result.
    #[must_use]
    pub fn task(&self, invocation: &str, instance: &InstanceId) -> TaskDetail {
        let path = format!("/v1/invocations/{invocation}/tasks/{instance}");
        self.get(&path).unwrap_or_else(|problem| panic!("{problem:?}"))
    }

    /// Waits until a task has this status.
    pub fn wait_status(&self, invocation: &str, instance: &InstanceId, status: &str, limit: Duration) -> TaskDetail {
        let mut last = String::new();
        let found = wait::within(limit, || {
            let task = self.task(invocation, instance);
            last.clone_from(&task.view.status);
            (task.view.status == status).then_some(task)
        });
        found.unwrap_or_else(|| panic!("the task of {invocation} is {last}, not {status}"))
    }

    /// Waits until a task has ended.
    pub fn wait_end(&self, invocation: &str, instance: &InstanceId, limit: Duration) -> TaskDetail {
        wait::until(&format!("the end of the task of {invocation}"), limit, || {
            Some(self.task(invocation, instance)).filter(|task| ended(&task.view.status))
        })
    }

    /// What an auditor needs of an invocation.
    #[must_use]
    pub fn evidence(&self, invocation: &str) -> Evidence {
        self.get(&format!("/v1/invocations/{invocation}/evidence")).unwrap_or_else(|problem| panic!("{problem:?}"))
    }

    /// Uploads a plugin package.
    ///
    /// # Errors
    /// The problem that the server answers.
    pub fn push(&self, package: Vec<u8>) -> Result<PluginView, Box<Problem>> {
        self.send_bytes(Method::POST, "/v1/plugins", "application/x-tar", package)
    }
}

/// The kept output of a task as text, both streams as they came.
///
/// # Panics
/// Where the task has none.
#[must_use]
pub fn output_text(task: &TaskDetail) -> String {
    let output = task.output.as_ref().expect("the task's output");
    let bytes: Vec<u8> =
        output.head.iter().chain(&output.tail).flat_map(|segment| segment.data.iter().copied()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
