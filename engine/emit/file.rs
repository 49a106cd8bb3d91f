//! Records as JSON lines in a file.
//!
//! Score records are JSON already. A dead letter becomes one line with its headers and the original
//! bytes, as texts where they are UTF-8, else as hexadecimal under a name with `_hex` behind it.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Error;

use super::delivered::Delivered;
use super::{Record, Sink, SinkPosition};

/// Behind the name of a value that is written as hexadecimal.
pub const HEX: &str = "_hex";

/// A file of JSON lines, appended to.
pub struct FileSink {
    path: PathBuf,
    file: BufWriter<File>,
}

impl FileSink {
    /// Opens the file for appending, and makes it when it does not exist.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn open(path: &Path) -> Result<FileSink, Error> {
        let file = File::options().create(true).append(true).open(path);
        let file = BufWriter::with_capacity(1 << 18, file.map_err(Error::file("open", path))?);
        Ok(FileSink { path: path.to_owned(), file })
    }

    /// Shows the lines behind `from`; a last one without its end is cut off, since the row it was
    /// made from comes again.
    fn read_tail(&mut self, from: u64, delivered: &mut Delivered) -> std::io::Result<()> {
        let mut reader = BufReader::new(File::open(&self.path)?);
        let mut at = reader.seek(SeekFrom::Start(from))?;
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            if line.last() != Some(&b'\n') {
                self.file.get_ref().set_len(at)?;
                break;
            }
            delivered.note_json(&line);
            at += line.len() as u64;
            line.clear();
        }
        Ok(())
    }

    fn write(&mut self, record: &Record<'_>) -> std::io::Result<()> {
        if record.headers.is_empty() {
            self.file.write_all(record.payload)?;
            return self.file.write_all(b"\n");
        }
        let mut line = serde_json::Map::new();
        for (name, value) in record.headers.iter().chain([&("bytes", record.payload)]) {
            match std::str::from_utf8(value) {
                Ok(text) => line.insert((*name).to_owned(), text.into()),
                Err(_) => line.insert(format!("{name}{HEX}"), hexadecimal(value).into()),
            };
        }
        serde_json::to_writer(&mut self.file, &line)?;
        self.file.write_all(b"\n")
    }
}

impl Sink for FileSink {
    fn send(&mut self, record: &Record<'_>) -> Result<(), Error> {
        self.write(record).map_err(Error::file("write", &self.path))
    }

    fn flush(&mut self) -> Result<(), Error> {
        // On the disk, not in its cache: a checkpoint relies on it.
        let flushed = self.file.flush().and_then(|()| self.file.get_ref().sync_data());
        flushed.map_err(Error::file("write", &self.path))
    }

    fn position(&mut self) -> Result<SinkPosition, Error> {
        self.file.flush().map_err(Error::file("write", &self.path))?;
        let about = self.file.get_ref().metadata().map_err(Error::file("read", &self.path))?;
        Ok(SinkPosition::File { path: self.path.display().to_string(), bytes: about.len() })
    }

    fn tail(
        &mut self,
        position: &SinkPosition,
        _settle: Duration,
        delivered: &mut Delivered,
    ) -> Result<(), Error> {
        match position {
            SinkPosition::File { path, bytes } if *path == self.path.display().to_string() => {
                self.read_tail(*bytes, delivered).map_err(Error::file("read", &self.path))
            }
            _ => Ok(()),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}
