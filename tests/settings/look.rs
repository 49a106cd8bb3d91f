//! What a configuration makes the engine do, as text that can be compared.

use pelton::device::Device;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pelton::checkpoint::recover::Recovery;
use pelton::config::Config;
use pelton::error::Error;
use pelton::live::Live;
use pelton::ring::{Position, Slot, Span};
use pelton::run::Outcome;
use pelton::source::decode::{MessageParts, Names, event};
use pelton::source::file::{self, FileOptions};
use pelton::source::{Progress, Source};
use pelton::watchdog::Watch;

use super::row::World;
use super::stream;
use crate::support::{Record, Trace, trace};

fn traced(world: &World) -> Trace {
    let mut records = stream::records();
    if world.config.labels.recorded {
        records.retain(|record| matches!(record, Record::Event(_)));
    }
    trace(&world.config, &records, 64)
}

/// The features of every event.
pub fn features(world: &World) -> Option<String> {
    let trace = traced(world);
    Some(format!("{:?} {:?}", trace.dense, trace.sparse))
}

/// The scores of every event.
pub fn scores(world: &World) -> Option<String> {
    Some(format!("{:?}", traced(world).scores))
}

/// What all models have become, those in the shadow as well.
pub fn models(world: &World) -> Option<String> {
    Some(traced(world).model_digest)
}

/// Why records were not scored.
pub fn rejects(world: &World) -> Option<String> {
    Some(format!("{:?}", traced(world).rejects))
}

/// What is made of records of 36, 37 and 40 bytes.
pub fn laid_out(world: &World) -> Option<String> {
    let schema = &world.config.event.schema;
    let names = Names::of_events(&world.config);
    let mut slot = Slot::new(schema, 9);
    slot.span_index(&"topic".into(), 0);
    for bytes in [36, 37, 40] {
        let mut payload = (bytes as u32).to_le_bytes().to_vec();
        payload.extend(5_000_i64.to_le_bytes());
        payload.extend((-1.25_f32).to_le_bytes());
        payload.extend([0, 0, 1, 192]);
        payload.extend(*b"1234\0\0\0\0ab");
        payload.resize(bytes, 0);
        let message = MessageParts { payload: &payload, ..MessageParts::default() };
        event(schema, &names, &mut slot, &message, Position::default());
    }
    let reasons: Vec<_> = slot.rejects.iter().map(|reject| reject.reason).collect();
    let rows = (&slot.ids[..slot.rows], &slot.times_ms[..slot.rows]);
    Some(format!("{rows:?} {:?} {:?} {reasons:?}", slot.number(0), slot.category(0)))
}

/// How many events the filter left out.
pub fn filtered(world: &World) -> Option<String> {
    Some(format!("{} left out", traced(world).filtered))
}

/// Under which ids events were scored.
pub fn ids(world: &World) -> Option<String> {
    Some(format!("{:?}", traced(world).scores.keys()))
}

/// What happened to labels.
pub fn joins(world: &World) -> Option<String> {
    Some(format!("{:?}", traced(world).joins))
}

/// The measures of the report.
pub fn metrics(world: &World) -> Option<String> {
    Some(format!("{:?}", traced(world).metrics))
}

/// The measures of the trailing window.
pub fn trailing(world: &World) -> Option<String> {
    Some(format!("{:?}", traced(world).trailing))
}

/// A run of the whole engine over the events in a file; the names and contents of what it wrote.
pub fn written(world: &World) -> Option<String> {
    let input = write_events(world);
    run(&world.config, open(&world.config, &input)).expect("a run");
    let mut files: Vec<PathBuf> = std::fs::read_dir(world.folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| *path != input)
        .collect();
    files.sort();
    let content = |path: &PathBuf| std::fs::read_to_string(path).expect("a text");
    let files = files.iter().map(|path| format!("{}\n{}", path.display(), content(path)));
    Some(files.collect())
}

/// Where the engine cuts the events of a file into batches.
pub fn cuts(world: &World) -> Option<String> {
    let input = write_events(world);
    Some(cuts_of(world, open(&world.config, &input)))
}

/// Where it cuts them when each comes a moment after the other.
pub fn cuts_of_a_trickle(world: &World) -> Option<String> {
    let input = write_events(world);
    let options = FileOptions { limit: Some(20), batch_bytes_max: 1, ..FileOptions::default() };
    let source = file::open(&input, &world.config.event.schema, &options).expect("opened");
    Some(cuts_of(world, Box::new(Trickle(source))))
}

/// Whether a CSV file with semicolons can be read.
pub fn semicolons(world: &World) -> Option<String> {
    let path = world.folder.path().join("events.csv");
    let text = "id;t;label;NUMBER;OTHER;CATEGORY;SHOP\n1;1532548800000;1;1;2;a;b\n";
    std::fs::write(&path, text).expect("written");
    let options = FileOptions::of(&world.config);
    let opened = file::open(&path, &world.config.event.schema, &options);
    Some(opened.err().map_or("read".to_owned(), |error| error.to_string()))
}

/// What the program reports of a run over two files, of which `[source] file` names one.
pub fn reported(world: &World) -> Option<String> {
    for (name, count) in [("a.jsonl", 10), ("b.jsonl", 20)] {
        let text = stream::events()[..count].join("\n");
        std::fs::write(world.folder.path().join(name), text).expect("written");
    }
    let report = world.folder.path().join("report.json");
    let mut program = program(world, &["--report", &report.to_string_lossy()]);
    assert!(program.status().expect("the program starts").success());
    let report = std::fs::read_to_string(report).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    Some(format!("{} events", report["events"]))
}

/// Whether the program shows a metrics page while it waits for more of its input.
pub fn page(world: &World) -> Option<String> {
    let input = world.folder.path().join("endless.jsonl");
    assert!(Command::new("mkfifo").arg(&input).status().expect("mkfifo runs").success());
    let mut child = program(world, &[]).spawn().expect("the program starts");
    // The program waits for the end of what it is given, which is when this is closed.
    let mut end = std::fs::File::options().write(true).open(&input).expect("a pipe");
    writeln!(end, "{}", stream::events()[0]).expect("the program reads");
    let patience = Duration::from_secs(if world.config.metrics.listen.is_some() { 60 } else { 1 });
    let deadline = Instant::now() + patience;
    let found = loop {
        let page = ask_for_page(world.port);
        let is_there = page.is_some_and(|page| page.contains("pelton_events_consumed_total"));
        if is_there || Instant::now() >= deadline {
            break is_there;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    drop(end);
    assert!(child.wait().expect("a child").success());
    Some(format!("page found: {found}"))
}

/// What the metrics page shows, if there is one.
pub fn ask_for_page(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    Some(page)
}

/// What the watchdog finds of a stage that works on one batch for two minutes.
pub fn watching(world: &World) -> Option<String> {
    let (live, start) = (Live::default(), Instant::now());
    let hearts = live.stages().of_run(None);
    hearts.compute.begins(64);
    let mut watch = Watch::new(world.config.run.limits(), start);
    let looks = (0..120).map(|second| start + Duration::from_secs(second));
    let found = looks.flat_map(|now| watch.look(live.stages(), now)).map(|news| news.found);
    Some(format!("{:?}", found.take(2).collect::<Vec<_>>()))
}

/// What a run would compute on, or why it would not.
pub fn device(world: &World) -> Option<String> {
    let opened = pelton_kernels::device::Device::open(world.config.device);
    Some(match opened {
        Ok((device, reason)) => format!("{device} {reason:?}"),
        Err(error) => error.to_string(),
    })
}

/// What `pelton check` says.
pub fn checked(world: &World) -> Option<String> {
    let told = command(world, "check").output().expect("the program starts");
    assert!(told.status.success());
    Some(String::from_utf8(told.stdout).expect("a text"))
}

fn program(world: &World, arguments: &[&str]) -> Command {
    let mut program = command(world, "run");
    program.args(arguments).stdout(Stdio::null());
    program
}

fn command(world: &World, name: &str) -> Command {
    let path = world.folder.path().join("config.toml");
    std::fs::write(&path, &world.text).expect("written");
    let mut program = Command::new(env!("CARGO_BIN_EXE_pelton"));
    program.arg(name).arg(path).env("RUST_LOG", "warn");
    program
}

pub fn write_events(world: &World) -> PathBuf {
    let path = world.folder.path().join("events.jsonl");
    std::fs::write(&path, stream::events().join("\n")).expect("written");
    path
}

pub fn open(config: &Config, path: &Path) -> Box<dyn Source> {
    file::open(path, &config.event.schema, &FileOptions::of(config)).expect("opened")
}

/// A run of the whole engine over a source.
pub fn run(config: &Config, source: Box<dyn Source>) -> Result<Outcome, Error> {
    let recovery = Recovery::none(config, &Device::Cpu)?;
    pelton::run::run(config, source, recovery, &Arc::default(), &Arc::new(Live::default()))
}

/// The offsets between which batches were cut, as they were acknowledged.
pub fn cuts_of(world: &World, source: Box<dyn Source>) -> String {
    let cuts = Arc::new(Mutex::new(Vec::new()));
    let logged = Logged { source, cuts: Arc::clone(&cuts) };
    run(&world.config, Box::new(logged)).expect("a run");
    let mut cuts = cuts.lock().expect("nothing panicked").clone();
    cuts.sort_unstable();
    format!("{cuts:?}")
}

/// A source that notes the end of every batch.
struct Logged {
    source: Box<dyn Source>,
    cuts: Arc<Mutex<Vec<i64>>>,
}

impl Source for Logged {
    fn read(&mut self, slot: &mut Slot, until: Instant) -> Result<Progress, Error> {
        self.source.read(slot, until)
    }

    fn acknowledge(&mut self, spans: &[Span]) -> Result<(), Error> {
        let ends = spans.iter().map(|span| span.next);
        self.cuts.lock().expect("nothing panicked").extend(ends);
        self.source.acknowledge(spans)
    }
}

/// A source that has one record at hand at a time.
pub struct Trickle(pub Box<dyn Source>);

impl Source for Trickle {
    fn read(&mut self, slot: &mut Slot, until: Instant) -> Result<Progress, Error> {
        std::thread::sleep(Duration::from_millis(2));
        Ok(match self.0.read(slot, until)? {
            Progress::Full if !slot.is_full() => Progress::Waiting,
            progress => progress,
        })
    }
}
