//! Any bytes are a checkpoint or are refused. The digests would keep the fuzzer out, so that they
//! are put right: what it makes is the table of the sections and what follows it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pelton::checkpoint::format::{FORMAT_VERSION, Whole};
use pelton::checkpoint::recover::parse_manifest;

/// The bytes of a section's digest.
const DIGEST_BYTES: usize = 32;

/// A file whose header digest is right, and that of its first section, if it has one.
fn sealed(table: &[u8], body: &[u8]) -> Vec<u8> {
    let mut file = b"PELTONCK".to_vec();
    file.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    let first = file.len() + 4;
    file.extend_from_slice(table);
    if let Some(&name_bytes) = file.get(first) {
        let length_at = first + 1 + usize::from(name_bytes);
        let length = file.get(length_at..length_at + 8);
        let length = length.map(|b| u64::from_le_bytes(b.try_into().expect("eight bytes")));
        if let Some(length) = length
            && let Some(section) = usize::try_from(length).ok().and_then(|n| body.get(..n))
            && let Some(digest) = file.get_mut(length_at + 8..length_at + 8 + DIGEST_BYTES)
        {
            digest.copy_from_slice(blake3::hash(section).as_bytes());
        }
    }
    let digest = blake3::hash(&file);
    file.extend_from_slice(digest.as_bytes());
    file.extend_from_slice(body);
    file
}

fuzz_target!(|input: (&[u8], &[u8])| {
    let (table, body) = input;
    let _ = Whole::parse(table.to_vec());
    if let Ok(whole) = Whole::parse(sealed(table, body)) {
        let sections: Vec<u8> = whole.sections().flat_map(|(_, bytes)| bytes).copied().collect();
        assert_eq!(sections, body, "every byte belongs to one section");
        if let Ok(manifest) = parse_manifest(&whole, "it") {
            drop(manifest.spans());
        }
    }
});
