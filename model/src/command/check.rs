//! Turns a draft into a command, with everything that is wrong told at once. Owns which fields go together.

use std::fmt::Display;
use std::str::FromStr;

use orderly_signing::order::{ScriptKind, Termination};

use super::{
    Command, CommandBody, CommandDraft, CommandFault, CommandSpec, CommandType, ContainerRef, ContentEncoding,
    ContentLimits, ContentUse, ResourceLimits, ScriptSpec,
};
use crate::error::{ParseError, is_deceptive};
use crate::limits::{
    COMMAND_DESCRIPTION_MAX_CHARS, ENVIRONMENT_MAX, PARAMETER_VALUE_MAX_BYTES, TIMEOUT_DEFAULT_S, TIMEOUT_MAX_S,
    TIMEOUT_MIN_S, WORKING_DIR_MAX_CHARS,
};
use crate::name::{AbsolutePath, EnvName};
use crate::parameter::{ParameterSpec, check_specs, check_variables};
use crate::template::{Substitution, Template, refuse_placeholders};

/// What the names of variables that Orderly sets begin with, in any capitals.
const RESERVED_VARIABLES: &str = "ORDERLY_";

struct Reader(Vec<CommandFault>);

impl Reader {
    fn add(&mut self, field: impl Into<String>, problem: impl Display) {
        self.0.push(CommandFault::new(field, problem));
    }

    fn parse<T: FromStr<Err = ParseError>>(&mut self, field: &str, text: &str) -> Option<T> {
        text.parse().map_err(|error: ParseError| self.add(field, format!("is refused: {error}"))).ok()
    }

    fn parse_if<T: FromStr<Err = ParseError>>(&mut self, field: &str, text: Option<&String>) -> Option<T> {
        text.and_then(|text| self.parse(field, text))
    }
}

impl CommandDraft {
    /// The command that this draft is.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(&self, limits: &ContentLimits, content: ContentUse) -> Result<Command, Vec<CommandFault>> {
        let mut reader = Reader(Vec::new());
        let name = reader.parse("name", &self.name);
        let characters = self.description.chars().count();
        if characters > COMMAND_DESCRIPTION_MAX_CHARS {
            let problem = format!("has {characters} characters; at most {COMMAND_DESCRIPTION_MAX_CHARS} are allowed");
            reader.add("description", problem);
        }
        if self.description.contains(|c: char| is_deceptive(c) && c != '\n') {
            reader.add("description", "has invisible characters");
        }
        if let Some(seconds) = self.timeout_s.filter(|seconds| !(TIMEOUT_MIN_S..=TIMEOUT_MAX_S).contains(seconds)) {
            reader.add("timeout_s", format!("is {seconds}; write {TIMEOUT_MIN_S} to {TIMEOUT_MAX_S}"));
        }
        let body = match reader.parse::<CommandType>("type", &self.kind) {
            Some(kind) => match kind.script_kind() {
                Some(script) => self.script(&mut reader, script, limits, content),
                None => self.plugin(&mut reader),
            },
            None => None,
        };
        match (name, body) {
            (Some(name), Some(body)) if reader.0.is_empty() => {
                let description = self.description.clone();
                Ok(Command(CommandSpec { name, description, body }))
            }
            _ => Err(reader.0),
        }
    }

    fn plugin(&self, reader: &mut Reader) -> Option<CommandBody> {
        let foreign = [
            ("content", self.content.is_some()),
            ("encoding", self.encoding.is_some()),
            ("working_dir", self.working_dir.is_some()),
            ("user", self.user.is_some()),
            ("launcher", self.launcher.is_some()),
            ("container", self.container.is_some()),
            ("environment", !self.environment.is_empty()),
            ("stdin", self.stdin.is_some()),
            ("termination", self.termination.is_some()),
            ("resources", self.resources.is_some()),
            ("exit_effects", self.exit_effects),
            ("substitution", self.substitution.is_some()),
            ("parameters", !self.parameters.is_empty()),
        ];
        for (field, _) in foreign.into_iter().filter(|(_, is_there)| *is_there) {
            reader.add(field, "is for scripts; a plugin's manifest says what it takes and may do");
        }
        let Some(plugin) = &self.plugin else {
            reader.add("plugin", "is missing: name the plugin");
            return None;
        };
        let name = reader.parse("plugin.name", &plugin.name);
        let version = reader.parse_if("plugin.version", plugin.version.as_ref());
        Some(CommandBody::Plugin { name: name?, version, timeout_s: self.timeout_s })
    }

    fn script(
        &self,
        reader: &mut Reader,
        kind: ScriptKind,
        limits: &ContentLimits,
        content_use: ContentUse,
    ) -> Option<CommandBody> {
        if self.plugin.is_some() {
            reader.add("plugin", format!("does not go with the type `{}`", self.kind));
        }
        let content = self.content(reader, limits.of(content_use));
        if let Some(Err(error)) = content.as_ref().map(|content| limits.check(content_use, content.len())) {
            reader.add("content", error);
        }
        let container = self.container(reader, kind);
        let resources = self.resources.and_then(|asked| match ResourceLimits::new(asked) {
            Ok(limits) => Some(limits),
            Err(faults) => {
                faults.into_iter().for_each(|fault| reader.add("resources", fault));
                None
            }
        });
        if self.stdin.as_ref().is_some_and(|stdin| stdin.len() > PARAMETER_VALUE_MAX_BYTES) {
            reader.add("stdin", format!("has more than {PARAMETER_VALUE_MAX_BYTES} bytes"));
        }
        let script = ScriptSpec {
            kind,
            timeout_s: self.timeout_s.unwrap_or(TIMEOUT_DEFAULT_S),
            working_dir: self.working_dir(reader, kind),
            user: reader.parse_if("user", self.user.as_ref()),
            launcher: reader.parse_if("launcher", self.launcher.as_ref()),
            container,
            environment: self.environment(reader),
            stdin: self.stdin.clone(),
            termination: self.termination.unwrap_or(Termination::ProcessTree),
            resources,
            exit_effects: self.exit_effects,
            substitution: self.substitution.unwrap_or(Substitution::Environment),
            parameters: self.parameters(reader, content.as_deref()),
            content: content?,
        };
        Some(CommandBody::Script(Box::new(script)))
    }

    fn content(&self, reader: &mut Reader, most_base64_bytes: usize) -> Option<Vec<u8>> {
        let encoding = match &self.encoding {
            None => ContentEncoding::PlainText,
            Some(encoding) => reader.parse("encoding", encoding)?,
        };
        let Some(text) = self.content.as_ref().filter(|text| !text.is_empty()) else {
            reader.add("content", "is empty: there is nothing to run");
            return None;
        };
        // With a line break for every 64 characters, which is what tools put at most.
        if encoding == ContentEncoding::Base64 && text.len() > most_base64_bytes.saturating_mul(66).div_ceil(64) + 2 {
            reader.add("content", format!("has {} bytes; at most {most_base64_bytes} are allowed here", text.len()));
            return None;
        }
        match encoding.decode(text) {
            Ok(content) if content.is_empty() => {
                reader.add("content", "is empty: there is nothing to run");
                None
            }
            Ok(content) => Some(content),
            Err(error) => {
                reader.add("content", format!("cannot be decoded: {}", error.why()));
                None
            }
        }
    }

    fn container(&self, reader: &mut Reader, kind: ScriptKind) -> Option<ContainerRef> {
        let draft = self.container.as_ref()?;
        if kind != ScriptKind::Shell {
            reader.add("container", "is for shell scripts");
        }
        // Nothing of a command is left out in silence.
        let foreign = [
            ("launcher", self.launcher.is_some()),
            ("resources", self.resources.is_some()),
            ("exit_effects", self.exit_effects),
            ("termination", self.termination == Some(Termination::Process)),
        ];
        for (field, _) in foreign.into_iter().filter(|(_, is_there)| *is_there) {
            reader.add(field, "does not go with a container");
        }
        let id = reader.parse_if("container.id", draft.id.as_ref());
        let name = reader.parse_if("container.name", draft.name.as_ref());
        match (id, name) {
            (Some(id), Some(name)) => Some(ContainerRef::Both(id, name)),
            (Some(id), None) => Some(ContainerRef::Id(id)),
            (None, Some(name)) => Some(ContainerRef::Name(name)),
            (None, None) => {
                if draft.id.is_none() && draft.name.is_none() {
                    reader.add("container", "has neither id nor name");
                }
                None
            }
        }
    }

    fn working_dir(&self, reader: &mut Reader, kind: ScriptKind) -> Option<String> {
        let text = self.working_dir.as_ref()?;
        let characters = text.chars().count();
        if !(1..=WORKING_DIR_MAX_CHARS).contains(&characters) {
            reader.add("working_dir", format!("has {characters} characters; write 1 to {WORKING_DIR_MAX_CHARS}"));
            return None;
        }
        if kind == ScriptKind::Shell {
            let path = reader.parse::<AbsolutePath>("working_dir", text);
            return path.map(|path| path.as_str().to_owned());
        }
        // A path of another system is that instance's to judge.
        if text.contains(is_deceptive) {
            reader.add("working_dir", "has invisible characters");
        }
        Some(text.clone())
    }

    fn environment(&self, reader: &mut Reader) -> Vec<(EnvName, String)> {
        if self.environment.len() > ENVIRONMENT_MAX {
            let count = self.environment.len();
            reader.add("environment", format!("has {count} variables; at most {ENVIRONMENT_MAX} are allowed"));
            return Vec::new();
        }
        let mut variables = Vec::new();
        for (name, value) in &self.environment {
            let field = format!("environment.{}", name.escape_debug());
            if value.len() > PARAMETER_VALUE_MAX_BYTES {
                reader.add(&field, format!("has more than {PARAMETER_VALUE_MAX_BYTES} bytes"));
            }
            if value.contains('\0') {
                reader.add(&field, "has a zero byte");
            }
            if name.to_ascii_uppercase().starts_with(RESERVED_VARIABLES) {
                reader.add(
                    &field,
                    format!("begins with `{RESERVED_VARIABLES}`, which is kept for parameters and built-ins"),
                );
            }
            variables.extend(reader.parse::<EnvName>(&field, name).map(|name| (name, value.clone())));
        }
        variables
    }

    fn parameters(&self, reader: &mut Reader, content: Option<&[u8]>) -> Vec<ParameterSpec> {
        for fault in check_specs(&self.parameters) {
            reader.add(format!("parameters.{}", fault.name), fault.problem);
        }
        match self.substitution.unwrap_or(Substitution::Environment) {
            Substitution::Off => {
                if !self.parameters.is_empty() {
                    reader.add("parameters", "reach no script while `substitution` is `off`");
                }
            }
            Substitution::Environment => {
                for fault in check_variables(&self.parameters) {
                    reader.add(format!("parameters.{}", fault.name), fault.problem);
                }
                for fault in content.map(refuse_placeholders).and_then(Result::err).unwrap_or_default() {
                    reader.add("content", format!("is refused: {fault}"));
                }
            }
            Substitution::Text => return self.text_parameters(reader, content),
        }
        self.parameters.clone()
    }

    fn text_parameters(&self, reader: &mut Reader, content: Option<&[u8]>) -> Vec<ParameterSpec> {
        for spec in self.parameters.iter().filter(|spec| spec.secret) {
            let problem = "is secret, which is never text in a script: set `substitution` to `environment`";
            reader.add(format!("parameters.{}", spec.name), problem);
        }
        let Some(content) = content else { return self.parameters.clone() };
        let Ok(text) = std::str::from_utf8(content) else {
            reader.add("content", "is not UTF-8: values can reach it as environment variables only");
            return self.parameters.clone();
        };
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err(faults) => {
                faults.into_iter().for_each(|fault| reader.add("content", format!("is refused: {fault}")));
                return self.parameters.clone();
            }
        };
        if self.parameters.is_empty() {
            return template.implied();
        }
        for fault in template.check(&self.parameters).err().unwrap_or_default() {
            reader.add("content", format!("is refused: {fault}"));
        }
        self.parameters.clone()
    }
}
