//! Hashing: bytes to 64-bit codes, codes to buckets of a weight table.
//!
//! A category travels as a 64-bit code from decoding on; only where a model addresses its table
//! does the code become a bucket. Invariant: results are the same on every platform and in every
//! version, because codes and buckets are part of saved states. What this does not do: resist an
//! adversary who chooses texts to collide (there is no secret).
//!
//! [`hash_bytes`] is wyhash, final version 4 (W. Yi, public domain), with seed 0; [`mix64`] is the
//! finalizer of SplitMix64 (Steele, Lea, Flood 2014, with Stafford's variant 13 constants).

const SECRET: [u64; 4] =
    [0x2d35_8dcc_aa6c_78a5, 0x8bb8_4b93_962e_acc9, 0x4b33_a62e_d433_d4a3, 0x4d5a_2da5_1de1_aa47];

/// A bijection of 64 bits in which every input bit moves about half of the output bits.
#[inline]
pub const fn mix64(value: u64) -> u64 {
    let mut x = value;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The 64-bit hash of a text or of any bytes; good enough to stand for them as their code.
///
/// With `n` distinct values the chance of any two sharing a code is about `n^2 / 2^65`.
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    hash_bytes_seeded(bytes, 0)
}

/// [`hash_bytes`] from a seed, for a family of independent hashes.
pub fn hash_bytes_seeded(bytes: &[u8], seed: u64) -> u64 {
    let length = bytes.len() as u64;
    let mut seed = seed ^ fold(seed ^ SECRET[0], SECRET[1]);
    let (a, b) = if bytes.len() <= 16 {
        short(bytes)
    } else {
        let mut rest = bytes;
        if rest.len() > 48 {
            let mut lanes = [seed; 3];
            while rest.len() > 48 {
                for (lane, value) in lanes.iter_mut().enumerate() {
                    let at = lane * 16;
                    *value = fold(word(rest, at) ^ SECRET[lane + 1], word(rest, at + 8) ^ *value);
                }
                rest = &rest[48..];
            }
            seed = lanes[0] ^ lanes[1] ^ lanes[2];
        }
        while rest.len() > 16 {
            seed = fold(word(rest, 0) ^ SECRET[1], word(rest, 8) ^ seed);
            rest = &rest[16..];
        }
        (word(bytes, bytes.len() - 16), word(bytes, bytes.len() - 8))
    };
    let (low, high) = multiply(a ^ SECRET[1], b ^ seed);
    fold(low ^ SECRET[0] ^ length, high ^ SECRET[1])
}

/// The bucket of a category code in a table of `2^bits` rows (`bits` in 1..=32).
///
/// `salt` tells columns apart and must itself look random: [`hash_bytes`] of the column's name, or
/// [`mix64`] of its number. Codes may be hashes, small integers or multiples alike.
#[inline]
pub fn bucket(code: u64, salt: u64, bits: u32) -> u32 {
    debug_assert!((1..=32).contains(&bits), "a table has 2^1..=2^32 rows");
    (mix64(code ^ salt) >> (64 - bits)) as u32
}

/// Several codes as one, in their order; 0, a missing code, is one like any other.
#[inline]
pub fn cross(codes: impl IntoIterator<Item = u64>) -> u64 {
    let join = |crossed: u64, code: u64| mix64(crossed.rotate_left(17) ^ code.wrapping_add(CROSS));
    codes.into_iter().fold(0, join)
}

const CROSS: u64 = 0x9e37_79b9_7f4a_7c15;

#[inline]
fn multiply(a: u64, b: u64) -> (u64, u64) {
    let product = u128::from(a) * u128::from(b);
    (product as u64, (product >> 64) as u64)
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let (low, high) = multiply(a, b);
    low ^ high
}

fn short(bytes: &[u8]) -> (u64, u64) {
    let length = bytes.len();
    match length {
        0 => (0, 0),
        1..4 => {
            let [first, middle, last] = [bytes[0], bytes[length >> 1], bytes[length - 1]];
            (u64::from(first) << 16 | u64::from(middle) << 8 | u64::from(last), 0)
        }
        _ => {
            let middle = (length >> 3) << 2;
            let last = length - 4;
            (
                half(bytes, 0) << 32 | half(bytes, middle),
                half(bytes, last) << 32 | half(bytes, last - middle),
            )
        }
    }
}

#[inline]
fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("a slice of 8 is 8 long"))
}

#[inline]
fn half(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().expect("a slice of 4 is 4 long")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published vectors of wyhash final 4 (seed = position in the list).
    #[test]
    fn agrees_with_the_published_vectors() {
        for (seed, (text, expected)) in [
            ("", 0x93228a4de0eec5a2),
            ("a", 0xc5bac3db178713c4),
            ("abc", 0xa97f2f7b1d9b3314),
            ("message digest", 0x786d1f1df3801df4),
            ("abcdefghijklmnopqrstuvwxyz", 0xdca5a8138ad37c87),
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 0xb9e734f117cfaf70),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(hash_bytes_seeded(text.as_bytes(), seed as u64), expected, "{text}");
        }
    }

    #[test]
    fn every_length_and_every_byte_counts() {
        let bytes: Vec<u8> = (0..=200).collect();
        let mut seen = std::collections::BTreeSet::new();
        for length in 0..=bytes.len() {
            assert!(seen.insert(hash_bytes(&bytes[..length])));
            for at in 0..length {
                let mut other = bytes[..length].to_vec();
                other[at] ^= 0x10;
                assert!(seen.insert(hash_bytes(&other)), "length {length}, byte {at}");
            }
        }
    }

    /// Chi-square of 2^10 buckets over patterns that weak hashes spread badly: 1023 + 6 sigma.
    #[test]
    fn buckets_are_even() {
        let patterns: [fn(u64) -> u64; 5] = [|i| i, |i| i << 20, |i| i << 44, |i| i * 1000, mix64];
        for (number, pattern) in patterns.into_iter().enumerate() {
            for column in 0..8_u64 {
                let mut counts = vec![0_f64; 1024];
                for i in 1..=65_536 {
                    counts[bucket(pattern(i), mix64(column), 10) as usize] += 1.0;
                }
                let chi: f64 = counts.iter().map(|n| (n - 64.0) * (n - 64.0) / 64.0).sum();
                assert!(chi < 1023.0 + 6.0 * 45.2, "pattern {number}, column {column}: {chi}");
            }
        }
    }

    #[test]
    fn mixing_is_golden_and_a_column_has_its_own_buckets() {
        assert_eq!(mix64(0), 0);
        assert_eq!(mix64(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf);
        let same =
            (0..10_000).filter(|i| bucket(*i, mix64(1), 16) == bucket(*i, mix64(2), 16)).count();
        assert!(same < 10, "{same} of 10000 shared");
        assert!(bucket(u64::MAX, 0, 1) < 2);
    }
}
