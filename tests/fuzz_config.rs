//! Configurations as strangers write them: none makes the reader panic, every one is either
//! refused with paths to what is wrong, or can be run.
//!
//! `tests/corpus/config/` holds one file a case; its first line says what is to come of it:
//! `# refused: PATH, PATH` (those paths among others) or `# accepted`. Files without such a line
//! need only be survived. Mutations of the examples come on top, and scripts/fuzz goes on from
//! both.

use std::path::{Path, PathBuf};

use pelton::config::{Config, Problems};
use pelton::error::{Actor, Error};
use pelton::pipeline::Pipeline;
use pelton::source::kafka::messages::Messages;
use pelton_kernels::cases::scaled;
use proptest::prelude::*;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn files() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(Path::new(ROOT).join("tests/corpus/config")).expect("a corpus");
    let mut files: Vec<_> = folder.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// The paths of the problems; none when it is accepted, and then everything can be built from it.
fn paths(read: Result<Config, Problems>) -> Vec<String> {
    match read {
        Err(Problems(problems)) => {
            assert!(!problems.is_empty());
            let is_said = |p: &pelton::config::Problem| !p.path.is_empty() && !p.message.is_empty();
            assert!(problems.iter().all(is_said), "{problems:?}");
            problems.into_iter().map(|problem| problem.path).collect()
        }
        Ok(mut config) => {
            // As large as it likes on paper; here only the shape matters.
            config.features.hash_bits = config.features.hash_bits.min(8);
            config.evaluate.trailing_rows = config.evaluate.trailing_rows.min(100);
            let _decoder = Messages::new(&config);
            if let Err(error) = Pipeline::new(&config) {
                assert_ne!(error.actor(), Actor::Us, "{error:?}");
            }
            Vec::new()
        }
    }
}

#[test]
fn the_corpus_is_refused_by_path_or_accepted() {
    let mut wrong = Vec::new();
    for file in files() {
        let bytes = std::fs::read(&file).expect("a file");
        let text = String::from_utf8_lossy(&bytes);
        let first = text.trim_start_matches('\u{feff}').lines().next().unwrap_or("");
        let found = match Config::load(&file) {
            Ok(config) => paths(Ok(config)),
            Err(Error::Config { problems, .. }) => paths(Err(problems)),
            Err(error) => panic!("{}: {error}", file.display()),
        };
        let name = file.file_name().unwrap_or_default().display();
        if let Some(expected) = first.strip_prefix("# refused: ") {
            let missing: Vec<_> =
                expected.split(", ").filter(|path| !found.iter().any(|p| p == path)).collect();
            if !missing.is_empty() {
                wrong.push(format!("{name}: nothing about {missing:?}, but {found:?}"));
            }
        } else if first.starts_with("# accepted") && !found.is_empty() {
            wrong.push(format!("{name}: refused for {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn large_and_deep_configurations_are_survived() {
    let deep = |open: &str, close: &str, depth: usize| {
        format!("event.id = {}{}", open.repeat(depth), close.repeat(depth))
    };
    let fields = |count: usize| (0..count).map(|i| format!("f{i}.type = \"number\"\n"));
    let texts = [
        deep("[", "]", 100),
        deep("[", "]", 100_000),
        deep("{a=", "}", 100_000),
        deep("[", "", 100_000),
        format!("event.{} = 1", "a.".repeat(50_000) + "a"),
        format!("{}a = 1", "[a]\n".repeat(1000)),
        format!("event.id = {:?}", "x".repeat(1 << 20)),
        format!("[fields]\n{}", fields(2000).collect::<String>()),
        format!("kafka.brokers = {}", "9".repeat(100_000)),
    ];
    for text in texts {
        paths(Config::parse(&text));
    }
}

/// Configurations that are right, to be made wrong.
fn seeds() -> Vec<String> {
    let names =
        ["examples/fraud/linear", "examples/fraud/pelton", "examples/elec/pelton", "pelton"];
    let file = |name: &&str| std::fs::read_to_string(format!("{ROOT}/{name}.toml"));
    let mut seeds: Vec<String> = names.iter().map(|name| file(name).expect("a file")).collect();
    let templates = seeds[3].lines().filter(|line| !line.ends_with('='));
    let uncommented = templates.map(|line| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest,
        _ => line,
    });
    seeds.push(uncommented.collect::<Vec<_>>().join("\n"));
    seeds
}

/// Values that no setting or few expect.
const ODD: [&str; 16] = [
    "nan",
    "-inf",
    "-1",
    "0",
    "9223372036854775807",
    "1e308",
    "''",
    "'last'",
    "[]",
    "{}",
    "[[]]",
    "true",
    "2018-07-25",
    "'99999999d'",
    "['a', 1]",
    "'\\u0000'",
];

#[derive(Clone, Debug)]
enum Mutation {
    Flip(prop::sample::Index, u8),
    Delete(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    SwapValues(prop::sample::Index, prop::sample::Index),
    SetValue(prop::sample::Index, usize),
    SwapLines(prop::sample::Index, prop::sample::Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Flip(at, byte)),
        (at(), 1..200_usize).prop_map(|(at, count)| Mutation::Delete(at, count)),
        (at(), 1..200_usize).prop_map(|(at, count)| Mutation::Repeat(at, count)),
        (at(), at()).prop_map(|(a, b)| Mutation::SwapValues(a, b)),
        (at(), 0..ODD.len()).prop_map(|(at, odd)| Mutation::SetValue(at, odd)),
        (at(), at()).prop_map(|(a, b)| Mutation::SwapLines(a, b)),
    ]
}

impl Mutation {
    fn apply(&self, text: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        let cut = |at: &prop::sample::Index, count: usize| {
            let at = at.index(text.len());
            at..(at + count).min(text.len())
        };
        match self {
            Mutation::Flip(at, byte) => {
                let at = at.index(text.len());
                text[at] = *byte;
            }
            Mutation::Delete(at, count) => drop(text.drain(cut(at, *count))),
            Mutation::Repeat(at, count) => {
                let range = cut(at, *count);
                let (again, end) = (text[range.clone()].to_vec(), range.end);
                text.splice(end..end, again);
            }
            Mutation::SwapValues(a, b) => in_lines(text, |lines| {
                let values: Vec<usize> =
                    (0..lines.len()).filter(|&i| lines[i].contains(" = ")).collect();
                if values.is_empty() {
                    return;
                }
                let (a, b) = (values[a.index(values.len())], values[b.index(values.len())]);
                let value = |line: &str| line.split_once(" = ").map(|(_, v)| v.to_owned());
                let (of_a, of_b) = (value(&lines[a]), value(&lines[b]));
                set_value(&mut lines[a], &of_b.unwrap_or_default());
                set_value(&mut lines[b], &of_a.unwrap_or_default());
            }),
            Mutation::SetValue(at, odd) => in_lines(text, |lines| {
                let at = at.index(lines.len());
                set_value(&mut lines[at], ODD[*odd]);
            }),
            Mutation::SwapLines(a, b) => in_lines(text, |lines| {
                let (a, b) = (a.index(lines.len()), b.index(lines.len()));
                lines.swap(a, b);
            }),
        }
    }
}

fn in_lines(text: &mut Vec<u8>, change: impl FnOnce(&mut Vec<String>)) {
    let mut lines: Vec<String> =
        String::from_utf8_lossy(text).split('\n').map(str::to_owned).collect();
    change(&mut lines);
    *text = lines.join("\n").into_bytes();
}

fn set_value(line: &mut String, value: &str) {
    if let Some((key, _)) = line.split_once(" = ") {
        *line = format!("{key} = {value}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(scaled(1500)))]

    #[test]
    fn mutated_configurations_are_refused_by_path_or_can_be_run(
        seed in 0..5_usize,
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        let mut text = seeds()[seed].clone().into_bytes();
        for mutation in &mutations {
            mutation.apply(&mut text);
        }
        paths(Config::parse(&String::from_utf8_lossy(&text)));
    }
}
