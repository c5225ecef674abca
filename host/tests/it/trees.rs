//! Nothing of a tree survives its end, however it tried to leave: in a cgroup and beneath supervisors alike.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use orderly_host::error::{SpawnError, Step};
use orderly_host::output::{Keeper, NoSink, pump};
use orderly_host::platform::{
    Credentials, Executable, Exit, ProcessIdentity, Quota, Spec, Stdin, Tree, TreeIdentity, TreeKind, Trees, spawn,
};

use crate::support::{place, program, text, unique};

/// Both ways to follow a tree; the first only where this machine has it.
fn both() -> Vec<Trees> {
    let probed = Trees::probe("host-tests", program()).unwrap();
    let mut all = vec![Trees::supervised(program())];
    if probed.kind() == TreeKind::Cgroup {
        all.push(probed);
    } else {
        eprintln!("no usable cgroup v2 on this machine: supervisors only");
    }
    all
}

fn shell(script: &str) -> Spec {
    Spec::new("/bin/sh").args(["-c", script])
}

async fn output(mut child: orderly_host::platform::Child) -> (String, Exit) {
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let mut keeper = Keeper::new(100_000);
    pump(&mut stdout, &mut stderr, u64::MAX, &mut keeper, &mut NoSink).await.unwrap();
    let exit = child.wait().await.unwrap().exit;
    (text(&keeper.finish()), exit)
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn process(file: &Path) -> Option<ProcessIdentity> {
    ProcessIdentity::of(std::fs::read_to_string(file).ok()?.trim().parse().ok()?)
}

#[tokio::test]
async fn a_program_gets_what_it_was_given_and_nothing_else() {
    for trees in both() {
        let tree = trees.create(&unique("given")).unwrap();
        let mut spec = shell(
            "echo \"$A|$(id -u)|$(pwd)|$(umask)|$(cat)|$(cat <&3)\"; ls /proc/self/fd | tr '\\n' ' '; echo err >&2; exit 3",
        );
        spec.env = vec![("A".into(), "b c".into()), ("PATH".into(), "/usr/bin:/bin".into())];
        spec.cwd = "/usr".into();
        let given = |bytes: &[u8]| -> OwnedFd { orderly_host::platform::memfd::sealed("t", &[bytes]).unwrap() };
        spec.stdin = Stdin::Fd(given(b"in"));
        spec.extra = vec![given(b"three")];
        let (said, exit) = output(spawn(spec, &tree).await.unwrap()).await;
        let uid = std::fs::read_to_string("/proc/self/status").unwrap();
        let uid =
            uid.lines().find(|line| line.starts_with("Uid:")).unwrap().split_whitespace().nth(1).unwrap().to_owned();
        assert!(said.contains(&format!("b c|{uid}|/usr|0022|in|three")), "{said}");
        // ls has 0-2, the extra 3, and its own directory; nothing of this process.
        assert!(said.contains("0 1 2 3 4 "), "{said}");
        assert!(!said.contains("5 "), "{said}");
        assert!(said.contains("err") && exit == Exit::Code(3), "{said} {exit:?}");
        tree.terminate(Duration::ZERO).await.unwrap();
    }
}

#[tokio::test]
async fn what_cannot_start_says_which_step_failed() {
    for trees in both() {
        let tree = trees.create(&unique("fails")).unwrap();
        let step = async |spec: Spec| match spawn(spec, &tree).await {
            Err(SpawnError::Child { step, .. }) => step,
            other => panic!("{other:?}"),
        };
        assert_eq!(step(Spec::new("/no/such/program")).await, Step::Execute);
        assert_eq!(step(Spec::new("/etc/passwd")).await, Step::Execute);
        let mut nowhere = shell("true");
        nowhere.cwd = "/no/such/directory".into();
        assert_eq!(step(nowhere).await, Step::WorkingDirectory);
        assert!(matches!(spawn(Spec::new("relative"), &tree).await, Err(SpawnError::Specification { .. })));
        assert!(tree.is_empty().unwrap());
    }
}

#[tokio::test]
async fn a_program_whose_owner_keeps_it_from_opening_holds_nobody_up_and_does_not_start_later() {
    for trees in both() {
        let place = place();
        let tree = trees.create(&unique("lease")).unwrap();
        let (path, ran) = (place.directory.path().join("program"), place.directory.path().join("ran"));
        std::fs::write(&path, format!("#!/bin/sh\ntouch {}\n", ran.display())).unwrap();
        rustix::fs::chmod(&path, rustix::fs::Mode::RWXU).unwrap();
        // A write lease, as any owner of a file can take it: whoever opens the file waits until it is given back.
        let mut owner = std::process::Command::new("python3");
        owner.args(["-c", LEASE]).arg(&path).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let Ok(mut owner) = owner.spawn() else {
            eprintln!("no python3 on this machine: not tried");
            return;
        };
        std::io::Read::read_exact(owner.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let start = Instant::now();
        // Nobody else is held up meanwhile, on this very thread.
        let beside = trees.create(&unique("beside")).unwrap();
        let other = async {
            output(spawn(shell("true"), &beside).await.unwrap()).await;
            start.elapsed()
        };
        let (refused, other) = tokio::join!(spawn(Spec::new(&path), &tree), other);
        assert!(other < Duration::from_secs(4), "{other:?}");
        assert!(matches!(refused, Err(SpawnError::Child { step: Step::Execute, .. })), "{refused:?}");
        assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
        drop(owner.stdin.take());
        owner.wait().unwrap();
        tree.terminate(Duration::ZERO).await.unwrap();
        assert!(tree.is_empty().unwrap() && !ran.exists(), "{:?}", trees.kind());
    }
}

/// Takes a write lease on a file, says so, and gives it back only when its input ends.
const LEASE: &str = "
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
fcntl.fcntl(os.open(sys.argv[1], os.O_RDWR), fcntl.F_SETLEASE, fcntl.F_WRLCK)
os.write(1, b'x')
sys.stdin.read()
";

#[tokio::test]
async fn a_signal_is_told_from_a_code() {
    for trees in both() {
        let tree = trees.create(&unique("signal")).unwrap();
        let (_, exit) = output(spawn(shell("kill -9 $$"), &tree).await.unwrap()).await;
        assert_eq!(exit, Exit::Signal(9));
    }
}

#[tokio::test]
async fn a_double_forked_grandchild_in_its_own_session_dies_with_the_tree() {
    for trees in both() {
        let place = place();
        let tree = trees.create(&unique("daemon")).unwrap();
        let file = place.directory.path().join("pid");
        let script = format!(
            "(setsid sh -c 'trap \"\" TERM HUP; echo $$ > {0}.new; mv {0}.new {0}; while :; do sleep 1000; done' >/dev/null 2>&1 &) ; exit 0",
            file.display()
        );
        let mut child = spawn(shell(&script), &tree).await.unwrap();
        assert_eq!(child.wait().await.unwrap().exit, Exit::Code(0));
        until("the daemon starts", || process(&file).is_some()).await;
        let daemon = process(&file).unwrap();
        assert!(daemon.is_alive() && !tree.is_empty().unwrap());
        tree.terminate(Duration::from_millis(50)).await.unwrap();
        assert!(!daemon.is_alive() && tree.is_empty().unwrap(), "{:?}", trees.kind());
    }
}

#[tokio::test]
async fn a_clean_end_within_the_grace_is_waited_for() {
    for trees in both() {
        let place = place();
        let tree = trees.create(&unique("grace")).unwrap();
        let file = place.directory.path().join("ended");
        let script =
            format!("trap 'echo done > {}; exit 7' TERM; echo ready; while :; do sleep 0.01; done", file.display());
        let mut child = spawn(shell(&script), &tree).await.unwrap();
        let mut first = [0; 6];
        tokio::io::AsyncReadExt::read_exact(child.stdout.as_mut().unwrap(), &mut first).await.unwrap();
        let start = Instant::now();
        tree.terminate(Duration::from_secs(20)).await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(15));
        assert!(file.exists());
        assert_eq!(child.wait().await.unwrap().exit, Exit::Code(7));
    }
}

#[tokio::test]
async fn a_fork_storm_ends_with_its_tree() {
    for trees in both() {
        let tree = trees.create(&unique("storm")).unwrap();
        let child = spawn(
            shell("i=0; while [ $i -lt 60 ]; do (setsid sleep 1000 &) ; i=$((i+1)); done; echo go; sleep 1000"),
            &tree,
        )
        .await
        .unwrap();
        until("some of it runs", || !tree.is_empty().unwrap()).await;
        tree.terminate(Duration::ZERO).await.unwrap();
        assert!(tree.is_empty().unwrap());
        drop(child);
    }
}

#[tokio::test]
async fn a_restarted_agent_finds_a_tree_by_its_identity_and_ends_it() {
    for trees in both() {
        let tree = trees.create(&unique("again")).unwrap();
        let child = spawn(shell("setsid sleep 1000 & sleep 1000"), &tree).await.unwrap();
        let identity = serde_json::to_string(&tree.identity()).unwrap();
        let identity: TreeIdentity = serde_json::from_str(&identity).unwrap();
        let main = ProcessIdentity::of(child.pid()).unwrap();
        // As if killed: neither the child nor the tree gets its destructor.
        if trees.kind() == TreeKind::Cgroup {
            std::mem::forget((child, tree));
        } else {
            // Losing the agent is what closes the supervisor's socket.
            drop((child, tree));
        }
        let found = Tree::reopen(&identity).unwrap();
        found.terminate(Duration::ZERO).await.unwrap();
        assert!(found.is_empty().unwrap() && !main.is_alive());
        drop(found);
        // Once more, of something that is long gone.
        assert!(Tree::reopen(&identity).unwrap().is_empty().unwrap());
    }
}

#[tokio::test]
async fn a_start_removes_the_directories_of_trees_that_were_let_live_on_and_have_ended() {
    // A group of its own: tests run beside each other.
    let trees = Trees::probe(&unique("swept"), program()).unwrap();
    if trees.kind() != TreeKind::Cgroup {
        eprintln!("no usable cgroup v2 on this machine: not tried");
        return;
    }
    let path = |tree: &Tree| match tree.identity() {
        TreeIdentity::Cgroup { path } => path,
        other => panic!("{other:?}"),
    };
    let (ends, lives) = (trees.create("ends").unwrap(), trees.create("lives").unwrap());
    let (ended, alive) = (path(&ends), path(&lives));
    let mut first = spawn(shell("sleep 1000"), &ends).await.unwrap();
    let mut second = spawn(shell("sleep 1000"), &lives).await.unwrap();
    ends.release();
    lives.release();
    trees.sweep();
    assert!(ended.exists() && alive.exists(), "both live on");
    first.kill();
    first.wait().await.unwrap();
    let gone = |path: &Path| {
        trees.sweep();
        !path.exists()
    };
    until("the first to be swept", || gone(&ended)).await;
    assert!(alive.exists());
    second.kill();
    second.wait().await.unwrap();
    until("the second to be swept", || gone(&alive)).await;
    std::fs::remove_dir(alive.parent().unwrap()).unwrap();
}

#[tokio::test]
async fn a_dropped_tree_is_killed() {
    for trees in both() {
        let tree = trees.create(&unique("drop")).unwrap();
        let child = spawn(shell("sleep 1000 & echo; sleep 1000"), &tree).await.unwrap();
        let main = ProcessIdentity::of(child.pid()).unwrap();
        drop(tree);
        drop(child);
        until("it is gone", || !main.is_alive()).await;
    }
}

#[tokio::test]
async fn a_dropped_child_is_killed_and_reaped_without_anybody_waiting_for_it() {
    let child = orderly_host::platform::spawn_alone(shell("sleep 1000")).await.unwrap();
    let pid = child.pid();
    drop(child);
    until("no zombie is left of it", || !Path::new("/proc").join(pid.to_string()).exists()).await;
}

#[test]
fn a_child_that_outlives_its_runtime_is_killed_and_reaped_too() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let child = runtime.block_on(orderly_host::platform::spawn_alone(shell("sleep 1000"))).unwrap();
    let process = Path::new("/proc").join(child.pid().to_string());
    drop(runtime);
    assert!(process.exists());
    drop(child);
    assert!(!process.exists());
}

#[tokio::test]
async fn another_user_only_for_root_and_then_wholly() {
    let root = orderly_host::platform::users::is_root();
    for trees in both() {
        let tree = trees.create(&unique("user")).unwrap();
        let mut spec = shell("id -u; id -G; cat /proc/self/status | grep CapEff");
        spec.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
        spec.credentials = Some(Credentials { uid: 65_534, gid: 65_534, groups: vec![] });
        match spawn(spec, &tree).await {
            Ok(child) => {
                let (said, _) = output(child).await;
                assert!(root && said.starts_with("65534\n65534\n") && said.contains("0000000000000000"), "{said}");
            }
            Err(SpawnError::Child { step: Step::Credentials, .. }) => assert!(!root),
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_checked_file_is_executed_whatever_its_name_says_now() {
    for trees in both() {
        let tree = trees.create(&unique("descriptor")).unwrap();
        let mut spec = Spec::new("/no/such/name").args(["by descriptor"]);
        spec.executable = Executable::Descriptor(std::fs::File::open("/bin/echo").unwrap().into());
        let (said, exit) = output(spawn(spec, &tree).await.unwrap()).await;
        assert_eq!((said.as_str(), exit), ("by descriptor\n", Exit::Code(0)));
    }
}

#[test]
fn names_that_could_lead_elsewhere_are_refused() {
    for bad in ["", ".", "..", "a/b", ".hidden", "a b", &"x".repeat(129)] {
        assert!(Trees::supervised(program()).create(bad).is_err(), "{bad}");
    }
    assert!(Trees::probe("../x", program()).is_err());
}

#[tokio::test]
async fn no_directory_stays_behind() {
    let trees = Trees::probe(&unique("tidy"), program()).unwrap();
    let Some(TreeIdentity::Cgroup { path }) = trees.planned("one", &Quota::default()) else {
        eprintln!("no usable cgroup v2 on this machine: there are no directories");
        return;
    };
    let place = path.parent().unwrap();
    for _ in 0..3 {
        let (one, two) = (trees.create("one").unwrap(), trees.create("two").unwrap());
        let child = spawn(shell("setsid sleep 1000 & sleep 1000"), &one).await.unwrap();
        drop(one);
        assert!(!path.exists() && place.exists());
        drop((two, child));
        assert!(!place.exists());
    }
}
