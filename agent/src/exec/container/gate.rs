//! The program that a container's runtime starts for a script: a shell that waits, then becomes the script.
//!
//! Owns the words on both sides of the gate. The shell waits for a line on its standard input until the agent has taken it into a
//! process tree; then comes the script as one line, and the rest is the script's own input. So no file is written in the container,
//! and no script is in a command line, where everybody could read it. Where the agent goes away before it opens the gate, the
//! shell ends and nothing has run.

use std::ffi::OsString;

use crate::exec::shebang;

/// `$0` is the mark, `$@` the interpreter and its argument. Only what every shell has built in is used. The script reaches its
/// interpreter through a pipe with a number, as it does outside of containers through a file in memory.
const TEXT: &str = "IFS= read -r orderly_go || exit 125; IFS= read -r orderly_script || exit 125; exec 4<&0; \
    printf %b \"$orderly_script\" | { unset orderly_script orderly_go; exec 3<&0 0<&4 4<&-; exec \"$@\" /proc/self/fd/3; }";

/// The words of the program, of which the mark is one.
///
/// # Errors
/// A sentence on the script's first line.
pub(super) fn words(content: &[u8], mark: &str) -> Result<Vec<String>, String> {
    let text = |word: OsString| {
        word.into_string().map_err(|word| format!("the script's first line is not UTF-8: `{}`", word.display()))
    };
    let mut words = ["/bin/sh", "-c", TEXT, mark].map(str::to_owned).to_vec();
    match shebang::parse(content).map_err(|error| error.to_string())? {
        None => words.push("/bin/sh".to_owned()),
        Some(first) => {
            words.push(text(first.interpreter)?);
            words.extend(first.argument.map(text).transpose()?);
        }
    }
    Ok(words)
}

/// What opens the gate and hands the script over; what follows it is the script's input.
pub(super) fn opening(content: &[u8]) -> Vec<u8> {
    let mut line = b"go\n".to_vec();
    line.reserve(content.len() + content.len() / 8);
    for byte in content {
        match byte {
            b' '..=b'[' | b']'..=b'~' => line.push(*byte),
            other => line.extend_from_slice(format!("\\0{other:03o}").as_bytes()),
        }
    }
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write as _;
    use std::process::{Command, Output, Stdio};

    use super::*;

    fn run(content: &[u8], input: &[u8]) -> Output {
        let words = words(content, "orderly-mark").unwrap();
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&opening(content)).unwrap();
        let _ = stdin.write_all(input);
        drop(stdin);
        child.wait_with_output().unwrap()
    }

    #[test]
    fn the_script_runs_as_it_is_with_its_own_input_and_exit_code() {
        let text = "a='\\n %s \\0101 \t'\necho \"$a|$0|$#\"\ncat\nset | grep -c orderly_script\nexit 7 # \u{e9}\n";
        let done = run(text.as_bytes(), b"in 1\nin 2\n");
        let shown = String::from_utf8(done.stdout).unwrap();
        assert!(shown.contains("|/proc/self/fd/3|0\nin 1\nin 2\n0\n"), "{shown}");
        assert_eq!(done.status.code(), Some(7));
    }

    #[test]
    fn a_first_line_is_followed_and_bytes_that_are_no_text_come_through() {
        let every: Vec<u8> = (0..=255).collect();
        let done = run(&[b"#!/bin/cat\n", every.as_slice()].concat(), b"");
        assert_eq!(done.stdout, [b"#!/bin/cat\n", every.as_slice()].concat());
        assert!(words(b"#!bin/sh\n", "m").is_err() && words(b"#!/\xff\n", "m").is_err());
    }

    #[test]
    fn a_gate_that_is_never_opened_lets_nothing_run() {
        let words = words(b"echo ran", "orderly-mark").unwrap();
        let output = Command::new(&words[0]).args(&words[1..]).stdin(Stdio::null()).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(125), 0));
    }
}
