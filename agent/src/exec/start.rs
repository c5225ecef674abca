//! What starts a script: its own first line, its kind's interpreter, or the order's launcher.
//!
//! Owns the choice of the program and its arguments, and finding out beforehand that there is no such program. It never starts
//! anything.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use orderly_model::template::Launcher;
use orderly_signing::order::{ScriptAction, ScriptKind};

use super::account::SEARCH_PATH;
use super::chain;
use super::shebang::{self, Shebang};

/// Where PowerShell is looked for.
const POWERSHELL: [&str; 3] = ["/usr/bin/pwsh", "/usr/local/bin/pwsh", "/opt/microsoft/powershell/7/pwsh"];

/// What starts a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The program, an absolute path.
    pub program: PathBuf,
    /// Its arguments, the script's path among them.
    pub arguments: Vec<OsString>,
}

/// Whether this instance can start scripts so; else why not.
///
/// # Errors
/// A sentence that says what is missing.
pub(crate) fn supported(action: &ScriptAction) -> Result<(), String> {
    match action.interpreter {
        _ if action.launcher.is_some() => launched(action, "script").map(|_| ()),
        ScriptKind::Shell => Ok(()),
        ScriptKind::PowerShell if powershell().is_some() => Ok(()),
        ScriptKind::PowerShell => {
            Err(format!("PowerShell is not installed on this instance (looked for {})", POWERSHELL.join(", ")))
        }
        ScriptKind::Bat => Err("Bat scripts run on Windows only, this instance runs Linux".to_owned()),
    }
}

/// What the name of the script's file must end with; nothing where no file with a name is needed.
///
/// # Errors
/// The launcher is none.
pub(super) fn extension(action: &ScriptAction) -> Result<Option<String>, String> {
    let Some(launcher) = launcher(action)? else { return Ok(None) };
    Ok(launcher.extension().map(str::to_owned))
}

/// What starts a script with this content that lies at this path.
///
/// # Errors
/// A sentence on what is wrong with the first line or the launcher.
pub(super) fn line(action: &ScriptAction, content: &[u8], path: &OsStr) -> Result<Line, String> {
    if action.launcher.is_some() {
        return launched(action, &path.to_string_lossy());
    }
    let first = shebang::parse(content).map_err(|error| error.to_string())?;
    let (program, mut arguments): (PathBuf, Vec<OsString>) = match (action.interpreter, first) {
        (ScriptKind::Shell, None) => ("/bin/sh".into(), Vec::new()),
        (ScriptKind::Shell, Some(Shebang { interpreter, argument })) => {
            (interpreter.into(), argument.into_iter().collect())
        }
        (ScriptKind::PowerShell, _) => {
            let program = powershell().ok_or("PowerShell is not installed any more")?;
            (program.into(), ["-NoProfile", "-NonInteractive", "-File"].map(Into::into).to_vec())
        }
        (ScriptKind::Bat, _) => return Err("Bat scripts run on Windows only".to_owned()),
    };
    arguments.push(path.to_owned());
    Ok(Line { program, arguments })
}

/// Whether the program of a line is there, and the one that `env` would look for.
///
/// # Errors
/// A sentence that names it.
pub(super) fn is_there(line: &Line) -> Result<(), String> {
    if !executable(&line.program) {
        return Err(format!("the interpreter `{}` is not there, or is no program", line.program.display()));
    }
    let asked = line.arguments.first().and_then(|word| word.to_str()).unwrap_or_default();
    let sought = asked.split_whitespace().find(|word| !word.starts_with('-') && !word.contains('='));
    match sought.filter(|_| line.program.file_name() == Some(OsStr::new("env")) && line.arguments.len() > 1) {
        Some(program) => find(program).map(|_| ()),
        None => Ok(()),
    }
}

fn powershell() -> Option<&'static str> {
    POWERSHELL.into_iter().find(|path| Path::new(path).is_file())
}

fn launcher(action: &ScriptAction) -> Result<Option<Launcher>, String> {
    let parsed = action.launcher.as_deref().map(str::parse::<Launcher>).transpose();
    parsed.map_err(|error| chain(&error))
}

fn launched(action: &ScriptAction, path: &str) -> Result<Line, String> {
    let launcher = launcher(action)?.ok_or("the order has no launcher")?;
    let mut words = launcher.arguments(path).into_iter();
    let program = find(&words.next().unwrap_or_default())?;
    Ok(Line { program, arguments: words.map(OsString::from).collect() })
}

/// A program by its absolute path, or by its name in the search path of scripts.
fn find(name: &str) -> Result<PathBuf, String> {
    if name.contains('/') {
        let path = PathBuf::from(name);
        return match path.is_absolute() && executable(&path) {
            true => Ok(path),
            false => Err(format!("the program `{name}` is not there, is none, or has no absolute path")),
        };
    }
    let mut all = SEARCH_PATH.split(':').map(|directory| Path::new(directory).join(name));
    all.find(|path| executable(path)).ok_or_else(|| format!("there is no program `{name}` in {SEARCH_PATH}"))
}

fn executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn action(launcher: Option<&str>) -> ScriptAction {
        ScriptAction { launcher: launcher.map(str::to_owned), ..ScriptAction::new(b"x") }
    }

    #[test]
    fn a_launcher_is_split_into_words_and_its_program_is_found() {
        let action = action(Some("sh '-e -u' --x={{ACS::ScriptFileName}}"));
        let line = line(&action, b"x", OsStr::new("/a b")).unwrap();
        assert!(line.program.is_absolute() && line.program.ends_with("sh"), "{line:?}");
        assert_eq!(line.arguments, ["-e -u", "--x=/a b"]);
        assert_eq!(extension(&action).unwrap(), None);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        for (launcher, told) in [
            ("no-such-program {{ACS::ScriptFileName}}", "no-such-program"),
            ("bin/sh {{ACS::ScriptFileName}}", "bin/sh"),
            ("/etc/passwd {{ACS::ScriptFileName}}", "/etc/passwd"),
            ("sh", "ScriptFileName"),
        ] {
            let error = supported(&action(Some(launcher))).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
        let first = |content: &[u8]| is_there(&line(&action(None), content, OsStr::new("/x")).unwrap());
        assert!(first(b"true").is_ok() && first(b"#!/usr/bin/env -S sh -e").is_ok());
        assert!(first(b"#!/no/such").unwrap_err().contains("/no/such"));
        assert!(first(b"#!/usr/bin/env no-such-program").unwrap_err().contains("no-such-program"));
    }
}
