//! The owners' side of a test: keys, keyrings, orders, and one agent as a process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use orderly_signing::digest::Digest;
use orderly_signing::envelope::Envelope;
use orderly_signing::instance::InstanceId;
use orderly_signing::key::SecretKey;
use orderly_signing::keyring::{Keyring, KeyringKey, Role, RoleKeys};
use orderly_signing::merkle::TargetSet;
use orderly_signing::order::{Action, Order, ScriptAction};
use orderly_signing::receipt::Receipt;
use orderly_signing::sign::{sign_keyring, sign_order};
use orderly_signing::verify::{Verified, verify_receipt};
use orderly_wire::to_agent::{Offer, ToAgent};
use orderly_wire::to_server::{Finished, KeptOutput, ReportEvent, Stream};
use tokio::process::{Child, Command};

use crate::server::Server;

pub(crate) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

/// Whether tests that need root can run; says so where they cannot.
pub(crate) fn root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("{test}: skipped, it needs root");
    }
    root
}

/// Keys, a server and an agent's data directory.
pub(crate) struct Fleet {
    pub(crate) server: Server,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) root: SecretKey,
    pub(crate) operator: SecretKey,
    pub(crate) dispatch: SecretKey,
    pub(crate) vetting: SecretKey,
    pub(crate) next: std::cell::Cell<u64>,
    agent: Option<Child>,
}

impl Fleet {
    pub(crate) async fn new() -> Self {
        let fleet = Self {
            server: Server::start().await,
            dir: tempfile::tempdir().unwrap(),
            root: SecretKey::from_seed([1; 32]),
            operator: SecretKey::from_seed([2; 32]),
            dispatch: SecretKey::from_seed([3; 32]),
            vetting: SecretKey::from_seed([4; 32]),
            next: std::cell::Cell::new(0),
            agent: None,
        };
        let keyring = fleet.keyring(1, &fleet.operator);
        fleet.server.with(|state| state.keyring = keyring);
        fleet
    }

    /// A fleet with an agent that is enrolled and linked.
    pub(crate) async fn linked() -> Self {
        let mut fleet = Self::new().await;
        fleet.enrol().await;
        fleet.run().await;
        fleet
    }

    pub(crate) fn keyring(&self, revision: u64, operator: &SecretKey) -> Vec<u8> {
        self.keyring_until(revision, operator, now_ms() + 3_600_000)
    }

    pub(crate) fn keyring_until(&self, revision: u64, operator: &SecretKey, expires_ms: i64) -> Vec<u8> {
        let named = |name: &str, key: &SecretKey| KeyringKey { name: name.to_owned(), key: key.public().clone() };
        let role = |key: &SecretKey| RoleKeys { threshold: 1, keys: vec![key.public().key_id()] };
        let keyring = Keyring {
            version: 1,
            revision,
            fleet: "test".to_owned(),
            issued_ms: now_ms() - 10_000,
            expires_ms,
            keys: vec![
                named("root", &self.root),
                named("operator", operator),
                named("dispatch", &self.dispatch),
                named("vetting", &self.vetting),
            ],
            roles: BTreeMap::from([
                (Role::Root, role(&self.root)),
                (Role::Operator, role(operator)),
                (Role::Dispatch, role(&self.dispatch)),
                (Role::Vetting, role(&self.vetting)),
            ]),
            policy: Keyring::default_policy(),
        };
        sign_keyring(&keyring, &self.root).unwrap().to_json()
    }

    pub(crate) fn fingerprint(&self) -> Digest {
        let id = self.root.public().key_id();
        Digest::of(format!("orderly-root-v1\n1\n{id}\n").as_bytes())
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The enrolment command, to be bent by a test.
    pub(crate) fn enrol_command(&self, code: &str, ca: Digest, root: Digest) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orderly-agent"));
        command.args(["enrol", "--server", &self.server.address, "--code", code]);
        command.args(["--ca", &ca.to_string(), "--root", &root.to_string(), "--data-dir"]).arg(self.data());
        command
    }

    pub(crate) async fn enrol(&self) {
        let output = self.enrol_command("right", self.server.ca, self.fingerprint()).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn configure(&self, toml: &str) {
        std::fs::write(self.data().join("agent.toml"), toml).unwrap();
    }

    /// Starts the agent and waits for its link.
    pub(crate) async fn run(&mut self) {
        let links = self.server.with(|state| state.links);
        self.start();
        self.server.until("a link", |state| (state.links > links).then_some(())).await;
    }

    pub(crate) fn start(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orderly-agent"));
        command.args(["run", "--data-dir"]).arg(self.data());
        command.kill_on_drop(true).stdin(Stdio::null());
        self.agent = Some(command.spawn().unwrap());
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self) {
        self.agent.take().unwrap().kill().await.unwrap();
    }

    /// SIGTERM, and the end.
    pub(crate) async fn end(&mut self) {
        let mut agent = self.agent.take().unwrap();
        let pid = rustix::process::Pid::from_raw(agent.id().unwrap().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(agent.wait().await.unwrap().success());
    }

    pub(crate) fn agent_pid(&self) -> u32 {
        self.agent.as_ref().unwrap().id().unwrap()
    }

    pub(crate) fn instance(&self) -> InstanceId {
        InstanceId::of(&self.server.with(|state| state.enrolled.clone()).unwrap())
    }

    /// An order for this instance that nobody has signed yet.
    pub(crate) fn order(&self, action: Action) -> Order {
        let number = self.next.get() + 1;
        self.next.set(number);
        Order {
            version: 1,
            order: format!("o-{number}"),
            invocation: format!("t-{number}"),
            principal: "test".to_owned(),
            issued_ms: now_ms(),
            not_before_ms: now_ms() - 1000,
            expires_ms: now_ms() + 60_000,
            targets: TargetSet::of_instances([self.instance()]).unwrap().targets(),
            action,
            repeat: orderly_signing::order::Repeat::Once,
        }
    }

    pub(crate) fn offer_of(&self, envelope: &Envelope, content: Option<&[u8]>) -> Offer {
        let proof = TargetSet::of_instances([self.instance()]).unwrap().proof(&self.instance()).unwrap();
        Offer {
            order: envelope.to_json(),
            proof,
            content: content.map(<[u8]>::to_vec),
            plugin: None,
            built_ins: BTreeMap::new(),
            live: true,
        }
    }

    /// Signs and offers; gives the digest.
    pub(crate) fn offer(&self, order: &Order, content: Option<&[u8]>) -> Digest {
        let envelope = sign_order(order, &self.operator).unwrap();
        self.server.send(ToAgent::Offer(Box::new(self.offer_of(&envelope, content))));
        envelope.digest()
    }

    /// Offers a script, changed as the test likes.
    pub(crate) fn script(&self, content: &str, change: impl FnOnce(&mut Order)) -> Digest {
        let mut order = self.order(script(content.as_bytes()));
        change(&mut order);
        self.offer(&order, Some(content.as_bytes()))
    }

    /// Runs a script to its end.
    pub(crate) async fn outcome(&self, content: &str, change: impl FnOnce(&mut Order)) -> Outcome {
        let order = self.script(content, change);
        self.ended(order).await
    }

    pub(crate) fn stop(&self, target: Digest, invocation: &str) {
        let order = self.order(Action::Stop { order: target, invocation: invocation.to_owned() });
        let envelope = sign_order(&order, &self.dispatch).unwrap();
        self.server.send(ToAgent::Offer(Box::new(self.offer_of(&envelope, None))));
    }

    pub(crate) async fn accepted(&self, order: Digest) {
        self.server
            .until("acceptance", |state| {
                state
                    .reports
                    .iter()
                    .any(|report| report.order == order && matches!(report.event, ReportEvent::Accepted { .. }))
                    .then_some(())
            })
            .await;
    }

    pub(crate) fn ends(&self, order: Digest) -> Vec<Finished> {
        self.server.with(|state| {
            let finished = |event: &ReportEvent| match event {
                ReportEvent::Finished(finished) => Some(Finished::clone(finished)),
                _ => None,
            };
            let of = state.reports.iter().filter(|report| report.order == order);
            of.filter_map(|report| finished(&report.event)).collect()
        })
    }

    pub(crate) async fn ended(&self, order: Digest) -> Outcome {
        let finished = self
            .server
            .until("an end", |state| {
                state.reports.iter().find_map(|report| match &report.event {
                    ReportEvent::Finished(finished) if report.order == order => Some(Finished::clone(finished)),
                    _ => None,
                })
            })
            .await;
        let key = self.server.with(|state| state.enrolled.clone()).unwrap();
        let receipt = verify_receipt(&finished.receipt, &key).unwrap();
        assert_eq!(receipt.order, order);
        Outcome { receipt, output: finished.output }
    }
}

/// The end of a task, its receipt verified.
pub(crate) struct Outcome {
    pub(crate) receipt: Verified<Receipt>,
    pub(crate) output: KeptOutput,
}

impl Outcome {
    pub(crate) fn status(&self) -> &str {
        &self.receipt.status
    }

    pub(crate) fn check(&self) -> &str {
        self.receipt.check.as_deref().unwrap_or_default()
    }

    pub(crate) fn reason(&self) -> &str {
        self.receipt.reason.as_deref().unwrap_or_default()
    }

    pub(crate) fn text(&self, stream: Stream) -> String {
        let of = self.output.head.iter().chain(&self.output.tail).filter(|segment| segment.stream == stream);
        String::from_utf8(of.flat_map(|segment| segment.data.clone()).collect()).unwrap()
    }

    pub(crate) fn stdout(&self) -> String {
        self.text(Stream::Stdout)
    }
}

pub(crate) fn script(content: &[u8]) -> Action {
    Action::Script(ScriptAction { cwd: Some("/".to_owned()), ..ScriptAction::new(content) })
}

/// Changes the script of an order.
pub(crate) fn timeout(order: &mut Order, seconds: u32) {
    if let Action::Script(ScriptAction { timeout_s, .. }) = &mut order.action {
        *timeout_s = seconds;
    }
}

pub(crate) fn user(order: &mut Order, name: &str) {
    if let Action::Script(ScriptAction { user, .. }) = &mut order.action {
        *user = Some(name.to_owned());
    }
}

/// Process ids of all processes whose command line holds this text.
pub(crate) fn processes(text: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let holds = |pid: &u32| {
        let line = std::fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    };
    numbers.filter(holds).collect()
}
