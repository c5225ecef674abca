//! Files that a test makes up.
//!
//! Owns a small file system in memory for native tests of a plugin's rules. Never touches the machine that the
//! test runs on.

use std::collections::BTreeMap;

use crate::files::{Entry, Error, Files, Kind, Metadata, READ_AT_MAX, ReadAt};

/// Files by absolute path; folders are there where a file is beneath them.
#[derive(Debug, Clone, Default)]
pub struct FakeFiles(BTreeMap<String, Result<(Vec<u8>, Metadata), Error>>);

impl FakeFiles {
    /// Begins with no file at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file of root with mode 0644.
    #[must_use]
    pub fn with(self, path: &str, contents: impl Into<Vec<u8>>) -> Self {
        self.with_mode(path, contents, 0o644, 0, 0)
    }

    /// Adds a file with this mode, owner and group.
    #[must_use]
    pub fn with_mode(mut self, path: &str, contents: impl Into<Vec<u8>>, mode: u32, uid: u32, gid: u32) -> Self {
        let contents = contents.into();
        let metadata = Metadata {
            kind: Kind::File,
            mode,
            uid,
            gid,
            owner: (uid == 0).then(|| "root".to_owned()),
            group: (gid == 0).then(|| "root".to_owned()),
            size: contents.len() as u64,
            modified: 0,
            target: None,
        };
        self.0.insert(path.to_owned(), Ok((contents, metadata)));
        self
    }

    /// Adds a path that answers with an error.
    #[must_use]
    pub fn with_error(mut self, path: &str, error: Error) -> Self {
        self.0.insert(path.to_owned(), Err(error));
        self
    }

    fn get(&self, path: &str) -> Result<&(Vec<u8>, Metadata), Error> {
        match self.0.get(path) {
            Some(Ok(file)) => Ok(file),
            Some(Err(error)) => Err(error.clone()),
            None => Err(Error::NotFound),
        }
    }
}

impl Files for FakeFiles {
    fn read(&self, path: &str, limit: usize) -> Result<Vec<u8>, Error> {
        let (contents, _) = self.get(path)?;
        if contents.len() > limit {
            return Err(Error::TooLong(limit));
        }
        Ok(contents.clone())
    }

    fn open(&self, path: &str) -> Result<Box<dyn ReadAt>, Error> {
        Ok(Box::new(FakeFile(self.get(path)?.0.clone())))
    }

    fn read_dir(&self, path: &str) -> Result<Vec<Entry>, Error> {
        if let Some(Err(error)) = self.0.get(path) {
            return Err(error.clone());
        }
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let mut entries = self
            .0
            .keys()
            .filter_map(|file| {
                let rest = file.strip_prefix(&prefix)?;
                let (name, directory) = match rest.split_once('/') {
                    Some((name, _)) => (name, true),
                    None => (rest, false),
                };
                Some(Entry { name: name.to_owned(), directory })
            })
            .collect::<Vec<_>>();
        if entries.is_empty() {
            return Err(Error::NotFound);
        }
        entries.dedup();
        Ok(entries)
    }

    fn metadata(&self, path: &str) -> Result<Metadata, Error> {
        Ok(self.get(path)?.1.clone())
    }
}

/// An opened file with these bytes.
#[derive(Debug, Clone)]
pub struct FakeFile(pub Vec<u8>);

impl ReadAt for FakeFile {
    fn read_at(&self, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let end = start.saturating_add(length.min(READ_AT_MAX)).min(self.0.len());
        Ok(self.0[start..end].to_vec())
    }
}
