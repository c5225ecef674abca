//! The first line of a script, as Linux reads it (fs/binfmt_script.c): at most 256 bytes, one optional argument.
//!
//! Owns that rule, because the script is handed over as a descriptor and not as a file that the kernel would execute.
//! It never looks beyond the first line.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

/// Bytes that the kernel looks at.
const LOOKED_AT: usize = 256;

/// What a script's first line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shebang {
    /// The interpreter.
    pub interpreter: OsString,
    /// Its one argument, blanks inside of it included.
    pub argument: Option<OsString>,
}

/// A first line that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ShebangError {
    /// Nothing behind `#!`.
    #[error("the script's first line is `#!` without an interpreter")]
    Empty,
    /// Longer than the kernel would read.
    #[error("the interpreter in the script's first line goes on behind byte {LOOKED_AT}, which Linux does not read")]
    TooLong,
    /// A path that depends on the working directory.
    #[error("the interpreter in the script's first line is `{0}`: write an absolute path")]
    Relative(String),
    /// Line ends of Windows.
    #[error(
        "the script's first line ends in CR LF, so its interpreter would be sought with a CR in its name: save the script with Unix line ends"
    )]
    CarriageReturn,
}

/// Reads the first line; nothing where the script does not begin with `#!`.
///
/// # Errors
/// It begins so, but names no interpreter that could be started.
pub(super) fn parse(script: &[u8]) -> Result<Option<Shebang>, ShebangError> {
    let Some(rest) = script.strip_prefix(b"#!") else { return Ok(None) };
    let seen = rest.get(..LOOKED_AT - 2).unwrap_or(rest);
    let (line, whole) = match seen.iter().position(|&byte| byte == b'\n' || byte == 0) {
        Some(end) => (seen.get(..end).unwrap_or_default(), true),
        None => (seen, seen.len() == rest.len()),
    };
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = line.iter().position(|byte| !blank(byte)).ok_or(ShebangError::Empty)?;
    let line = line.get(start..).unwrap_or_default();
    let end = line.iter().position(blank);
    if end.is_none() && !whole {
        return Err(ShebangError::TooLong);
    }
    if line.ends_with(b"\r") {
        return Err(ShebangError::CarriageReturn);
    }
    let (interpreter, rest) = line.split_at(end.unwrap_or(line.len()));
    if !interpreter.starts_with(b"/") {
        return Err(ShebangError::Relative(interpreter.escape_ascii().to_string()));
    }
    let first = rest.iter().position(|byte| !blank(byte));
    let last = rest.iter().rposition(|byte| !blank(byte));
    let argument = first.zip(last).and_then(|(first, last)| rest.get(first..=last));
    Ok(Some(Shebang {
        interpreter: OsString::from_vec(interpreter.to_vec()),
        argument: argument.map(|argument| OsString::from_vec(argument.to_vec())),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn parsed(script: &str) -> Result<Option<(String, Option<String>)>, ShebangError> {
        let text = |text: OsString| text.into_string().unwrap();
        parse(script.as_bytes()).map(|found| found.map(|found| (text(found.interpreter), found.argument.map(text))))
    }

    #[test]
    fn lines_are_read_as_the_kernel_reads_them() {
        for (script, interpreter, argument) in [
            ("#!/bin/bash\n", "/bin/bash", None),
            ("#!/bin/bash", "/bin/bash", None),
            ("#! \t/usr/bin/env  python3 -u \t\nx", "/usr/bin/env", Some("python3 -u")),
            ("#!/bin/sh -e\nfalse", "/bin/sh", Some("-e")),
        ] {
            let expected = (interpreter.to_owned(), argument.map(str::to_owned));
            assert_eq!(parsed(script).unwrap().unwrap(), expected, "{script:?}");
        }
        for script in ["", "echo", " #!/bin/sh", "#", "# !/bin/sh"] {
            assert_eq!(parsed(script).unwrap(), None, "{script:?}");
        }
    }

    #[test]
    fn a_long_argument_is_cut_where_the_kernel_stops_and_a_long_interpreter_refused() {
        let script = format!("#!/bin/sh {}\n", "a".repeat(300));
        assert_eq!(parsed(&script).unwrap().unwrap().1.unwrap().len(), 256 - "#!/bin/sh ".len());
        assert_eq!(parsed(&format!("#!/{}\n", "a".repeat(300))), Err(ShebangError::TooLong));
    }

    #[test]
    fn what_cannot_be_followed_is_said() {
        assert_eq!(parsed("#!\necho"), Err(ShebangError::Empty));
        assert_eq!(parsed("#!   "), Err(ShebangError::Empty));
        assert_eq!(parsed("#!sh\n"), Err(ShebangError::Relative("sh".to_owned())));
        assert_eq!(parsed("#!/bin/sh\r\necho"), Err(ShebangError::CarriageReturn));
    }
}
