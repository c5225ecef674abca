//! dpkg's status file: deb822 paragraphs.
//!
//! Owns which of dpkg's states count as installed. Takes any text; what is no field is left out.

use crate::package::Package;

/// Reads the packages that have files on the instance.
pub(crate) fn packages(text: &str) -> Vec<Package> {
    let mut packages = Vec::new();
    let mut paragraph = Paragraph::default();
    for line in text.lines().chain(std::iter::once("")) {
        if line.trim().is_empty() {
            packages.extend(std::mem::take(&mut paragraph).package());
        } else if !line.starts_with([' ', '\t']) {
            paragraph.field(line);
        }
    }
    packages
}

#[derive(Default)]
struct Paragraph {
    package: Package,
    status: Option<String>,
}

impl Paragraph {
    fn field(&mut self, line: &str) {
        let Some((name, value)) = line.split_once(':') else { return };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "package" => value.clone_into(&mut self.package.name),
            "version" => value.clone_into(&mut self.package.version),
            "architecture" => value.clone_into(&mut self.package.architecture),
            // `Source: name (version)` where the versions differ.
            "source" => value.split(' ').next().unwrap_or_default().clone_into(&mut self.package.source),
            "status" => self.status = Some(value.to_owned()),
            _ => {}
        }
    }

    fn package(mut self) -> Option<Package> {
        if self.package.name.is_empty() {
            return None;
        }
        // The files of distroless images have no status: what is listed is installed.
        let status = self.status.unwrap_or_else(|| "install ok installed".to_owned());
        let mut words = status.split(' ');
        let (_want, flag, state) = (words.next(), words.next().unwrap_or("ok"), words.next().unwrap_or(""));
        match state {
            "not-installed" | "config-files" => return None,
            "installed" if flag == "ok" => {}
            _ if flag == "ok" => state.clone_into(&mut self.package.state),
            _ => self.package.state = format!("{state}, {flag}"),
        }
        Some(self.package)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATUS: &str = "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2.15-2+b7\n\
        Source: bash (5.2.15-2)\nDescription: shell\n Version: not a field\n\n\
        Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\
        Package: broken\nStatus: install reinstreq half-installed\nVersion: 2\nArchitecture: all\n";

    #[test]
    fn continued_lines_are_no_fields_and_removed_packages_no_packages() {
        let packages = packages(STATUS);
        assert_eq!(packages.len(), 2);
        assert_eq!(
            packages[0],
            Package {
                name: "bash".to_owned(),
                version: "5.2.15-2+b7".to_owned(),
                architecture: "amd64".to_owned(),
                source: "bash".to_owned(),
                state: String::new(),
            }
        );
        assert_eq!(packages[1].state, "half-installed, reinstreq");
    }

    #[test]
    fn a_paragraph_without_status_is_installed() {
        assert_eq!(packages("Package: base-files\nVersion: 12\n").len(), 1);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in any::<String>(), lines in "((Package|Status|x)?:? ?[a-z ]{0,20}\n){0,20}") {
            let _ = packages(&text);
            for package in packages(&lines) {
                prop_assert!(!package.name.is_empty());
            }
        }
    }
}
