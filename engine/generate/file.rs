//! A generated stream as a file, by extension: JSON lines, CSV, binary records (these also as .gz)
//! or Parquet.
//!
//! Invariant: a file of the asked name is complete. It is written under a temporary name beside it
//! and renamed at the end; when writing fails, the temporary file is removed.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Generator;
use super::binary::write_binary;
use super::columns::ParquetWriter;
use super::record::{Parts, Record};

/// Records between two calls of the progress callback.
const PROGRESS_RECORDS: u64 = 1 << 16;
/// Text gathered before it is handed on.
const BUFFER_BYTES: usize = 1 << 20;
const GZIP_LEVEL: u32 = 3;

/// The formats a stream is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// One JSON object per line: `.jsonl`, `.ndjson`, `.json`, with `.gz` compressed.
    JsonLines {
        /// Whether it is compressed.
        is_gzip: bool,
    },
    /// Comma-separated values under a line of names: `.csv`, `.csv.gz`.
    Csv {
        /// Whether it is compressed.
        is_gzip: bool,
    },
    /// Records of [`layout`](super::binary::layout), one after another: `.bin`, `.bin.gz`.
    Binary {
        /// Whether it is compressed.
        is_gzip: bool,
    },
    /// `.parquet`.
    Parquet,
}

impl FileFormat {
    /// The format that the name's extension says, whatever its case.
    pub fn of(path: &Path) -> Option<FileFormat> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let (stem, is_gzip) = match name.strip_suffix(".gz") {
            Some(stem) => (stem, true),
            None => (name.as_str(), false),
        };
        match stem.rsplit_once('.')?.1 {
            "jsonl" | "ndjson" | "json" => Some(FileFormat::JsonLines { is_gzip }),
            "csv" => Some(FileFormat::Csv { is_gzip }),
            "bin" => Some(FileFormat::Binary { is_gzip }),
            "parquet" if !is_gzip => Some(FileFormat::Parquet),
            _ => None,
        }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Records in the file.
    pub records: u64,
    /// Size of the file.
    pub bytes: u64,
}

/// Why a stream could not be written.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The extension is none of those known.
    #[error(
        "{}: the name has to end in .jsonl, .ndjson, .json, .csv, .bin (.gz may follow) or \
         .parquet",
        .path.display()
    )]
    Extension {
        /// The file asked for.
        path: PathBuf,
    },
    /// The file could not be made, written or renamed.
    #[error("{}: cannot be written", .path.display())]
    Write {
        /// The file asked for.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The Parquet writer refused.
    #[error("{}: cannot be written as Parquet", .path.display())]
    Parquet {
        /// The file asked for.
        path: PathBuf,
        /// What the writer says.
        source: parquet::errors::ParquetError,
    },
}

/// Writes all records of the generator to `path`; `progress` hears the number written so far every
/// 65,536 records and at the end.
///
/// # Errors
/// [`GenerateError`]; no file is left behind.
pub fn write_file<G: Generator>(
    generator: &mut G,
    path: &Path,
    parts: Parts,
    progress: &mut dyn FnMut(u64),
) -> Result<Written, GenerateError> {
    let format =
        FileFormat::of(path).ok_or_else(|| GenerateError::Extension { path: path.to_owned() })?;
    let failed = |source| GenerateError::Write { path: path.to_owned(), source };
    let temporary = Temporary::create(path).map_err(failed)?;
    let file = temporary.file.try_clone().map_err(failed)?;
    let mut run = Run { generator, parts, progress, records: 0 };
    match format {
        FileFormat::Parquet => run
            .parquet(file)
            .map_err(|source| GenerateError::Parquet { path: path.to_owned(), source })?,
        FileFormat::JsonLines { is_gzip: false }
        | FileFormat::Csv { is_gzip: false }
        | FileFormat::Binary { is_gzip: false } => {
            run.records(format, file).map(drop).map_err(failed)?;
        }
        FileFormat::JsonLines { .. } | FileFormat::Csv { .. } | FileFormat::Binary { .. } => {
            let encoder = GzEncoder::new(file, Compression::new(GZIP_LEVEL));
            run.records(format, encoder).and_then(GzEncoder::finish).map(drop).map_err(failed)?;
        }
    }
    let records = run.records;
    let bytes = temporary.rename_to(path).map_err(failed)?;
    progress(records);
    Ok(Written { records, bytes })
}

struct Run<'a, G> {
    generator: &'a mut G,
    parts: Parts,
    progress: &'a mut dyn FnMut(u64),
    records: u64,
}

impl<G: Generator> Run<'_, G> {
    /// One record after another.
    fn records<W: Write>(&mut self, format: FileFormat, mut out: W) -> io::Result<W> {
        let mut record = G::Record::default();
        let mut buffer = Vec::with_capacity(BUFFER_BYTES + (1 << 14));
        if matches!(format, FileFormat::Csv { .. }) {
            let fields = G::Record::FIELDS.iter().filter(|field| self.parts.take(field));
            let names: Vec<&str> = fields.map(|field| field.name).collect();
            writeln!(buffer, "{}", names.join(","))?;
        }
        while self.generator.next_into(&mut record) {
            match format {
                FileFormat::Binary { .. } => {
                    if !write_binary(&record, self.parts, &mut buffer) {
                        let reason = "an integer exceeds its field's type";
                        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
                    }
                }
                FileFormat::Csv { .. } => record.write_csv(self.parts, &mut buffer),
                _ => record.write_json_parts(self.parts, &mut buffer),
            }
            if !matches!(format, FileFormat::Binary { .. }) {
                buffer.push(b'\n');
            }
            if buffer.len() >= BUFFER_BYTES {
                out.write_all(&buffer)?;
                buffer.clear();
            }
            self.count();
        }
        out.write_all(&buffer)?;
        out.flush()?;
        Ok(out)
    }

    fn parquet(&mut self, file: File) -> parquet::errors::Result<()> {
        let mut writer = ParquetWriter::new::<G::Record>(file, self.parts)?;
        let mut record = G::Record::default();
        while self.generator.next_into(&mut record) {
            writer.push(&record)?;
            self.count();
        }
        writer.finish().map(drop)
    }

    #[inline]
    fn count(&mut self) {
        self.records += 1;
        if self.records.is_multiple_of(PROGRESS_RECORDS) {
            (self.progress)(self.records);
        }
    }
}

/// A file under a name nobody asked for, removed unless it is renamed.
struct Temporary {
    file: File,
    path: PathBuf,
}

impl Temporary {
    fn create(wanted: &Path) -> io::Result<Temporary> {
        let name = wanted.file_name().unwrap_or_default().to_string_lossy();
        let path = wanted.with_file_name(format!(".{name}.{}.partial", std::process::id()));
        Ok(Temporary { file: File::create(&path)?, path })
    }

    /// Gives the file its name and returns its size.
    fn rename_to(self, wanted: &Path) -> io::Result<u64> {
        self.file.sync_all()?;
        let bytes = self.file.metadata()?.len();
        std::fs::rename(&self.path, wanted)?;
        Ok(bytes)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename there is nothing of this name; a failure to remove adds nothing to the
        // error that is already on its way.
        let _ = std::fs::remove_file(&self.path);
    }
}
