//! The check alone, without any box around it: what it refuses must be refused where Landlock is missing too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use orderly_model::capability::Capabilities;
use types::HostDescriptor as _;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use super::*;
use crate::line::Line;

struct World {
    place: tempfile::TempDir,
    root: PathBuf,
    table: ResourceTable,
    wasi: WasiCtx,
    guard: FileGuard,
    recorder: Recorder,
}

/// `etc` holds granted and other files; its neighbour `out` holds none that is granted.
fn world(read: &[&str], write: &[&str]) -> World {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().canonicalize().unwrap();
    for directory in ["etc/ssh/deep", "etc/sshx", "out"] {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    for file in ["etc/passwd", "etc/shadow", "etc/ssh/config", "etc/ssh/deep/x", "etc/sshx/y", "out/secret"] {
        std::fs::write(root.join(file), file).unwrap();
    }
    symlink("../passwd", root.join("etc/ssh/to-granted")).unwrap();
    symlink("../shadow", root.join("etc/ssh/to-neighbour")).unwrap();
    symlink("../../out/secret", root.join("etc/ssh/out")).unwrap();
    symlink(root.join("out/secret"), root.join("etc/ssh/absolute")).unwrap();
    symlink("../sshx", root.join("etc/ssh/directory")).unwrap();
    symlink("config", root.join("etc/ssh/inner")).unwrap();
    let patterns =
        |texts: &[&str]| texts.iter().map(|text| format!("{}/{text}", root.display()).parse().unwrap()).collect();
    let guard = FileGuard::new(&Capabilities {
        files_read: patterns(read),
        files_write: patterns(write),
        ..Capabilities::none()
    });
    let mut wasi = WasiCtxBuilder::new();
    wasi.allow_blocking_current_thread(true);
    for preopen in guard.preopens(Path::is_dir) {
        let perms = if preopen.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
        wasi.preopened_dir(&preopen.path, preopen.path.to_string_lossy(), perms).unwrap();
    }
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(theirs);
    let recorder = Recorder::new(Line::open(ours.into()).unwrap(), false);
    World { root, place, table: ResourceTable::new(), wasi: wasi.build(), guard, recorder }
}

impl World {
    fn files(&mut self) -> CheckedFiles<'_> {
        let inner = WasiFilesystemCtxView { ctx: self.wasi.filesystem(), table: &mut self.table };
        CheckedFiles { inner, guard: &self.guard, recorder: &self.recorder }
    }

    fn directory(&mut self, name: &str) -> Handle {
        let wanted = self.root.join(name).to_string_lossy().into_owned();
        let mut all = preopens::Host::get_directories(&mut self.files()).unwrap();
        let place = all.iter().position(|(_, path)| *path == wanted).unwrap_or_else(|| panic!("no {wanted}"));
        all.swap_remove(place).0
    }

    async fn open(
        &mut self,
        directory: &str,
        path: &str,
        oflags: OpenFlags,
        flags: DescriptorFlags,
    ) -> Result<Handle, ErrorCode> {
        let handle = self.directory(directory);
        let opened = self.files().open_at(handle, PathFlags::SYMLINK_FOLLOW, path.to_owned(), oflags, flags).await;
        opened.map_err(|error| error.downcast().unwrap())
    }

    async fn read(&mut self, directory: &str, path: &str) -> Result<String, ErrorCode> {
        let handle = self.open(directory, path, OpenFlags::empty(), DescriptorFlags::READ).await?;
        let (bytes, _) = self.files().read(handle, 100, 0).await.map_err(|error| error.downcast().unwrap())?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    async fn stat(&mut self, directory: &str, path: &str) -> Result<(), ErrorCode> {
        let handle = self.directory(directory);
        let answer = self.files().stat_at(handle, PathFlags::SYMLINK_FOLLOW, path.to_owned()).await;
        answer.map(drop).map_err(|error| error.downcast().unwrap())
    }
}

#[tokio::test]
async fn a_grant_for_one_file_opens_that_file_only() {
    let mut world = world(&["etc/passwd"], &[]);
    assert_eq!(world.read("etc", "passwd").await, Ok("etc/passwd".to_owned()));
    assert_eq!(world.read("etc", "ssh/../passwd").await, Ok("etc/passwd".to_owned()));
    for other in [
        "shadow",
        "ssh/config",
        "sshx/y",
        "../out/secret",
        "/etc/passwd",
        "ssh/out",
        "ssh/absolute",
        "ssh/to-neighbour",
    ] {
        assert_eq!(world.read("etc", other).await, Err(ErrorCode::NotPermitted), "{other}");
        assert!(world.stat("etc", other).await.is_err(), "{other}");
    }
    // The way is open to see, not to list.
    let handle = world.open("etc", ".", OpenFlags::DIRECTORY, DescriptorFlags::READ).await.unwrap();
    let listed = world.files().read_directory(handle).await.map(drop);
    assert_eq!(listed.map_err(|error| error.downcast().unwrap()), Err(ErrorCode::NotPermitted));
}

#[tokio::test]
async fn links_lead_only_to_what_is_granted() {
    let mut world = world(&["etc/passwd", "etc/ssh/**"], &[]);
    assert_eq!(world.read("etc", "ssh/to-granted").await, Ok("etc/passwd".to_owned()));
    assert_eq!(world.read("etc/ssh", "inner").await, Ok("etc/ssh/config".to_owned()));
    assert_eq!(world.read("etc/ssh", "deep/../deep/x").await, Ok("etc/ssh/deep/x".to_owned()));
    for escape in
        ["to-granted", "to-neighbour", "out", "absolute", "directory/y", "../passwd", "deep/../../shadow", "directory/"]
    {
        assert_eq!(world.read("etc/ssh", escape).await, Err(ErrorCode::NotPermitted), "{escape}");
    }
    for escape in ["ssh/to-neighbour", "ssh/directory/y", "ssh/directory/../shadow"] {
        assert_eq!(world.read("etc", escape).await, Err(ErrorCode::NotPermitted), "{escape}");
    }
}

#[tokio::test]
async fn reading_grants_do_not_write() {
    let mut world = world(&["etc/**"], &[]);
    for (oflags, flags) in [
        (OpenFlags::empty(), DescriptorFlags::WRITE),
        (OpenFlags::TRUNCATE, DescriptorFlags::READ),
        (OpenFlags::TRUNCATE, DescriptorFlags::WRITE),
        (OpenFlags::CREATE, DescriptorFlags::WRITE),
    ] {
        assert_eq!(
            world.open("etc", "passwd", oflags, flags).await.map(drop),
            Err(ErrorCode::NotPermitted),
            "{oflags:?}"
        );
    }
    let made = world.open("etc", "new", OpenFlags::CREATE, DescriptorFlags::WRITE).await.map(drop);
    assert_eq!(made, Err(ErrorCode::NotPermitted));
    let handle = world.directory("etc");
    assert!(world.files().unlink_file_at(handle, "passwd".to_owned()).await.is_err());
    assert_eq!(std::fs::read_to_string(world.root.join("etc/passwd")).unwrap(), "etc/passwd");
}

#[tokio::test]
async fn writing_stays_within_its_grant_and_makes_no_links() {
    let mut world = world(&["etc/**"], &["etc/ssh/**"]);
    assert!(world.open("etc/ssh", "new", OpenFlags::CREATE, DescriptorFlags::WRITE).await.is_ok());
    assert!(world.root.join("etc/ssh/new").is_file());
    for escape in ["../new", "out", "to-neighbour", "directory/new", "to-granted"] {
        let opened =
            world.open("etc/ssh", escape, OpenFlags::CREATE | OpenFlags::TRUNCATE, DescriptorFlags::WRITE).await;
        assert!(opened.is_err(), "{escape}");
    }
    let (from, to) = (world.directory("etc/ssh"), world.directory("etc"));
    let renamed = world.files().rename_at(from, "config".to_owned(), to, "stolen".to_owned()).await;
    assert!(renamed.is_err() && world.root.join("etc/ssh/config").exists());
    let handle = world.directory("etc/ssh");
    assert!(world.files().symlink_at(handle, "config".to_owned(), "link".to_owned()).await.is_err());
    let handle = world.directory("etc/ssh");
    assert!(world.files().create_directory_at(handle, "made".to_owned()).await.is_ok());
    let handle = world.directory("etc/ssh");
    assert!(world.files().remove_directory_at(handle, "made/".to_owned()).await.is_ok());
    let handle = world.directory("etc/ssh");
    // Removing a link removes the link, never what it leads to.
    assert!(world.files().unlink_file_at(handle, "out".to_owned()).await.is_ok());
    assert!(world.root.join("out/secret").exists() && !world.root.join("etc/ssh/out").exists());
}

#[tokio::test]
async fn what_is_not_there_is_not_found_rather_than_denied() {
    let mut world = world(&["etc/none/**", "etc/absent"], &[]);
    assert_eq!(world.read("etc", "none/file").await, Err(ErrorCode::NoEntry));
    assert_eq!(world.read("etc", "absent").await, Err(ErrorCode::NoEntry));
    assert!(world.place.path().exists());
}

#[tokio::test]
async fn uses_are_counted_by_what_was_resolved() {
    let mut world = world(&["etc/passwd", "etc/ssh/**"], &[]);
    world.read("etc", "ssh/to-granted").await.unwrap();
    world.read("etc", "passwd").await.unwrap();
    let _ = world.read("etc", "shadow").await;
    let lines = world.recorder.lines();
    let expected = format!("files.read {}", world.root.join("etc/passwd").display());
    assert_eq!(lines.iter().map(|line| (line.capability.clone(), line.count)).collect::<Vec<_>>(), [(expected, 2)]);
}

/// The recorder's line keeps its parent alive in no way: nobody listens, and nothing fails.
#[tokio::test]
async fn nobody_listening_is_no_obstacle() {
    let mut world = world(&["etc/passwd"], &[]);
    world.recorder = {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        drop(theirs);
        Recorder::new(Arc::clone(&Line::open(ours.into()).unwrap()), true)
    };
    assert!(world.read("etc", "passwd").await.is_ok());
}
