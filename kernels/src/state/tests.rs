//! What was written is read back, in pieces of any size; what is damaged is refused.

use proptest::prelude::*;

use super::*;

fn write(write: impl FnOnce(&mut StateWriter<'_>) -> io::Result<()>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut StateWriter::new(&mut bytes)).expect("a vector takes all bytes");
    bytes
}

/// A reader that gives one byte at a time.
struct Dripping<'a>(&'a [u8]);

impl Read for Dripping<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = out.len().min(1);
        self.0.read(&mut out[..count])
    }
}

#[test]
fn numbers_are_little_endian() {
    let bytes = write(|state| {
        state.put(1_u8)?;
        state.put(0x0102_0304_u32)?;
        state.put(-2_i64)?;
        state.put(1.5_f32)?;
        state.put([1_u32, 2])?;
        state.list(&[7_u64])
    });
    let mut expected = vec![1, 4, 3, 2, 1, 254];
    expected.extend([255; 7]);
    expected.extend([0, 0, 0xc0, 0x3f, 1, 0, 0, 0, 2, 0, 0, 0]);
    expected.extend([1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes, expected);
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        words in prop::collection::vec(any::<u32>(), 0..5000),
        wide in prop::collection::vec(any::<u128>(), 0..1200),
        cuts in prop::collection::vec(0_usize..5000, 0..20),
        pairs in prop::collection::vec(any::<(u8, f64)>(), 0..1500),
    ) {
        // Mostly zeros, so that there are empty blocks.
        let cells: Vec<[f64; 2]> =
            pairs.iter().map(|&(a, b)| if a < 3 { [f64::from(a), b] } else { [0.0; 2] }).collect();
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (words.len() + 1)).collect();
        ends.extend([0, words.len()]);
        ends.sort_unstable();
        let bytes = write(|state| {
            state.list(&words)?;
            state.slices(ends.windows(2).map(|pair| &words[pair[0]..pair[1]]))?;
            state.each(words.iter().map(|word| u64::from(*word)))?;
            state.list(&wide)?;
            state.blocks(&cells, |cell| *cell)
        });
        let mut drip = Dripping(&bytes);
        let mut state = StateReader::new(&mut drip);
        prop_assert_eq!(&state.list::<u32>(words.len()).unwrap(), &words);
        prop_assert_eq!(&state.numbers::<u32>(words.len()).unwrap(), &words);
        let mut longs = vec![0_u64; words.len()];
        state.fill(&mut longs).unwrap();
        prop_assert!(longs.iter().zip(&words).all(|(long, word)| *long == u64::from(*word)));
        prop_assert_eq!(&state.list::<u128>(wide.len()).unwrap(), &wide);
        let mut found = vec![[0.0; 2]; cells.len()];
        state.blocks(&mut found, |cell| cell).unwrap();
        let bits = |cells: &[[f64; 2]]| -> Vec<[u64; 2]> {
            cells.iter().map(|cell| cell.map(f64::to_bits)).collect()
        };
        prop_assert_eq!(bits(&found), bits(&cells));
        state.end().unwrap();
        for cut in ends.iter().map(|end| end % bytes.len()) {
            let mut short = &bytes[..cut];
            let mut state = StateReader::new(&mut short);
            let read = state.list::<u32>(words.len())
                .and_then(|_| state.numbers::<u32>(words.len()))
                .and_then(|_| state.fill(&mut longs))
                .and_then(|()| state.list::<u128>(wide.len()))
                .and_then(|_| state.blocks(&mut found, |cell| cell));
            prop_assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let kind = |result: io::Result<()>| result.unwrap_err().kind();
    let long = write(|state| state.length(usize::MAX));
    let list = |max| StateReader::new(&mut &long[..]).list::<u128>(max).map(|_| ());
    assert_eq!(kind(list(1 << 40)), io::ErrorKind::InvalidData);
    // Believed, but only as far as there are bytes: this would be 2^68 of them.
    assert_eq!(kind(list(usize::MAX)), io::ErrorKind::UnexpectedEof);
    let blocks = StateReader::new(&mut &[2_u8][..]).blocks(&mut [0_u8], |cell| cell);
    assert_eq!(kind(blocks), io::ErrorKind::InvalidData);
    let expected = StateReader::new(&mut &b"linear-2"[..]).expect(b"linear-1", "another layout");
    assert_eq!(expected.unwrap_err().to_string(), "another layout");
    assert_eq!(kind(StateReader::new(&mut &[0_u8][..]).end()), io::ErrorKind::InvalidData);
}
