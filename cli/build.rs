//! Gathers the files of `orderly plugin new`: the plugin that it begins with, the SDK and the WIT files.
//!
//! Owns the list of them, so that the program carries the very SDK that this repository tests.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = Path::new(&env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("..");
    let plugins = root.join("plugins");
    let mut files: Vec<(String, PathBuf)> = vec![
        ("workspace.toml".to_owned(), plugins.join("Cargo.toml")),
        ("Cargo.lock".to_owned(), plugins.join("Cargo.lock")),
        ("plugin/Cargo.toml".to_owned(), plugins.join("hello/Cargo.toml")),
        ("plugin/plugin.toml".to_owned(), plugins.join("hello/plugin.toml")),
        ("plugin/src/lib.rs".to_owned(), plugins.join("hello/src/lib.rs")),
    ];
    gather(&plugins.join("sdk"), "vendor/orderly-plugin", &mut files)?;
    gather(&root.join("wit"), "wit", &mut files)?;
    let mut list = String::from("[\n");
    for (name, path) in &files {
        println!("cargo:rerun-if-changed={}", path.display());
        let path = fs::canonicalize(path)?;
        // Writing into a text cannot fail.
        let _ = writeln!(list, "    ({name:?}, include_str!({path:?})),");
    }
    list.push_str("]\n");
    println!("cargo:rerun-if-changed={}", plugins.join("sdk").display());
    println!("cargo:rerun-if-changed={}", root.join("wit").display());
    fs::write(Path::new(&env::var_os("OUT_DIR").unwrap_or_default()).join("template.rs"), list)
}

fn gather(dir: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(dir)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let below = format!("{name}/{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type()?;
        if kind.is_dir() && entry.file_name() != "target" {
            gather(&entry.path(), &below, files)?;
        } else if kind.is_file() && !below.ends_with(".md") {
            files.push((below, entry.path()));
        }
    }
    Ok(())
}
