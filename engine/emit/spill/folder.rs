//! The folder of a spill: who has it open, which files are in it, and how far it was read.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use pelton_kernels::hash;

use crate::error::Error;

const EXTENSION: &str = "spill";
const CURSOR: &str = "confirmed";
const LOCK: &str = "lock";

/// A folder that only this process writes to.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Unlocked by the system when the process ends, however it ends.
    _lock: File,
}

impl Folder {
    /// Opens the folder, and makes it when it does not exist.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Usage`] when another process has it open.
    pub fn open(path: &Path) -> Result<Folder, Error> {
        fs::create_dir_all(path).map_err(Error::file("create", path))?;
        let lock_path = path.join(LOCK);
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(Error::file("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Folder { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::Error(error)) => Err(Error::file("lock", &lock_path)(error)),
            Err(TryLockError::WouldBlock) => Err(Error::Usage {
                what: format!("another process keeps records in {}", path.display()),
                remedy: "stop it, or give this one an [emit] spill_dir of its own".into(),
            }),
        }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the file of this number lies.
    #[must_use]
    pub fn file(&self, ordinal: u64) -> PathBuf {
        self.path.join(format!("{ordinal:016x}.{EXTENSION}"))
    }

    /// The numbers of the files that are there, in order.
    ///
    /// # Errors
    /// Of the file system.
    pub fn ordinals(&self) -> io::Result<Vec<u64>> {
        let mut ordinals = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                ordinals.extend(stem.and_then(|stem| u64::from_str_radix(stem, 16).ok()));
            }
        }
        ordinals.sort_unstable();
        Ok(ordinals)
    }

    /// The number up to which all is confirmed; 0 when none was written, or not whole.
    ///
    /// # Errors
    /// Of the file system.
    pub fn confirmed(&self) -> io::Result<u64> {
        let bytes = match fs::read(self.path.join(CURSOR)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            read => read?,
        };
        let Some((number, check)) = bytes.split_first_chunk::<8>() else { return Ok(0) };
        let is_whole = hash::hash_bytes(number).to_le_bytes() == check;
        Ok(if is_whole { u64::from_le_bytes(*number) } else { 0 })
    }

    /// Notes the number up to which all is confirmed.
    ///
    /// # Errors
    /// Of the file system; the number noted before stays.
    pub fn confirm(&self, number: u64) -> io::Result<()> {
        let number = number.to_le_bytes();
        let check = hash::hash_bytes(&number).to_le_bytes();
        let unfinished = self.path.join("confirmed.part");
        fs::write(&unfinished, [number, check].concat())?;
        fs::rename(&unfinished, self.path.join(CURSOR))
    }
}
