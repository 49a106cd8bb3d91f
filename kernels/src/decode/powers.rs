//! Powers of five to 128 bits, by which decimals become doubles.

/// The least power of ten that is read.
pub(super) const POWER_MIN: i32 = -27;
/// The largest: its power of five is below 2^128.
pub(super) const POWER_MAX: i32 = 55;

const COUNT: usize = (POWER_MAX - POWER_MIN + 1) as usize;

/// The upper and the lower half of each, scaled by a power of two so that the highest bit is set;
/// those below one are rounded up, the others are exact.
pub(super) static POWERS: [[u64; 2]; COUNT] = powers();

const fn powers() -> [[u64; 2]; COUNT] {
    let mut powers = [[0; 2]; COUNT];
    let mut at = 0;
    while at < COUNT {
        let power = POWER_MIN + at as i32;
        let five = five_to(power.unsigned_abs());
        let bits = if power < 0 { reciprocal(five) } else { five << five.leading_zeros() };
        powers[at] = [(bits >> 64) as u64, bits as u64];
        at += 1;
    }
    powers
}

const fn five_to(power: u32) -> u128 {
    let mut five: u128 = 1;
    let mut at = 0;
    while at < power {
        five *= 5;
        at += 1;
    }
    five
}

/// `2^(bits + 127) / divisor`, rounded up, of a divisor of so many bits that is no power of two:
/// between 2^127 and 2^128. Divided bit by bit.
const fn reciprocal(divisor: u128) -> u128 {
    let bits = 128 - divisor.leading_zeros();
    // The quotient of the first bits is 0.
    let mut rest: u128 = 1 << (bits - 1);
    let mut quotient: u128 = 0;
    let mut at = 0;
    while at < 128 {
        rest <<= 1;
        quotient <<= 1;
        if rest >= divisor {
            rest -= divisor;
            quotient |= 1;
        }
        at += 1;
    }
    quotient + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_as_near_as_128_bits_are() {
        for (at, &[high, low]) in POWERS.iter().enumerate() {
            let power = POWER_MIN + at as i32;
            let bits = u128::from(high) << 64 | u128::from(low);
            assert!(high >> 63 == 1, "{power}");
            let five = five_to(power.unsigned_abs());
            if power >= 0 {
                assert_eq!(bits >> bits.trailing_zeros(), five >> five.trailing_zeros());
                continue;
            }
            // Beyond a power of two above 2^128 by at most the divisor.
            assert!((1..=five).contains(&bits.wrapping_mul(five)), "{power}");
        }
        // As others have them (fast_float's table).
        assert_eq!(POWERS[(1 - POWER_MIN) as usize], [0xa000_0000_0000_0000, 0]);
        assert_eq!(
            POWERS[(-1 - POWER_MIN) as usize],
            [0xcccc_cccc_cccc_cccc, 0xcccc_cccc_cccc_cccd]
        );
        assert_eq!(
            POWERS[(-2 - POWER_MIN) as usize],
            [0xa3d7_0a3d_70a3_d70a, 0x3d70_a3d7_0a3d_70a4]
        );
    }
}
