//! Files to instances and back: whole or not at all, over a network that cuts, with little memory, and nowhere else than signed.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use orderly_signing::Digest;
use orderly_tests::agent::Agent;
use orderly_tests::fleet::Fleet;
use orderly_tests::orders::Work;
use orderly_tests::proxy::{Proxy, Way};
use orderly_tests::wait::SOON;
use orderly_wire::http::file::{RunCollect, RunFile};
use orderly_wire::http::invocation::Run;
use orderly_wire::http::task::TaskDetail;
use reqwest::Method;

use crate::native::run;

/// Brings content to the server as one blob.
fn blob(fleet: &Fleet, content: &[u8]) -> Digest {
    let digest = Digest::of(content);
    let path = format!("/v1/blobs/{digest}?bytes={}&offset=0", content.len());
    let answer: Result<serde_json::Value, _> =
        fleet.api.send_bytes(Method::PUT, &path, "application/octet-stream", content.to_vec());
    answer.unwrap_or_else(|problem| panic!("{problem:?}"));
    digest
}

/// A run that puts content at a place.
fn put(fleet: &Fleet, directory: &Path, name: &str, content: &[u8]) -> RunFile {
    RunFile {
        directory: directory.display().to_string(),
        name: name.to_owned(),
        content: blob(fleet, content),
        content_bytes: content.len() as u64,
        owner: None,
        group: None,
        mode: Some("0640".to_owned()),
        overwrite: false,
        timeout_s: Some(30),
    }
}

fn work(run: Run) -> Work {
    Work { run, digests: None, deadline_s: 60 }
}

fn put_task(fleet: &Fleet, agent: &Agent, file: RunFile) -> TaskDetail {
    run(fleet, &agent.id, &work(Run::File(file))).1
}

fn collect_task(fleet: &Fleet, agent: &Agent, path: &Path, max_bytes: u64) -> (String, TaskDetail) {
    let collect = RunCollect { path: path.display().to_string(), max_bytes, timeout_s: Some(30) };
    run(fleet, &agent.id, &work(Run::Collect(collect)))
}

#[track_caller]
fn assert_refused(task: &TaskDetail, code: &str, words: &[&str]) {
    let reason = task.view.reason.clone().unwrap_or_default();
    assert_eq!(task.view.code.as_deref(), Some(code), "{reason}");
    assert_ne!(task.view.status, "Success");
    for word in words {
        assert!(reason.contains(word), "`{word}` is not in: {reason}");
    }
}

/// All names below a folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_put_with_its_mode_and_comes_back_as_it_was() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let folder = fleet.path("there/deep");
    let task = put_task(&fleet, &agent, put(&fleet, &folder, "motd", b"hello"));
    assert_eq!(task.view.status, "Success", "{:?}", task.view.reason);
    let placed = folder.join("motd");
    assert_eq!(fs::read(&placed).unwrap(), b"hello");
    assert_eq!(fs::metadata(&placed).unwrap().mode() & 0o7777, 0o640);
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o7777, 0o755);
    assert_eq!(names(&folder), ["motd"]);

    let (invocation, task) = collect_task(&fleet, &agent, &placed, 5);
    assert_eq!(task.view.status, "Success", "{:?}", task.view.reason);
    let file = fleet.api.get_text(&format!("/v1/invocations/{invocation}/tasks/{}/file", agent.id));
    assert_eq!(file, "hello");
    // The receipt says what the file is, so that file and receipt can be checked by each other.
    let receipt = serde_json::to_vec(task.receipt.as_ref().unwrap()).unwrap();
    let receipt = orderly_signing::verify::verify_receipt(&receipt, &fleet.api.instance(&agent.id).key).unwrap();
    assert_eq!((receipt.output.sha256, receipt.output.bytes), (Digest::of(b"hello"), 5));
    // An empty file is a file.
    let task = put_task(&fleet, &agent, put(&fleet, &folder, "empty", b""));
    assert_eq!(task.view.status, "Success", "{:?}", task.view.reason);
    let (_, task) = collect_task(&fleet, &agent, &folder.join("empty"), 1);
    assert_eq!(task.view.status, "Success", "{:?}", task.view.reason);
}

#[test]
fn special_mode_bits_and_the_owner_are_there_and_never_silently_lost() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let folder = fleet.path("bin");
    let file = RunFile {
        mode: Some("6755".to_owned()),
        owner: Some("nobody".to_owned()),
        group: Some("daemon".to_owned()),
        ..put(&fleet, &folder, "tool", b"#!/bin/sh\n")
    };
    let task = put_task(&fleet, &agent, file);
    assert_eq!(task.view.status, "Success", "{:?}", task.view.reason);
    let found = fs::metadata(folder.join("tool")).unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid(), found.gid()), (0o6755, 65_534, 1));
    assert_eq!(fs::metadata(&folder).unwrap().uid(), 65_534, "what is made on the way is the owner's too");
}

#[test]
fn an_owner_or_a_group_that_is_not_there_is_refused_before_anything_is_written() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let folder = fleet.path("none");
    let file = RunFile { owner: Some("no-such-user".to_owned()), ..put(&fleet, &folder, "f", b"x") };
    assert_refused(&put_task(&fleet, &agent, file), "AccountNotExists", &["no-such-user"]);
    let file = RunFile { group: Some("no-such-group".to_owned()), ..put(&fleet, &folder, "f", b"x") };
    assert_refused(&put_task(&fleet, &agent, file), "UserGroupNotExists", &["no-such-group"]);
    assert!(!folder.exists(), "a refused file left its directory behind");
}

#[test]
fn path_escapes_by_dot_dot_are_refused_before_they_are_sent() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let file = put(&fleet, &fleet.path("a/../b"), "f", b"x");
    let problem =
        fleet.api.create(&work(Run::File(file)).signed(std::slice::from_ref(&agent.id), &fleet.trust.operator));
    assert!(problem.unwrap_err().detail.unwrap().contains(".."));
    let file = put(&fleet, &fleet.path("a"), "../f", b"x");
    let unsigned =
        work(Run::File(file)).request(orderly_wire::http::invocation::Targets::Instances(vec![agent.id]), None);
    assert!(fleet.api.create(&unsigned).unwrap_err().detail.unwrap().contains("run.name"));
}

#[test]
fn a_link_as_directory_or_in_the_files_place_is_not_followed() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let (folder, secret) = (fleet.path("open"), fleet.path("secret"));
    fs::create_dir(&folder).unwrap();
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("shadow"), "root:").unwrap();
    symlink(&secret, folder.join("link")).unwrap();
    symlink(secret.join("shadow"), folder.join("f")).unwrap();
    let task = put_task(&fleet, &agent, put(&fleet, &folder.join("link"), "f", b"x"));
    assert_refused(&task, "FilePathInvalid", &["symbolic link", "link"]);
    let file = RunFile { overwrite: true, ..put(&fleet, &folder, "f", b"x") };
    assert_refused(&put_task(&fleet, &agent, file), "FilePathInvalid", &["symbolic link"]);
    let (_, task) = collect_task(&fleet, &agent, &folder.join("f"), 100);
    assert_refused(&task, "FilePathInvalid", &["symbolic link"]);
    let (_, task) = collect_task(&fleet, &agent, &folder.join("link/shadow"), 100);
    assert_refused(&task, "FilePathInvalid", &["symbolic link"]);
    assert_eq!((names(&secret), names(&folder)), (vec!["shadow".to_owned()], vec!["f".to_owned(), "link".to_owned()]));
    assert_eq!(fs::read_to_string(secret.join("shadow")).unwrap(), "root:");
}

#[test]
fn a_link_of_another_user_on_the_way_is_not_followed() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let (home, secret) = (fleet.path("home"), fleet.path("secret"));
    fs::create_dir(&home).unwrap();
    fs::create_dir(&secret).unwrap();
    symlink(&secret, home.join("trap")).unwrap();
    std::os::unix::fs::lchown(home.join("trap"), Some(65_534), None).unwrap();
    symlink(&secret, home.join("own")).unwrap();
    let task = put_task(&fleet, &agent, put(&fleet, &home.join("trap/x"), "f", b"x"));
    assert_refused(&task, "FilePathInvalid", &["user 65534"]);
    assert!(names(&secret).is_empty());
    // A link of the administrator is the administrator's word, as /var/run is.
    let task = put_task(&fleet, &agent, put(&fleet, &home.join("own/x"), "f", b"x"));
    assert_eq!(task.view.status, "Success", "{:?}", task.view.reason);
    assert_eq!(fs::read(secret.join("x/f")).unwrap(), b"x");
}

#[test]
fn what_is_there_is_not_replaced_unless_the_order_says_so_and_never_where_it_is_no_file() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let folder = fleet.path("d");
    fs::create_dir_all(folder.join("sub")).unwrap();
    fs::write(folder.join("f"), "old").unwrap();
    fs::write(folder.join("file"), "").unwrap();
    let task = put_task(&fleet, &agent, put(&fleet, &folder, "f", b"new"));
    assert_refused(&task, "FileAlreadyExists", &[&folder.join("f").display().to_string()]);
    let file = RunFile { overwrite: true, ..put(&fleet, &folder, "sub", b"new") };
    assert_refused(&put_task(&fleet, &agent, file), "FilePathInvalid", &["a directory"]);
    let task = put_task(&fleet, &agent, put(&fleet, &folder.join("file"), "f", b"new"));
    assert_refused(&task, "FilePathInvalid", &["not a directory"]);
    assert_eq!(fs::read_to_string(folder.join("f")).unwrap(), "old");
    let file = RunFile { overwrite: true, ..put(&fleet, &folder, "f", b"new") };
    assert_eq!(put_task(&fleet, &agent, file).view.status, "Success");
    assert_eq!((fs::read_to_string(folder.join("f")).unwrap().as_str(), names(&folder).len()), ("new", 3));
}

#[test]
fn content_that_is_not_here_or_not_the_signed_one_never_gets_a_name() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let folder = fleet.path("d");
    let missing = RunFile { content: Digest::of(b"elsewhere"), ..put(&fleet, &folder, "f", b"x") };
    let problem =
        fleet.api.create(&work(Run::File(missing)).signed(std::slice::from_ref(&agent.id), &fleet.trust.operator));
    assert_eq!(problem.unwrap_err().code, "blob-missing");
    // A server that turned, or a disk: other bytes under the digest.
    let file = put(&fleet, &folder.join("made"), "f", b"right");
    fs::write(fleet.path("server/blobs").join(file.content.hex()), b"wrong").unwrap();
    assert_refused(&put_task(&fleet, &agent, file), "FileContentInvalid", &["order names"]);
    assert!(!folder.exists(), "a failed file left something behind: {:?}", names(&folder));
}

#[test]
fn a_pipe_a_directory_a_missing_and_a_large_file_are_not_collected() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let pipe = fleet.path("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert_refused(&collect_task(&fleet, &agent, &pipe, 10).1, "FilePathInvalid", &["a pipe"]);
    let data = fleet.path("agent");
    assert_refused(&collect_task(&fleet, &agent, &data, 10).1, "FilePathInvalid", &["a directory"]);
    let absent = fleet.path("absent");
    assert_refused(&collect_task(&fleet, &agent, &absent, 10).1, "FileNotExists", &["absent"]);
    let large = fleet.path("large");
    fs::write(&large, b"12345678901").unwrap();
    assert_refused(&collect_task(&fleet, &agent, &large, 10).1, "FileTooLarge", &["11 bytes", "at most 10"]);
    assert!(names(&fleet.path("server/blobs/parts")).is_empty());
}

#[test]
fn an_instance_can_send_no_file_for_an_order_of_another_and_fetch_none_that_another_sent() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let secret = fleet.path("secret");
    fs::write(&secret, "swordfish").unwrap();
    let (invocation, task) = collect_task(&fleet, &agent, &secret, 100);
    assert_eq!(task.view.status, "Success");
    assert!(fleet.path("server/blobs/collected").join(Digest::of(b"swordfish").hex()).is_file());
    // It is no blob, so nothing that serves blobs has it.
    let state: serde_json::Value = fleet.api.get(&format!("/v1/blobs/{}", Digest::of(b"swordfish"))).unwrap();
    assert_eq!(state["bytes"], 0);
    let nobody = fleet.api.with_token("none");
    let path = format!("/v1/invocations/{invocation}/tasks/{}/file", agent.id);
    assert_eq!(nobody.get::<serde_json::Value>(&path).unwrap_err().status, 401);
    let order = fleet.api.invocation(&invocation).order;
    let path = format!("/agent/v1/files/{order}?bytes=1&offset=0");
    let answer: Result<serde_json::Value, _> =
        fleet.api.send_bytes(Method::PUT, &path, "application/octet-stream", b"x".to_vec());
    assert_eq!(answer.unwrap_err().code, "proof", "a token is no proof of an instance");
}

#[test]
fn a_planted_staged_file_and_a_crash_leave_nothing_behind() {
    let fleet = Fleet::start();
    let proxy = Proxy::start(fleet.runtime.handle(), fleet.address);
    let mut agent = Agent::behind(&fleet, &proxy, "agent");
    let folder = fleet.path("d");
    let content = vec![7; 8 * 1024 * 1024];
    // A cut, and then a server that has only half of it: the agent waits with a staged file.
    proxy.cut(Way::Down, 1024 * 1024);
    let file = RunFile { timeout_s: Some(600), ..put(&fleet, &folder, "f", &content) };
    fs::remove_file(fleet.path("server/blobs").join(file.content.hex())).unwrap();
    fs::write(fleet.path("server/blobs").join(file.content.hex()), &content[..4 * 1024 * 1024]).unwrap();
    let request = work(Run::File(file)).signed(std::slice::from_ref(&agent.id), &fleet.trust.operator);
    let invocation = fleet.api.create(&request).unwrap().id;
    let staged = orderly_tests::wait::until("a staged file", SOON, || {
        let names = names(&folder);
        names.first().filter(|name| name.contains(".orderly-")).cloned()
    });
    assert!(staged.starts_with(".f.orderly-"), "{staged}");
    assert_eq!(fs::metadata(folder.join(&staged)).unwrap().permissions().mode() & 0o777, 0o600);
    agent.kill();
    // Somebody plants another of that kind; it is not the agent's, so it stays.
    fs::write(folder.join(".f.orderly-0000000000000000"), "planted").unwrap();
    agent.start();
    let task = fleet.api.wait_end(&invocation, &agent.id, SOON);
    assert_eq!(task.view.code.as_deref(), Some("ExecutionInterrupted"), "{:?}", task.view);
    assert_eq!(names(&folder), [".f.orderly-0000000000000000"]);
}

#[test]
fn a_stop_and_a_time_out_in_the_middle_leave_nothing_behind() {
    let fleet = Fleet::start();
    let agent = fleet.agent("agent");
    let folder = fleet.path("d");
    let content = vec![7; 1024 * 1024];
    let half = |name: &str, timeout_s| {
        let file = RunFile { timeout_s: Some(timeout_s), ..put(&fleet, &folder.join(name), "f", &content) };
        fs::write(fleet.path("server/blobs").join(file.content.hex()), &content[..512 * 1024]).unwrap();
        let request = work(Run::File(file)).signed(std::slice::from_ref(&agent.id), &fleet.trust.operator);
        let invocation = fleet.api.create(&request).unwrap().id;
        let place = folder.join(name);
        orderly_tests::wait::until("a staged file", SOON, || (!names(&place).is_empty()).then_some(()));
        invocation
    };
    let stopped = half("stopped", 600);
    fleet.api.stop(&stopped);
    let task = fleet.api.wait_end(&stopped, &agent.id, SOON);
    assert_eq!(task.view.status, "Terminated", "{:?}", task.view);
    let late = half("late", 2);
    let task = fleet.api.wait_end(&late, &agent.id, SOON);
    assert_refused(&task, "ExecutionTimeout", &["2 s", "the last try"]);
    assert_eq!(task.view.status, "Timeout");
    assert!(!folder.exists(), "left behind: {:?}", names(&folder));
}
