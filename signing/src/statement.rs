//! What a publisher says about a plugin: an in-toto Statement version 1.
//!
//! Owns the fixed shape of it: one subject, the component; a predicate that names the manifest and how the component
//! was built. It never reads a component or a manifest, only their digests.

use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    document::{self, Document},
    envelope::STATEMENT_TYPE,
    error::Invalid,
};

/// The type of every in-toto Statement version 1.
pub const TYPE: &str = "https://in-toto.io/Statement/v1";
/// The type of our predicate.
pub const PREDICATE_TYPE: &str = "urn:orderly:plugin-statement:v1";
/// The name of the subject: the component's file name in a package.
pub const SUBJECT_NAME: &str = "plugin.wasm";

/// An in-toto statement about one plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Statement {
    /// Always [`TYPE`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// Exactly one: the component.
    pub subject: Vec<Subject>,
    /// Always [`PREDICATE_TYPE`].
    pub predicate_type: String,
    /// What is said.
    pub predicate: Predicate,
}

/// What a statement is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Always [`SUBJECT_NAME`].
    pub name: String,
    /// Its digest.
    pub digest: SubjectDigest,
}

/// in-toto's digest set; ours has SHA-256 alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectDigest {
    /// 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// What a publisher says about a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predicate {
    /// The plugin's name.
    pub name: String,
    /// The plugin's version.
    pub version: String,
    /// SHA-256 of the manifest.
    pub manifest: Digest,
    /// The WIT world that it was built against, such as `orderly:plugin@0.1.0`.
    pub wit: String,
    /// How it was built.
    pub build: Build,
}

/// How a component was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The tool, with its version.
    pub tool: String,
    /// Where the source is, when it is public.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl Statement {
    /// The statement that this component is what the predicate says.
    #[must_use]
    pub fn new(component: Digest, predicate: Predicate) -> Self {
        let digest = SubjectDigest { sha256: component.hex() };
        Self {
            statement_type: TYPE.to_owned(),
            subject: vec![Subject { name: SUBJECT_NAME.to_owned(), digest }],
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate,
        }
    }

    /// The digest of the component, or nothing when the statement is not about one ([`Statement::validate`] fails then).
    #[must_use]
    pub fn component(&self) -> Option<Digest> {
        match self.subject.as_slice() {
            [subject] => format!("sha256:{}", subject.digest.sha256).parse().ok(),
            _ => None,
        }
    }

    /// Checks all bounds that the types do not check.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn validate(&self) -> Result<(), Invalid> {
        exactly("_type", &self.statement_type, TYPE)?;
        exactly("predicateType", &self.predicate_type, PREDICATE_TYPE)?;
        document::within("subject", self.subject.len() as u64, 1, 1)?;
        for subject in &self.subject {
            exactly("subject.name", &subject.name, SUBJECT_NAME)?;
        }
        if self.component().is_none() {
            return Err(Invalid::new("subject.digest.sha256", "must be 64 lower-case hexadecimal digits"));
        }
        document::plugin_name("predicate.name", &self.predicate.name)?;
        document::text("predicate.version", &self.predicate.version, 64, document::word)?;
        document::text("predicate.wit", &self.predicate.wit, 128, document::line)?;
        document::text("predicate.build.tool", &self.predicate.build.tool, 256, document::line)?;
        match &self.predicate.build.source {
            Some(source) => document::text("predicate.build.source", source, 1024, document::line),
            None => Ok(()),
        }
    }
}

fn exactly(field: &str, found: &str, expected: &str) -> Result<(), Invalid> {
    if found == expected { Ok(()) } else { Err(Invalid::new(field, format!("must be `{expected}`"))) }
}

impl Document for Statement {
    const TYPE: &'static str = STATEMENT_TYPE;
    const NAME: &'static str = "plugin statement";

    fn bounds(&self) -> Result<(), Invalid> {
        self.validate()
    }
}
