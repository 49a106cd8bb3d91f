//! `pelton dlq`: what is in the dead-letter queue, and the way back out of it.

mod replay;

use std::io::{Write, stdout};
use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use pelton::config::Config;
use pelton::dead_letters::summary::{Example, Listing, Summary, rfc3339};
use pelton::dead_letters::{Letter, Place, Queue, Wanted};
use pelton::error::Error;

use super::usage;

/// Arguments of `pelton dlq`.
#[derive(Debug, Args)]
pub struct Dlq {
    /// What to do with them.
    #[command(subcommand)]
    action: Action,
}

/// What can be done.
#[derive(Debug, Subcommand)]
enum Action {
    /// Count the dead letters by reason, field and topic, and show the newest.
    List(List),
    /// Show one dead letter: all that is known of it, and its bytes.
    Show(Show),
    /// Write the original records back to the topics they came from.
    ///
    /// What was sent once is not sent again: it is noted in a file beside the configuration.
    Replay(replay::Replay),
}

/// Arguments of `pelton dlq list`.
#[derive(Debug, Args)]
struct List {
    /// The configuration whose [dead_letters] are meant.
    config: PathBuf,
    #[command(flatten)]
    filter: Filter,
    /// Show so many of the newest.
    #[arg(long, value_name = "N", default_value_t = 5)]
    limit: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `pelton dlq show`.
#[derive(Debug, Args)]
struct Show {
    /// The configuration whose [dead_letters] are meant.
    config: PathBuf,
    /// PARTITION:OFFSET, or the number of a line for a file.
    place: Place,
}

/// Which dead letters.
#[derive(Debug, Args)]
struct Filter {
    /// Only of this reason, such as `out_of_range`.
    #[arg(long, value_name = "R")]
    reason: Option<String>,
    /// Only made from records of this topic.
    #[arg(long, value_name = "T")]
    topic: Option<String>,
    /// From here on: PARTITION:OFFSET, an offset of every partition, or a line.
    #[arg(long, value_name = "PLACE")]
    from: Option<Place>,
    /// Up to here, and including it.
    #[arg(long, value_name = "PLACE")]
    to: Option<Place>,
}

impl Filter {
    fn wanted(&self, queue: &Queue) -> Result<Wanted, Error> {
        let (from, to) = (self.from.map(|p| of(queue, p)), self.to.map(|p| of(queue, p)));
        let (from, to) = (from.transpose()?, to.transpose()?);
        if let (
            Some(Place::Offset { partition: Some(a), .. }),
            Some(Place::Offset { partition: Some(b), .. }),
        ) = (from, to)
            && a != b
        {
            return Err(usage(
                "--from and --to are in different partitions",
                "give one partition, or offsets alone",
            ));
        }
        let (reason, topic) = (self.reason.clone(), self.topic.clone());
        Ok(Wanted { reason, topic, from, to })
    }
}

/// The place as this queue counts.
fn of(queue: &Queue, place: Place) -> Result<Place, Error> {
    match (queue, place) {
        (Queue::File(_), Place::Offset { partition: None, offset }) => {
            Ok(Place::Line(offset.unsigned_abs()))
        }
        (Queue::File(path), _) => Err(usage(
            format!("{} has lines, not partitions", path.display()),
            "give the number of a line",
        )),
        (Queue::Topic(..), place) => Ok(place),
    }
}

impl Dlq {
    /// Does it.
    pub fn run(self) -> Result<(), Error> {
        match self.action {
            Action::List(list) => list.run(),
            Action::Show(show) => show.run(),
            Action::Replay(replay) => replay.run(),
        }
    }
}

impl List {
    fn run(&self) -> Result<(), Error> {
        let queue = Queue::of(&Config::load(&self.config)?)?;
        let mut summary = Summary::new(self.limit);
        let strangers = queue.read(&self.filter.wanted(&queue)?, &mut |letter| {
            summary.add(&letter);
            Ok(ControlFlow::Continue(()))
        })?;
        complain(&queue, strangers);
        let listing = summary.listing();
        let printed = if self.json {
            serde_json::to_writer_pretty(stdout().lock(), &listing).map_err(std::io::Error::from)
        } else {
            print(&queue, &listing)
        };
        printed.or_else(gone)
    }
}

/// Nobody listens any more: `pelton dlq list | head`.
fn gone(error: std::io::Error) -> Result<(), Error> {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(Error::file("write", "standard output")(error)),
    }
}

fn complain(queue: &Queue, strangers: u64) {
    if strangers > 0 {
        let name = queue.name();
        tracing::warn!(
            strangers,
            queue = name,
            "records that are no dead letters were passed over"
        );
    }
}

fn print(queue: &Queue, listing: &Listing) -> std::io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{} dead letters in {}", listing.total, queue.name())?;
    if listing.total == 0 {
        return Ok(());
    }
    writeln!(out, "{:>9}  {:<14} {:<20} {:<20} first .. last", "count", "reason", "field", "from")?;
    for group in &listing.groups {
        let (field, topic) = (group.field.as_deref(), group.topic.as_deref());
        write!(out, "{:>9}  {:<14} ", group.count, group.reason)?;
        write!(out, "{:<20} {:<20} ", field.unwrap_or("-"), topic.unwrap_or("-"))?;
        writeln!(out, "{} .. {}", moment(&group.first), moment(&group.last))?;
    }
    writeln!(out, "\nnewest:")?;
    for example in &listing.newest {
        let Example { reason, from, bytes, .. } = example;
        let field = example.field.as_deref().map(|field| format!(" ({field})"));
        writeln!(out, "  {}  {reason}{}  {from}", moment(example), field.unwrap_or_default())?;
        writeln!(out, "      {bytes}")?;
    }
    Ok(())
}

fn moment(example: &Example) -> String {
    match &example.written {
        Some(written) => format!("{} {written}", example.at),
        None => example.at.clone(),
    }
}

impl Show {
    fn run(&self) -> Result<(), Error> {
        let queue = Queue::of(&Config::load(&self.config)?)?;
        let place = of(&queue, self.place)?;
        if let Place::Offset { partition: None, .. } = place {
            return Err(usage("a topic has partitions", "give PARTITION:OFFSET"));
        }
        let wanted = Wanted { from: Some(place), to: Some(place), ..Wanted::default() };
        let mut found = None;
        queue.read(&wanted, &mut |letter| {
            found = Some(letter);
            Ok(ControlFlow::Break(()))
        })?;
        let Some(letter) = found else {
            return Err(usage(
                format!("there is no dead letter at {place} in {}", queue.name()),
                "see pelton dlq list",
            ));
        };
        print_letter(&letter).or_else(gone)
    }
}

fn print_letter(letter: &Letter) -> std::io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "at: {}", letter.place)?;
    if let Some(written) = letter.written_ms.and_then(rfc3339) {
        writeln!(out, "written: {written}")?;
    }
    for (name, value) in &letter.headers {
        match std::str::from_utf8(value) {
            Ok(text) => writeln!(out, "{name}: {text}")?,
            Err(_) => writeln!(out, "{name}: {value:02x?}")?,
        }
    }
    writeln!(out, "bytes: {}\n", letter.bytes.len())?;
    match serde_json::from_slice::<serde_json::Value>(&letter.bytes) {
        Ok(json) => {
            serde_json::to_writer_pretty(&mut out, &json)?;
            writeln!(out)
        }
        Err(_) => dump(&letter.bytes, &mut out),
    }
}

/// Offsets, hexadecimal and characters, sixteen bytes a line.
fn dump(bytes: &[u8], out: &mut impl Write) -> std::io::Result<()> {
    for (line, chunk) in bytes.chunks(16).enumerate() {
        let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = |&byte: &u8| {
            if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '.' }
        };
        let text: String = chunk.iter().map(shown).collect();
        writeln!(out, "{:08x}  {:<47}  |{text}|", line * 16, hex.join(" "))?;
    }
    Ok(())
}
