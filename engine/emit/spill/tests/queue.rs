//! The spill on its own, against a plain queue: reopened, torn, full, cut.

use std::collections::VecDeque;
use std::path::Path;

use pelton_kernels::cases::scaled;
use proptest::prelude::*;

use super::super::disk::{Offered, Spill};
use super::super::frame::{self, Frames};
use super::super::segment::DISK_IS_FULL;
use super::{body, record};
use crate::emit::Record;

/// Reads so many, at most; the numbers in their bodies.
fn read(spill: &mut Spill, most: usize) -> Vec<u64> {
    let mut numbers = Vec::new();
    while numbers.len() < most {
        let mut take = |record: &Record<'_>| {
            let text = String::from_utf8(record.payload.to_vec()).unwrap();
            numbers.push(text.trim_end_matches('.').parse().unwrap());
            Ok(true)
        };
        if spill.offer(&mut take).unwrap() == Offered::None {
            break;
        }
    }
    numbers
}

fn open(dir: &Path) -> Spill {
    Spill::open(dir, 1 << 20).unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Pass,
    Read(usize),
    Confirm,
    Rewind,
    PutFirst(u64),
    Reopen,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(scaled(32)))]

    #[test]
    fn it_is_a_queue_that_outlives_the_process(steps in prop::collection::vec(
        prop_oneof![
            5 => (1..60_000_usize).prop_map(Step::Append),
            1 => Just(Step::Pass),
            4 => (1..9_usize).prop_map(Step::Read),
            2 => Just(Step::Confirm),
            1 => Just(Step::Rewind),
            1 => (0..3_u64).prop_map(Step::PutFirst),
            1 => Just(Step::Reopen),
        ],
        1..120,
    )) {
        let folder = tempfile::tempdir().unwrap();
        let mut spill = open(folder.path());
        // What is not confirmed, and how many of it were read.
        let (mut queue, mut was_read) = (VecDeque::new(), 0);
        // What the sink inside was given by this process, and may give back.
        let mut handed = 0;
        for (number, step) in (0_u64..).zip(steps) {
            match step {
                Step::Append(length) => match spill.append(&record(&body(number, length))) {
                    Ok(true) => queue.push_back(number),
                    _ => prop_assert!(spill.bytes() > (1 << 20) - 70_000),
                },
                Step::Pass if queue.is_empty() => {
                    spill.count_passed();
                    handed += 1;
                }
                Step::Read(most) => {
                    let expected: Vec<u64> =
                        queue.iter().skip(was_read).take(most).copied().collect();
                    prop_assert_eq!(&read(&mut spill, most), &expected);
                    was_read += expected.len();
                    handed += expected.len() as u64;
                }
                Step::Confirm => {
                    spill.confirm();
                    queue.drain(..std::mem::take(&mut was_read));
                }
                Step::Rewind => {
                    spill.rewind();
                    handed -= std::mem::take(&mut was_read) as u64;
                }
                Step::PutFirst(count) if handed >= count => {
                    let mut frames = Frames::default();
                    (0..count).for_each(|n| frames.push(&record(&body(9_000_000 + n, 0))));
                    spill.put_first(&frames).unwrap();
                    queue.drain(..std::mem::take(&mut was_read));
                    handed -= count;
                    (0..count).rev().for_each(|n| queue.push_front(9_000_000 + n));
                }
                Step::Reopen => {
                    spill.sync().unwrap();
                    drop(spill);
                    spill = open(folder.path());
                    (was_read, handed) = (0, 0);
                }
                Step::Pass | Step::PutFirst(_) => {}
            }
            prop_assert_eq!(spill.is_empty(), queue.is_empty());
            prop_assert_eq!(spill.records(), queue.len() as u64);
        }
        let left: Vec<u64> = queue.iter().skip(was_read).copied().collect();
        prop_assert_eq!(read(&mut spill, usize::MAX), left);
        spill.confirm();
        let files = std::fs::read_dir(folder.path()).unwrap().count();
        prop_assert!(files <= 2, "the lock and the number are all that is left: {}", files);
    }
}

/// The one file of frames in a folder.
fn only_file(dir: &Path) -> std::path::PathBuf {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files = files.filter(|path| path.extension().is_some_and(|e| e == "spill"));
    let file = files.next().unwrap();
    assert!(files.next().is_none());
    file
}

#[test]
fn a_record_that_a_crash_tore_is_cut_off_and_a_damaged_file_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut spill = open(folder.path());
    let length = frame::length(&record(&body(0, 20)));
    (0..10).for_each(|n| assert!(spill.append(&record(&body(n, 20))).unwrap()));
    spill.sync().unwrap();
    drop(spill);
    let file = only_file(folder.path());
    let whole = std::fs::read(&file).unwrap();
    assert_eq!(whole.len(), 10 * length);
    for cut in [10 * length - 1, 9 * length + 13, 9 * length + 1, 4 * length + 11] {
        std::fs::write(&file, &whole[..cut]).unwrap();
        let mut spill = open(folder.path());
        assert!(spill.append(&record(&body(77, 20))).unwrap());
        let expected: Vec<u64> = (0..(cut / length) as u64).chain([77]).collect();
        assert_eq!(read(&mut spill, 100), expected, "cut at {cut}");
        drop(spill);
        assert!(!file.with_extension("damaged").exists());
    }
    let mut damaged = whole.clone();
    damaged[5 * length + 30] ^= 1;
    std::fs::write(&file, &damaged).unwrap();
    let mut spill = open(folder.path());
    assert_eq!(read(&mut spill, 100), [0, 1, 2, 3, 4]);
    assert_eq!(std::fs::read(file.with_extension("damaged")).unwrap(), damaged);
}

#[test]
fn a_full_disk_loses_nothing_and_leaves_no_broken_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut spill = open(folder.path());
    assert!(spill.append(&record(&body(0, 100))).unwrap());
    spill.sync().unwrap();
    let whole = std::fs::metadata(only_file(folder.path())).unwrap().len();
    DISK_IS_FULL.set(true);
    let mut number = 1;
    while spill.append(&record(&body(number, 5000))).is_ok() {
        number += 1;
        assert!(number < 1000, "what waits in memory has a limit");
    }
    assert!(spill.sync().is_err());
    assert_eq!(std::fs::metadata(only_file(folder.path())).unwrap().len(), whole);
    assert_eq!(read(&mut spill, 2), [0, 1], "what is in memory can go out all the same");
    DISK_IS_FULL.set(false);
    spill.sync().unwrap();
    drop(spill);
    assert_eq!(read(&mut open(folder.path()), usize::MAX), Vec::from_iter(0..number));
}

#[test]
fn what_lies_behind_a_checkpoint_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let mut spill = open(folder.path());
    (0..5).for_each(|_| spill.count_passed());
    (5..30).for_each(|n| assert!(spill.append(&record(&body(n, 30_000))).unwrap()));
    assert_eq!(read(&mut spill, 3), [5, 6, 7]);
    spill.confirm();
    spill.sync().unwrap();
    drop(spill);
    let mut spill = open(folder.path());
    spill.cut_from(20).unwrap();
    assert_eq!((spill.next(), spill.records()), (20, 12));
    assert!(spill.append(&record(&body(500, 0))).unwrap());
    assert_eq!(read(&mut spill, 100), Vec::from_iter((8..20).chain([500])));
    spill.sync().unwrap();
    drop(spill);
    let mut spill = open(folder.path());
    spill.cut_from(2).unwrap();
    assert!(spill.is_empty(), "an older checkpoint makes all of it again");
    assert!(spill.append(&record(&body(600, 0))).unwrap());
    spill.sync().unwrap();
    drop(spill);
    assert_eq!(
        read(&mut open(folder.path()), 100),
        [600],
        "the new one is not taken for confirmed"
    );
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let _spill = open(folder.path());
    let error = Spill::open(folder.path(), 1 << 20).unwrap_err();
    assert!(error.to_string().contains("spill_dir of its own"), "{error}");
}
