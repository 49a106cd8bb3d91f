//! Kernels that are broken on purpose, each in one place: the cases must notice every one of them,
//! and ThreadSanitizer every barrier that is missing.
//!
//! A broken kernel may loop, write where it must not or wait for ever: each is compiled into a
//! library and run by a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use pelton_kernels::device::double::Double;

use super::tests::first_difference;

/// The library that this process is to try.
const LIBRARY: &str = "PELTON_BROKEN_KERNELS";
/// Families of kernels that hand values from thread to thread: kernels/host/races/.
const RACING: [&str; 8] =
    ["blend", "decode", "factor", "moments", "network", "repair", "tally", "window"];
/// What the names of the kernels begin with that are in it.
const FAMILY: &str = "PELTON_BROKEN_FAMILY";

/// Runs in which a race must be seen.
const RUNS_MAX: usize = 8;

/// What is broken, in which source, and how.
type Break = (&'static str, &'static str, &'static str, &'static str);

const BREAKS: &[Break] = &[
    (
        "a barrier is missing",
        "src/tally.cu",
        "  __syncthreads();\n  if (thread < COUNTS)",
        "  if (thread < COUNTS)",
    ),
    ("half of a warp is left out", "src/tally.cu", "int by = 16;", "int by = 8;"),
    ("a carry is lost", "src/fixed.cuh", "to[i] = sum + carry;", "to[i] = sum;"),
    (
        "a scan looks at the wrong thread",
        "src/fixed.cuh",
        "of_threads[thread - by];",
        "of_threads[thread - 1];",
    ),
    (
        "a feature lies beside its place",
        "src/assemble.cu",
        "out[at] = hash_bucket",
        "out[at + 1] = hash_bucket",
    ),
    (
        "a mean is refreshed a row late",
        "src/moments.cu",
        "p % m.refresh_every_rows == 0",
        "p % m.refresh_every_rows == 1",
    ),
    (
        "a mean is that of the row behind",
        "src/repair.cu",
        "thread * stretch < rows ?",
        "thread * stretch + 1 < rows ?",
    ),
    (
        "a sum is folded in another order",
        "src/coordinate/rows.cuh",
        "0xffffffffu, sum, 4)",
        "0xffffffffu, sum, 1)",
    ),
    (
        "a lane is left out",
        "src/coordinate/rows.cuh",
        "slot = lane; slot < padded",
        "slot = lane + 1; slot < padded",
    ),
    (
        "some threads do not come to a barrier",
        "src/blend/learn.cuh",
        "    __syncthreads();\n    if (row.is_good",
        "    if (thread != 7) __syncthreads();\n    if (row.is_good",
    ),
    (
        "an operation is fused",
        "src/blend/experts.cuh",
        "weight + step.pulls[expert] * moved",
        "fmaf(step.pulls[expert], moved, weight)",
    ),
    (
        "a sort forgets the order of what is equal",
        "src/window/arrange.cu",
        "is_odd ? t.sorted : t.sorting, calls,\n              32 + pass",
        "is_odd ? t.sorted : t.sorting, calls,\n              28 + pass",
    ),
    (
        "an entry of a chunk does not count",
        "src/window/readings.cuh",
        "i <= last % CHUNK",
        "i < last % CHUNK",
    ),
    (
        "what is before a tile is forgotten",
        "src/window/entries.cuh",
        "      add_up(before, base);\n",
        "",
    ),
    (
        "a late entry goes before those of its time",
        "src/window/leave.cu",
        "time_of(t, source), end - view.first)",
        "time_of(t, source) - 1, end - view.first)",
    ),
    ("old entries stay", "src/window/leave.cu", "head.first += gone;", "head.first += gone / 2;"),
    (
        "a record is read before it is there",
        "src/decode/records.cuh",
        "pieces[i] = source[i];\n    __syncthreads();",
        "pieces[i] = source[i];",
    ),
    (
        "an escape passes for a plain text",
        "src/decode/json.cuh",
        "byte < 0x20 || byte == '\\\\'",
        "byte < 0x20",
    ),
    (
        "a missing integer is a number",
        "src/decode/binary.cu",
        "(entry.kind & CAN_MISS) != 0 && bits",
        "(entry.kind & CAN_MISS) == 0 && bits",
    ),
    (
        "a hash takes a byte from beside the text",
        "src/hash.cuh",
        "a = word(bytes + length - 16)",
        "a = word(bytes + length - 15)",
    ),
    (
        "a lane keeps what is unusual to itself",
        "src/decode/warp.cu",
        "!__any_sync(decode::ALL, walk.is_bad)",
        "!walk.is_bad",
    ),
    (
        "a text ends where 32 bytes end",
        "src/decode/warp.cu",
        "inside_of(quotes) ^ (is_inside ? ALL : 0u)",
        "inside_of(quotes)",
    ),
    ("a year begins in February", "src/decode/text.cuh", "(month + 9) % 12", "(month + 10) % 12"),
    (
        "the hand looks at one row less",
        "src/factor/table.cuh",
        "step < watched; ++step",
        "step + 1 < watched; ++step",
    ),
    (
        "a pair is learned with what it has made of its other half",
        "src/factor/pairs.cuh",
        "step, e, left * pair.value);",
        "step, e, pair.one[f].weights[e] * pair.value);",
    ),
    (
        "a stack forgets the sign of its pull",
        "src/factor/stack.cuh",
        "pull = sign * size;",
        "pull = size;",
    ),
    (
        "a row is not scored again when its embeddings begin",
        "src/factor.cu",
        "    begin_all(m, room);\n    __syncthreads();\n    add_pairs(dense, sparse, scores);",
        "    begin_all(m, room);\n    __syncthreads();",
    ),
    (
        "a row of the table is begun as its last index left it",
        "src/network/table.cuh",
        "m.row_squares[2ull * place] = m.row_squares[2ull * place + 1] = 0.0f;",
        "m.row_squares[2ull * place] = 0.0f;",
    ),
    (
        "an index is sought in every second slot",
        "src/network/table.cuh",
        "slot = (slot + 1) & m.slot_mask) {",
        "slot = (slot + 2) & m.slot_mask) {",
    ),
    (
        "something goes back through a closed rectifier",
        "src/network/back.cuh",
        "own[from + input] > 0.0f;",
        "own[from + input] >= 0.0f;",
    ),
    (
        "a mini-batch begins with the gradient of the last one",
        "src/network.cu",
        "if ((step.flags & OPENS) != 0)",
        "if (at == 0)",
    ),
];

/// Barriers whose loss leaves an order of reads and writes to chance.
const RACES: &[Break] = &[
    (
        "before the sums of a block are read",
        "src/tally.cu",
        "  __syncthreads();\n  if (thread < COUNTS)",
        "  if (thread < COUNTS)",
    ),
    (
        "before the state is written that others read",
        "src/moments.cu",
        "  __syncthreads();\n  for (Word p",
        "  for (Word p",
    ),
    (
        "between two steps of a scan",
        "src/fixed.cuh",
        "    __syncthreads();\n    add_sums(of_threads",
        "    add_sums(of_threads",
    ),
    (
        "before the spreads are used",
        "src/blend/learn.cuh",
        "inputs, projected);\n      __syncthreads();",
        "inputs, projected);",
    ),
    (
        "before what only asks looks for what has entered",
        "src/window/arrange.cu",
        "all slots are written.\n  __syncthreads();",
        "all slots are written.",
    ),
    (
        "between counting and placing what is sorted",
        "src/window/arrange.cu",
        "    before += count;\n  }\n  __syncthreads();",
        "    before += count;\n  }",
    ),
    (
        "before an entry is written over the next",
        "src/window/leave.cu",
        "    __syncwarp();\n    if (is_one) *time_in",
        "    if (is_one) *time_in",
    ),
    (
        "before a late entry is looked at by all lanes",
        "src/window/leave.cu",
        "  __syncwarp();\n  join_distances",
        "  join_distances",
    ),
    (
        "before the records of a block are read",
        "src/decode/records.cuh",
        "pieces[i] = source[i];\n    __syncthreads();",
        "pieces[i] = source[i];",
    ),
    (
        "between a row that is refused and the next",
        "src/blend/learn.cuh",
        "      __syncthreads();\n      continue;",
        "      continue;",
    ),
    (
        "before terms are added up",
        "src/factor/pairs.cuh",
        "item % EXPERTS);\n    __syncthreads();",
        "item % EXPERTS);",
    ),
    (
        "before the products are inputs",
        "src/network/forward.cuh",
        "multiply_rows(m, count, room);\n    __syncthreads();",
        "multiply_rows(m, count, room);",
    ),
    (
        "before embeddings move by their derivatives",
        "src/network/back.cuh",
        "back_products(m, count, room);\n  __syncthreads();",
        "back_products(m, count, room);",
    ),
];

/// The kernels' sources in a folder of their own, broken as told.
struct Sources(PathBuf);

impl Sources {
    fn new(name: &str, broken: Option<&Break>) -> Sources {
        let folder = std::env::temp_dir().join(format!("pelton-{}-{name}", std::process::id()));
        let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernels");
        for part in ["src", "host"] {
            copy(&kernels.join(part), &folder.join(part));
        }
        if let Some((what, file, from, to)) = broken {
            let path = folder.join(file);
            let text = std::fs::read_to_string(&path).expect("a source");
            assert_eq!(text.matches(from).count(), 1, "{what}: one place in {file}");
            std::fs::write(&path, text.replace(from, to)).expect("written");
        }
        let sources = Sources(folder);
        broken.inspect(|broken| sources.keep(family_of(broken.1)));
        sources
    }

    /// Leaves out the kernels of other families, which take most of the compiler's time.
    fn keep(&self, family: &str) {
        let lines_of = |name: &str, is_other: &dyn Fn(&str) -> bool| {
            let path = self.0.join("host").join(name);
            let text = std::fs::read_to_string(&path).expect("a source");
            let kept: Vec<&str> = text.lines().filter(|line| !is_other(line)).collect();
            std::fs::write(&path, kept.join("\n") + "\n").expect("written");
        };
        lines_of("kernels.cpp", &|line| {
            let source = line.strip_prefix("#include \"../").and_then(|l| l.strip_suffix('"'));
            source.is_some_and(|source| !family_of(source).starts_with(family))
        });
        lines_of("kernels.list", &|line| {
            let kernel = line.strip_prefix("KERNEL(");
            kernel.is_some_and(|kernel| !kernel.starts_with(family) && !kernel.starts_with("probe"))
        });
    }

    /// Compiles one of the host sources; the path of what came out.
    fn compile(&self, source: &str, flags: &[&str]) -> PathBuf {
        let out = self.0.join("out");
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
        let compiled = Command::new(compiler)
            .args(["-std=c++20", "-O1", "-g", "-DHOST_CUDA", "-ffp-contract=off"])
            .args(["-Wno-unknown-pragmas", "-pthread"])
            .args(flags)
            .arg(self.0.join("host").join(source))
            .arg("-o")
            .arg(&out)
            .output()
            .expect("a C++ compiler, as the double needs one");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        out
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What the names of the kernels begin with that a source is of; nothing for what all share.
fn family_of(source: &str) -> &str {
    let name = source.trim_start_matches("src/").split(['/', '.']).next().unwrap_or_default();
    match name {
        "coordinate" => "linear",
        "fixed" | "numbers" | "hash" => "",
        name => name,
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        let kind = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            copy(&path, &target);
        } else if matches!(kind, Some("cu" | "cuh" | "cpp" | "h" | "list")) {
            std::fs::copy(&path, &target).expect("a copy");
        }
    }
}

/// Runs the cases with the kernels of a library, in a process of their own.
fn tried(library: &Path, family: &str) -> Output {
    let program = std::env::current_exe().expect("this program");
    let name = "cases::broken::a_broken_kernel_is_noticed";
    let mut child = Command::new(program);
    child.args(["--exact", name, "--nocapture"]).env(LIBRARY, library).env(FAMILY, family);
    child.output().expect("it starts")
}

#[test]
fn a_broken_kernel_is_noticed() {
    if let Some(library) = std::env::var_os(LIBRARY) {
        let gpu = Double::of_library(Path::new(&library));
        let family = std::env::var(FAMILY).expect("told with the library");
        assert_eq!(first_difference(&gpu, &[3, 600], &family), None);
        return;
    }
    let library = |broken: Option<&Break>| {
        let sources = Sources::new("broken", broken);
        let library = sources.compile("kernels.cpp", &["-shared", "-fPIC"]);
        (tried(&library, broken.map_or("", |broken| family_of(broken.1))), sources)
    };
    let (whole, _sources) = library(None);
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    for broken in BREAKS {
        let (output, _sources) = library(Some(broken));
        assert!(!output.status.success(), "not noticed: {}", broken.0);
    }
}

#[test]
fn a_missing_barrier_is_a_race() {
    let compiled = |family: &str, broken| {
        let sources = Sources::new("races", broken);
        let flags = ["-fsanitize=thread", "-DHOST_CUDA_THREADS"];
        let program = sources.compile(&format!("races/{family}.cpp"), &flags);
        (program, sources)
    };
    let run = |program: &Path| Command::new(program).output().expect("it starts");
    for family in RACING {
        let (program, _sources) = compiled(family, None);
        let whole = run(&program);
        let said = String::from_utf8_lossy(&whole.stderr).into_owned();
        if said.contains("FATAL: ThreadSanitizer") {
            println!("SKIPPED: ThreadSanitizer does not run on this machine: {said}");
            return;
        }
        assert!(whole.status.success(), "{family}: {said}");
    }
    for broken in RACES {
        let family = match family_of(broken.1) {
            // What all share is tried by one of them.
            "" => "moments",
            family => family,
        };
        let (program, _sources) = compiled(family, Some(broken));
        // What the sanitizer remembers of a place are its last few uses: it may take some runs.
        let is_seen = (0..RUNS_MAX).any(|_| {
            let output = run(&program);
            let said = String::from_utf8_lossy(&output.stderr);
            !output.status.success() && said.contains("data race")
        });
        assert!(is_seen, "no race is seen without the barrier {}", broken.0);
    }
}
