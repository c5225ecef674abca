//! Linux: `clone3`, pidfds, cgroup v2, Landlock, seccomp.
//!
//! Owns every system call that the crate makes by itself. Modules left to right, each imports only those before it:
//! memfd · beneath · process · ready · ended · clone · exec · spec · users · alarm · cgroup · quota · supervise · tree · spawn · sandbox.

pub(crate) mod alarm;
pub(crate) mod beneath;
pub(crate) mod cgroup;
pub(crate) mod clone;
pub(crate) mod ended;
pub(crate) mod exec;
pub mod memfd;
pub(crate) mod process;
pub(crate) mod quota;
pub(crate) mod ready;
pub mod sandbox;
pub(crate) mod spawn;
pub(crate) mod spec;
pub mod supervise;
pub(crate) mod tree;
pub mod users;
