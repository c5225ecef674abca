//! The line of the program that starts a script. Owns its words: no shell reads it.

use std::fmt;
use std::str::FromStr;

use super::scan::Inner;
use crate::error::{ParseError, serde_by_text};
use crate::limits::LAUNCHER_MAX_BYTES;

/// A launcher: `python3 -u {{ACS::ScriptFileName|Ext(".py")}}`. At most 1 KiB.
///
/// Words are parted by blanks; `"…"` and `'…'` hold a word with blanks together, without any escapes (a path of Windows keeps its
/// backslashes). No shell sees them, so nothing else means anything. The script's file must be named, with one extension, and not in
/// the first word: that is the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    text: Box<str>,
    words: Vec<Vec<Part>>,
    extension: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    ScriptFile,
}

impl Launcher {
    /// The launcher as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What the name of the script's file must end with, with its dot: `.py`.
    pub fn extension(&self) -> Option<&str> {
        self.extension.as_deref()
    }

    /// The program and its arguments, with the path of the script's file in its places.
    pub fn arguments(&self, script_file: &str) -> Vec<String> {
        let word = |parts: &Vec<Part>| {
            let texts = parts.iter().map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::ScriptFile => script_file,
            });
            texts.collect::<String>()
        };
        self.words.iter().map(word).collect()
    }
}

#[derive(Default)]
struct Reader {
    words: Vec<Vec<Part>>,
    /// The word that is being read; nothing between words.
    word: Option<Vec<Part>>,
    extensions: Vec<Option<String>>,
}

impl Reader {
    fn put(&mut self, character: char) {
        let word = self.word.get_or_insert_default();
        match word.last_mut() {
            Some(Part::Text(text)) => text.push(character),
            _ => word.push(Part::Text(character.to_string())),
        }
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }

    fn read(mut self, text: &str) -> Result<Self, String> {
        let mut rest = text;
        let mut quote = None;
        while let Some(character) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("{{") {
                let (inner, after) = after.split_once("}}").ok_or("`{{` has no `}}`")?;
                match Inner::parse(inner) {
                    Ok(Inner::ScriptFile(file)) => self.extensions.push(file.extension),
                    Ok(_) => return Err("`{{ACS::ScriptFileName}}` is all that can stand in double braces here".into()),
                    Err(problem) => return Err(format!("`{{{{{inner}}}}}` {problem}")),
                }
                self.word.get_or_insert_default().push(Part::ScriptFile);
                rest = after;
                continue;
            }
            rest = rest.get(character.len_utf8()..).unwrap_or_default();
            match (character, quote) {
                (character, Some(open)) if character == open => quote = None,
                ('"' | '\'', None) => {
                    quote = Some(character);
                    // An empty word in quotes is a word.
                    self.word.get_or_insert_default();
                }
                (' ', None) => self.end_word(),
                _ => self.put(character),
            }
        }
        if let Some(quote) = quote {
            return Err(format!("a word begins with {quote} and does not end with it"));
        }
        self.end_word();
        Ok(self)
    }
}

impl FromStr for Launcher {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = |why: String| ParseError::new("launcher", text, why);
        if text.len() > LAUNCHER_MAX_BYTES {
            return Err(refuse(format!("it is longer than {LAUNCHER_MAX_BYTES} bytes")));
        }
        if text.contains(char::is_control) {
            return Err(refuse("it is one line without control characters".to_owned()));
        }
        let reader = Reader::default().read(text).map_err(refuse)?;
        if reader.words.first().is_none_or(Vec::is_empty) {
            return Err(refuse("name the program that starts the script".to_owned()));
        }
        if reader.words.first().is_some_and(|program| program.contains(&Part::ScriptFile)) {
            return Err(refuse("the first word is a program that starts the script, not the script itself".to_owned()));
        }
        let mut extensions = reader.extensions.iter();
        let first = extensions
            .next()
            .ok_or_else(|| refuse("say with `{{ACS::ScriptFileName}}` where the script's file belongs".to_owned()))?;
        if extensions.any(|extension| extension != first) {
            return Err(refuse("the script has one file: give it the same extension in all places".to_owned()));
        }
        Ok(Self { text: text.into(), extension: first.clone(), words: reader.words })
    }
}

impl fmt::Display for Launcher {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&self.text)
    }
}

serde_by_text!(Launcher);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<String> {
        text.parse::<Launcher>().unwrap().arguments("/run/x y.py")
    }

    #[test]
    fn the_script_file_is_one_word_wherever_it_stands() {
        let launcher: Launcher = r#"python3  -u {{ ACS::ScriptFileName|Ext(".py") }}"#.parse().unwrap();
        assert_eq!(launcher.extension(), Some(".py"));
        assert_eq!(launcher.arguments("/run/x y.py"), ["python3", "-u", "/run/x y.py"]);
        assert_eq!(words("a --file={{ACS::ScriptFileName}}"), ["a", "--file=/run/x y.py"]);
        assert_eq!(words(r#"a "{{ACS::ScriptFileName | Ext( ".tar.gz" )}} -"  '' "#), ["a", "/run/x y.py -", ""]);
        assert_eq!(
            words(r#""C:\Program Files\py.exe" '"' {{ACS::ScriptFileName}}"#),
            [r"C:\Program Files\py.exe", "\"", "/run/x y.py"]
        );
    }

    #[test]
    fn nothing_of_a_shell_means_anything() {
        assert_eq!(
            words("sh -c $(reboot);`x`|&>*\\ {{ACS::ScriptFileName}}"),
            ["sh", "-c", "$(reboot);`x`|&>*\\", "/run/x y.py"]
        );
    }

    #[test]
    fn refuses_what_is_no_launcher() {
        let long = format!("{{{{ACS::ScriptFileName}}}} {}", "x".repeat(LAUNCHER_MAX_BYTES));
        for bad in [
            "",
            "   ",
            "python3",
            "'' {{ACS::ScriptFileName}}",
            "{{ACS::ScriptFileName}}",
            "{{ACS::ScriptFileName}} -u",
            "/{{ACS::ScriptFileName}} {{ACS::ScriptFileName}}",
            "''{{ACS::ScriptFileName}}",
            "python3 {{name}} {{ACS::ScriptFileName}}",
            "python3 {{ACS::InstanceId}} {{ACS::ScriptFileName}}",
            "python3 {{ACS::ScriptFileName",
            "python3 \"{{ACS::ScriptFileName}}",
            "a\n{{ACS::ScriptFileName}}",
            r#"a {{ACS::ScriptFileName|Ext("py")}}"#,
            r#"a {{ACS::ScriptFileName|Ext(".")}}"#,
            r#"a {{ACS::ScriptFileName|Ext(".a/../b")}}"#,
            r#"a {{ACS::ScriptFileName|Ext(.py)}}"#,
            r#"a {{ACS::ScriptFileName|Name("x")}}"#,
            r#"a {{ACS::ScriptFileName}} {{ACS::ScriptFileName|Ext(".py")}}"#,
            &long,
        ] {
            assert!(bad.parse::<Launcher>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsing_is_total(text in "[a \"'{}|\\\\é]{0,20}", file in "\\{\\{ACS::ScriptFileName\\}\\}|") {
            if let Ok(launcher) = format!("{text}{file}").parse::<Launcher>() {
                prop_assert!(launcher.arguments("FILE").iter().any(|word| word.contains("FILE")));
                prop_assert_eq!(launcher.to_string().parse::<Launcher>().unwrap(), launcher);
            }
        }
    }
}
