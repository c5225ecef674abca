#![allow(clippy::unwrap_used)]
use super::*;

const ALL: Quota = Quota { cpu_percent: Some(150), memory_bytes: Some(64 << 20), processes: Some(7) };

#[test]
fn the_words_of_v2_are_the_kernels() {
    let words: Vec<_> = ALL.unified().into_iter().map(|(file, text, _)| (file, text)).collect();
    let expected = [
        ("cpu.max", "150000 100000"),
        ("memory.max", "67108864"),
        ("memory.swap.max", "0"),
        ("memory.oom.group", "1"),
        ("pids.max", "7"),
    ];
    assert_eq!(words, expected.map(|(file, text)| (file, text.to_owned())));
    assert!(Quota::default().unified().is_empty());
}

#[test]
fn the_words_of_v1_are_the_kernels_each_for_its_controller() {
    let words = |controller| {
        let words = ALL.split(controller).into_iter();
        words.map(|(file, text, _)| format!("{file}={text}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(words("cpu"), "cpu.cfs_period_us=100000 cpu.cfs_quota_us=150000");
    assert_eq!(words("memory"), "memory.limit_in_bytes=67108864 memory.memsw.limit_in_bytes=67108864");
    assert_eq!(words("pids"), "pids.max=7");
    let one = Quota { processes: Some(1), ..Quota::default() };
    assert!(one.split("cpu").is_empty() && one.split("memory").is_empty());
}

#[test]
fn a_place_is_beneath_ones_own_cgroup_before_it_is_at_the_top() {
    let mounts = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
    let own = "4:memory:/a/b\n1:cpu,cpuacct:/\n0::/system.slice/x.service\n";
    let places = |controller| candidates(mounts, own, controller, "o");
    let paths = |texts: &[&str]| texts.iter().map(PathBuf::from).collect::<Vec<_>>();
    assert_eq!(places(Some("memory")), paths(&["/sys/fs/cgroup/memory/a/b/o", "/sys/fs/cgroup/memory/o"]));
    assert_eq!(places(Some("cpu")), paths(&["/sys/fs/cgroup/cpu,cpuacct/o"]));
    assert_eq!(places(Some("pids")), paths(&[]));
    let unified = "/sys/fs/cgroup/unified";
    assert_eq!(places(None), paths(&[&format!("{unified}/system.slice/x.service/o"), &format!("{unified}/o")]));
}

#[test]
fn a_controller_that_is_not_there_is_named() {
    let place = Place::Split(vec![("cpu", PathBuf::new())]);
    assert!(place.holds(&ALL).unwrap_err().contains("memory"));
    assert!(place.holds(&Quota { cpu_percent: Some(1), ..Quota::default() }).is_ok());
    assert!(Place::Unified(PathBuf::new()).holds(&ALL).is_ok());
}

#[test]
fn the_kernels_counters_are_read_by_their_whole_names() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("memory.events"), "oom 3\noom_kill 2\noom_group_kill 1\n").unwrap();
    assert_eq!(counter(directory.path(), "memory.events", "oom_kill"), 2);
    assert_eq!(counter(directory.path(), "memory.events", "oom"), 3);
    assert_eq!(counter(directory.path(), "no.such", "oom"), 0);
}
