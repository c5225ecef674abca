//! Scripts in a container of a runtime that this test plays: it starts what it is asked to on the instance itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use orderly_host::platform::{TreeKind, Trees};
use orderly_signing::order::ScriptAction;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::exec::account::Account;

/// Answers as many requests as one script takes until its start, and gives what was started.
fn play(listener: &UnixListener) -> Child {
    let mut child: Option<Child> = None;
    loop {
        let (mut stream, _) = listener.accept().unwrap();
        let (line, body) = request(&mut stream);
        let answer = |mut stream: UnixStream, body: &str| {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all((head + body).as_bytes()).unwrap();
        };
        if line.contains("/containers/json") {
            let listed = serde_json::json!([{ "Id": "a".repeat(64), "Names": ["/box"], "State": "running" }]);
            answer(stream, &listed.to_string());
        } else if line.ends_with("/exec") {
            let words: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let words: Vec<String> = serde_json::from_value(words["Cmd"].clone()).unwrap();
            let mut command = Command::new(&words[0]);
            child = Some(command.args(&words[1..]).stdin(Stdio::piped()).spawn().unwrap());
            answer(stream, r#"{"Id":"e1"}"#);
        } else if line.ends_with("/start") {
            stream.write_all(b"HTTP/1.1 101 UPGRADED\r\nconnection: Upgrade\r\nupgrade: tcp\r\n\r\n").unwrap();
            let mut input = child.as_mut().unwrap().stdin.take().unwrap();
            std::thread::spawn(move || std::io::copy(&mut stream, &mut input));
        } else {
            let pid = child.as_ref().unwrap().id();
            answer(stream, &format!(r#"{{"Running":true,"Pid":{pid}}}"#));
            return child.unwrap();
        }
    }
}

/// A request's path and its body.
fn request(stream: &mut UnixStream) -> (String, Vec<u8>) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head.split(' ').nth(1).unwrap().to_owned(), body)
}

fn script(content: String) -> Script {
    let action = ScriptAction::new(content.as_bytes());
    let account = Account::find(None, Some("/")).unwrap();
    Script { action, content: content.into_bytes(), environment: BTreeMap::new(), account }
}

async fn run_at(
    socket: &Path,
    script: &Script,
    stop: &CancellationToken,
    started: impl FnOnce(&Tree) -> Result<(), String>,
) -> Outcome {
    let containers = Containers { enabled: true, docker: PathBuf::from(socket) };
    let container = Container { name: Some("box".to_owned()), id: None };
    let place = Place { container: &container, containers: &containers };
    let halt = Halt { stop, grace: Duration::from_secs(1) };
    let name = format!("orderly-container-test-{}", std::process::id());
    run(script, place, &name, &halt, &mut Live::off(), started).await
}

#[tokio::test]
async fn a_script_whose_tree_cannot_be_recorded_is_not_begun_in_its_container() {
    if Trees::probe("orderly-container", Path::new("/bin/false")).unwrap().kind() != TreeKind::Cgroup {
        println!("skipped: there is no cgroup v2 here that this user may use");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (socket, witness) = (dir.path().join("s"), dir.path().join("witness"));
    let listener = UnixListener::bind(&socket).unwrap();
    let runtime = std::thread::spawn(move || play(&listener));
    let script = script(format!("echo ran > {}", witness.display()));
    let full = |_: &Tree| Err("the disk is full".to_owned());
    let outcome = run_at(&socket, &script, &CancellationToken::new(), full).await;
    let mut child = runtime.join().unwrap();
    assert!(!child.wait().unwrap().success(), "what waited behind the gate has ended");
    assert_eq!(
        (outcome.code, outcome.reason.as_deref()),
        (Some(ResultCode::JournalUnavailable), Some("the disk is full"))
    );
    assert!(!witness.exists());
}

#[tokio::test]
async fn a_stop_is_heard_while_the_runtime_takes_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    // Whoever connects waits: nobody accepts.
    let _listener = UnixListener::bind(&socket).unwrap();
    let (script, stop) = (script("true".to_owned()), CancellationToken::new());
    let running = run_at(&socket, &script, &stop, |_| Ok(()));
    let stopped = async {
        tokio::task::yield_now().await;
        stop.cancel();
    };
    let (outcome, ()) = tokio::time::timeout(RUNTIME_TIME / 2, async { tokio::join!(running, stopped) }).await.unwrap();
    assert_eq!((outcome.status, outcome.started_ms), (TaskStatus::Cancelled, None));
}
