//! Scripts in containers of a real runtime, which each run of this file starts and ends by itself: Debian's `docker.io`, with an
//! image that is made of the instance's static busybox. Nothing is pulled. Where one of them is not installed, or the machine does
//! not let a runtime start, the test says so and is skipped; what needs none is tested beside the code.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use orderly_signing::order::{Action, Container, Order, Repeat, ScriptAction};
use orderly_wire::to_server::Stream;

use crate::fleet::{Fleet, processes, root, timeout};

/// A container runtime with two containers, `box-one`, which runs, and `box-two`, which has ended.
struct Runtime {
    dir: tempfile::TempDir,
    daemon: Child,
}

fn here(names: &[&str]) -> Option<PathBuf> {
    names.iter().map(PathBuf::from).find(|path| path.is_file())
}

impl Runtime {
    fn start(test: &str) -> Option<Self> {
        let daemon = here(&["/usr/sbin/dockerd", "/usr/bin/dockerd"]);
        let box_ = here(&["/bin/busybox", "/usr/bin/busybox"]);
        let (Some(program), Some(busybox), true) = (daemon, box_, root(test)) else {
            println!("{test}: skipped, it needs root and Debian's packages docker.io and busybox-static");
            return None;
        };
        let dir = tempfile::Builder::new().prefix("box").tempdir_in("/tmp").unwrap();
        let at = |name: &str| dir.path().join(name);
        let log = std::fs::File::create(at("log")).unwrap();
        let daemon = Command::new(program)
            .arg(format!("--host=unix://{}", at("d.sock").display()))
            .arg(format!("--data-root={}", at("root").display()))
            .arg(format!("--exec-root={}", at("exec").display()))
            .arg(format!("--pidfile={}", at("pid").display()))
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut runtime = Self { dir, daemon };
        if !runtime.answers_until(Instant::now() + Duration::from_secs(20)) {
            let log = std::fs::read_to_string(runtime.dir.path().join("log")).unwrap();
            let last = log.lines().last().unwrap_or_default().to_owned();
            println!("{test}: skipped, no container runtime can be started here: {last}");
            return None;
        }
        runtime.image(&busybox);
        for (name, line) in [("box-one", &["sleep", "1000"][..]), ("box-two", &["true"])] {
            let words = ["run", "--detach", "--network=none", "--name", name, "box:1"];
            if let Err(told) = runtime.ask(&[&words[..], line].concat()) {
                println!("{test}: skipped, no container can be started here: {told}");
                return None;
            }
        }
        Some(runtime)
    }

    /// Waits for the daemon's first answer; no where it ends before that, or the time is over.
    fn answers_until(&mut self, end: Instant) -> bool {
        std::iter::from_fn(|| {
            (self.daemon.try_wait().unwrap().is_none() && Instant::now() < end).then(|| self.ask(&["version"]))
        })
        .any(|answer| answer.is_ok())
    }

    fn ask(&self, words: &[&str]) -> Result<String, String> {
        let host = format!("unix://{}", self.socket().display());
        let output = Command::new("docker").args(["--host", &host]).args(words).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    fn image(&self, busybox: &Path) {
        let files = self.dir.path().join("image");
        for directory in ["bin", "etc", "tmp", "srv"] {
            std::fs::create_dir_all(files.join(directory)).unwrap();
        }
        std::fs::copy(busybox, files.join("bin/busybox")).unwrap();
        for name in ["sh", "sleep", "cat", "id", "env", "setsid", "true"] {
            std::os::unix::fs::symlink("busybox", files.join("bin").join(name)).unwrap();
        }
        std::fs::write(files.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nweb:x:1000:1000::/tmp:/bin/sh\n").unwrap();
        let tar = self.dir.path().join("image.tar");
        let made = Command::new("tar").arg("-C").arg(&files).arg("-cf").arg(&tar).arg(".").status().unwrap();
        assert!(made.success());
        self.ask(&["import", tar.to_str().unwrap(), "box:1"]).unwrap();
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("d.sock")
    }

    fn id(&self) -> String {
        self.ask(&["inspect", "--format={{.Id}}", "box-one"]).unwrap()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _ = self.ask(&["rm", "--force", "box-one", "box-two"]);
        let pid = rustix::process::Pid::from_raw(self.daemon.id().cast_signed());
        if let Some(pid) = pid.filter(|_| matches!(self.daemon.try_wait(), Ok(None))) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.daemon.wait();
    }
}

fn inside(order: &mut Order, name: Option<&str>, id: Option<&str>) {
    let Action::Script(script) = &mut order.action else { panic!() };
    script.container = Some(Container { name: name.map(str::to_owned), id: id.map(str::to_owned) });
    script.cwd = None;
}

async fn fleet(socket: &Path) -> Fleet {
    let mut fleet = Fleet::new().await;
    fleet.enrol().await;
    fleet.configure(&format!("grace_s = 1\n[containers]\ndocker = \"{}\"\n", socket.display()));
    fleet.run().await;
    fleet
}

/// A number that no other process of this machine has on its command line.
fn mark(salt: u32) -> String {
    format!("{}.{salt}", 900_000 + std::process::id())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_runs_stops_and_times_out_in_a_container_of_a_real_runtime() {
    let Some(runtime) = Runtime::start("a_script_runs_stops_and_times_out_in_a_container_of_a_real_runtime") else {
        return;
    };
    let mut fleet = fleet(&runtime.socket()).await;
    let one = |order: &mut Order| inside(order, Some("box-one"), None);

    // Run: user, directory, environment, input, both streams, exit code.
    let text = "id -un; pwd; echo \"$GREETING\"; cat; echo err >&2; exit 7";
    let done = fleet.outcome(text, |order| {
        inside(order, Some("docker://box-one"), Some(&runtime.id()));
        let Action::Script(ScriptAction { environment, cwd, user, stdin, .. }) = &mut order.action else { panic!() };
        environment.insert("GREETING".to_owned(), "$(id) 'quoted' \\n".to_owned());
        (*cwd, *user, *stdin) = (Some("/srv".to_owned()), Some("web".to_owned()), Some("input\n".to_owned()));
    });
    let done = done.await;
    assert_eq!((done.status(), done.receipt.exit_code), ("Failed", Some(7)), "{}", done.reason());
    assert_eq!(done.stdout(), "web\n/srv\n$(id) 'quoted' \\n\ninput\n");
    assert_eq!(done.text(Stream::Stderr), "err\n");

    // What it leaves in the background ends with it, a session of its own too.
    let left = mark(1);
    let done = fleet.outcome(&format!("setsid sleep {left} & echo done"), one).await;
    assert_eq!((done.status(), processes(&left)), ("Success", vec![]));

    // Output has its cap, and its digest goes over all of it.
    let text = "i=0; while [ $i -lt 20000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done";
    let done = fleet.outcome(text, one).await;
    assert_eq!((done.status(), done.receipt.output.bytes), ("Success", 820_000), "{}", done.reason());

    // A time-out ends what ignores SIGTERM and has a session of its own.
    let (child, grandchild) = (mark(2), mark(3));
    let text = format!("(setsid sh -c 'trap \"\" TERM; sleep {grandchild}' &) ; trap '' TERM; sleep {child}");
    let done = fleet.outcome(&text, |order| (one(order), timeout(order, 1)).0).await;
    assert_eq!(
        (done.status(), done.receipt.code.as_deref()),
        ("Timeout", Some("ExecutionTimeout")),
        "{}",
        done.reason()
    );
    assert_eq!((processes(&child), processes(&grandchild)), (vec![], vec![]));

    // So does a stop; and what it said before is kept.
    let stopped = mark(4);
    let order = fleet.script(&format!("echo begun; (setsid sleep {stopped} &); sleep {stopped}"), one);
    until(|| processes(&stopped).len() >= 2).await;
    fleet.stop(order, "t-5");
    let done = fleet.ended(order).await;
    assert_eq!((done.status(), done.stdout().as_str(), processes(&stopped)), ("Terminated", "begun\n", vec![]));

    // An agent that is killed ends what it left when it is there again.
    let left = mark(5);
    let order = fleet.script(&format!("(setsid sleep {left} &); sleep {left}"), one);
    until(|| processes(&left).len() >= 2).await;
    fleet.kill().await;
    fleet.run().await;
    let done = fleet.ended(order).await;
    assert_eq!((done.status(), done.receipt.code.as_deref()), ("Error", Some("ExecutionInterrupted")));
    assert_eq!(processes(&left), Vec::<u32>::new());

    refusals(&fleet, &runtime).await;
    let state = runtime.ask(&["inspect", "--format={{.State.Running}}", "box-one"]).unwrap();
    assert_eq!(state, "true", "the container itself was let be");
    fleet.end().await;
}

/// What cannot run says why, under the codes of ECS API 5.7.
async fn refusals(fleet: &Fleet, runtime: &Runtime) {
    let id = runtime.id();
    let cases: [(&str, Option<&str>, Option<&str>, &str); 6] = [
        ("ContainerNotFound", Some("box-three"), None, "box-three"),
        // The runtime's own search would find one that begins so.
        ("ContainerNotFound", Some("box"), None, "box"),
        ("ContainerStateAbnormal", Some("box-two"), None, "exited"),
        ("ContainerNameAndIdNotMatch", Some("box-two"), Some(&id), "box-two"),
        ("UnsupportedContainerRuntime", Some("containerd://box-one"), None, "containerd"),
        ("InvalidContainerId", None, Some("abc"), "container id"),
    ];
    for (code, name, id, told) in cases {
        let done = fleet.outcome("true", |order| inside(order, name, id)).await;
        assert_eq!((done.status(), done.receipt.code.as_deref()), ("Invalid", Some(code)), "{}", done.reason());
        assert!(done.reason().contains(told), "{code}: {}", done.reason());
    }
    for (code, change) in
        [("AccountNotExists", (Some("nobody-here"), None)), ("DirectoryNotExists", (None, Some("/no/such/directory")))]
    {
        let done = fleet.outcome("true", |order| {
            inside(order, Some("box-one"), None);
            let Action::Script(ScriptAction { user, cwd, .. }) = &mut order.action else { panic!() };
            (*user, *cwd) = (change.0.map(str::to_owned), change.1.map(str::to_owned));
        });
        let done = done.await;
        assert_eq!((done.status(), done.receipt.code.as_deref()), ("Invalid", Some(code)), "{}", done.reason());
    }
    let trial = fleet.outcome("touch /tmp/never", |order| {
        inside(order, Some("box-one"), None);
        order.repeat = Repeat::DryRun;
    });
    let trial = trial.await;
    assert_eq!(trial.status(), "Success", "{}", trial.reason());
    assert!(trial.stdout().contains(&format!("container: {id}")), "{}", trial.stdout());
}

async fn until(holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "it is never so");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_runtime_or_where_the_owner_forbids_it_nothing_runs_and_the_reason_is_told() {
    if !root("without_a_runtime_or_where_the_owner_forbids_it_nothing_runs_and_the_reason_is_told") {
        return;
    }
    let mut fleet = fleet(Path::new("/no/such/socket")).await;
    let done = fleet.outcome("true", |order| inside(order, Some("box-one"), None)).await;
    assert_eq!((done.status(), done.receipt.code.as_deref()), ("Invalid", Some("UnsupportedContainerRuntime")));
    assert!(done.reason().contains("/no/such/socket"), "{}", done.reason());
    // A socket on which nobody listens.
    let deaf = fleet.dir.path().join("deaf.sock");
    drop(std::os::unix::net::UnixListener::bind(&deaf).unwrap());
    fleet.end().await;
    fleet.configure(&format!("[containers]\ndocker = \"{}\"\n", deaf.display()));
    fleet.run().await;
    let done = fleet.outcome("true", |order| inside(order, Some("box-one"), None)).await;
    assert_eq!((done.status(), done.receipt.code.as_deref()), ("Error", Some("ContainerConnectFailed")));
    fleet.end().await;
    fleet.configure("[containers]\nenabled = false\n");
    fleet.run().await;
    let done = fleet.outcome("true", |order| inside(order, Some("box-one"), None)).await;
    assert_eq!(done.status(), "Invalid");
    assert!(done.reason().contains("containers.enabled"), "{}", done.reason());
    fleet.end().await;
}
