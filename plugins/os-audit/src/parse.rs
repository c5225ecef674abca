//! Readers of the formats that the rules look at.
//!
//! Owns no knowledge of what is good or bad. Every reader takes any text and leaves out what it does not
//! understand, as the programs that own these files do.

pub(crate) mod accounts;
pub(crate) mod glob;
pub(crate) mod sockets;
pub(crate) mod sshd;
pub(crate) mod sudoers;

#[cfg(test)]
mod tests;
