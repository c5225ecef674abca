//! The manifest, `plugin.toml`: read with every fault told at once, each with line, column and
//! how to mend it. Within one table only the first unknown field or wrong type is found.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::fault::{ManifestErrors, ManifestFault};
use super::wit::{WIT_SUPPORTED, WitVersion};
use crate::capability::{Capabilities, CapabilityTable};
use crate::error::{ParseError, Position, Shown, is_deceptive};
use crate::limits::{
    MANIFEST_MAX_BYTES, OUTPUT_KEPT_MAX_BYTES, PLUGIN_MEMORY_DEFAULT_MB, PLUGIN_MEMORY_MAX_MB, SUMMARY_MAX_BYTES,
    TIMEOUT_DEFAULT_S, TIMEOUT_MAX_S, TIMEOUT_MIN_S,
};
use crate::name::{PluginName, PluginVersion};
use crate::parameter::{ParameterSpec, check_specs};

/// Most bytes of `license` and `homepage`.
const LINK_MAX_BYTES: usize = 500;

/// What a plugin says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// `plugin.name`
    pub name: PluginName,
    /// `plugin.version`
    pub version: PluginVersion,
    /// `plugin.summary`: one line, 1 to 200 bytes.
    pub summary: String,
    /// `plugin.wit`: what it was made for. One that this release does not link is no fault of the
    /// manifest ([`WitVersion::is_supported`]).
    pub wit: WitVersion,
    /// `plugin.license`: an SPDX expression, not checked.
    pub license: Option<String>,
    /// `plugin.homepage`: an `https://` address.
    pub homepage: Option<String>,
    /// `[limits]`
    pub limits: ManifestLimits,
    /// `[capabilities]`: what it asks for.
    pub capabilities: Capabilities,
    /// `[[parameters]]`: what its command takes, so that a server can check without running it. Must be
    /// what the component describes. Nothing where the manifest does not say: then only the instance can check.
    pub parameters: Option<Vec<ParameterSpec>>,
}

/// How much a plugin may use of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestLimits {
    /// MiB of linear memory, all memories together: 1 to 512, 64 where nothing is said.
    pub memory_mb: u32,
    /// Seconds that a run may take where the order does not say less: 1 to 86,400, 60 where nothing is said.
    pub timeout_s: u32,
    /// KiB of output that are kept where the order does not say less: 1 to 1,024, 24 where nothing is said.
    pub output_kb: u32,
}

impl Default for ManifestLimits {
    fn default() -> Self {
        Self { memory_mb: PLUGIN_MEMORY_DEFAULT_MB, timeout_s: TIMEOUT_DEFAULT_S, output_kb: 24 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PluginTable {
    name: String,
    version: String,
    summary: String,
    wit: String,
    license: Option<String>,
    homepage: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LimitsTable {
    memory_mb: Option<u32>,
    timeout_s: Option<u32>,
    output_kb: Option<u32>,
}

impl Manifest {
    /// Reads a manifest of at most 64 KiB.
    ///
    /// # Errors
    /// All faults that were found, in the order of the text.
    pub fn parse(text: &str) -> Result<Self, ManifestErrors> {
        if text.len() > MANIFEST_MAX_BYTES {
            let problem = format!("the manifest has {} bytes; at most {MANIFEST_MAX_BYTES} are allowed", text.len());
            let fault = ManifestFault { line: 0, column: 0, key: String::new(), problem, mend: String::new() };
            return Err(ManifestErrors(vec![fault]));
        }
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut reader = Reader { text, root: root.into_inner(), faults: Vec::new() };
        if !errors.is_empty() {
            for error in errors {
                reader.add_at(error.span().map_or(text.len(), |span| span.start), "", error.message(), "");
            }
            return Err(reader.into_errors());
        }
        let manifest = reader.manifest();
        match manifest {
            Some(manifest) if reader.faults.is_empty() => Ok(manifest),
            _ => Err(reader.into_errors()),
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    root: DeTable<'t>,
    faults: Vec<(usize, ManifestFault)>,
}

impl Reader<'_> {
    fn into_errors(mut self) -> ManifestErrors {
        self.faults.sort_by_key(|(offset, _)| *offset);
        ManifestErrors(self.faults.into_iter().map(|(_, fault)| fault).collect())
    }

    fn add_at(&mut self, offset: usize, key: &str, problem: &str, mend: &str) {
        let Position { line, column } = Position::of(self.text, offset);
        let fault = ManifestFault { line, column, key: key.into(), problem: problem.into(), mend: mend.into() };
        self.faults.push((offset, fault));
    }

    /// Adds a fault of the value at `key`, or of the nearest thing around it that is there.
    fn add(&mut self, key: &str, problem: &str, mend: &str) {
        let offset = locate(&self.root, key);
        self.add_at(offset, key, problem, mend);
    }

    fn parsed<T: std::str::FromStr<Err = ParseError>>(&mut self, key: &str, text: &str) -> Option<T> {
        text.parse()
            .map_err(|error: ParseError| self.add(key, &format!("{} is no {}", Shown(text), error.what()), error.why()))
            .ok()
    }

    /// Reads a table by serde; a fault is said to be at `key`.
    fn value<T: DeserializeOwned>(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<T> {
        // Serde would take the fields of a table from a list, in an order that nobody knows.
        if !value.get_ref().is_table() {
            self.add_at(value.span().start, key, &format!("it is not a table but {}", value.get_ref().type_str()), "");
            return None;
        }
        match T::deserialize(ValueDeserializer::from(value.clone())) {
            Ok(read) => Some(read),
            Err(error) => {
                let offset = error.span().unwrap_or(value.span()).start;
                self.add_at(offset, key, error.message(), "");
                None
            }
        }
    }

    /// Reads a table that may be left out.
    fn table<T: DeserializeOwned + Default>(&mut self, key: &str) -> Option<T> {
        match self.root.get(key).cloned() {
            Some(value) => self.value(key, &value),
            None => Some(T::default()),
        }
    }

    fn manifest(&mut self) -> Option<Manifest> {
        const TABLES: [&str; 4] = ["plugin", "limits", "capabilities", "parameters"];
        let unknown = self.root.keys().filter(|key| !TABLES.contains(&key.get_ref().as_ref()));
        let unknown: Vec<_> = unknown.map(|key| (key.span().start, key.get_ref().to_string())).collect();
        for (offset, key) in unknown {
            self.add_at(
                offset,
                &key,
                "unknown table or field",
                "a manifest has [plugin], [limits], [capabilities] and [[parameters]]",
            );
        }
        let limits = self.limits();
        let capabilities = self.capabilities();
        let parameters = self.parameters();
        let Some(plugin) = self.root.get("plugin").cloned() else {
            self.add_at(0, "plugin", "the table [plugin] is missing", "add it with name, version, summary and wit");
            return None;
        };
        let plugin: PluginTable = self.value("plugin", &plugin)?;
        self.check_texts(&plugin);
        let name = self.parsed("plugin.name", &plugin.name);
        let version = self.parsed("plugin.version", &plugin.version);
        let wit = self.parsed("plugin.wit", &plugin.wit);
        let PluginTable { summary, license, homepage, .. } = plugin;
        Some(Manifest {
            name: name?,
            version: version?,
            summary,
            wit: wit?,
            license,
            homepage,
            limits: limits?,
            capabilities: capabilities?,
            parameters: parameters?,
        })
    }

    fn check_texts(&mut self, plugin: &PluginTable) {
        let summary = &plugin.summary;
        if summary.is_empty() || summary.len() > SUMMARY_MAX_BYTES || summary.contains(is_deceptive) {
            self.add("plugin.summary", "it is not one line of 1 to 200 bytes", "say in one line what the command does");
        }
        let plain = |text: &String| text.len() <= LINK_MAX_BYTES && !text.contains(is_deceptive);
        if plugin.license.as_ref().is_some_and(|license| !plain(license)) {
            self.add(
                "plugin.license",
                "it is not one line of at most 500 bytes",
                "write an SPDX expression, as `Apache-2.0`",
            );
        }
        if plugin.homepage.as_ref().is_some_and(|homepage| !plain(homepage) || !homepage.starts_with("https://")) {
            self.add(
                "plugin.homepage",
                "it is not an `https://` address of at most 500 bytes",
                "write the address of the plugin's page",
            );
        }
        if let Ok(wit) = plugin.wit.parse::<WitVersion>()
            && wit.numbers()[0] == 0
            && wit.numbers()[1] == 0
        {
            let mend = format!("this release links {}", WIT_SUPPORTED.join(", "));
            self.add("plugin.wit", "no version `0.0.x` was ever released", &mend);
        }
    }

    fn limits(&mut self) -> Option<ManifestLimits> {
        let table: LimitsTable = self.table("limits")?;
        let defaults = ManifestLimits::default();
        let mut number = |key: &str, value: Option<u32>, default, least, most| {
            let value = value.unwrap_or(default);
            if value < least || value > most {
                self.add(key, &format!("{value} is out of range"), &format!("write a number from {least} to {most}"));
            }
            value
        };
        Some(ManifestLimits {
            memory_mb: number("limits.memory_mb", table.memory_mb, defaults.memory_mb, 1, PLUGIN_MEMORY_MAX_MB),
            timeout_s: number("limits.timeout_s", table.timeout_s, defaults.timeout_s, TIMEOUT_MIN_S, TIMEOUT_MAX_S),
            output_kb: number("limits.output_kb", table.output_kb, defaults.output_kb, 1, OUTPUT_KEPT_MAX_BYTES / 1024),
        })
    }

    fn capabilities(&mut self) -> Option<Capabilities> {
        let table: CapabilityTable = self.table("capabilities")?;
        if !self.capability_tables_are_tables() {
            return None;
        }
        match table.check() {
            Ok(capabilities) => Some(capabilities),
            Err(faults) => {
                for fault in faults {
                    self.add(&format!("capabilities.{}", fault.place), &fault.why, "");
                }
                None
            }
        }
    }

    /// The same for the tables within `[capabilities]`.
    fn capability_tables_are_tables(&mut self) -> bool {
        let mut wrong = Vec::new();
        if let Some(capabilities) = self.root.get("capabilities").and_then(|value| value.get_ref().as_table()) {
            let lists = ["http", "process"].into_iter().filter_map(|key| Some((key, capabilities.get(key)?)));
            let entries = lists.filter_map(|(key, list)| Some((key, list.get_ref().as_array()?.iter())));
            let entries = entries.flat_map(|(key, list)| list.map(move |entry| (key, entry)));
            let files = capabilities.get("files").map(|files| ("files", files));
            for (key, value) in entries.chain(files) {
                if !value.get_ref().is_table() {
                    wrong.push((value.span().start, format!("capabilities.{key}")));
                }
            }
        }
        for (offset, key) in &wrong {
            self.add_at(*offset, key, "it is not a table", "");
        }
        wrong.is_empty()
    }

    fn parameters(&mut self) -> Option<Option<Vec<ParameterSpec>>> {
        let Some(value) = self.root.get("parameters").cloned() else {
            return Some(None);
        };
        let Some(entries) = value.get_ref().as_array() else {
            self.add("parameters", "it is not a list of tables", "start each parameter with `[[parameters]]`");
            return None;
        };
        let read = entries.iter().enumerate().map(|(index, entry)| self.value(&format!("parameters[{index}]"), entry));
        let read: Vec<Option<ParameterSpec>> = read.collect();
        let specs: Vec<ParameterSpec> = read.into_iter().collect::<Option<_>>()?;
        for fault in check_specs(&specs) {
            // The last of that name: for a name that is there twice, the second.
            let index = specs.iter().rposition(|spec| spec.name.as_str() == fault.name).unwrap_or_default();
            self.add(&format!("parameters[{index}]"), &fault.to_string(), "");
        }
        for (index, spec) in specs.iter().enumerate().filter(|(_, spec)| spec.secret) {
            let problem = format!("parameter `{}` is secret, but plugins get their parameters in the clear", spec.name);
            self.add(
                &format!("parameters[{index}].secret"),
                &problem,
                "let the plugin read a file that holds the secret",
            );
        }
        Some(Some(specs))
    }
}

/// Where the value of a key such as `capabilities.http[0].host` starts, or the nearest value around it.
fn locate(root: &DeTable<'_>, key: &str) -> usize {
    let mut steps = key.split(['.', '[']).map(|step| step.trim_end_matches(']'));
    let Some(mut value) = steps.next().and_then(|first| root.get(first)) else {
        return 0;
    };
    for step in steps {
        let next = match value.get_ref() {
            DeValue::Table(table) => table.get(step),
            DeValue::Array(array) => step.parse().ok().and_then(|index: usize| array.get(index)),
            _ => None,
        };
        match next {
            Some(next) => value = next,
            None => break,
        }
    }
    value.span().start
}

#[cfg(test)]
mod tests;
