//! Which dead letters were sent again: a file of one line each, appended to.
//!
//! A line is the place and a hash of the headers and bytes, so that the dead letters of a topic or
//! file that was made anew are not taken for those of before. One process at a time.

use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

use super::Letter;

/// The file.
#[derive(Debug)]
pub struct Marks {
    path: PathBuf,
    /// Locked while it is open; none when it is only looked at.
    file: Option<File>,
    queue: String,
    known: HashSet<String>,
    fresh: String,
}

impl Marks {
    /// Opens the file, and makes it when it does not exist, for the dead letters of this queue.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Usage`] when another process has it open.
    pub fn open(path: &Path, queue: &str) -> Result<Marks, Error> {
        let file = File::options().create(true).append(true).read(true).open(path);
        let mut file = file.map_err(Error::file("open", path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(Error::file("lock", path)(error)),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Usage {
                    what: format!("another process has {} open", path.display()),
                    remedy: "wait until its replay has ended".into(),
                });
            }
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(Error::file("read", path))?;
        let text = String::from_utf8_lossy(&text);
        let known = text.lines().map(str::to_owned).collect();
        let mut fresh = String::new();
        if !text.is_empty() && !text.ends_with('\n') {
            // A line that a crash tore must not swallow the next one.
            fresh.push('\n');
        }
        let (path, queue) = (path.to_owned(), queue.to_owned());
        Ok(Marks { path, file: Some(file), queue, known, fresh })
    }

    /// Only looks at the file, which need not be there: nothing is locked, made or written.
    #[must_use]
    pub fn look(path: &Path, queue: &str) -> Marks {
        let text = std::fs::read(path).unwrap_or_default();
        let known = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
        let (path, queue, fresh) = (path.to_owned(), queue.to_owned(), String::new());
        Marks { path, file: None, queue, known, fresh }
    }

    /// Whether the letter was sent again.
    #[must_use]
    pub fn has(&self, letter: &Letter) -> bool {
        self.known.contains(&self.line(letter))
    }

    /// Notes that the letter was sent; it is in the file after the next [`Marks::save`].
    pub fn add(&mut self, letter: &Letter) {
        let line = self.line(letter);
        self.fresh.push_str(&line);
        self.fresh.push('\n');
        self.known.insert(line);
    }

    /// Writes what was noted.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save(&mut self) -> Result<(), Error> {
        if let Some(file) = &mut self.file {
            let written = file.write_all(self.fresh.as_bytes());
            written.and_then(|()| file.sync_data()).map_err(Error::file("write", &self.path))?;
        }
        self.fresh.clear();
        Ok(())
    }

    fn line(&self, letter: &Letter) -> String {
        let mut hasher = blake3::Hasher::new();
        for part in letter.headers.iter().flat_map(|(name, value)| [name.as_bytes(), value]) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.update(&letter.bytes);
        let hash = hasher.finalize().to_hex();
        format!("{} {} {}", self.queue, letter.place, &hash[..16])
    }
}
