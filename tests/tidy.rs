//! The rules of the house that no compiler checks, for every file of the repository: sizes, names,
//! what belongs where, documents that speak of files that are there. There are no exemptions.
//!
//! A rule is a line of [`RULES`]: its name, the function that finds what breaks it, and a file
//! that does; every run shows that the rule catches that one.

mod layout;
mod rust;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Files by their path from the root.
pub type Tree = BTreeMap<String, String>;

/// A rule: what it says, what finds the faults, and a file that breaks it.
struct Rule {
    says: &'static str,
    faults: fn(&Tree) -> Vec<String>,
    broken_by: fn() -> (&'static str, String),
}

const RULES: [Rule; 12] = [
    Rule {
        says: "a file has at most 400 lines",
        faults: rust::long_files,
        broken_by: || ("engine/long.rs", "//! Long.\n".repeat(401)),
    },
    Rule {
        says: "a line has at most 100 columns",
        faults: rust::long_lines,
        broken_by: || ("engine/wide.rs", format!("//! {}\n", "ü".repeat(97))),
    },
    Rule {
        says: "a function has at most 70 lines",
        faults: rust::long_functions,
        broken_by: || ("engine/deep.rs", format!("//! D.\nfn f() {{{}}}\n", "\n".repeat(70))),
    },
    Rule {
        says: "what is unfinished or may panic stays out of the program",
        faults: rust::unfinished,
        broken_by: || ("kernels/src/hasty.rs", "//! H.\nfn f() { None::<u8>.unwrap(); }\n".into()),
    },
    Rule {
        says: "a source file begins with what it is for",
        faults: rust::undocumented,
        broken_by: || ("models/src/silent.rs", "use std::fmt;\n".into()),
    },
    Rule {
        says: "only the Kafka files name the Kafka client",
        faults: rust::strays_to_kafka,
        broken_by: || ("engine/join.rs", "//! J.\nuse rdkafka::Message;\n".into()),
    },
    Rule {
        says: "the error type names the Kafka client once, as a cause",
        faults: rust::strays_to_kafka,
        broken_by: || ("engine/error.rs", "//! E.\nuse rdkafka::a;\nuse rdkafka::b;\n".into()),
    },
    Rule {
        says: "a file's name says what is in it",
        faults: layout::empty_names,
        broken_by: || ("engine/source/utils.rs", "//! Everything.\n".into()),
    },
    Rule {
        says: "a path in a document is there",
        faults: layout::dead_paths,
        broken_by: || ("docs/other.md", "See `engine/no_such.rs` and README.md.\n".into()),
    },
    Rule {
        says: "a dependency says why it is there",
        faults: layout::unexplained_dependencies,
        broken_by: || ("models/Cargo.toml", "[dependencies]\nleft-pad = \"1\"\n".into()),
    },
    Rule {
        says: "a script is told of in README or called by another",
        faults: layout::unknown_scripts,
        broken_by: || ("scripts/secret", "#!/bin/sh\n# scripts/secret does it\n".into()),
    },
    Rule {
        says: "no file knows one machine's folders",
        faults: layout::machine_paths,
        broken_by: || ("scripts/demo", format!("# scripts/demo\ncd {}/me\n", concat!("/ho", "me"))),
    },
];

#[test]
fn the_house_is_tidy() {
    let tree = repository();
    assert!(tree.contains_key("engine/lib.rs") && tree.len() > 100, "{} files", tree.len());
    let mut found = Vec::new();
    for rule in &RULES {
        found.extend((rule.faults)(&tree).iter().map(|fault| format!("{fault} ({})", rule.says)));
    }
    found.dedup();
    assert!(found.is_empty(), "{} faults:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_rule_catches_what_breaks_it() {
    let good = [
        ("README.md", "See `scripts/demo`, `docs/*.md`, engine/error.rs and docs/a.md."),
        ("docs/a.md", "Back to [the beginning](../README.md) and `engine/`."),
        ("engine/error.rs", "//! Errors.\nuse rdkafka::error::KafkaError;\n"),
        ("engine/good.rs", "//! Good.\n/// `x.unwrap()`\nfn f() -> &'static str { \"{ todo!\" }\n"),
        ("scripts/demo", "#!/bin/sh\n"),
        ("Cargo.toml", "[dependencies]\na = \"1\" # why\nb.workspace = true\n[lib]\nc = 1\n"),
    ];
    let good = Tree::from(good.map(|(path, text)| (path.to_owned(), text.to_owned())));
    for rule in &RULES {
        let faults = (rule.faults)(&good);
        assert!(faults.is_empty(), "{}: found in what is right: {faults:?}", rule.says);
        let (path, text) = (rule.broken_by)();
        let mut broken = good.clone();
        broken.insert(path.to_owned(), text);
        let faults = (rule.faults)(&broken);
        assert!(faults.iter().any(|f| f.contains(path)), "{}: {faults:?}", rule.says);
    }
}

/// Every text file that is, or is about to be, under version control.
fn repository() -> Tree {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let listed = Command::new("git").arg("-C").arg(root).args(arguments).output();
    let paths = match listed {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .split_terminator('\0')
            .map(str::to_owned)
            .collect(),
        _ => walk(root, ""),
    };
    let text = |path: String| Some((path.clone(), std::fs::read_to_string(root.join(path)).ok()?));
    paths.into_iter().filter_map(text).collect()
}

/// The same without git: everything but what is built.
fn walk(root: &Path, under: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(root.join(under)).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if under.is_empty() { name.clone() } else { format!("{under}/{name}") };
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && name != "target" && name != ".git" => {
                paths.extend(walk(root, &path));
            }
            Ok(kind) if kind.is_file() && name != ".git" => paths.push(path),
            _ => {}
        }
    }
    paths
}

#[test]
fn a_walk_finds_what_git_lists() {
    let found = walk(Path::new(env!("CARGO_MANIFEST_DIR")), "");
    let missing: Vec<_> = repository().into_keys().filter(|path| !found.contains(path)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
