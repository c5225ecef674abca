//! Landlock: which files, no TCP, no signal and no abstract socket outside. Owns the rules; they hold for root too.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath, Ruleset,
    RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetStatus, Scope,
};
use rustix::fs::{Mode, OFlags};

use super::Plan;

/// The version whose parts are all asked for: files, TCP, and scopes for signals and abstract sockets.
pub(super) const WANTED: u32 = 6;

/// Builds the rules, or says why there can be none.
pub(super) fn ruleset(plan: &Plan) -> Result<RulesetCreated, String> {
    available()?;
    let text = |error: landlock::RulesetError| error.to_string();
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V6))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp))
        .and_then(|ruleset| ruleset.scope(Scope::AbstractUnixSocket | Scope::Signal))
        .and_then(Ruleset::create)
        .map_err(text)?;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let make = AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg;
    let write =
        make | AccessFs::MakeDir | AccessFs::MakeSym | AccessFs::RemoveFile | AccessFs::RemoveDir | AccessFs::Refer;
    for (paths, access) in [(&plan.read, read), (&plan.write, write), (&plan.make, make)] {
        for path in paths {
            if let Some((descriptor, access)) = open(path, access)? {
                ruleset = ruleset.add_rule(PathBeneath::new(descriptor, access)).map_err(text)?;
            }
        }
    }
    Ok(ruleset)
}

/// Opens the place of a rule; on a file only a file's rights can be given.
fn open(path: &Path, access: BitFlags<AccessFs>) -> Result<Option<(OwnedFd, BitFlags<AccessFs>)>, String> {
    let refuse = |error: std::io::Error| format!("{}: {error}", path.display());
    // The kernel makes the files of `/proc/net` anew at each look, so that a rule on one of them binds nothing: the rule for
    // reading goes on the folder, and which of its files are granted is left to the check of every path. It is a link to the
    // folder of this very process, so it opens this process's network namespace and no other process. A rule for changing
    // stays on the file, where it binds nothing: some of these files change the kernel.
    let net = Path::new("/proc/net");
    let place = if path.starts_with(net) && !access.contains(AccessFs::WriteFile) { net } else { path };
    match rustix::fs::open(place, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Ok(descriptor) => {
            let stat = rustix::fs::fstat(&descriptor).map_err(|error| refuse(error.into()))?;
            let is_directory = rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory;
            let access = if is_directory { access } else { access & AccessFs::from_file(ABI::V6) };
            Ok(Some((descriptor, access)))
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        // What even the agent may not look at, the plugin cannot either: without a rule it stays closed.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(None),
        Err(error) => Err(refuse(error.into())),
    }
}

/// Puts the rules in force; says the version.
pub(super) fn restrict(ruleset: RulesetCreated) -> Result<u32, String> {
    let status = ruleset.restrict_self().map_err(|error| error.to_string())?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("not enforced".to_owned()),
        _ => available(),
    }
}

/// The version that the kernel has.
#[allow(unsafe_code)] // The `landlock` crate tells the version only after the rules are in force.
pub(super) fn available() -> Result<u32, String> {
    const VERSION: libc::c_ulong = 1; // LANDLOCK_CREATE_RULESET_VERSION
    let none: *const libc::c_void = std::ptr::null();
    // SAFETY: with this flag the call takes no attributes and only answers a number.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0usize, VERSION) };
    u32::try_from(version).map_err(|_| match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::EOPNOTSUPP) => "switched off at boot (add `landlock` to the kernel's `lsm=`)".to_owned(),
        _ => "not in this kernel (5.13 or newer has it)".to_owned(),
    })
}
