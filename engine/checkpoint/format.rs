//! A checkpoint as bytes: named sections behind a table of their lengths and digests.
//!
//! ```text
//! "PELTONCK"            8 bytes
//! format version        u32, little endian, as all numbers
//! number of sections    u32
//! per section           name length u8, name, length u64, BLAKE3 of the section (32 bytes)
//! header digest         BLAKE3 of everything above (32 bytes)
//! the sections          one after another, in the order of the table
//! ```
//!
//! The header digest covers the digests of all sections, so it is the digest of the whole; the
//! length of the file follows from the table, so a file that was cut or added to is refused. What a
//! section means is not known here.

use std::ops::Range;

/// The version of this layout and of the sections' contents; another one is refused.
pub const FORMAT_VERSION: u32 = 5;

const MAGIC: &[u8; 8] = b"PELTONCK";
const DIGEST_BYTES: usize = 32;
/// More sections than any version has: a damaged count must not ask for memory.
const SECTIONS_MAX: u32 = 1024;

/// Why bytes are not a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The file does not begin as a checkpoint does.
    #[error("it is not a checkpoint of pelton")]
    Foreign,
    /// Written by a version of pelton with another format.
    #[error("its format is version {found}, this program reads version {FORMAT_VERSION}")]
    Version {
        /// The version it says.
        found: u32,
    },
    /// The header's bytes are not those that were written.
    #[error("its header is damaged")]
    Header,
    /// The file is shorter or longer than its header says.
    #[error("it has {found} bytes instead of {expected}: the write was cut off")]
    Length {
        /// What the header says.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// A section's bytes are not those that were written.
    #[error("its section `{name}` is damaged")]
    Section {
        /// The section.
        name: String,
    },
    /// A section that is needed is not there.
    #[error("it has no section `{name}`")]
    Missing {
        /// The section.
        name: String,
    },
}

/// Sections under construction, in one buffer that is used again and again.
#[derive(Debug, Default)]
pub struct Sections {
    bytes: Vec<u8>,
    ends: Vec<(&'static str, usize)>,
}

impl Sections {
    /// Forgets the sections, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Appends a section made of whatever `write` adds.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn add(
        &mut self,
        name: &'static str,
        write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        write(&mut self.bytes)?;
        self.ends.push((name, self.bytes.len()));
        Ok(())
    }

    /// All sections one after another, as they follow the header.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.bytes
    }

    /// The header of these sections.
    #[must_use]
    pub fn header(&self) -> Vec<u8> {
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        let count = u32::try_from(self.ends.len()).expect("sections are few");
        header.extend_from_slice(&count.to_le_bytes());
        let mut start = 0;
        for &(name, end) in &self.ends {
            header.push(u8::try_from(name.len()).expect("names of sections are short"));
            header.extend_from_slice(name.as_bytes());
            header.extend_from_slice(&((end - start) as u64).to_le_bytes());
            header.extend_from_slice(blake3::hash(&self.bytes[start..end]).as_bytes());
            start = end;
        }
        let digest = blake3::hash(&header);
        header.extend_from_slice(digest.as_bytes());
        header
    }
}

/// A checkpoint that was read and found whole.
#[derive(Debug)]
pub struct Whole {
    bytes: Vec<u8>,
    sections: Vec<(String, Range<usize>)>,
}

impl Whole {
    /// Checks the bytes of a file.
    ///
    /// # Errors
    /// [`Damage`] for anything but the bytes that were written.
    pub fn parse(bytes: Vec<u8>) -> Result<Whole, Damage> {
        let mut reader = Reader { bytes: &bytes, at: 0 };
        if reader.take(MAGIC.len()) != Some(MAGIC.as_slice()) {
            return Err(Damage::Foreign);
        }
        let version = reader.u32().ok_or(Damage::Header)?;
        if version != FORMAT_VERSION {
            return Err(Damage::Version { found: version });
        }
        let table = reader.table().ok_or(Damage::Header)?;
        let digest = blake3::hash(&bytes[..reader.at]);
        if reader.take(DIGEST_BYTES) != Some(digest.as_bytes().as_slice()) {
            return Err(Damage::Header);
        }
        let mut start = reader.at;
        let lengths = table.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.length));
        let (expected, found) = ((start as u64).saturating_add(lengths), bytes.len() as u64);
        if expected != found {
            return Err(Damage::Length { expected, found });
        }
        let mut sections = Vec::with_capacity(table.len());
        for Entry { name, length, digest } in table {
            // The lengths add up to the file's, so each of them fits.
            let end = start + usize::try_from(length).map_err(|_| Damage::Header)?;
            if blake3::hash(&bytes[start..end]) != digest {
                return Err(Damage::Section { name });
            }
            sections.push((name, start..end));
            start = end;
        }
        Ok(Whole { bytes, sections })
    }

    /// The bytes of a section.
    ///
    /// # Errors
    /// [`Damage::Missing`].
    pub fn section(&self, name: &str) -> Result<&[u8], Damage> {
        let found = self.sections.iter().find(|(own, _)| own == name);
        let (_, range) = found.ok_or_else(|| Damage::Missing { name: name.to_owned() })?;
        Ok(&self.bytes[range.clone()])
    }

    /// Names and bytes of the sections, in order.
    pub fn sections(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.sections.iter().map(|(name, range)| (name.as_str(), &self.bytes[range.clone()]))
    }
}

/// A line of the header's table.
struct Entry {
    name: String,
    length: u64,
    digest: blake3::Hash,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn table(&mut self) -> Option<Vec<Entry>> {
        let count = self.u32().filter(|&count| count <= SECTIONS_MAX)?;
        (0..count).map(|_| self.entry()).collect()
    }

    fn entry(&mut self) -> Option<Entry> {
        let [name_bytes] = self.array()?;
        let name = std::str::from_utf8(self.take(usize::from(name_bytes))?).ok()?.to_owned();
        let length = self.array().map(u64::from_le_bytes)?;
        let digest = blake3::Hash::from_bytes(self.array()?);
        Some(Entry { name, length, digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let mut sections = Sections::default();
        for (name, text) in [("one", "first"), ("empty", ""), ("two", "second section")] {
            sections
                .add(name, |out| {
                    out.extend_from_slice(text.as_bytes());
                    Ok(())
                })
                .unwrap();
        }
        [sections.header().as_slice(), sections.body()].concat()
    }

    #[test]
    fn sections_come_back() {
        let whole = Whole::parse(file()).unwrap();
        assert_eq!(whole.section("two"), Ok(&b"second section"[..]));
        assert_eq!(whole.section("empty"), Ok(&b""[..]));
        let missing = Damage::Missing { name: "three".to_owned() };
        assert_eq!(whole.section("three"), Err(missing));
        assert_eq!(whole.sections().count(), 3);
    }

    #[test]
    fn no_flipped_bit_and_no_cut_goes_unseen() {
        let good = file();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Whole::parse(bytes).is_err(), "bit {bit}");
        }
        for length in 0..good.len() {
            assert!(Whole::parse(good[..length].to_vec()).is_err(), "{length} bytes");
        }
        let longer = [good.as_slice(), b"!"].concat();
        assert!(matches!(Whole::parse(longer), Err(Damage::Length { .. })));
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = file();
        bytes[8] = 7;
        assert_eq!(Whole::parse(bytes).unwrap_err(), Damage::Version { found: 7 });
        assert_eq!(Whole::parse(b"PK\x03\x04 a zip".to_vec()).unwrap_err(), Damage::Foreign);
    }
}
