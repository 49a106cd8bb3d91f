//! Records as JSON lines in a file.
//!
//! Score records are JSON already. A dead letter becomes one line with its headers and the original
//! bytes, as text where they are UTF-8, else as hexadecimal.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

use super::{Record, Sink};

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

    fn write(&mut self, record: &Record<'_>) -> std::io::Result<()> {
        if record.headers.is_empty() {
            self.file.write_all(record.payload)?;
            return self.file.write_all(b"\n");
        }
        let mut line = serde_json::Map::new();
        for (name, value) in record.headers {
            line.insert((*name).to_owned(), String::from_utf8_lossy(value).into());
        }
        match std::str::from_utf8(record.payload) {
            Ok(text) => line.insert("bytes".to_owned(), text.into()),
            Err(_) => line.insert("bytes_hex".to_owned(), hexadecimal(record.payload).into()),
        };
        serde_json::to_writer(&mut self.file, &line)?;
        self.file.write_all(b"\n")
    }
}

impl Sink for FileSink {
    fn send(&mut self, record: &Record<'_>) -> Result<(), Error> {
        self.write(record).map_err(Error::file("write", &self.path))
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.file.flush().map_err(Error::file("write", &self.path))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}
