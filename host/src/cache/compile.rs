//! Running `orderly-wasmc`: a one-shot program that gets bytes and gives native code back.
//!
//! Owns its limits and its end. What it reads was chosen by an attacker, so it boxes itself before it reads, and what it
//! may take is bounded from outside too. Dropping the future kills it.

use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;

use crate::error::CompileError;
use crate::output::{Keeper, Stream};
use crate::platform::{self, Exit, Resource, Spec, Stdin};

/// Wall-clock time of one compilation. The largest component that we take needs some 40 seconds of it.
const TIME_MAX: Duration = Duration::from_secs(120);
/// Address space of the compiler: the largest component needs about a third.
const MEMORY_MAX_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// Most bytes of native code.
const CODE_MAX_BYTES: u64 = 512 * 1024 * 1024 - 64;
/// Bytes of the compiler's complaint that are repeated.
const COMPLAINT_BYTES: u32 = 2_048;

/// Native code of `component`, made by the program `compiler`.
pub(super) async fn compile(component: &[u8], compiler: &Path) -> Result<Vec<u8>, CompileError> {
    let input = platform::memfd::sealed("orderly-component", &[component]).map_err(CompileError::Memory)?;
    let mut spec = Spec::new(compiler);
    spec.stdin = Stdin::Fd(input);
    spec.no_new_privileges = true;
    spec.limits = vec![
        (Resource::Core, 0),
        (Resource::CpuSeconds, TIME_MAX.as_secs()),
        (Resource::AddressSpace, MEMORY_MAX_BYTES),
        (Resource::FileSize, 0),
        (Resource::OpenFiles, 64),
    ];
    let mut child = platform::spawn_alone(spec).await?;
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let work = async {
        let mut code = Vec::new();
        let (read, complaint) = tokio::join!(read_all(&mut stdout, &mut code), complaint(&mut stderr));
        read.map_err(CompileError::Memory)?;
        let ended = child.wait().await.map_err(CompileError::Memory)?;
        match ended.exit {
            Exit::Code(0) if !code.is_empty() && code.len() as u64 <= CODE_MAX_BYTES => Ok(code),
            Exit::Code(0) => Err(CompileError::Refused("it became too much code, or none".to_owned())),
            Exit::Code(_) if !complaint.is_empty() => Err(CompileError::Refused(complaint)),
            Exit::Code(code) => Err(CompileError::Refused(format!("the compiler ended with {code}"))),
            Exit::Signal(signal) => Err(CompileError::Refused(format!("the compiler was ended by signal {signal}"))),
        }
    };
    match tokio::time::timeout(TIME_MAX, work).await {
        Ok(done) => done,
        Err(_) => Err(CompileError::TimedOut(TIME_MAX.as_secs())),
    }
}

async fn read_all(pipe: &mut Option<Receiver>, into: &mut Vec<u8>) -> std::io::Result<()> {
    if let Some(pipe) = pipe {
        pipe.take(CODE_MAX_BYTES + 1).read_to_end(into).await?;
    }
    Ok(())
}

async fn complaint(pipe: &mut Option<Receiver>) -> String {
    let Some(pipe) = pipe else { return String::new() };
    let mut keeper = Keeper::new(COMPLAINT_BYTES);
    let mut buffer = [0; 1_024];
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        keeper.push(Stream::Stderr, buffer.get(..read).unwrap_or_default());
    }
    let kept = keeper.finish();
    let bytes: Vec<u8> = kept.head.into_iter().chain(kept.tail).flat_map(|segment| segment.bytes).collect();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}
