#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::*;
use crate::directory::Directory;

fn own() -> Owner {
    Owner::find(None, None).unwrap()
}

fn refused(directory: &str, name: &str) -> ResultCode {
    let place = check_directory(directory).and_then(|()| check_name(name));
    place.expect_err(&format!("{directory} {name}")).code()
}

fn names(folder: &std::path::Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn path_escapes_by_dot_dot_zero_bytes_and_relative_paths_are_refused_by_name() {
    for directory in ["/a/../etc", "/..", "/a/..", "..", "etc", "", "/a\0/b", "./a"] {
        assert_eq!(refused(directory, "f"), ResultCode::FilePathInvalid, "{directory:?}");
        assert!(Place::make(directory, own()).is_err(), "{directory:?} is walked");
    }
    for name in ["", ".", "..", "../f", "a/b", "/etc/passwd", "a\0"] {
        assert_eq!(refused("/tmp", name), ResultCode::FileNameInvalid, "{name:?}");
    }
    assert!(check_directory("//a/./b/...").is_ok() && check_name("...").is_ok());
}

#[test]
fn directories_that_were_made_go_where_nothing_came_of_them_and_only_those() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().canonicalize().unwrap();
    fs::create_dir(path.join("old")).unwrap();
    let deep = path.join("old/new/deep").display().to_string();
    let place = Place::make(&deep, own()).unwrap();
    assert_eq!(fs::metadata(&deep).unwrap().mode() & 0o7777, 0o755);
    drop(place);
    assert_eq!((names(&path), names(&path.join("old")).len()), (vec!["old".to_owned()], 0));
    let place = Place::make(&deep, own()).unwrap();
    fs::write(path.join("old/new/of-another"), "").unwrap();
    drop(place);
    assert_eq!(names(&path.join("old/new")), ["of-another"], "somebody else's file went with the directory");
}

#[test]
fn a_planted_staged_file_is_neither_opened_nor_removed() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().canonicalize().unwrap();
    let secret = path.join("secret");
    fs::write(&secret, "s").unwrap();
    for (name, planted) in [(".f.orderly-1", true), (".f.orderly-2", false)] {
        if planted {
            fs::write(path.join(name), "planted").unwrap();
        } else {
            symlink(&secret, path.join(name)).unwrap();
        }
        let place = Place::find(&path.display().to_string()).unwrap();
        assert!(Staged::create(place, name.to_owned()).is_err(), "{name}");
        assert!(path.join(name).symlink_metadata().is_ok(), "{name} is gone");
    }
    assert_eq!(fs::read(&secret).unwrap(), b"s");
    let one = staged::name_for("f").unwrap();
    assert!(one.starts_with(".f.orderly-") && one != staged::name_for("f").unwrap(), "{one} can be foreseen");
    assert!(staged::name_for(&"é".repeat(127)).unwrap().len() < 255);
}

#[test]
fn a_link_that_is_put_in_the_files_place_meanwhile_is_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().canonicalize().unwrap();
    let directory = path.join("d");
    fs::create_dir(&directory).unwrap();
    fs::write(path.join("secret"), "s").unwrap();
    let place = Place::make(&directory.display().to_string(), own()).unwrap();
    let mut staged = Staged::create(place, ".f.orderly-1".to_owned()).unwrap();
    staged.write(b"content").unwrap();
    assert_eq!(staged.content(), (Digest::of(b"content"), 7));
    // The directory is exchanged as well: what was walked to is what is written to.
    fs::rename(&directory, path.join("moved")).unwrap();
    symlink(&path, &directory).unwrap();
    symlink(path.join("secret"), path.join("moved/f")).unwrap();
    let finish = Finish { name: "f", owner: own(), mode: 0o600, overwrite: true };
    staged.complete(&finish).unwrap();
    assert!(matches!(staged.put(&finish), Err(PlaceError::NoFile { .. })));
    assert_eq!(fs::read(path.join("secret")).unwrap(), b"s");
    assert_eq!(names(&path.join("moved")), ["f"]);
}

#[test]
fn a_link_that_others_can_exchange_is_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().canonicalize().unwrap();
    fs::create_dir_all(path.join("real/in")).unwrap();
    fs::create_dir(path.join("open")).unwrap();
    symlink(path.join("real"), path.join("open/link")).unwrap();
    for (mode, followed) in [(0o755, true), (0o777, false), (0o775, false), (0o1777, true)] {
        fs::set_permissions(path.join("open"), fs::Permissions::from_mode(mode)).unwrap();
        let found = Place::find(&path.join("open/link/in").display().to_string());
        assert_eq!(found.is_ok(), followed, "{mode:o}: {found:?}");
        assert!(followed || matches!(found, Err(PlaceError::LinkInOpen(_))));
    }
}

#[test]
fn a_directory_that_was_put_in_the_place_of_a_made_one_is_not_given_away() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("made");
    fs::create_dir(&path).unwrap();
    let is_fresh = || place::is_fresh(&fs::File::open(&path).unwrap().into()).unwrap();
    for (mode, fresh) in [(0o755, false), (0o700, true), (0o2700, true)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(is_fresh(), fresh, "{mode:o}");
    }
    fs::write(path.join("of-another"), "").unwrap();
    assert!(!is_fresh(), "not empty");
    fs::remove_file(path.join("of-another")).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        assert!(!is_fresh(), "of another user");
    }
}

#[test]
fn those_that_a_directorys_access_list_names_get_nothing_of_what_is_put_there() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().canonicalize().unwrap();
    // Version 2: the owner, user 65534, the group, the mask and all others, each with tag, permissions and number.
    let entries = [(1, 7, u32::MAX), (2, 7, 65_534), (4, 5, u32::MAX), (16, 7, u32::MAX), (32, 5, u32::MAX)];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, number) in entries {
        list.extend([u16::to_le_bytes(tag), u16::to_le_bytes(permissions)].concat());
        list.extend(number.to_le_bytes());
    }
    let set = rustix::fs::setxattr(&path, "system.posix_acl_default", &list, rustix::fs::XattrFlags::empty());
    if set == Err(rustix::io::Errno::NOTSUP) {
        println!("skipped: this file system has no access lists");
        return;
    }
    set.unwrap();
    let place = Place::make(&path.join("made").display().to_string(), own()).unwrap();
    let here = Place::make(&path.display().to_string(), own()).unwrap();
    for (place, folder) in [(place, path.join("made")), (here, path.clone())] {
        let staged = Staged::create(place, ".f.orderly-1".to_owned()).unwrap();
        let finish = Finish { name: "f", owner: own(), mode: 0o660, overwrite: false };
        staged.complete(&finish).unwrap();
        staged.put(&finish).unwrap();
        let has = |path: &std::path::Path, name| rustix::fs::getxattr(path, name, &mut [0; 256][..]).is_ok();
        assert!(!has(&folder.join("f"), "system.posix_acl_access"), "{folder:?}");
        let made = folder != path;
        assert!(!made || !has(&folder, "system.posix_acl_access") && !has(&folder, "system.posix_acl_default"));
        assert_eq!(fs::metadata(folder.join("f")).unwrap().mode() & 0o777, 0o660);
    }
}

#[test]
fn a_note_stays_until_the_end_of_its_order_is_recorded() {
    let root = tempfile::tempdir().unwrap();
    let directory = Directory::enter(&root.path().join("data")).unwrap();
    let notes = Notes::open(&directory).unwrap();
    let order = Digest::of(b"order");
    notes.write(&order, "", "").unwrap().settle(false);
    for recorded in [false, true] {
        let mut found = notes.recover();
        found.remove(&order.hex()).expect("the note").settle(recorded);
    }
    assert!(notes.recover().is_empty());
}
