//! The limits that all of Orderly shares, with their units and reasons. Owns numbers only;
//! whoever takes the value in checks it.

/// Base64 bytes of a stored command's content, after substitution too: Cloud Assistant's limit for CreateCommand.
pub const SCRIPT_STORED_MAX_BASE64_BYTES: usize = 18 * 1024;
/// Base64 bytes of a script that is run without being stored: Cloud Assistant's limit for RunCommand.
pub const SCRIPT_RUN_MAX_BASE64_BYTES: usize = 24 * 1024;
/// Base64 bytes of a file that travels with its order: Cloud Assistant's limit for SendFile.
pub const UPLOAD_MAX_BASE64_BYTES: usize = 32 * 1024;
/// Most that a server may set any of these three limits to, in Base64 bytes.
pub const CONTENT_LIMIT_MAX_BASE64_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of content that travel inside an offer; larger content is fetched by digest.
pub const CONTENT_INLINE_MAX_BYTES: usize = 64 * 1024;
/// Bytes of a script that Orderly's own API takes. Above Cloud Assistant's, as content may be fetched by digest.
pub const CONTENT_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of a task's output that are kept where nothing else is asked: Cloud Assistant's 24 KB.
pub const OUTPUT_KEPT_DEFAULT_BYTES: u32 = 24 * 1024;
/// Most bytes of output that a task may ask to be kept.
pub const OUTPUT_KEPT_MAX_BYTES: u32 = 1024 * 1024;

/// Seconds that a task may run where nothing else is asked.
pub const TIMEOUT_DEFAULT_S: u32 = 60;
/// Fewest seconds that may be asked. Cloud Assistant says 10; shorter is useful in tests and harms nobody.
pub const TIMEOUT_MIN_S: u32 = 1;
/// Most seconds that may be asked: 24 hours. Work that is longer belongs to a service of the instance.
pub const TIMEOUT_MAX_S: u32 = 24 * 60 * 60;

/// Seconds within which an order must reach its instance where nothing else is asked, as in Cloud Assistant.
pub const DELIVERY_DEADLINE_DEFAULT_S: u32 = 60;
/// Most seconds that an order may wait for an instance that is offline: 7 days.
pub const DELIVERY_DEADLINE_MAX_S: u32 = 7 * 24 * 60 * 60;

/// Most instances of one invocation; what a target set of the signing crate holds at most is above it.
pub const TARGETS_MAX: usize = 1_000_000;
/// Most tags on one instance or in one list of tags that must all match.
pub const TAGS_MAX: usize = 20;

/// Most parameters of one command.
pub const PARAMETERS_MAX: usize = 20;
/// Most bytes of a parameter's name.
pub const PARAMETER_NAME_MAX_BYTES: usize = 64;
/// Most bytes of one parameter's value.
pub const PARAMETER_VALUE_MAX_BYTES: usize = 64 * 1024;
/// Most values that a parameter may list as the only ones allowed.
pub const PARAMETER_ALLOWED_MAX: usize = 100;
/// Most bytes of a one-line description or summary of a command or a parameter.
pub const SUMMARY_MAX_BYTES: usize = 200;
/// Most bytes of a regular expression that people write (parameters, arguments).
pub const PATTERN_MAX_BYTES: usize = 256;

/// Most characters of a command's description: Cloud Assistant's 512.
pub const COMMAND_DESCRIPTION_MAX_CHARS: usize = 512;
/// Most characters of a working directory: Cloud Assistant's 200.
pub const WORKING_DIR_MAX_CHARS: usize = 200;
/// Most bytes of a launcher, as the signed order has it: Cloud Assistant's 1 KB.
pub const LAUNCHER_MAX_BYTES: usize = orderly_signing::order::MAX_LAUNCHER_BYTES;

/// Most bytes of a plugin's component.
pub const COMPONENT_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Most bytes of a plugin's manifest.
pub const MANIFEST_MAX_BYTES: usize = 64 * 1024;
/// Most bytes of a set of capabilities in its canonical text.
pub const CAPABILITIES_MAX_BYTES: usize = 64 * 1024;
/// Most entries of one kind of capability in one manifest.
pub const CAPABILITY_ENTRIES_MAX: usize = 256;
/// Most arguments of one program that a plugin has started, and of a rule for them.
pub const ARGUMENTS_MAX: usize = 64;
/// MiB of linear memory that a plugin gets where its manifest says nothing.
pub const PLUGIN_MEMORY_DEFAULT_MB: u32 = 64;
/// Most MiB of linear memory that a manifest may ask for.
pub const PLUGIN_MEMORY_MAX_MB: u32 = 512;

/// Most bytes of one run's report, as the JSON that is stored.
pub const REPORT_MAX_BYTES: usize = 1024 * 1024;
/// Most findings of one report.
pub const REPORT_FINDINGS_MAX: usize = 10_000;
/// Most facts of one report.
pub const REPORT_FACTS_MAX: usize = 10_000;
/// Most rows of all tables of one report together.
pub const REPORT_ROWS_MAX: usize = 100_000;
/// Most columns of one table of a report.
pub const REPORT_COLUMNS_MAX: usize = 64;
/// Most bytes of a finding's evidence, and of its remedy.
pub const FINDING_TEXT_MAX_BYTES: usize = 4 * 1024;
/// Most bytes of the one line with which a run says how it came out.
pub const OUTCOME_SUMMARY_MAX_BYTES: usize = 1_000;

/// Most environment variables of one order.
pub const ENVIRONMENT_MAX: usize = 64;
/// Most bytes of an absolute path: Linux's `PATH_MAX` without its NUL.
pub const PATH_MAX_BYTES: usize = 4_095;
