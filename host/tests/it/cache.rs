//! A poisoned cache is noticed, thrown away and made anew; nothing of it is ever run. One test per attack.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use orderly_host::cache::Cache;
use orderly_host::error::CompileError;
use orderly_host::invoke::Ended;

use crate::support::{Place, compiler, place, program, verified};
use crate::wat::plain;

/// The entries, newest names first or last as they sort.
fn entries(place: &Place) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(place.cache()).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "cwasm"));
    found.sort();
    found
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o400)).unwrap();
}

/// Fills a cache, poisons its one entry, and checks that the next use makes it anew and runs the right code.
async fn poisoned(poison: impl FnOnce(&Place, &Path, &[u8])) {
    let place = place();
    let component = plain("(i32.const 128)");
    place.compiled(&component).await;
    let entry = entries(&place).remove(0);
    let good = std::fs::read(&entry).unwrap();
    poison(&place, &entry, &good);
    let (end, _) = place.run(&component, "{}", |_| {}).await;
    assert!(matches!(end.ended, Ended::Outcome(_)), "{:?}", end.ended);
    assert_eq!(entries(&place), std::slice::from_ref(&entry));
    assert_eq!(mode(&entry), 0o400);
    // Made by the same compiler from the same bytes with the same key, unless the key was what was poisoned.
    let again = std::fs::read(&entry).unwrap();
    assert!(again.len() == good.len() && again[40..] == good[40..]);
}

#[tokio::test]
async fn an_entry_is_private_and_used_again() {
    let place = place();
    let component = plain("(i32.const 128)");
    place.compiled(&component).await;
    assert_eq!(mode(&place.cache()), 0o700);
    assert_eq!(mode(&place.cache().join("mac.key")), 0o600);
    let [entry] = entries(&place).try_into().unwrap();
    assert_eq!(mode(&entry), 0o400);
    let made = std::fs::metadata(&entry).unwrap().modified().unwrap();
    // What is there needs no bytes of the component.
    let plugin = verified(&component);
    let cache = Cache::open(&place.cache()).unwrap();
    assert_eq!(cache.lookup(&plugin, compiler()).unwrap().unwrap().component(), plugin.component);
    cache.get(&plugin, &[], compiler()).await.unwrap();
    assert_eq!(std::fs::metadata(&entry).unwrap().modified().unwrap(), made);
}

#[tokio::test]
async fn code_that_was_checked_is_used_again_without_the_disk_until_nobody_uses_it() {
    let place = place();
    let component = plain("(i32.const 128)");
    let (plugin, _) = place.compiled(&component).await;
    let [entry] = entries(&place).try_into().unwrap();
    let cache = Cache::open(&place.cache()).unwrap();
    assert!(cache.lookup(&plugin, compiler()).unwrap().is_some());
    // Checked and sealed before, so what becomes of the file does not matter.
    write(&entry, b"poison");
    assert!(cache.lookup(&plugin, compiler()).unwrap().is_some());
    assert!(cache.drop_unused(Duration::from_secs(3_600)), "it was used just now");
    assert!(!cache.drop_unused(Duration::ZERO));
    assert!(cache.lookup(&plugin, compiler()).unwrap().is_none() && !entry.exists(), "from the disk, and found bad");
}

#[tokio::test]
async fn what_was_never_compiled_is_not_found() {
    let place = place();
    let cache = Cache::open(&place.cache()).unwrap();
    assert!(cache.lookup(&verified(b"never compiled"), compiler()).unwrap().is_none());
    assert!(cache.lookup(&verified(b"never compiled"), Path::new("/no/such/compiler")).is_err());
}

#[tokio::test]
async fn a_flipped_byte_of_code() {
    poisoned(|_, entry, good| {
        let mut bad = good.to_vec();
        *bad.last_mut().unwrap() ^= 1;
        write(entry, &bad);
    })
    .await;
}

#[tokio::test]
async fn a_flipped_byte_of_the_mac() {
    poisoned(|_, entry, good| {
        let mut bad = good.to_vec();
        bad[8] ^= 1;
        write(entry, &bad);
    })
    .await;
}

#[tokio::test]
async fn a_truncated_or_empty_entry() {
    poisoned(|_, entry, good| write(entry, &good[..good.len() / 2])).await;
    poisoned(|_, entry, good| write(entry, &good[..39])).await;
    poisoned(|_, entry, _| write(entry, b"")).await;
}

#[tokio::test]
async fn an_entry_that_others_may_write() {
    poisoned(|_, entry, _| std::fs::set_permissions(entry, PermissionsExt::from_mode(0o622)).unwrap()).await;
}

#[tokio::test]
async fn a_link_in_place_of_an_entry() {
    poisoned(|place, entry, _| {
        let elsewhere = place.directory.path().join("elsewhere");
        std::fs::rename(entry, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, entry).unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_entry_of_another_owner() {
    if !orderly_host::platform::users::is_root() {
        eprintln!("skipped: only root can give files away");
        return;
    }
    poisoned(|_, entry, _| std::os::unix::fs::chown(entry, Some(65_534), None).unwrap()).await;
}

#[tokio::test]
async fn another_key() {
    poisoned(|place, _, _| std::fs::write(place.cache().join("mac.key"), [7; 32]).unwrap()).await;
}

#[tokio::test]
async fn two_entries_swapped() {
    let place = place();
    let (good, bad) = (plain("(i32.const 128)"), plain("(unreachable)"));
    place.compiled(&good).await;
    let first = entries(&place).remove(0);
    place.compiled(&bad).await;
    let second = entries(&place).into_iter().find(|entry| *entry != first).unwrap();
    let bytes = std::fs::read(&second).unwrap();
    write(&first, &bytes);
    let (end, _) = place.run(&good, "{}", |_| {}).await;
    assert!(matches!(end.ended, Ended::Outcome(_)), "{:?}", end.ended);
}

#[tokio::test]
async fn an_entry_of_another_compiler_is_not_used_and_goes() {
    let place = place();
    let component = plain("(i32.const 128)");
    place.compiled(&component).await;
    let [old] = entries(&place).try_into().unwrap();
    // The same program with another digest, as after an update of the agent.
    let other = place.directory.path().join("orderly-wasmc");
    let mut bytes = std::fs::read(compiler()).unwrap();
    bytes.push(0);
    std::fs::write(&other, bytes).unwrap();
    std::fs::set_permissions(&other, PermissionsExt::from_mode(0o755)).unwrap();
    let plugin = verified(&component);
    Cache::open(&place.cache()).unwrap().get(&plugin, &component, &other).await.unwrap();
    let [new] = entries(&place).try_into().unwrap();
    assert_ne!(new, old);
}

#[tokio::test]
async fn the_cache_does_not_grow_for_ever_and_a_crash_leaves_nothing_for_long() {
    let place = place();
    let component = plain("(i32.const 128)");
    let old = std::time::SystemTime::now() - Duration::from_secs(2 * 3_600);
    Cache::open(&place.cache()).unwrap();
    for number in 0..100 {
        let path = place.cache().join(format!("{number}.cwasm"));
        std::fs::write(&path, b"x").unwrap();
        std::fs::File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
    }
    for (name, age) in [(".torn.cwasm.00", old), (".being-written.cwasm.00", std::time::SystemTime::now())] {
        let path = place.cache().join(name);
        std::fs::write(&path, b"x").unwrap();
        std::fs::File::options().append(true).open(&path).unwrap().set_modified(age).unwrap();
    }
    place.compiled(&component).await;
    assert_eq!(entries(&place).len(), 64);
    assert!(!place.cache().join(".torn.cwasm.00").exists(), "its writer is dead");
    assert!(place.cache().join(".being-written.cwasm.00").exists(), "another may write it just now");
    let (plugin, cache) = (verified(&component), Cache::open(&place.cache()).unwrap());
    assert!(cache.lookup(&plugin, compiler()).unwrap().is_some(), "what was made last stays");
}

#[tokio::test]
async fn a_directory_or_key_that_others_can_reach_is_refused() {
    let place = place();
    std::fs::create_dir(place.cache()).unwrap();
    std::fs::set_permissions(place.cache(), PermissionsExt::from_mode(0o750)).unwrap();
    assert!(matches!(Cache::open(&place.cache()), Err(CompileError::Unsafe { .. })));
    std::fs::set_permissions(place.cache(), PermissionsExt::from_mode(0o700)).unwrap();
    Cache::open(&place.cache()).unwrap();
    std::fs::set_permissions(place.cache().join("mac.key"), PermissionsExt::from_mode(0o644)).unwrap();
    assert!(matches!(Cache::open(&place.cache()), Err(CompileError::Unsafe { .. })));
    let link = place.directory.path().join("link");
    std::os::unix::fs::symlink(place.cache(), &link).unwrap();
    assert!(Cache::open(&link).is_err());
}

#[tokio::test]
async fn what_does_not_compile_is_told_and_leaves_nothing() {
    let place = place();
    let cache = Cache::open(&place.cache()).unwrap();
    for bytes in [&b""[..], b"\0asm\x01\0\0\0", b"no component at all"] {
        let error = cache.get(&verified(bytes), bytes, compiler()).await.unwrap_err();
        assert!(matches!(&error, CompileError::Refused(reason) if !reason.is_empty()), "{error:?}");
    }
    let component = plain("(i32.const 128)");
    let other = cache.get(&verified(&component), b"other bytes", compiler()).await.unwrap_err();
    assert!(matches!(other, CompileError::OtherBytes));
    let none = cache.get(&verified(&component), &component, Path::new("/no/such/compiler")).await.unwrap_err();
    assert!(matches!(none, CompileError::NoCompiler { .. }));
    // A program that is no compiler: it ends without code.
    let wrong = cache.get(&verified(&component), &component, program()).await.unwrap_err();
    assert!(matches!(wrong, CompileError::Refused(_)), "{wrong:?}");
    assert!(entries(&place).is_empty());
    assert_eq!(std::fs::read_dir(place.cache()).unwrap().count(), 1, "only the key");
}
