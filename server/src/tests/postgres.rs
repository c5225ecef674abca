//! A PostgreSQL of the test's own: a cluster in a temporary directory, on loopback, ended with the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use sqlx::Connection as _;
use tempfile::TempDir;

use super::until;

/// The programs of an installed PostgreSQL, the newest, or why there are none.
pub(crate) fn installed() -> Result<PathBuf, String> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists() && bin.join("postgres").exists())
        .collect();
    found.sort();
    found
        .pop()
        .ok_or_else(|| "no `/usr/lib/postgresql/*/bin/initdb`; `apt-get install postgresql` brings it".to_owned())
}

/// A running cluster.
pub(crate) struct Cluster {
    server: Child,
    port: u16,
    _directory: TempDir,
}

/// PostgreSQL refuses to run as root, so it runs as the user `postgres` there.
fn as_postgres(command: &mut Command) {
    if rustix::process::getuid().is_root() {
        let [uid, gid] = ["-u", "-g"].map(|which| {
            let out = Command::new("id").args([which, "postgres"]).output().expect("`id`");
            String::from_utf8_lossy(&out.stdout).trim().parse::<u32>().expect("a user `postgres`")
        });
        command.uid(uid).gid(gid);
    }
}

impl Cluster {
    pub(crate) async fn start(bin: &std::path::Path) -> Self {
        let directory = TempDir::new().unwrap();
        if rustix::process::getuid().is_root() {
            let status = Command::new("chown").arg("postgres").arg(directory.path()).status().unwrap();
            assert!(status.success());
        }
        let data = directory.path().join("data");
        let mut init = Command::new(bin.join("initdb"));
        init.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", "orderly", "-D"]).arg(&data);
        as_postgres(&mut init);
        let done = init.current_dir("/").output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Command::new(bin.join("postgres"));
        server.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k"]).arg(directory.path());
        server.args(["-c", "fsync=off"]).current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
        as_postgres(&mut server);
        let server = server.spawn().unwrap();
        let cluster = Self { server, port, _directory: directory };
        let url = cluster.url("postgres");
        until("PostgreSQL", async || sqlx::PgConnection::connect(&url).await.ok()).await.close().await.unwrap();
        cluster
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://orderly@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes a database and answers its URL.
    pub(crate) async fn database(&self, name: &str) -> String {
        let mut connection = sqlx::PgConnection::connect(&self.url("postgres")).await.unwrap();
        let mut create = sqlx::QueryBuilder::<sqlx::Postgres>::new("CREATE DATABASE ");
        create.push(name).build().execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        self.url(name)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // QUIT is its immediate shutdown, which takes its children along.
        if let Ok(pid) = i32::try_from(self.server.id())
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
        }
        let _ = self.server.wait();
    }
}
