//! Linux: `uname`, `/etc/os-release`, `/proc/sys/kernel/random/boot_id`, `clock_gettime`.
//!
//! Owns how these are read; never fails for want of one of them, since an agent must start on a sparse system too.

use std::io;

use jiff::Timestamp;
use orderly_model::schedule::{BootId, Reading};
use rustix::time::{ClockId, clock_gettime};

/// Most bytes of `os-release` that are looked at.
const OS_RELEASE_MAX_BYTES: usize = 16 * 1024;

/// The machine's host name.
pub(crate) fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The kernel's release, such as `6.1.0-18-amd64`.
pub(crate) fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Changes at every boot; empty where the kernel does not say.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// That id as series know it. A kernel that gives none tells no start from another: boot modes then run nothing.
pub(crate) fn boot() -> BootId {
    boot_id().parse().unwrap_or_else(|_| BootId::unknown())
}

/// What the clocks say now, in this start of the instance.
pub(crate) fn reading(boot: &BootId) -> Reading {
    let since_start = |clock| {
        let time = clock_gettime(clock);
        let (seconds, nanoseconds) =
            (u64::try_from(time.tv_sec).unwrap_or_default(), u64::try_from(time.tv_nsec).unwrap_or_default());
        seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000)
    };
    let (elapsed_ms, awake_ms) = (since_start(ClockId::Boottime), since_start(ClockId::Monotonic));
    Reading::new(Timestamp::now(), elapsed_ms, awake_ms, boot.clone())
}

/// The pairs of os-release(5), in the file's order.
pub(crate) fn os_release() -> Vec<(String, String)> {
    let text = std::fs::read("/etc/os-release").or_else(|_| std::fs::read("/usr/lib/os-release")).unwrap_or_default();
    parse(&String::from_utf8_lossy(text.get(..OS_RELEASE_MAX_BYTES.min(text.len())).unwrap_or_default()))
}

/// Random bytes that are fit for keys.
///
/// # Errors
/// The kernel gives none.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

fn parse(text: &str) -> Vec<(String, String)> {
    let pair = |line: &str| {
        let (key, value) = line.trim().split_once('=')?;
        let fits = !key.is_empty() && key.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_');
        fits.then(|| (key.to_owned(), unquote(value)))
    };
    text.lines().filter_map(pair).collect()
}

fn unquote(value: &str) -> String {
    let inner = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    let Some(inner) = inner else { return value.to_owned() };
    let mut out = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.extend(characters.next()),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn os_release_is_read_as_its_page_says() {
        let pairs = parse("# c\nID=debian\nNAME=\"A \\\"B\\\"\"\nX='y z'\n\nlower=1\nBAD\n");
        let expected = [("ID", "debian"), ("NAME", "A \"B\""), ("X", "y z")];
        assert_eq!(pairs, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn this_machine_has_a_name_a_kernel_and_a_boot() {
        assert!(!hostname().is_empty() && !kernel().is_empty() && boot_id().len() == 36);
        assert_ne!(random::<16>().unwrap(), random::<16>().unwrap());
        let (first, second) = (reading(&boot()), reading(&BootId::unknown()));
        assert!(first.wall().as_millisecond() > 0 && first.wall() <= second.wall());
        assert_eq!((first.boot().to_string(), second.boot()), (boot_id(), &BootId::unknown()));
    }
}
