//! Runs of the program over a small recording, with their checkpoints wherever a test wants them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use pelton::checkpoint::sequence_of;
use pelton::checkpoint::store::Store;
use serde_json::Value;
use tempfile::TempDir;

/// Events of the recording.
pub const EVENTS: usize = 60_000;
const CONFIG: &str = r#"
batch.rows_max = 64
source.file = INPUT
emit.file = SCORES
[event]
id = "TRANSACTION_ID"
time = "TX_DATETIME"
time_unit = "ms"
[fields]
TX_AMOUNT = { type = "number", missing = "reject" }
CUSTOMER_ID = { type = "category", required = true }
TERMINAL_ID = { type = "category", required = true }
[labels]
id = "TRANSACTION_ID"
field = "TX_FRAUD"
delay = "7d"
[[features]]
number = "TX_AMOUNT"
[[features]]
window = "CUSTOMER_ID"
widths = ["1d", "7d"]
aggregates = ["count", "mean(TX_AMOUNT)"]
[[features]]
window = "TERMINAL_ID"
over = "labels"
widths = ["7d"]
aggregates = ["mean"]
[evaluate]
metrics = ["auc", "log_loss"]
[checkpoint]
"#;

/// A recording, and runs over it.
pub struct Job {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Job {
    /// A recording in a folder of its own; the program runs with these variables.
    pub fn new(environment: &[(&str, &str)]) -> Job {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let environment = environment.iter().map(owned).collect();
        let job = Job { folder: tempfile::tempdir().expect("a folder"), environment };
        let (events, input) = (EVENTS.to_string(), job.path("payments.parquet"));
        let mut arguments = vec!["generate", "fraud", "--seed", "3", "--events", &events];
        arguments.extend(["--output", text(&input)]);
        assert!(job.tell(&arguments).status.success());
        job
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the configuration of a run whose scores go to `NAME.jsonl`; `checkpoint` is what
    /// stands in that section.
    pub fn config(&self, name: &str, checkpoint: &str) -> PathBuf {
        self.config_to(name, &self.path(&format!("{name}.jsonl")), checkpoint)
    }

    /// The same with the scores elsewhere.
    pub fn config_to(&self, name: &str, scores: &Path, checkpoint: &str) -> PathBuf {
        let quoted = |path: &Path| format!("{:?}", text(path));
        let text = CONFIG
            .replace("INPUT", &quoted(&self.path("payments.parquet")))
            .replace("SCORES", &quoted(scores));
        let path = self.path(&format!("{name}.toml"));
        std::fs::write(&path, text + checkpoint).expect("written");
        path
    }

    /// Runs the program to its end.
    pub fn tell(&self, arguments: &[&str]) -> Output {
        self.program().args(arguments).output().expect("the program starts")
    }

    /// Starts a run; its report goes to `NAME.json`.
    pub fn start(&self, config: &Path) -> Child {
        self.start_with(config, &[], Stdio::inherit())
    }

    /// The same with these variables as well, and its log there.
    pub fn start_with(&self, config: &Path, more: &[(&str, &str)], log: Stdio) -> Child {
        let report = config.with_extension("json");
        let mut program = self.program();
        program.arg("run").arg(config).arg("--report").arg(report).stdout(Stdio::null());
        program.envs(more.iter().copied()).stderr(log);
        program.spawn().expect("the program starts")
    }

    /// Runs to the end of the recording; the exit code.
    pub fn finish(&self, config: &Path) -> Option<i32> {
        wait(&mut self.start(config), || false).expect("it ends").code()
    }

    /// Runs until the store has `more` checkpoints than before, then kills it.
    pub fn run_and_kill(&self, config: &Path, store: &dyn Store, more: u64) {
        let known = newest(store);
        let mut child = self.start(config);
        let ended = wait(&mut child, || newest(store) >= known + more);
        assert_eq!(ended, None, "it was not killed in time");
        child.kill().expect("killed");
        child.wait().expect("a child");
    }

    /// Two runs came to the same scores, model, counts and metrics.
    pub fn assert_same(&self, one: &str, other: &str) {
        let scores = |name| std::fs::read(self.path(&format!("{name}.jsonl"))).expect("scores");
        let (ones, others) = (scores(one), scores(other));
        let count = |scores: &[u8]| scores.iter().filter(|&&byte| byte == b'\n').count();
        assert_eq!((count(&ones), count(&others)), (EVENTS, EVENTS), "every score once");
        assert!(ones == others, "the scores differ");
        let (ones, others) = (self.report(one), self.report(other));
        for key in ["events", "labels", "model_digest", "score_digest", "metrics"] {
            assert_eq!(ones[key], others[key], "{key}");
        }
    }

    fn report(&self, name: &str) -> Value {
        let text = std::fs::read_to_string(self.path(&format!("{name}.json"))).expect("a report");
        serde_json::from_str(&text).expect("a report is JSON")
    }

    fn program(&self) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_pelton"));
        let variables = self.environment.iter().map(|(name, value)| (name, value));
        program.env("RUST_LOG", "error").envs(variables);
        program
    }
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The number of the newest checkpoint.
pub fn newest(store: &dyn Store) -> u64 {
    let files = store.list().unwrap_or_default();
    files.iter().filter_map(|file| sequence_of(&file.name)).max().unwrap_or(0)
}

/// Waits until it has ended, or it is enough.
pub fn wait(child: &mut Child, mut is_enough: impl FnMut() -> bool) -> Option<ExitStatus> {
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return Some(status);
        }
        if is_enough() {
            return None;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("the run does not end");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
