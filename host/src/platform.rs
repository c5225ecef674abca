//! The operating system behind one face: starting programs, following their trees, closing the box.
//!
//! Scripts and plugins share everything here; the agent and the CLI use it too. All code that knows an operating
//! system lies beneath this module; Windows and FreeBSD get the same face in their own module trees. What runs
//! here is ended by [`Tree::terminate`].

#[cfg(not(target_os = "linux"))]
compile_error!("orderly-host knows Linux only: the other systems get `platform/<system>` with the same face");

mod linux;

pub(crate) use linux::alarm::Alarm;
pub(crate) use linux::beneath;
pub(crate) use linux::cgroup::unescape as unescape_mount;
pub use linux::ended::{Ended, Exit, Usage};
pub(crate) use linux::exec::{inherited, leave};
pub use linux::memfd;
pub use linux::process::ProcessIdentity;
pub use linux::quota::{Hits, Quota};
pub use linux::sandbox::{self, Closed, Plan, SandboxReport, UserChange};
pub use linux::spawn::{Child, spawn, spawn_alone};
pub use linux::spec::{Credentials, Executable, Resource, Spec, Stdin};
pub use linux::supervise::{self, SUPERVISE_ARGUMENT};
pub use linux::tree::{Stranger, Tree, TreeIdentity, TreeKind, Trees};
pub use linux::users;
