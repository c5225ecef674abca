//! Waiting for a descriptor that we own. Owns the one call that needs a promise about ownership.

#![allow(unsafe_code)] // tokio asks for the promise that the descriptor stays what it is while it is watched.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What owns one descriptor and never exchanges it.
pub(crate) trait OwnsOne: AsRawFd {}
impl OwnsOne for OwnedFd {}
impl OwnsOne for std::fs::File {}

/// Watches `inner`; must be called within a tokio runtime.
pub(crate) fn watch<T: OwnsOne>(inner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: `inner` owns its descriptor, which so stays open and the same for as long as the result lives.
    unsafe { AsyncFd::register_with_interest(inner, interest) }.map_err(|error| error.into_parts().1)
}
