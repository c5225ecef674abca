//! A file that is larger than any buffer, to many agents and back, over a network that cuts.
//!
//! Fills the machine, so it runs alone.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Output;

use orderly_signing::key::file::save_secret;
use orderly_signing::{Digest, DigestWriter};
use orderly_tests::agent::Agent;
use orderly_tests::fleet::Fleet;
use orderly_tests::proxy::{Proxy, Way};

use crate::files::names;

const LARGE_BYTES: u64 = 200 * 1024 * 1024;
const AGENTS: usize = 20;

/// What a process may need beside its program's pages while it moves [`LARGE_BYTES`]: it was 3 MiB when this was written.
const AGENT_DATA_KIB: u64 = 10 * 1024;
/// The server has the twenty agents' connections, and its database: 18 MiB.
const SERVER_DATA_KIB: u64 = 64 * 1024;

/// The command line by the proxy, with the operator's key.
fn orderly(fleet: &Fleet, proxy: &Proxy, arguments: &[&str]) -> Output {
    let mut command = fleet.orderly();
    command.env("ORDERLY_SERVER", format!("https://{}", proxy.address)).args(arguments);
    command.output().expect("the command line starts")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Writes bytes that do not repeat, and digests them.
fn generate(path: &Path) -> Digest {
    let mut block = vec![0_u8; 1024 * 1024];
    getrandom::fill(&mut block).unwrap();
    let (mut file, mut digest) = (File::create(path).unwrap(), DigestWriter::new());
    for number in 0..LARGE_BYTES / block.len() as u64 {
        block[..8].copy_from_slice(&number.to_le_bytes());
        file.write_all(&block).unwrap();
        digest.update(&block);
    }
    digest.finish()
}

fn digest(path: &Path) -> Digest {
    let (mut file, mut digest) = (File::open(path).unwrap(), DigestWriter::new());
    let mut block = vec![0_u8; 1024 * 1024];
    loop {
        let count = file.read(&mut block).unwrap();
        if count == 0 {
            return digest.finish();
        }
        digest.update(&block[..count]);
    }
}

#[test]
fn two_hundred_megabytes_to_twenty_agents_and_back_over_a_network_that_cuts() {
    let mut fleet = Fleet::start();
    let proxy = Proxy::start(fleet.runtime.handle(), fleet.address);
    let key = fleet.path("operator.pem");
    save_secret(&key, &fleet.trust.operator).unwrap();
    let key = key.display().to_string();
    let mut agents: Vec<Agent> =
        (0..AGENTS).map(|number| Agent::behind(&fleet, &proxy, &format!("agent-{number}"))).collect();
    let large = fleet.path("large");
    let wanted = generate(&large);
    let (large, folder, back) = (large.display().to_string(), fleet.path("placed"), fleet.path("back"));
    let placed = folder.join("large").display().to_string();
    let common = ["--all", "--key", key.as_str(), "--timeout", "10m"];

    // All agents are on one machine and put the file at one place, each by a staged file of its own: whoever comes last has it.
    proxy.cut(Way::Up, LARGE_BYTES / 3);
    for _ in 0..4 {
        proxy.cut(Way::Down, LARGE_BYTES / 2);
    }
    let to = folder.display().to_string();
    let push = [&["file", "push", large.as_str(), "--to", to.as_str(), "--overwrite"], common.as_slice()].concat();
    let output = orderly(&fleet, &proxy, &push);
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(proxy.armed(), 0, "a cut was not reached on the way to the agents");
    assert_eq!((digest(Path::new(&placed)), names(&folder)), (wanted, vec!["large".to_owned()]));

    for _ in 0..4 {
        proxy.cut(Way::Up, LARGE_BYTES / 2);
    }
    proxy.cut(Way::Down, LARGE_BYTES / 2);
    let to = back.display().to_string();
    let pull = [&["file", "pull", placed.as_str(), "--to", to.as_str()], common.as_slice()].concat();
    let output = orderly(&fleet, &proxy, &pull);
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(proxy.armed(), 0, "a cut was not reached on the way back");
    let mut ids: Vec<String> = agents.iter().map(|agent| agent.id.to_string()).collect();
    ids.sort();
    assert_eq!(names(&back), ids, "instances of one name have their ids as folders");
    for id in ids {
        assert_eq!((digest(&back.join(&id).join("large")), names(&back.join(&id)).len()), (wanted, 1));
    }
    assert!(names(&fleet.path("server/blobs/parts")).is_empty());
    let memories: Vec<_> = agents.iter_mut().map(|agent| agent.program().memory()).collect();
    println!("the largest agent: {:?}", memories.iter().max_by_key(|memory| memory.peak_data_kib()));
    for memory in memories {
        assert!(memory.peak_data_kib() < AGENT_DATA_KIB, "{memory:?}");
    }
    let memory = fleet.server().memory();
    println!("the server: {memory:?}");
    assert!(memory.peak_data_kib() < SERVER_DATA_KIB, "{memory:?}");
}
