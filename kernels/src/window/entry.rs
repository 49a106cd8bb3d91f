//! What the words of an entry mean, in both layouts.
//!
//! | layout | words of 32 bits |
//! | --- | --- |
//! | exact | time (2), a value each (1), a code each (2) |
//! | tiled | the tile's start (2), entries (1), newest time (2), then the values |
//!
//! A tile has for each value: how many (1), min, max, last (1 each), time of last (2), S1 (4),
//! S2 (8).

use super::arena::read_i64;
use crate::fixed::{self, U256};

/// The layout of a table's entries.
#[derive(Debug, Clone, Copy)]
pub(super) struct EntryLayout {
    pub(super) values: usize,
    pub(super) codes: usize,
    /// 0 in the exact layout.
    pub(super) tile_ms: i64,
}

/// What one entry adds to the sums of a value column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    pub(super) count: u32,
    pub(super) sum: i128,
    pub(super) squares: U256,
}

const TILE_HEAD: usize = 5;
const TILE_VALUE: usize = 18;

impl EntryLayout {
    pub(super) fn words(&self) -> usize {
        match self.is_tiled() {
            true => TILE_HEAD + TILE_VALUE * self.values,
            false => 2 + self.values + 2 * self.codes,
        }
    }

    #[inline]
    pub(super) fn is_tiled(&self) -> bool {
        self.tile_ms > 0
    }

    /// The time an entry is sorted by.
    #[inline]
    pub(super) fn place_ms(&self, time_ms: i64) -> i64 {
        match self.is_tiled() {
            true => time_ms - time_ms.rem_euclid(self.tile_ms),
            false => time_ms,
        }
    }

    /// Writes one event. Values are admitted ones; `words` has the layout's length.
    pub(super) fn encode(
        &self,
        time_ms: i64,
        values: impl Iterator<Item = f32>,
        codes: impl Iterator<Item = u64>,
        words: &mut [u32],
    ) {
        write_u64(&mut words[..2], self.place_ms(time_ms).cast_unsigned());
        if !self.is_tiled() {
            let (value_words, code_words) = words[2..].split_at_mut(self.values);
            value_words.iter_mut().zip(values).for_each(|(word, value)| *word = value.to_bits());
            code_words.chunks_exact_mut(2).zip(codes).for_each(|(pair, code)| {
                write_u64(pair, code);
            });
            return;
        }
        words[2] = 1;
        write_u64(&mut words[3..5], time_ms.cast_unsigned());
        for (tile, value) in words[TILE_HEAD..].chunks_exact_mut(TILE_VALUE).zip(values) {
            let q = fixed::quantize(value);
            tile[0] = u32::from(!value.is_nan());
            tile[1..4].fill(value.to_bits());
            write_u64(&mut tile[4..6], time_ms.cast_unsigned());
            write_share(tile, q, U256::square(q));
        }
    }

    /// Joins one encoded event to a tile of the same start.
    pub(super) fn merge(&self, tile: &mut [u32], event: &[u32]) {
        let is_newest = read_i64(&event[3..5]) >= read_i64(&tile[3..5]);
        tile[2] = tile[2].saturating_add(event[2]);
        if is_newest {
            tile[3..5].copy_from_slice(&event[3..5]);
        }
        let tiles = tile[TILE_HEAD..].chunks_exact_mut(TILE_VALUE);
        for (old, new) in tiles.zip(event[TILE_HEAD..].chunks_exact(TILE_VALUE)) {
            if new[0] == 0 {
                continue;
            }
            if old[0] == 0 {
                old.copy_from_slice(new);
                continue;
            }
            old[0] = old[0].saturating_add(1);
            let value = f32::from_bits(new[1]);
            old[1] = f32::from_bits(old[1]).min(value).to_bits();
            old[2] = f32::from_bits(old[2]).max(value).to_bits();
            if read_i64(&new[4..6]) >= read_i64(&old[4..6]) {
                old[3..6].copy_from_slice(&new[3..6]);
            }
            let (sum, squares) = read_share(old);
            let (new_sum, new_squares) = read_share(new);
            write_share(old, sum.wrapping_add(new_sum), squares.plus(new_squares));
        }
    }

    /// How many events an entry stands for.
    #[inline]
    pub(super) fn count(&self, entry: &[u32]) -> u32 {
        if self.is_tiled() { entry[2] } else { 1 }
    }

    /// The time of an entry's newest event.
    #[inline]
    pub(super) fn newest_ms(&self, entry: &[u32]) -> i64 {
        read_i64(if self.is_tiled() { &entry[3..5] } else { entry })
    }

    /// What an entry adds to the sums of a value; squares only when asked for. Left to itself the
    /// compiler makes a call of it, or not, as other code of the crate changes: 1 % of a replay.
    #[inline(always)]
    pub(super) fn share(&self, entry: &[u32], value: usize, with_squares: bool) -> Option<Share> {
        if self.is_tiled() {
            return tile_share(&entry[TILE_HEAD + TILE_VALUE * value..][..TILE_VALUE]);
        }
        let number = f32::from_bits(entry[2 + value]);
        if number.is_nan() {
            return None;
        }
        let sum = fixed::quantize(number);
        let squares = if with_squares { U256::square(sum) } else { U256::default() };
        Some(Share { count: 1, sum, squares })
    }

    /// The smallest and largest of an entry's values, if it has one.
    #[inline]
    pub(super) fn extremes(&self, entry: &[u32], value: usize) -> Option<[f32; 2]> {
        let pair = if self.is_tiled() {
            let tile = &entry[TILE_HEAD + TILE_VALUE * value..][..3];
            [f32::from_bits(tile[1]), f32::from_bits(tile[2])]
        } else {
            [f32::from_bits(entry[2 + value]); 2]
        };
        (!pair[0].is_nan()).then_some(pair)
    }

    /// The latest of an entry's values, if it has one.
    #[inline]
    pub(super) fn last(&self, entry: &[u32], value: usize) -> Option<f32> {
        let at = if self.is_tiled() { TILE_HEAD + TILE_VALUE * value + 3 } else { 2 + value };
        let number = f32::from_bits(entry[at]);
        (!number.is_nan()).then_some(number)
    }

    /// An entry's code; only the exact layout keeps codes.
    #[inline]
    pub(super) fn code(&self, entry: &[u32], code: usize) -> u64 {
        read_i64(&entry[2 + self.values + 2 * code..]).cast_unsigned()
    }
}

#[inline(never)]
fn tile_share(tile: &[u32]) -> Option<Share> {
    let (sum, squares) = read_share(tile);
    (tile[0] > 0).then_some(Share { count: tile[0], sum, squares })
}

fn read_share(tile: &[u32]) -> (i128, U256) {
    let wide = |at: usize| (0..4).fold(0, |sum, i| sum | (u128::from(tile[at + i]) << (32 * i)));
    (wide(6).cast_signed(), U256 { low: wide(10), high: wide(14) })
}

fn write_share(tile: &mut [u32], sum: i128, squares: U256) {
    let parts = [sum.cast_unsigned(), squares.low, squares.high];
    for (words, part) in tile[6..].chunks_exact_mut(4).zip(parts) {
        words.iter_mut().enumerate().for_each(|(i, word)| *word = (part >> (32 * i)) as u32);
    }
}

fn write_u64(words: &mut [u32], value: u64) {
    words[0] = value as u32;
    words[1] = (value >> 32) as u32;
}
