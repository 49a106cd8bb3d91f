//! Kernels that are broken on purpose, each in one place: the cases must notice every one of them,
//! and ThreadSanitizer every barrier that is missing.
//!
//! A broken kernel may loop, write where it must not or wait for ever: each is compiled into a
//! library and run by a process of its own.

mod breaks;
mod races;

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use pelton_kernels::device::double::Double;

use super::tests::first_difference;
use breaks::{BREAKS, Break};
use races::RACES;

/// The library that this process is to try.
const LIBRARY: &str = "PELTON_BROKEN_KERNELS";
/// Families of kernels that hand values from thread to thread: kernels/host/races/.
const RACING: [&str; 8] =
    ["blend", "decode", "factor", "moments", "network", "repair", "tally", "window"];
/// What the names of the kernels begin with that are in it.
const FAMILY: &str = "PELTON_BROKEN_FAMILY";

/// Runs in which a race must be seen.
const RUNS_MAX: usize = 8;

/// The kernels' sources in a folder of their own, broken as told.
struct Sources(PathBuf);

impl Sources {
    fn new(name: &str, broken: Option<&Break>) -> Sources {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("pelton-{}-{name}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
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
            .args(["-std=c++20", "-O1", "-DHOST_CUDA", "-ffp-contract=off"])
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
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(broken) = BREAKS.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (output, _sources) = library(Some(broken));
            assert!(!output.status.success(), "not noticed: {}", broken.0);
        }
    };
    // The compiler takes most of the time: as many at once as there are cores.
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
}

#[test]
fn a_missing_barrier_is_a_race() {
    let compiled = |family: &str, broken| {
        let sources = Sources::new("races", broken);
        let flags = ["-fsanitize=thread", "-DHOST_CUDA_THREADS"];
        let program = sources.compile(&format!("races/{family}.cpp"), &flags);
        (program, sources)
    };
    // One race is enough: what would follow it takes longest.
    let run = |program: &Path| {
        let mut child = Command::new(program);
        child.env("TSAN_OPTIONS", "halt_on_error=1").output().expect("it starts")
    };
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
