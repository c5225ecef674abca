//! A server that is gone, an instance that is away, a disk that is full: work is kept, refused or given up, and said so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use orderly_tests::agent::Agent;
use orderly_tests::api::output_text;
use orderly_tests::fleet::Fleet;
use orderly_tests::orders::Work;
use orderly_tests::wait::{SOON, until};

#[test]
fn the_server_gone_the_agent_finishes_keeps_and_reports_later() {
    let mut fleet = Fleet::start();
    let mut agent = fleet.agent("agent");
    let (go, done) = (fleet.path("go"), fleet.path("done"));
    let script = format!(
        "echo before; until [ -e {} ]; do sleep 0.05; done; echo after; echo x >> {}",
        go.display(),
        done.display()
    );
    let request = Work::script(script).signed(std::slice::from_ref(&agent.id), &fleet.trust.operator);
    let invocation = fleet.api.create(&request).unwrap().id;
    fleet.api.wait_status(&invocation, &agent.id, "Running", SOON);
    fleet.kill_server();
    fs::write(&go, "").unwrap();
    until("the script to end without a server", SOON, || done.exists().then_some(()));
    assert!(agent.program().runs());
    // It keeps the result over its own restart too.
    agent.end();
    agent.start();
    fleet.restart_server();
    let task = fleet.api.wait_end(&invocation, &agent.id, Duration::from_secs(90));
    assert_eq!((task.view.status.as_str(), output_text(&task).as_str()), ("Success", "before\nafter\n"));
    assert_eq!(fs::read_to_string(done).unwrap().lines().count(), 1);
}

#[test]
fn an_order_that_nobody_accepts_in_time_is_aborted() {
    let fleet = Fleet::start();
    let mut agent = fleet.agent("agent");
    agent.end();
    let mark = fleet.path("mark");
    let request = Work::script(format!("echo ran > {}", mark.display())).deadline(2);
    let invocation =
        fleet.api.create(&request.signed(std::slice::from_ref(&agent.id), &fleet.trust.operator)).unwrap().id;
    let task = fleet.api.wait_end(&invocation, &agent.id, SOON);
    assert_eq!(
        (task.view.status.as_str(), task.view.code.as_deref()),
        ("Aborted", Some("DeliveryTimeout")),
        "{:?}",
        task.view
    );
    agent.start();
    fleet.api.wait_online(&agent.id, true);
    let (_, after) = crate::native::run(&fleet, &agent.id, &Work::script("echo after"));
    assert_eq!(after.view.status, "Success");
    assert!(!mark.exists(), "it ran after it was given up");
}

#[test]
fn an_order_for_an_instance_that_is_away_waits_for_it() {
    let mut fleet = Fleet::start();
    let mut agent = fleet.agent("agent");
    agent.end();
    fleet.api.wait_online(&agent.id, false);
    let request = Work::script("echo here at last").deadline(24 * 3600);
    let invocation =
        fleet.api.create(&request.signed(std::slice::from_ref(&agent.id), &fleet.trust.operator)).unwrap().id;
    assert_eq!(fleet.api.invocation(&invocation).status, "Pending");
    fleet.end_server();
    fleet.restart_server();
    agent.start();
    let task = fleet.api.wait_end(&invocation, &agent.id, SOON);
    assert_eq!((task.view.status.as_str(), output_text(&task).as_str()), ("Success", "here at last\n"));
}

/// A small file system of its own, which ends with the value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path, kib: u32) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let size = format!("size={kib}k,mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[test]
fn a_full_disk_under_the_journal_refuses_the_task_instead_of_running_it_unrecorded() {
    let fleet = Fleet::start();
    let Some(disk) = SmallDisk::mount(&fleet.path("agent"), 1024) else {
        assert!(!rustix::process::geteuid().is_root(), "root cannot mount a tmpfs");
        println!("skipped: mounting a small disk needs root");
        return;
    };
    let agent: Agent = fleet.agent("agent");
    let mark = fleet.path("mark");
    let filler = disk.0.join("filler");
    let mut fill = fs::File::create(&filler).unwrap();
    std::io::copy(&mut std::io::repeat(0), &mut fill).expect_err("the disk to be full");
    drop(fill);

    let (_, task) = crate::native::run(&fleet, &agent.id, &Work::script(format!("echo ran >> {}", mark.display())));
    assert_eq!(
        (task.view.status.as_str(), task.view.check.as_deref()),
        ("Invalid", Some("journal")),
        "{:?}",
        task.view
    );
    assert!(task.view.reason.as_deref().is_some_and(|reason| reason.contains("space")), "{:?}", task.view.reason);
    assert!(!mark.exists(), "it ran unrecorded");

    fs::remove_file(filler).unwrap();
    let (_, task) = crate::native::run(&fleet, &agent.id, &Work::script(format!("echo ran >> {}", mark.display())));
    assert_eq!(task.view.status, "Success", "{:?}", task.view);
    drop(agent);
    drop(disk);
}
