//! Powering the instance off, and restarting it.
//!
//! Owns the start of the program that the owner of the instance named for it. Never decides whether it is started. The
//! program is no part of any task; it is waited for, so that an agent that is ended by it leaves it its time.

use std::time::Duration;

use orderly_host::output::{Keeper, NoSink, pump};
use orderly_host::platform::{Ended, Exit, Spec, spawn_alone};

use super::chain;

/// How long the program may take to set the end in motion. One that takes longer is ended.
const CARRIED_OUT_WITHIN: Duration = Duration::from_secs(60);

/// Bytes of what it prints that the log shows.
const SHOWN_BYTES: u32 = 2048;

/// Runs a program with its arguments until it ends.
///
/// # Errors
/// Why the instance stays as it is, for the log.
pub(crate) async fn carry_out(line: &[String]) -> Result<(), String> {
    let (program, arguments) = line.split_first().ok_or("no program is named for it")?;
    let mut spec = Spec::new(program.as_str()).args(arguments);
    spec.env = vec![("PATH".into(), super::account::SEARCH_PATH.into()), ("LANG".into(), "C.UTF-8".into())];
    let mut child = spawn_alone(spec).await.map_err(|error| chain(&error))?;
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let (mut keeper, mut sink) = (Keeper::new(SHOWN_BYTES), NoSink);
    let ended = tokio::time::timeout(CARRIED_OUT_WITHIN, async {
        let reading = pump(&mut stdout, &mut stderr, u64::MAX, &mut keeper, &mut sink);
        tokio::pin!(reading);
        let mut read = false;
        // Its own end counts, whatever it left behind with its output in its hands.
        loop {
            tokio::select! {
                ended = child.wait() => return ended,
                _ = &mut reading, if !read => read = true,
            }
        }
    });
    let ended = ended.await;
    let how = match ended {
        Ok(Ok(Ended { exit: Exit::Code(0), .. })) => return Ok(()),
        Ok(Ok(Ended { exit: Exit::Code(code), .. })) => format!("`{program}` ended with exit code {code}"),
        Ok(Ok(Ended { exit: Exit::Signal(signal), .. })) => format!("`{program}` was ended by signal {signal}"),
        Ok(Err(error)) => format!("`{program}` cannot be waited for: {error}"),
        Err(_) => format!("`{program}` did not end within {} s", CARRIED_OUT_WITHIN.as_secs()),
    };
    let kept = keeper.finish();
    let said: Vec<u8> = kept.head.into_iter().chain(kept.tail).flat_map(|segment| segment.bytes).collect();
    Err(format!("{how}: {}", String::from_utf8_lossy(&said).trim()))
}
