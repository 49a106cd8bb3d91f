//! Checkpoints and order logs as a disk may hand them back: nothing makes a reader panic or ask
//! for memory that the bytes do not justify, and what is read is what was written.
//!
//! The oracle of a whole file is a second writer of its layout, here, that can also lie in any
//! field while its digests are right; the oracle of a folder is what was done to it.

use pelton::device::Device;
use std::path::Path;
use std::sync::Arc;

use pelton::checkpoint::format::{Damage, FORMAT_VERSION, Sections, Whole};
use pelton::checkpoint::manifest::{Manifest, ReadPosition, SECTION};
use pelton::checkpoint::order::place::{Folder, OrderPlace};
use pelton::checkpoint::order::{self, OrderLog};
use pelton::checkpoint::recover::{Keeping, Recovery, parse_manifest};
use pelton::checkpoint::{file_name, order_path, order_sequence_of, sequence_of};
use pelton::config::Config;
use pelton::emit::SinkPosition;
use pelton::error::Error;
use pelton::ring::{Run, Span};
use pelton_kernels::cases::scaled;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::state::memory::largest_of;

/// A section as the second writer writes it.
#[derive(Clone, Debug)]
struct Entry {
    name: Vec<u8>,
    body: Vec<u8>,
    /// What the table says about the length, where that is a lie.
    length: Option<u64>,
    is_digest_right: bool,
}

fn entry() -> impl Strategy<Value = Entry> {
    let name = prop_oneof![
        4 => "[a-z]{0,8}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    let length = prop_oneof![
        9 => Just(None),
        1 => prop_oneof![0..300_u64, (u64::MAX - 300)..=u64::MAX, any::<u64>()].prop_map(Some),
    ];
    let body = prop::collection::vec(any::<u8>(), 0..200);
    (name, body, length, prop::bool::weighted(0.95)).prop_map(
        |(name, body, length, is_digest_right)| Entry { name, body, length, is_digest_right },
    )
}

/// A file with a right header digest, whatever its table says.
fn write(entries: &[Entry], version: u32, count: u32) -> Vec<u8> {
    let mut bytes = b"PELTONCK".to_vec();
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    for Entry { name, body, length, is_digest_right } in entries {
        bytes.push(name.len() as u8);
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&length.unwrap_or(body.len() as u64).to_le_bytes());
        let digest = *blake3::hash(body).as_bytes();
        bytes.extend_from_slice(&if *is_digest_right { digest } else { [7; 32] });
    }
    let digest = blake3::hash(&bytes);
    bytes.extend_from_slice(digest.as_bytes());
    entries.iter().for_each(|entry| bytes.extend_from_slice(&entry.body));
    bytes
}

/// Reads a file, and holds the reader to memory in proportion to it.
fn parse(bytes: &[u8]) -> Result<Whole, Damage> {
    let (mut parsed, given) = (None, bytes.to_vec());
    let largest = largest_of(|| parsed = Some(Whole::parse(given)));
    assert!(largest <= 4 * bytes.len() + 4096, "{largest} bytes at once for {}", bytes.len());
    parsed.expect("it returned")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(scaled(2000)))]

    #[test]
    fn a_file_is_whole_exactly_when_no_field_lies(
        entries in prop::collection::vec(entry(), 0..6),
        version in prop_oneof![19 => Just(FORMAT_VERSION), 1 => any::<u32>()],
        count in prop_oneof![19 => Just(None), 1 => any::<u32>().prop_map(Some)],
    ) {
        let said = count.unwrap_or(entries.len() as u32);
        let parsed = parse(&write(&entries, version, said));
        let is_true = |entry: &Entry| {
            let length = entry.length.is_none_or(|length| length == entry.body.len() as u64);
            length && entry.is_digest_right && std::str::from_utf8(&entry.name).is_ok()
        };
        let is_whole = version == FORMAT_VERSION
            && said as usize == entries.len()
            && entries.iter().all(is_true);
        prop_assert_eq!(parsed.is_ok(), is_whole, "{:?}", parsed);
        if let Ok(whole) = parsed {
            let found: Vec<_> = whole.sections().map(|(n, b)| (n.as_bytes(), b)).collect();
            let expected: Vec<_> = entries.iter().map(|e| (&e.name[..], &e.body[..])).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn any_bytes_are_a_file_or_are_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        begins_right in any::<bool>(),
    ) {
        let head: &[u8] = if begins_right { b"PELTONCK\x01\0\0\0" } else { b"" };
        prop_assert!(parse(&[head, &bytes].concat()).is_err());
    }

    #[test]
    fn a_manifest_comes_back_and_a_broken_one_is_refused(
        manifest in manifest(),
        flips in prop::collection::vec((any::<Index>(), any::<u8>()), 0..4),
    ) {
        let mut json = serde_json::to_vec(&manifest).expect("texts and numbers");
        for (at, byte) in &flips {
            let at = at.index(json.len());
            json[at] = *byte;
        }
        let mut sections = Sections::default();
        let add = sections.add(SECTION, |out| { out.extend_from_slice(&json); Ok(()) });
        add.expect("a vector takes all bytes");
        let whole = parse(&[&sections.header(), sections.body()].concat()).expect("own bytes");
        match parse_manifest(&whole, "it") {
            Ok(found) if flips.is_empty() => prop_assert_eq!(found, manifest),
            Ok(found) => drop(found.spans()),
            Err(error) => {
                prop_assert!(!flips.is_empty());
                let is_named = matches!(error, Error::Checkpoint { .. });
                prop_assert!(is_named, "{:?}", error);
            }
        }
    }

    #[test]
    fn names_are_numbers_and_nothing_else(sequence in any::<u64>(), text in "[-+a-z0-9.]{0,40}") {
        let sequence = sequence >> 4;
        prop_assert_eq!(sequence_of(&file_name(sequence)), Some(sequence));
        let log = order_path(Path::new(""), sequence);
        prop_assert_eq!(order_sequence_of(log.to_str().expect("UTF-8")), Some(sequence));
        let name = format!("checkpoint-{text}.pelton");
        prop_assert!(sequence_of(&name).is_none_or(|sequence| file_name(sequence) == name));
        let name = format!("order-{text}.log");
        let is_its = |sequence| order_path(Path::new(""), sequence) == Path::new(&name);
        prop_assert!(order_sequence_of(&name).is_none_or(is_its));
    }
}

fn manifest() -> impl Strategy<Value = Manifest> {
    let position = ("[a-z./\"\\\\é]{0,12}", any::<i32>(), any::<i64>())
        .prop_map(|(topic, partition, next)| ReadPosition { topic, partition, next });
    let sink = prop_oneof![
        Just(None),
        ("[a-z]{0,9}", any::<u64>())
            .prop_map(|(path, bytes)| Some(SinkPosition::File { path, bytes })),
        ("[a-z]{0,9}", prop::collection::vec(any::<(i32, i64)>(), 0..4))
            .prop_map(|(topic, next)| Some(SinkPosition::Kafka { topic, next })),
    ];
    let numbers = (any::<u64>(), any::<i64>(), any::<bool>(), any::<u64>(), any::<i64>());
    let settings = prop::collection::btree_map("[a-z]{1,8}", "[0-9a-f]{0,64}", 0..5);
    (numbers, settings, prop::collection::vec(position, 0..5), sink).prop_map(
        |((sequence, taken_ms, is_last, consumed, watermark_ms), settings, positions, scores)| {
            Manifest {
                sequence,
                taken_ms,
                program: "0.0.0".to_owned(),
                settings,
                challengers: String::new(),
                is_last,
                consumed,
                watermark_ms,
                positions,
                dead_letters: scores.clone(),
                scores,
            }
        },
    )
}

/// A log with an entry of these payloads, each with its right checksum.
fn log(payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for payload in payloads {
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&blake3::hash(payload).as_bytes()[..8]);
        bytes.extend_from_slice(payload);
    }
    bytes
}

/// Payloads that are nearly right: counts and lengths small, or as large as numbers get.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![
        6 => (0..3_u8).prop_map(|byte| vec![byte]),
        2 => any::<u8>().prop_map(|byte| vec![byte & 0x7f]),
        1 => Just(vec![0xff; 10]),
        1 => Just([[0xff; 9].as_slice(), &[1]].concat()),
    ];
    prop::collection::vec(number, 0..30).prop_map(|numbers| numbers.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(scaled(1000)))]

    #[test]
    fn a_log_goes_on_behind_whatever_was_there(
        payloads in prop::collection::vec(payload(), 0..8),
        rubbish in prop::collection::vec(any::<u8>(), 0..40),
        appended in prop::collection::vec((0_u8..4, any::<i64>()), 1..6),
    ) {
        let bytes = [log(&payloads), rubbish].concat();
        let mut batches = Vec::new();
        let largest = largest_of(|| batches = order::parse(&bytes));
        prop_assert!(largest <= 64 * bytes.len() + 4096, "{} bytes at once", largest);
        // The batches before the first bad one are those of the log cut there.
        prop_assert_eq!(&order::parse(&log(&payloads[..batches.len()])), &batches);
        let folder = tempfile::tempdir().expect("a folder");
        let place = Folder::new(folder.path());
        std::fs::write(place.path(1), &bytes).expect("written");
        let (mut log, found) = OrderLog::reopen(&place, 1, false).expect("it is there");
        prop_assert_eq!(&found, &batches);
        for &(partition, first) in &appended {
            let next = first.wrapping_add(1);
            let topic: Arc<str> = "events".into();
            let spans = [Span { topic: Arc::clone(&topic), partition: i32::from(partition), next }];
            log.append(&spans, &[Run { span: 0, first, next }]).expect("written");
            let partition = i32::from(partition);
            batches.push(vec![order::Stretch { topic, partition, first, next }]);
        }
        prop_assert_eq!(order::read(&place, 1).expect("read"), batches);
    }
}

/// What is done to a file of a folder.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Cut(Index),
    Flip(Index),
    Remove,
    Empty,
    /// Its name is a folder's.
    Folder,
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        3 => any::<Index>().prop_map(Harm::Cut),
        3 => any::<Index>().prop_map(Harm::Flip),
        2 => Just(Harm::Remove),
        1 => Just(Harm::Empty),
        1 => Just(Harm::Folder),
    ]
}

fn do_harm(path: &Path, harm: Harm) {
    let mut bytes = std::fs::read(path).unwrap_or_default();
    let _ = std::fs::remove_file(path);
    match harm {
        Harm::Cut(at) => bytes.truncate(at.index(bytes.len().max(1))),
        Harm::Flip(at) if !bytes.is_empty() => {
            let bit = at.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        Harm::Flip(_) => {}
        Harm::Empty => bytes.clear(),
        Harm::Remove => return,
        Harm::Folder => {
            // A name may have been harmed before.
            let _ = std::fs::create_dir(path);
            return;
        }
    }
    if !path.is_dir() {
        std::fs::write(path, bytes).expect("written");
    }
}

fn config(folder: &Path) -> Config {
    let text = format!(
        "event = {{ id = 'id', time = 't' }}\nfields.a.type = 'number'\n\
         features = [{{ number = 'a' }}]\ncheckpoint = {{ dir = {folder:?}, keep = 100 }}"
    );
    Config::parse(&text).expect("a valid configuration")
}

/// Opens the folder as a run does and keeps the state once more, with one more event consumed.
/// Returns how many had been, and the number of the checkpoint.
fn keep_once(config: &Config) -> Result<(u64, u64), Error> {
    let Recovery { pipeline, mut totals, keeping, .. } = Recovery::open(config, &Device::Cpu)?;
    let consumed = totals.consumed;
    totals.consumed += 1;
    let Keeping { mut cutter, writing, first } = keeping.expect("the settings name a folder");
    let snapshot = match first {
        Some(first) => Some(first),
        None => cutter.last(&pipeline, &totals)?,
    };
    let snapshot = snapshot.expect("no order leads");
    let sequence = snapshot.manifest.sequence;
    writing.write(snapshot, Default::default()).1.map(|()| (consumed, sequence))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(scaled(60)))]

    #[test]
    fn a_harmed_folder_gives_the_newest_whole_state_or_a_reason(
        harms in prop::collection::vec((1..6_u64, any::<bool>(), harm()), 0..8),
        stranger in prop_oneof![
            Just("notes.txt".to_owned()),
            any::<u64>().prop_map(|n| format!("checkpoint-{n}.pelton")),
            Just(format!("checkpoint-{}.pelton", u64::MAX)),
            Just(format!("order-{}.log", u64::MAX)),
            Just("checkpoint-+000000000000009.pelton".to_owned()),
        ],
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path());
        for expected in 1..=5 {
            // The first keeps the empty state, and so does the second find it.
            let consumed = u64::saturating_sub(expected, 2);
            let kept = keep_once(&config).expect("a folder of ours");
            prop_assert_eq!(kept, (consumed, expected));
        }
        std::fs::write(folder.path().join(&stranger), b"not ours").expect("written");
        for &(sequence, is_log, harm) in &harms {
            let path = folder.path().join(file_name(sequence));
            do_harm(&if is_log { order_path(folder.path(), sequence) } else { path }, harm);
        }
        let whole = |sequence: &u64| {
            std::fs::read(folder.path().join(file_name(*sequence)))
                .is_ok_and(|bytes| Whole::parse(bytes).is_ok())
        };
        let is_any = std::fs::read_dir(folder.path()).expect("there").flatten().any(|entry| {
            entry.path().is_file() && entry.file_name().to_str().and_then(sequence_of).is_some()
        });
        match ((1..=5).rev().find(whole), keep_once(&config)) {
            (Some(newest), Ok((consumed, kept))) => {
                prop_assert_eq!(consumed, newest - 1, "the newest whole one");
                prop_assert!(kept > newest);
            }
            (None, Ok((_, kept))) => prop_assert!(kept == 1 && !is_any, "anew in silence"),
            // An order log that is no file is the disk's trouble, and is said.
            (_, Err(error @ Error::File { .. })) => {
                let is_folder = harms.iter().any(|(.., harm)| matches!(harm, Harm::Folder));
                prop_assert!(is_folder, "{:?}", error);
            }
            (newest, Err(error)) => {
                let is_refused = matches!(error, Error::NoCheckpoint { .. });
                prop_assert!(newest.is_none() && is_any && is_refused, "{:?}", error);
            }
        }
    }
}
