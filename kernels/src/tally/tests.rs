//! The tally of a device against that of the CPU, whatever the cuts.

use proptest::prelude::*;

use super::device::DeviceTally;
use super::*;
use crate::device::Stream;
use crate::device::double::tested;

fn state(tally: &Tally) -> Vec<u8> {
    let mut bytes = Vec::new();
    tally.write(&mut StateWriter::new(&mut bytes)).expect("a vector takes all bytes");
    bytes
}

proptest! {
    #[test]
    fn a_device_has_the_bits_of_the_cpu(
        rows in prop::collection::vec(
            (prop_oneof![0.0_f32..=1.0, 0.0_f32..0.001, Just(1.0), Just(0.5)], any::<bool>()),
            0..900,
        ),
        cut in 1_usize..600,
        (has_log_loss, has_calibration) in any::<(bool, bool)>(),
        taken in 0_usize..40,
    ) {
        for gpu in tested() {
            let stream = Stream::new(&gpu).expect("a stream");
            let mut here = Tally::new(has_log_loss, has_calibration);
            // Sums may be below zero for a while: the high word is then all ones.
            rows.iter().take(taken).for_each(|(score, label)| here.add(*score, *label, -1));
            let mut there = DeviceTally::new(&stream, &here).expect("room");
            for rows in rows.chunks(cut) {
                let scores: Vec<f32> = rows.iter().map(|(score, _)| *score).collect();
                let labels: Vec<f32> =
                    rows.iter().map(|(_, label)| f32::from(u8::from(*label))).collect();
                let scores = stream.buffer_of(&scores).expect("room");
                let labels = stream.buffer_of(&labels).expect("room");
                there.add(&stream, (&scores, &labels), rows.len()).expect("the shapes fit");
                rows.iter().for_each(|(score, label)| here.add(*score, *label, 1));
            }
            let mut fetched = Tally::default();
            there.fetch(&stream, &mut fetched).expect("a copy");
            prop_assert!(state(&fetched) == state(&here));
        }
    }
}
