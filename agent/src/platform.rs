//! What only the operating system knows about this machine, behind one face.
//!
//! Owns reading it: once, at the start, or now, as the clocks. It never runs a program. Starting processes and ending their trees is
//! `orderly-host`'s part of the same idea. Other systems get `platform/<system>` with the same face.

#[cfg(not(target_os = "linux"))]
compile_error!("orderly-agent knows Linux only: the other systems get `platform/<system>` with the same face");

mod linux;

pub(crate) use linux::{boot, boot_id, hostname, kernel, os_release, random, reading};
