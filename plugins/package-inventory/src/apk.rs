//! apk's database of installed packages.
//!
//! Owns the one-letter fields. Takes any text; what is no field is left out.

use crate::package::Package;

/// Reads the packages.
pub(crate) fn packages(text: &str) -> Vec<Package> {
    let mut packages = Vec::new();
    let mut package = Package::default();
    for line in text.lines().chain(std::iter::once("")) {
        if line.is_empty() {
            let done = std::mem::take(&mut package);
            if !done.name.is_empty() {
                packages.push(done);
            }
            continue;
        }
        let Some((field, value)) = line.split_once(':') else { continue };
        match field {
            "P" => value.clone_into(&mut package.name),
            "V" => value.clone_into(&mut package.version),
            "A" => value.clone_into(&mut package.architecture),
            "o" => value.clone_into(&mut package.source),
            // Flags of a broken package: `f` files, `s` script, `x` something else.
            "f" if !value.is_empty() => package.state = format!("broken ({value})"),
            _ => {}
        }
    }
    packages
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_of_files_do_not_change_the_package() {
        let text =
            "C:Q1abc=\nP:musl\nV:1.2.4-r2\nA:x86_64\no:musl\nF:lib\nR:libc.so\na:0:0:755\n\nP:zlib\nV:1.3-r0\nf:s\n";
        let packages = packages(text);
        assert_eq!(packages.len(), 2);
        assert_eq!((packages[0].name.as_str(), packages[0].version.as_str()), ("musl", "1.2.4-r2"));
        assert_eq!(packages[1].state, "broken (s)");
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in any::<String>(), lines in "([A-Za-z]:[a-z]{0,8}\n|\n){0,20}") {
            let _ = packages(&text);
            for package in packages(&lines) {
                prop_assert!(!package.name.is_empty());
            }
        }
    }
}
