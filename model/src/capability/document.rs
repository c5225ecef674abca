//! How capabilities are written: the `[capabilities]` table of `plugin.toml`, and the canonical
//! JSON that approvals carry. Both are the same table, read by one set of serde types, and both
//! end in the same checks.

use serde::{Deserialize, Serialize};

use super::{ArgumentPattern, Capabilities, HostPattern, HttpRule, Method, PathPattern, ProcessRule, RunAs, Scheme};
use crate::error::ParseError;
use crate::limits::{CAPABILITIES_MAX_BYTES, CAPABILITY_ENTRIES_MAX};
use crate::name::EnvName;

/// Capabilities as they are written, not yet checked. Fields stand in alphabetical order and are left out where they say
/// nothing, which makes the compact JSON canonical.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CapabilityTable {
    #[serde(skip_serializing_if = "is_false")]
    clock: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    environment: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    facts: bool,
    #[serde(skip_serializing_if = "is_default")]
    files: FilesTable,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    http: Vec<HttpTable>,
    #[serde(skip_serializing_if = "is_false")]
    mounts: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    process: Vec<ProcessTable>,
    #[serde(skip_serializing_if = "is_false")]
    random: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FilesTable {
    #[serde(skip_serializing_if = "is_false")]
    privileged: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    read: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    write: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpTable {
    host: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    methods: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(default, skip_serializing_if = "is_false")]
    private: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scheme: Option<Scheme>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProcessTable {
    // Required: a program with any arguments at all must not come from something left out.
    arguments: Vec<String>,
    executable: String,
    #[serde(default, skip_serializing_if = "is_false")]
    interpreter: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Something wrong in a set of capabilities, with where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{place}`: {why}")]
pub struct CapabilityFault {
    /// The place within the table: `files.read[1]`, `http[0].host`.
    pub place: String,
    /// What is wrong and how to mend it.
    pub why: String,
}

/// Why a text is no set of capabilities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapabilitiesError {
    /// It is longer than 64 KiB.
    #[error("the capabilities are longer than {CAPABILITIES_MAX_BYTES} bytes")]
    TooLong,
    /// It is no JSON, or has fields that it must not have.
    #[error("the capabilities are not what this release can read: {0}")]
    Shape(String),
    /// Values are wrong; all of them are here.
    #[error("the capabilities are wrong: {}", join(.0))]
    Faults(Vec<CapabilityFault>),
    /// It says the same as the canonical text in another way, so that two texts would stand for one approval.
    #[error("the capabilities are not in canonical form: make the text with this program")]
    NotCanonical,
}

fn join(faults: &[CapabilityFault]) -> String {
    let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

struct Faults(Vec<CapabilityFault>);

impl Faults {
    fn add(&mut self, place: impl Into<String>, why: impl Into<String>) {
        self.0.push(CapabilityFault { place: place.into(), why: why.into() });
    }

    fn parse<T: std::str::FromStr<Err = ParseError>>(&mut self, place: &str, text: &str) -> Option<T> {
        text.parse().map_err(|error: ParseError| self.add(place, error.to_string())).ok()
    }

    fn list<T: std::str::FromStr<Err = ParseError>>(&mut self, place: &str, texts: &[String]) -> Vec<T> {
        let indexed = texts.iter().enumerate();
        indexed.filter_map(|(index, text)| self.parse(&format!("{place}[{index}]"), text)).collect()
    }

    fn count(&mut self, place: &str, count: usize) {
        if count > CAPABILITY_ENTRIES_MAX {
            self.add(place, format!("{count} entries are more than {CAPABILITY_ENTRIES_MAX}"));
        }
    }
}

impl CapabilityTable {
    /// Checks everything that is written.
    ///
    /// # Errors
    /// All faults, each with its place.
    pub fn check(&self) -> Result<Capabilities, Vec<CapabilityFault>> {
        let mut faults = Faults(Vec::new());
        for (place, count) in [
            ("files.read", self.files.read.len()),
            ("files.write", self.files.write.len()),
            ("http", self.http.len()),
            ("process", self.process.len()),
            ("environment", self.environment.len()),
        ] {
            faults.count(place, count);
        }
        let files_read: Vec<PathPattern> = faults.list("files.read", &self.files.read);
        if self.files.privileged && self.files.read.is_empty() {
            faults.add("files.privileged", "there is no `files.read` for it to apply to: take it away");
        }
        let mut capabilities = Capabilities {
            files_read,
            files_write: faults.list("files.write", &self.files.write),
            files_privileged: self.files.privileged,
            http: self.http.iter().enumerate().filter_map(|(index, table)| table.check(index, &mut faults)).collect(),
            process: self
                .process
                .iter()
                .enumerate()
                .filter_map(|(index, table)| table.check(index, &mut faults))
                .collect(),
            environment: faults.list::<EnvName>("environment", &self.environment),
            clock: self.clock,
            random: self.random,
            facts: self.facts,
            mounts: self.mounts,
            user: self.user.as_ref().and_then(|text| faults.parse("user", text)).unwrap_or_default(),
        };
        if !faults.0.is_empty() {
            return Err(faults.0);
        }
        capabilities.normalise();
        Ok(capabilities)
    }
}

impl HttpTable {
    fn check(&self, index: usize, faults: &mut Faults) -> Option<HttpRule> {
        let host: Option<HostPattern> = faults.parse(&format!("http[{index}].host"), &self.host);
        let place = format!("http[{index}].methods");
        let mut methods = match &self.methods {
            Some(texts) => faults.list(&place, texts),
            None => vec![Method::Get],
        };
        if self.methods.as_ref().is_some_and(Vec::is_empty) {
            faults.add(place, "name at least one method, or leave the field out for GET");
        }
        methods.sort();
        methods.dedup();
        let scheme = self.scheme.unwrap_or_default();
        let port = self.port.unwrap_or(scheme.port());
        if port == 0 {
            faults.add(format!("http[{index}].port"), "a port is 1 to 65535");
        }
        Some(HttpRule { host: host?, port, scheme, methods, private: self.private })
    }
}

impl ProcessTable {
    fn check(&self, index: usize, faults: &mut Faults) -> Option<ProcessRule> {
        let executable = faults.parse(&format!("process[{index}].executable"), &self.executable);
        let place = format!("process[{index}].arguments");
        let before = faults.0.len();
        let arguments: Vec<ArgumentPattern> = faults.list(&place, &self.arguments);
        let user = match &self.user {
            Some(text) => faults.parse(&format!("process[{index}].user"), text)?,
            None => RunAs::Unprivileged,
        };
        let rule = ProcessRule { executable: executable?, arguments, user, interpreter: self.interpreter };
        if let Err(why) = rule.check()
            && faults.0.len() == before
        {
            faults.add(place, why);
        }
        Some(rule)
    }
}

impl From<&Capabilities> for CapabilityTable {
    fn from(capabilities: &Capabilities) -> Self {
        fn texts<T: ToString>(list: &[T]) -> Vec<String> {
            list.iter().map(ToString::to_string).collect()
        }
        let mut sorted = capabilities.clone();
        sorted.normalise();
        let user = |user: &RunAs| (*user != RunAs::Unprivileged).then(|| user.to_string());
        Self {
            clock: sorted.clock,
            environment: texts(&sorted.environment),
            facts: sorted.facts,
            files: FilesTable {
                privileged: sorted.files_privileged,
                read: texts(&sorted.files_read),
                write: texts(&sorted.files_write),
            },
            http: sorted.http.iter().map(HttpTable::from).collect(),
            mounts: sorted.mounts,
            process: sorted
                .process
                .iter()
                .map(|rule| ProcessTable {
                    arguments: texts(&rule.arguments),
                    executable: rule.executable.to_string(),
                    interpreter: rule.interpreter,
                    user: user(&rule.user),
                })
                .collect(),
            random: sorted.random,
            user: user(&sorted.user),
        }
    }
}

impl From<&HttpRule> for HttpTable {
    /// Everything is written out, so that what was approved does not follow from a default.
    fn from(rule: &HttpRule) -> Self {
        Self {
            host: rule.host.to_string(),
            methods: Some(rule.methods.iter().map(|method| method.as_str().to_owned()).collect()),
            port: Some(rule.port),
            private: rule.private,
            scheme: Some(rule.scheme),
        }
    }
}

impl Capabilities {
    /// The one text that stands for these capabilities in an approval: compact JSON, sorted.
    pub fn to_canonical_json(&self) -> String {
        // A table of texts, numbers and flags always serialises.
        serde_json::to_string(&CapabilityTable::from(self)).unwrap_or_default()
    }

    /// Reads a canonical text. At most 64 KiB.
    ///
    /// # Errors
    /// Where the text is too long, no such table, wrong in its values, or not canonical.
    pub fn from_canonical_json(text: &str) -> Result<Self, CapabilitiesError> {
        if text.len() > CAPABILITIES_MAX_BYTES {
            return Err(CapabilitiesError::TooLong);
        }
        let table: CapabilityTable =
            serde_json::from_str(text).map_err(|error| CapabilitiesError::Shape(error.to_string()))?;
        let capabilities = table.check().map_err(CapabilitiesError::Faults)?;
        if capabilities.to_canonical_json() != text {
            return Err(CapabilitiesError::NotCanonical);
        }
        Ok(capabilities)
    }
}
