//! What is *trusted*: keys, envelopes, orders, keyrings, plugin statements and approvals, receipts.
//!
//! Bytes go in, a verdict comes out. The crate owns the byte formats of everything that is signed in Orderly
//! and the one function that verifies signatures ([`verify`]). It never reads a clock, a socket or a source of
//! randomness: the caller gives `now_ms` and random seeds. The one part that touches the file system is the
//! loader of key files ([`key::file`]). There is nothing to stop: no thread, no task, no state.
//!
//! Layers, left may not import right: error · digest · key · instance · envelope · document · merkle · keyring ·
//! order · statement · approval · receipt · sign · verify · proof.

pub mod approval;
pub mod digest;
mod document;
pub mod envelope;
pub mod error;
pub mod instance;
pub mod key;
pub mod keyring;
pub mod merkle;
pub mod order;
pub mod proof;
pub mod receipt;
pub mod sign;
pub mod statement;
pub mod verify;

pub use digest::{Digest, DigestWriter};
pub use envelope::Envelope;
pub use error::{Check, Refusal};
pub use instance::InstanceId;
pub use key::{KeyId, PublicKey, SecretKey};
pub use verify::Verified;
