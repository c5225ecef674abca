//! The names of a component's imports, for people who want to see them before anything runs.
//!
//! Owns a small reader of the binary format (component-model/design/mvp/Binary.md), total over any bytes. What is linked
//! is decided by `orderly-host` on the component itself; nothing is believed because of what is read here.

/// What a component file begins with: magic, version 13, layer 1.
const PREAMBLE: &[u8; 8] = b"\0asm\x0d\0\x01\0";

/// The section that holds imports.
const IMPORTS: u8 = 10;

/// Bytes are not the component that they should be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ComponentError {
    /// A core module or something else.
    #[error("it is no WebAssembly component; a core module must be linked with `wasm-component-ld`")]
    NotAComponent,
    /// Cut off, or of a form that is not known here.
    #[error("its list of imports cannot be read")]
    Malformed,
}

/// The names of all imports of the outermost component, in their order.
///
/// # Errors
/// The bytes are no component, or its import sections cannot be read.
pub(crate) fn imports(component: &[u8]) -> Result<Vec<String>, ComponentError> {
    let body = component.strip_prefix(PREAMBLE).ok_or(ComponentError::NotAComponent)?;
    let mut reader = Reader(body);
    let mut names = Vec::new();
    while !reader.0.is_empty() {
        let id = reader.byte()?;
        let length = reader.number()?;
        let mut section = Reader(reader.take(length)?);
        if id == IMPORTS {
            let count = section.number()?;
            for _ in 0..count {
                names.push(section.import()?);
            }
        }
    }
    Ok(names)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, ComponentError> {
        let (&first, rest) = self.0.split_first().ok_or(ComponentError::Malformed)?;
        self.0 = rest;
        Ok(first)
    }

    fn take(&mut self, length: u32) -> Result<&'a [u8], ComponentError> {
        let length = usize::try_from(length).map_err(|_| ComponentError::Malformed)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(ComponentError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    /// An unsigned LEB128 number of at most 32 bits.
    fn number(&mut self) -> Result<u32, ComponentError> {
        let mut value: u64 = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| ComponentError::Malformed);
            }
        }
        Err(ComponentError::Malformed)
    }

    fn text(&mut self) -> Result<String, ComponentError> {
        let length = self.number()?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| ComponentError::Malformed)
    }

    fn import(&mut self) -> Result<String, ComponentError> {
        let name = match self.byte()? {
            0x00 | 0x01 => self.text()?,
            // A name with its version apart.
            0x02 => {
                let name = self.text()?;
                format!("{name}@{}", self.text()?)
            }
            _ => return Err(ComponentError::Malformed),
        };
        match self.byte()? {
            // A core module: its type.
            0x00 => {
                self.byte()?;
                self.number()?;
            }
            // A function, a component, an instance: their types.
            0x01 | 0x04 | 0x05 => {
                self.number()?;
            }
            // A type: equal to another, or a new resource.
            0x03 => {
                if self.byte()? == 0x00 {
                    self.number()?;
                }
            }
            _ => return Err(ComponentError::Malformed),
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use proptest::prelude::*;

    use super::*;

    fn component(sections: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = PREAMBLE.to_vec();
        for (id, body) in sections {
            bytes.push(*id);
            bytes.push(u8::try_from(body.len()).unwrap());
            bytes.extend_from_slice(body);
        }
        bytes
    }

    #[test]
    fn instances_and_functions_are_found_over_several_sections() {
        let bytes = component(&[
            (7, b"whatever"),
            (IMPORTS, b"\x02\x00\x05a:b/c\x05\x00\x00\x01f\x01\x03"),
            (1, b"core"),
            (IMPORTS, b"\x01\x02\x03x:y\x051.0.0\x05\x01"),
        ]);
        assert_eq!(imports(&bytes).unwrap(), ["a:b/c", "f", "x:y@1.0.0"]);
    }

    #[test]
    fn other_bytes_are_refused() {
        assert_eq!(imports(b"\0asm\x01\0\0\0"), Err(ComponentError::NotAComponent));
        assert_eq!(imports(&component(&[(IMPORTS, b"\x01\x00\xffa")])), Err(ComponentError::Malformed));
        assert_eq!(imports(&component(&[(IMPORTS, b"\x01\x09")])), Err(ComponentError::Malformed));
    }

    proptest! {
        #[test]
        fn reading_is_total(bytes: Vec<u8>) {
            let mut component = PREAMBLE.to_vec();
            component.extend(bytes);
            drop(imports(&component));
        }
    }
}
