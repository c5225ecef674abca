#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};

use super::*;

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
