//! The pages in `docs/use-cases/`: each line after `$` is run as it is written, by one shell for a page, against a real server and a
//! real agent; each line of output that a page shows must come, in its order, `…` standing for anything.
//!
//! What the lines do happens to nobody's machine: the agent has host name and mounts of its own (`unshare`), in which `/etc` is a copy
//! and `/srv` is empty. `apt-get` and `systemctl` are stand-ins in that agent's `/usr/local/sbin`; all other programs are the real ones.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output};

use orderly_tests::fleet::Fleet;
use orderly_tests::process::Program;
use orderly_tests::{programs, wait};

/// Gives the agent a world of its own and becomes it. The first word is a folder for what is in the place of the machine's.
const WORLD: &str = r#"
set -e
cp -a /etc "$1/etc"
mount --bind "$1/etc" /etc
mount -t tmpfs none /srv
mount --bind "$1/sbin" /usr/local/sbin
shift
exec "$@"
"#;

/// One package is open until it is upgraded.
const APT_GET: &str = r#"#!/bin/sh
case "$*" in
*--simulate*) [ -e /srv/upgraded ] || echo 'Inst openssl [3.0.1] (3.0.2 security)' ;;
*) touch /srv/upgraded; echo 'Setting up openssl (3.0.2) ...' ;;
esac
"#;

/// Every service does what it is told.
const SYSTEMCTL: &str = r#"#!/bin/sh
case "$1" in
is-active) echo active ;;
is-enabled) echo enabled ;;
esac
"#;

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// An instance `web-1` with the tag `role=web`, in a world of its own.
fn scene() -> (Fleet, Program) {
    let fleet = Fleet::start_bare();
    let good = |arguments: &[&str]| {
        let output = fleet.run(arguments);
        assert!(output.status.success(), "orderly {arguments:?}: {}", text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    good(&["trust", "init", "--fleet", "demo"]);
    let printed = good(&["activation", "create", "--tag", "role=web"]);
    let line = printed.lines().find_map(|line| line.find("orderly-agent enrol").map(|at| &line[at..]));
    let (data, world) = (fleet.path("agent"), fleet.path("world"));
    let mut enrol = Command::new(programs::built(programs::AGENT));
    enrol.args(line.expect("an enrolment line").split_whitespace().skip(1)).arg("--data-dir").arg(&data);
    let output = enrol.args(["--name", "web-1"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    fs::create_dir_all(world.join("sbin")).unwrap();
    for (name, script) in [("apt-get", APT_GET), ("systemctl", SYSTEMCTL)] {
        let path = world.join("sbin").join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let mut run = Command::new("unshare");
    run.args(["--uts", "--mount", "sh", "-c", WORLD, "sh"]).arg(&world).arg(programs::built(programs::AGENT));
    let agent = Program::start("orderly-agent", run.arg("run").arg("--data-dir").arg(&data));
    wait::until("the instance to be online", wait::SOON, || {
        good(&["instance", "list", "-o", "jsonl"]).contains("\"online\":true").then_some(())
    });
    (fleet, agent)
}

/// A line of a page with what is shown beneath it.
struct Step {
    line: String,
    shown: Vec<String>,
}

/// The steps of a page.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    // Odd pieces are the ones between fences; the first line of one is its language.
    for block in page.split("```").skip(1).step_by(2) {
        let (language, lines) = block.split_once('\n').expect("a block has lines");
        assert_eq!(language, "console", "what is not run is not shown");
        for line in lines.lines() {
            match line.strip_prefix("$ ") {
                Some(line) => steps.push(Step { line: line.to_owned(), shown: Vec::new() }),
                None => steps.last_mut().expect("a line before its output").shown.push(line.to_owned()),
            }
        }
    }
    steps
}

/// Whether a line is what a page shows, where `…` stands for anything.
fn is_shown(line: &str, shown: &str) -> bool {
    let pieces: Vec<&str> = shown.split('…').collect();
    let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { return false };
    let mut rest = line;
    pieces.iter().all(|piece| rest.find(piece).map(|at| rest = &rest[at + piece.len()..]).is_some())
        && line.starts_with(first)
        && line.ends_with(last)
}

/// Whether the lines can be run here.
fn possible() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("host names, accounts and mounts are root's, in a world of one's own too".to_owned());
    }
    let output = Command::new("unshare").args(["--uts", "--mount", "true"]).output();
    match output.map_err(|error| format!("`unshare` does not start: {error}"))? {
        output if output.status.success() => Ok(()),
        output => Err(format!("there is no world of one's own here: {}", text(&output))),
    }
}

fn page(name: &str) {
    let page = fs::read_to_string(programs::root().join("docs/use-cases").join(name)).unwrap();
    let steps = steps(&page);
    assert!(steps.len() > 2, "{name} shows nothing");
    if let Err(why) = possible() {
        assert!(std::env::var_os("CI").is_none(), "needed in CI: {why}");
        println!("skipped: {name} was only read: {why}");
        return;
    }
    let (fleet, _agent) = scene();
    let mut script = String::from("set -e\n");
    for (number, step) in steps.iter().enumerate() {
        script += &format!("echo '@@ {number}'\n{}\n", step.line);
    }
    let orderly = fleet.orderly();
    let folder = programs::built(programs::ORDERLY).parent().unwrap().display().to_string();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec 2>&1\n{script}")]).env("PATH", path).current_dir(fleet.path("world"));
    shell.envs(orderly.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = shell.output().unwrap();
    let told = text(&output);
    assert!(output.status.success(), "{name}: {}\n{told}", output.status);
    let mut parts: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    let mut at = 0;
    for line in told.lines() {
        match line.strip_prefix("@@ ") {
            Some(number) => at = number.parse().unwrap(),
            None => parts.entry(at).or_default().push(line),
        }
    }
    for (number, step) in steps.iter().enumerate() {
        let mut lines = parts.get(&number).map(Vec::as_slice).unwrap_or_default().iter();
        for shown in &step.shown {
            assert!(
                lines.any(|line| is_shown(line, shown)),
                "{name}: `{}` does not show `{shown}`:\n{told}",
                step.line
            );
        }
    }
}

#[test]
fn what_a_page_shows_is_there_or_it_is_not_shown() {
    assert!(is_shown("Success t-01", "Success t-…") && is_shown("a b c", "…b…") && is_shown("a", "a"));
    assert!(!is_shown("a b", "a") && !is_shown("no Success t-01", "Success t-…") && !is_shown("b a", "…a…b…"));
}

macro_rules! pages {
    ($($test:ident $name:literal;)*) => {
        $(#[test]
        fn $test() {
            page($name);
        })*

        #[test]
        fn every_use_case_is_run() {
            let folder = programs::root().join("docs/use-cases");
            let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            assert_eq!(names, [$($name),*]);
        }
    };
}

pages! {
    instance_configuration "instance-configuration.md";
    life_cycle "life-cycle.md";
    package_management "package-management.md";
    process_monitoring "process-monitoring.md";
    security_patching "security-patching.md";
    software_deployment "software-deployment.md";
}
