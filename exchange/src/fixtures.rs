//! For tests: models that the real libraries wrote, with their own predictions
//! (exchange/fixtures/make.py), and what damage does to them.

use std::path::{Path, PathBuf};

use pelton_kernels::hash::mix64;
use pelton_models::graph::{Graph, Tensor};
use serde::Deserialize;

use crate::{ExchangeError, Imported};

type Read = fn(&[u8]) -> Result<Imported, ExchangeError>;

/// Rows and what is to come of them.
#[derive(Deserialize)]
struct Probe {
    rows: Vec<Vec<Option<f32>>>,
    scores: Vec<Vec<f64>>,
}

/// A model of a folder of fixtures.
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    probe: Probe,
}

impl Fixture {
    /// The rows, as many wide as the file says.
    pub(crate) fn rows(&self) -> Tensor {
        let numbers = self.probe.rows.iter().flatten().map(|own| own.unwrap_or(f32::NAN));
        Tensor::matrix(numbers.collect(), self.probe.rows[0].len())
    }
}

/// All models of a folder, in the order of their names.
pub(crate) fn all(folder: &str) -> Vec<Fixture> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder);
    let entries = std::fs::read_dir(path).expect("a folder of fixtures");
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let probe_of = |path: &PathBuf| PathBuf::from(format!("{}.probe.json", path.display()));
    files.retain(|path| probe_of(path).exists());
    let fixture = |path: &PathBuf| Fixture {
        name: path.file_name().expect("a name").to_string_lossy().into_owned(),
        bytes: std::fs::read(path).expect("a model"),
        probe: serde_json::from_slice(&std::fs::read(probe_of(path)).expect("a probe"))
            .expect("rows and scores"),
    };
    files.iter().map(fixture).collect()
}

/// One model.
pub(crate) fn one(folder: &str, name: &str) -> Fixture {
    all(folder).into_iter().find(|own| own.name == name).expect("a fixture of this name")
}

pub(crate) fn scores(graph: &Graph, rows: Tensor) -> Vec<f32> {
    let out = graph.run(&[rows]).expect("scores");
    out[0].as_f32().expect("floats").to_vec()
}

/// Compares all models of a folder with the predictions of the library: each within `2e-6`
/// of its size. A size below `1e-6` counts as that: there sums of floats cancel.
pub(crate) fn compare(folder: &str, read: Read) {
    let mut largest = (0.0, String::new());
    for fixture in all(folder) {
        let name = &fixture.name;
        let imported = read(&fixture.bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let scores = scores(&imported.graph, fixture.rows());
        let expected: Vec<f64> = fixture.probe.scores.iter().flatten().copied().collect();
        assert_eq!(scores.len(), expected.len(), "{name}");
        for (place, (score, expected)) in scores.iter().zip(expected).enumerate() {
            let difference = (f64::from(*score) - expected).abs() / expected.abs().max(1e-6);
            assert!(difference < 2e-6, "{name} at {place}: {score}, not {expected}");
            if difference > largest.0 {
                largest = (difference, format!("{name}: {score}, not {expected}"));
            }
        }
        assert!(!imported.graph.mixes_rows().expect("it runs"), "{name}");
    }
    println!("{folder}: largest difference {:.1e}, {}", largest.0, largest.1);
}

/// Cuts each file short at several hundred places: that is an error, or (`may_be`) the cut took
/// nothing that matters.
pub(crate) fn cut(folder: &str, read: Read, may_be: impl Fn(&[u8]) -> bool) {
    for fixture in all(folder) {
        let bytes = &fixture.bytes;
        for length in (0..bytes.len()).step_by(bytes.len() / 300 + 1) {
            let part = &bytes[..length];
            let is_whole = read(part).is_ok();
            assert!(!is_whole || may_be(part), "{}: cut at {length}", fixture.name);
        }
    }
}

/// Numbers and words that do not belong where they come to stand.
const STRANGE: [&str; 12] = [
    "-1",
    "0",
    "4294967295",
    "99999999999999999999",
    "1e999",
    "16777215",
    "2147483647",
    "null",
    "[]",
    "\"\"",
    "nan",
    "-2",
];

/// Damages each file in many ways: nothing panics, and what is still read still runs.
pub(crate) fn damage(folder: &str, read: Read) {
    for fixture in all(folder) {
        let mut refused = 0;
        for case in 0..120_u64 {
            let mut draws = (0_u64..).map(|draw| mix64(case << 32 | draw));
            let mut draw = |below: usize| (draws.next().expect("a draw") % below as u64) as usize;
            let mut bytes = fixture.bytes.clone();
            if case % 2 == 0 {
                for _ in 0..=draw(3) {
                    let place = draw(bytes.len());
                    bytes[place] = [draw(256) as u8, b'0' + draw(10) as u8][draw(2)];
                }
            } else {
                let is_digit = |at: usize, bytes: &[u8]| bytes[at].is_ascii_digit();
                let from = draw(bytes.len());
                let begin = (from..bytes.len()).find(|at| is_digit(*at, &bytes)).unwrap_or(0);
                let end = (begin..bytes.len()).find(|at| !is_digit(*at, &bytes));
                let strange = STRANGE[draw(STRANGE.len())].bytes();
                bytes.splice(begin..end.unwrap_or(bytes.len()), strange);
            }
            match read(&bytes) {
                Ok(imported) => drop(imported.graph.run(&[fixture.rows()])),
                Err(error) => {
                    refused += 1;
                    assert!(error.to_string().len() < 400, "{}: {error}", fixture.name);
                }
            }
        }
        assert!(refused > 10, "{}: damage is not noticed", fixture.name);
    }
}
