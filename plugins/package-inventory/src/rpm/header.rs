//! One header: an index of tags and the data that they point into.
//!
//! Owns the tags that an inventory needs. Format: rpm's `docs/manual/format_header.md`, without the magic that only
//! package files have.

use super::bytes::be32;
use crate::package::Package;

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const ARCH: u32 = 1022;
const SOURCE_RPM: u32 = 1044;

const INT32: u32 = 4;
const STRING: u32 = 6;

/// Reads a header; `None` where it is none or has no name.
pub(super) fn package(blob: &[u8]) -> Option<Package> {
    let entries = usize::try_from(be32(blob, 0)?).ok()?;
    let index_end = entries.checked_mul(16)?.checked_add(8)?;
    let index = blob.get(8..index_end)?;
    let data = blob.get(index_end..)?;
    let mut package = Package::default();
    let (mut release, mut epoch) = (String::new(), None);
    for entry in index.chunks_exact(16) {
        let (tag, kind) = (be32(entry, 0)?, be32(entry, 4)?);
        let offset = usize::try_from(be32(entry, 8)?).ok()?;
        match (tag, kind) {
            (NAME, STRING) => package.name = string(data, offset)?,
            (VERSION, STRING) => package.version = string(data, offset)?,
            (RELEASE, STRING) => release = string(data, offset)?,
            (ARCH, STRING) => package.architecture = string(data, offset)?,
            (SOURCE_RPM, STRING) => package.source = source(&string(data, offset)?),
            (EPOCH, INT32) => epoch = Some(be32(data, offset)?),
            _ => {}
        }
    }
    if package.name.is_empty() {
        return None;
    }
    if !release.is_empty() {
        package.version = format!("{}-{release}", package.version);
    }
    if let Some(epoch) = epoch.filter(|epoch| *epoch > 0) {
        package.version = format!("{epoch}:{}", package.version);
    }
    Some(package)
}

fn string(data: &[u8], offset: usize) -> Option<String> {
    let rest = data.get(offset..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(&rest[..end]).into_owned())
}

/// `bash` out of `bash-5.1.8-9.el9.src.rpm`.
fn source(file: &str) -> String {
    let mut parts = file.rsplitn(3, '-');
    let (_release, _version) = (parts.next(), parts.next());
    parts.next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::source;

    #[test]
    fn a_source_loses_version_and_release() {
        assert_eq!(source("gcc-toolset-13-5.1.8-9.el9.src.rpm"), "gcc-toolset-13");
        assert_eq!(source("(none)"), "");
    }
}
