//! An attack: writes far more than anybody can keep.
//!
//! Stopped means: the agent keeps head and tail, counts the rest, and its memory does not grow; or the run ends. The
//! guest cannot see which: it reports what it wrote, and the test compares that with what was counted.

use orderly_plugin::{Arguments, Command, Description, Failure, Outcome, Parameter, log, report, wasi};

/// Bytes in one line, without its end.
const LINE: usize = 4_095;

struct OutputFlood;

impl Command for OutputFlood {
    fn describe() -> Description {
        Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Attack: writes without end")
            .parameter(
                Parameter::text("kind", "Where to write")
                    .default_value("log")
                    .allowed(["log", "stdout", "stderr", "progress"]),
            )
            .parameter(Parameter::integer("mebibytes", "How much").default_value(1_024))
    }

    fn run(arguments: Arguments) -> Result<Outcome, Failure> {
        let kind = arguments.text("kind")?;
        let lines = arguments.integer::<u64>("mebibytes")?.saturating_mul(256);
        let line = "x".repeat(LINE);
        let mut written = 0_u64;
        match kind {
            "stdout" => write(&wasi::cli::stdout::get_stdout(), &line, lines, &mut written),
            "stderr" => write(&wasi::cli::stderr::get_stderr(), &line, lines, &mut written),
            "progress" => {
                for _ in 0..lines {
                    report::progress(0, 1, &line);
                    written += line.len() as u64;
                }
            }
            _ => {
                for _ in 0..lines {
                    log::info(&line);
                    written += line.len() as u64 + 1;
                }
            }
        }
        report::fact("flood.written_bytes", &written.to_string())?;
        Ok(Outcome::pass(format!("wrote {written} bytes to {kind}")))
    }
}

orderly_plugin::export!(OutputFlood);

/// Writes until all is written or the host closes the stream.
fn write(stream: &wasi::io::streams::OutputStream, line: &str, lines: u64, written: &mut u64) {
    let whole = format!("{line}\n");
    for _ in 0..lines {
        if stream.blocking_write_and_flush(whole.as_bytes()).is_err() {
            return;
        }
        *written += whole.len() as u64;
    }
}
