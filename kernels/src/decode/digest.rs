//! The digest of a short text, by which long ids are known.
//!
//! BLAKE3 (O'Connor, Aumasson, Neves, Wilcox-O'Hearn, 2020) of what fits into one block of 64
//! bytes, which is one compression.

/// The most bytes of a block.
pub(super) const BLOCK_BYTES: usize = 64;

const START: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];
/// The only chunk's first and last block, which is the root.
const FLAGS: u32 = 1 | 2 | 8;
const ROUNDS: usize = 7;

/// The first 16 bytes of the digest of at most [`BLOCK_BYTES`] bytes, the first one lowest.
pub(super) fn digest(text: &[u8]) -> u128 {
    let mut words = [0_u32; 16];
    for (at, &byte) in text.iter().take(BLOCK_BYTES).enumerate() {
        words[at / 4] |= u32::from(byte) << (at % 4 * 8);
    }
    let [a, b, c, d, ..] = START;
    let mut state = [0; 16];
    state[..8].copy_from_slice(&START);
    state[8..].copy_from_slice(&[a, b, c, d, 0, 0, text.len() as u32, FLAGS]);
    for round in 0..ROUNDS {
        if round > 0 {
            words = permuted(words);
        }
        let mut mixed = |at: [usize; 4], word: usize| {
            mix(&mut state, at, [words[word], words[word + 1]]);
        };
        for column in 0..4 {
            mixed([column, column + 4, column + 8, column + 12], column * 2);
        }
        for column in 0..4 {
            let next = |by: usize| (column + by) % 4;
            mixed([column, next(1) + 4, next(2) + 8, next(3) + 12], 8 + column * 2);
        }
    }
    let folded = (0..4).map(|at| u128::from(state[at] ^ state[at + 8]) << (32 * at));
    folded.sum()
}

fn mix(state: &mut [u32; 16], [a, b, c, d]: [usize; 4], words: [u32; 2]) {
    for (word, [first, second]) in words.into_iter().zip([[16, 12], [8, 7]]) {
        state[a] = state[a].wrapping_add(state[b]).wrapping_add(word);
        state[d] = (state[d] ^ state[a]).rotate_right(first);
        state[c] = state[c].wrapping_add(state[d]);
        state[b] = (state[b] ^ state[c]).rotate_right(second);
    }
}

fn permuted(words: [u32; 16]) -> [u32; 16] {
    [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8].map(|from: usize| words[from])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published vectors: texts of the bytes 0, 1, 2 and so on.
    #[test]
    fn agrees_with_the_published_vectors() {
        let bytes: Vec<u8> = (0..64).collect();
        for (length, expected) in [
            (0, 0xaf13_49b9_f5f9_a1a6_a040_4dea_36dc_c949),
            (1, 0x2d3a_dedf_f11b_61f1_4c88_6e35_afa0_3673),
            (64, 0x4eed_7141_ea4a_5cd4_b788_606b_d23f_46e2),
        ] {
            let expected: u128 = expected;
            assert_eq!(digest(&bytes[..length]), expected.swap_bytes(), "{length} bytes");
        }
        assert_eq!(digest(b"abc"), 0x6437_b3ac_3846_5133_ffb6_3b75_273a_8db5_u128.swap_bytes());
    }
}
