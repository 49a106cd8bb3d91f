//! Dead letters read back: from their topic, or from their file of JSON lines.
//!
//! The engine only writes them ([`emit`](crate::emit)); people and tools read them, to see what is
//! wrong, and to send the records on their way again once it is put right. A line that is no dead
//! letter is counted and passed over. Nothing here changes the dead letters themselves: a topic
//! cannot be written to in the middle, so what was sent again is noted in [`marks`].

pub mod marks;
pub mod summary;

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use crate::config::Config;
use crate::config::emit::SinkConfig;
use crate::config::stream::KafkaConfig;
use crate::emit::file::HEX;
use crate::emit::records::HEADER;
use crate::error::Error;
use crate::kafka::stored::{Extent, Stored, read_stored};

/// Where a dead letter lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In a topic.
    Offset {
        /// The partition; `None` stands for every one.
        partition: Option<i32>,
        /// The offset there.
        offset: i64,
    },
    /// In a file, counted from 1.
    Line(u64),
}

impl Place {
    fn is_before(self, other: Place) -> bool {
        self.number() < other.number()
    }

    fn number(self) -> i64 {
        match self {
            Place::Offset { offset, .. } => offset,
            Place::Line(line) => i64::try_from(line).unwrap_or(i64::MAX),
        }
    }

    /// Whether this place, perhaps of every partition, speaks of the partition of `other`.
    fn concerns(self, other: Place) -> bool {
        match (self, other) {
            (Place::Offset { partition: Some(a), .. }, Place::Offset { partition, .. }) => {
                partition == Some(a)
            }
            _ => true,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Offset { partition: Some(partition), offset } => {
                write!(f, "{partition}:{offset}")
            }
            Place::Offset { partition: None, offset } => write!(f, "{offset}"),
            Place::Line(line) => write!(f, "{line}"),
        }
    }
}

impl FromStr for Place {
    type Err = String;

    /// `PARTITION:OFFSET`, or one number: an offset of every partition, or a line.
    fn from_str(text: &str) -> Result<Place, String> {
        let wrong = || "give PARTITION:OFFSET, an offset, or the number of a line".to_owned();
        let (partition, offset) = match text.split_once(':') {
            Some((partition, offset)) => (Some(partition.parse().map_err(|_| wrong())?), offset),
            None => (None, text),
        };
        let offset = offset.parse().ok().filter(|offset| *offset >= 0).ok_or_else(wrong)?;
        Ok(Place::Offset { partition, offset })
    }
}

/// Which dead letters are meant.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Of this reason.
    pub reason: Option<String>,
    /// Made from a record of this topic.
    pub topic: Option<String>,
    /// From here on.
    pub from: Option<Place>,
    /// Up to and including this one.
    pub to: Option<Place>,
}

impl Wanted {
    fn includes(&self, letter: &Letter) -> bool {
        let is = |wanted: &Option<String>, is: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| is == Some(wanted))
        };
        let concerns =
            |bound: &Option<Place>| bound.is_none_or(|place| place.concerns(letter.place));
        is(&self.reason, letter.text("reason"))
            && is(&self.topic, letter.text("topic"))
            && concerns(&self.from)
            && concerns(&self.to)
            && !self.from.is_some_and(|from| letter.place.is_before(from))
            && !self.to.is_some_and(|to| to.is_before(letter.place))
    }

    /// Where a partition begins to be of interest.
    fn start(&self, partition: i32) -> Option<i64> {
        let first = Place::Offset { partition: Some(partition), offset: 0 };
        let bounds = [self.from, self.to];
        if bounds.iter().flatten().any(|bound| !bound.concerns(first)) {
            return None;
        }
        Some(self.from.map_or(0, Place::number))
    }
}

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Where it lies.
    pub place: Place,
    /// When it was written, milliseconds since the epoch, where that is known.
    pub written_ms: Option<i64>,
    /// The facts beside the bytes, in their order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The original bytes.
    pub bytes: Vec<u8>,
}

impl Letter {
    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_slice())
    }

    /// A header as a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.header(name)?).ok()
    }

    /// Time of the original message, milliseconds since the epoch.
    #[must_use]
    pub fn time_ms(&self) -> Option<i64> {
        self.text("time")?.parse().ok()
    }

    /// The headers that the original record had, as far as they were kept.
    pub fn original_headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(HEADER)?, value.as_slice())))
    }

    /// Whether only the beginning of the original bytes was kept.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.header("cut_from_bytes").is_some()
    }
}

/// Where dead letters lie.
#[derive(Clone, Debug)]
pub enum Queue {
    /// A topic.
    Topic(KafkaConfig, String),
    /// A file of JSON lines.
    File(std::path::PathBuf),
}

impl Queue {
    /// That of a configuration.
    ///
    /// # Errors
    /// [`Error::Usage`] when it has none.
    pub fn of(config: &Config) -> Result<Queue, Error> {
        match &config.dead_letters {
            SinkConfig::Kafka(topic) => Ok(Queue::Topic(config.kafka.clone(), topic.clone())),
            SinkConfig::File(path) => Ok(Queue::File(path.clone())),
            SinkConfig::None => Err(Error::Usage {
                what: "the configuration keeps no dead letters".into(),
                remedy: "give [dead_letters] topic or file".into(),
            }),
        }
    }

    /// Topic, or path.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Queue::Topic(_, topic) => topic.clone(),
            Queue::File(path) => path.display().to_string(),
        }
    }

    /// Shows the dead letters that are wanted, until `each` breaks off; returns how many lines
    /// were none.
    ///
    /// # Errors
    /// As [`read_stored`], and [`Error::File`]; those of `each`.
    pub fn read(
        &self,
        wanted: &Wanted,
        each: &mut dyn FnMut(Letter) -> Result<ControlFlow<()>, Error>,
    ) -> Result<u64, Error> {
        match self {
            Queue::File(path) => read_file(path, wanted, each),
            Queue::Topic(kafka, topic) => {
                let mut strangers = 0;
                let start = |partition| wanted.start(partition);
                let extent =
                    Extent { topic, from: &start, settle: Duration::ZERO, is_settling: &|_| true };
                read_stored(kafka, &extent, &mut |stored| {
                    let letter = letter_of(stored);
                    if letter.header("reason").is_none() {
                        strangers += 1;
                    } else if wanted.includes(&letter) {
                        return each(letter);
                    }
                    Ok(ControlFlow::Continue(()))
                })?;
                Ok(strangers)
            }
        }
    }
}

fn letter_of(stored: &Stored<'_>) -> Letter {
    let (partition, offset) = (Some(stored.partition), stored.offset);
    let headers = stored.headers.iter().map(|&(name, value)| (name.to_owned(), value.to_vec()));
    Letter {
        place: Place::Offset { partition, offset },
        written_ms: stored.time_ms,
        headers: headers.collect(),
        bytes: stored.payload.to_vec(),
    }
}

fn read_file(
    path: &Path,
    wanted: &Wanted,
    each: &mut dyn FnMut(Letter) -> Result<ControlFlow<()>, Error>,
) -> Result<u64, Error> {
    let failed = || Error::file("read", path);
    let mut file = BufReader::new(File::open(path).map_err(failed())?);
    let (mut line, mut number, mut strangers) = (Vec::new(), 0, 0);
    while file.read_until(b'\n', &mut line).map_err(failed())? > 0 {
        number += 1;
        match letter_of_line(&line, number) {
            None => strangers += 1,
            Some(letter) if wanted.includes(&letter) => {
                if each(letter)?.is_break() {
                    break;
                }
            }
            Some(_) => {}
        }
        line.clear();
    }
    Ok(strangers)
}

/// The dead letter that [`FileSink`](crate::emit::file::FileSink) has written as this line.
fn letter_of_line(line: &[u8], number: u64) -> Option<Letter> {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(line).ok()?;
    let mut letter = Letter {
        place: Place::Line(number),
        written_ms: None,
        headers: Vec::new(),
        bytes: Vec::new(),
    };
    let mut has_bytes = false;
    for (name, value) in object {
        let text = value.as_str()?;
        let (name, value) = match name.strip_suffix(HEX) {
            Some(name) => (name.to_owned(), from_hexadecimal(text)?),
            None => (name, text.as_bytes().to_vec()),
        };
        if name == "bytes" {
            (letter.bytes, has_bytes) = (value, true);
        } else {
            letter.headers.push((name, value));
        }
    }
    (has_bytes && letter.header("reason").is_some()).then_some(letter)
}

fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}
