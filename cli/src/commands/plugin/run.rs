//! `orderly plugin run`: a plugin on this machine, in the agent's very sandbox, with a trace of what it touches.
//!
//! Owns the options and what is shown. Nothing is asked of a server.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use orderly_host::invoke::{Ended, PluginEnd};
use orderly_host::output::{OutputSink, Stream};
use orderly_host::{DescribedParameter, Description};
use orderly_model::parameter::{self, ParameterKind, ParameterSpec};
use serde::Serialize;

use super::grant::{Change, apply, change};
use super::sandbox::{Ask, Sandbox, in_words, limits};
use crate::args::{key_value, timeout};
use crate::context::Context;
use crate::error::{Exit, Failure, OrFail as _, Outcome};
use crate::output::{Printer, Tone, now_ms};
use crate::report;
use crate::source::Source;

/// Options of `plugin run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The plugin: its folder, its component, or a package
    #[arg(default_value = ".", value_name = "DIR|FILE")]
    plugin: PathBuf,
    #[command(flatten)]
    place: PlaceArgs,
    /// A value for a parameter
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = key_value)]
    parameters: Vec<(String, String)>,
    /// Grant more than the manifest asks for, such as files.read=/etc/hosts, environment=LANG or clock
    #[arg(long, value_name = "KIND[=VALUE]", value_parser = change)]
    grant: Vec<Change>,
    /// Grant less than the manifest asks for, such as files.read, files.read=/etc/passwd or facts
    #[arg(long, value_name = "KIND[=VALUE]", value_parser = change)]
    deny: Vec<Change>,
    /// How long it may run; what the manifest says where absent
    #[arg(long, value_name = "SPAN", value_parser = timeout)]
    timeout: Option<u32>,
    /// Refuse to run where the kernel lacks a part of the sandbox
    #[arg(long)]
    require_sandbox: bool,
    /// Do not show uses of capabilities as they happen
    #[arg(long)]
    no_trace: bool,
}

/// Where a plugin is compiled.
#[derive(Debug, Args)]
pub(super) struct PlaceArgs {
    /// The manifest, where it does not lie beside the component
    #[arg(long, value_name = "FILE")]
    pub(super) manifest: Option<PathBuf>,
    /// The compiler, where `orderly-wasmc` does not lie beside this program
    #[arg(long, value_name = "FILE", env = "ORDERLY_WASMC")]
    wasmc: Option<PathBuf>,
}

impl PlaceArgs {
    /// Vouches for a plugin and compiles it.
    ///
    /// # Errors
    /// As [`Sandbox::open`].
    pub(super) async fn open(&self, context: &Context, source: &Source) -> Result<Sandbox, Failure> {
        crate::keystore::make_private_dir(&context.settings.dir)?;
        Sandbox::open(source, &context.settings.dir.join("aot"), self.wasmc.as_deref()).await
    }
}

#[derive(Debug, Serialize)]
struct View<'a> {
    ended: String,
    done: bool,
    report: &'a orderly_model::report::Report,
    used: &'a [orderly_signing::receipt::Use],
    output_bytes: u64,
    took_ms: i64,
    sandbox_lacks: &'a [String],
}

impl Run {
    /// Runs it.
    pub(super) async fn run(self, context: &Context) -> Outcome {
        let source = Source::read(&self.plugin, self.place.manifest.as_deref())?;
        let grants = apply(&source.manifest.capabilities, &self.grant, &self.deny)?;
        let sandbox = self.place.open(context, &source).await?;
        let arguments = arguments(&sandbox.describe().await?, self.parameters)?;
        let mut sink = Sink { printer: &context.printer, trace: !self.no_trace };
        let ask = Ask {
            grants: &grants,
            limits: limits(&source.manifest, self.timeout),
            arguments,
            require_sandbox: self.require_sandbox,
        };
        let started = now_ms();
        let end = sandbox.invoke(ask, &mut sink).await?;
        show(&context.printer, &end, now_ms().saturating_sub(started));
        end.tree.or_setup(|| "something that the plugin started may be alive".to_owned())?;
        Ok(if matches!(end.ended, Ended::Outcome(_)) { Exit::Success } else { Exit::TaskFailed })
    }
}

/// The value of every parameter that the plugin says it takes.
fn arguments(description: &Description, given: Vec<(String, String)>) -> Result<BTreeMap<String, String>, Failure> {
    let specs = description.parameters.iter().map(spec).collect::<Result<Vec<_>, _>>()?;
    let given: BTreeMap<String, String> = given.into_iter().collect();
    parameter::resolve(&specs, &given).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(|fault| format!("\n  {fault}")).collect();
        Failure::usage(format!("the parameters are not right:{}", lines.concat()))
            .hint("`orderly plugin inspect` shows the parameters")
    })
}

/// A parameter as the plugin describes it, held to the rules of parameters.
pub(super) fn spec(described: &DescribedParameter) -> Result<ParameterSpec, Failure> {
    let failed = || format!("the plugin describes its parameter `{}` wrongly", described.name);
    Ok(ParameterSpec {
        name: described.name.parse().or_usage(failed)?,
        kind: match described.kind.as_str() {
            "text" => ParameterKind::Text,
            "integer" => ParameterKind::Integer,
            "boolean" => ParameterKind::Boolean,
            _ => return Err(Failure::usage(failed())),
        },
        description: described.description.clone(),
        default: described.default.clone(),
        pattern: described.pattern.as_deref().map(str::parse).transpose().or_usage(failed)?,
        allowed: described.allowed.clone(),
        required: true,
        secret: false,
    })
}

/// Output and trace as they come: output to where it belongs, the trace beside it.
struct Sink<'a> {
    printer: &'a Printer,
    trace: bool,
}

impl OutputSink for Sink<'_> {
    fn chunk(&mut self, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Stdout if self.printer.is_table() => self.printer.raw(bytes),
            Stream::Stdout | Stream::Stderr => self.printer.raw_error(bytes),
        }
    }

    fn progress(&mut self, done: u32, total: u32, message: &str) {
        self.printer.remark_toned(Tone::Dim, &format!("progress {done}/{total} {message}"), "");
    }

    fn used(&mut self, capability: &str) {
        if self.trace {
            self.printer.remark_toned(Tone::Dim, &format!("use {capability}"), "");
        }
    }
}

fn show(printer: &Printer, end: &PluginEnd, took_ms: i64) {
    let view = View {
        ended: in_words(&end.ended),
        done: matches!(end.ended, Ended::Outcome(_)),
        report: &end.report,
        used: &end.used,
        output_bytes: end.kept.total_bytes,
        took_ms,
        sandbox_lacks: &end.sandbox.missing,
    };
    printer.one(&view, |printer| {
        report::show(printer, view.report);
        if !view.used.is_empty() {
            let rows = view
                .used
                .iter()
                .map(|used| vec![(used.count.to_string(), Tone::Plain), (used.capability.clone(), Tone::Plain)]);
            printer.table(&["times", "capability used"], rows.collect());
        }
        if !view.sandbox_lacks.is_empty() {
            printer.remark(&format!("this machine's sandbox lacks: {}", view.sandbox_lacks.join(", ")));
        }
        printer.remark(&format!("{} ({took_ms} ms)", view.ended));
    });
}
