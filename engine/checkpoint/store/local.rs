//! Checkpoints in a folder: written under another name, synced, renamed, and the folder synced.
//!
//! One process at a time: a lock file is held for as long as the folder is open, so that two
//! engines cannot take turns overwriting one another's state.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use std::time::{Duration, Instant, UNIX_EPOCH};

use crate::error::Error;

use super::{Store, StoredFile};

/// What a file is called until it is whole.
const UNFINISHED: &str = ".part";
/// Held while the folder is open.
const LOCK: &str = "lock";
/// A process that is just being made from another has all its locks for a moment, after that one
/// has let go of them.
const LOCK_PATIENCE: Duration = Duration::from_millis(100);

/// A folder.
#[derive(Debug)]
pub struct LocalStore {
    folder: PathBuf,
    /// Unlocked by the system when the process ends, however it ends.
    _lock: Option<File>,
}

impl LocalStore {
    /// Opens the folder, and makes it when it does not exist; what an earlier crash left
    /// unfinished is removed.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::InUse`] when another process has it open.
    pub fn open(folder: &Path) -> Result<LocalStore, Error> {
        fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
        let path = folder.join(LOCK);
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = file.map_err(Error::file("open", &path))?;
        let until = Instant::now() + LOCK_PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(fs::TryLockError::WouldBlock) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(fs::TryLockError::WouldBlock) => {
                    return Err(Error::InUse { place: folder.to_owned() });
                }
                Err(fs::TryLockError::Error(error)) => {
                    return Err(Error::file("lock", &path)(error));
                }
            }
        }
        let store = LocalStore { folder: folder.to_owned(), _lock: Some(lock) };
        store.sweep()?;
        Ok(store)
    }

    /// Opens the folder to look at: nothing is locked, made or removed.
    #[must_use]
    pub fn look(folder: &Path) -> LocalStore {
        LocalStore { folder: folder.to_owned(), _lock: None }
    }

    fn sweep(&self) -> Result<(), Error> {
        for entry in self.entries()? {
            if entry.to_string_lossy().ends_with(UNFINISHED) {
                fs::remove_file(&entry).map_err(Error::file("remove", &entry))?;
            }
        }
        Ok(())
    }

    fn entries(&self) -> Result<Vec<PathBuf>, Error> {
        let failed = || Error::file("list", &self.folder);
        let entries = fs::read_dir(&self.folder).map_err(failed())?;
        entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed())).collect()
    }

    fn write(&self, unfinished: &Path, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        let mut file = File::create(unfinished)?;
        fail_point("checkpoint::created")?;
        for (index, part) in parts.iter().enumerate() {
            // In two halves, so that a test can die in between.
            let (head, tail) = part.split_at(part.len() / 2);
            file.write_all(head)?;
            if index + 1 == parts.len() {
                fail_point("checkpoint::half_written")?;
            }
            file.write_all(tail)?;
        }
        fail_point("checkpoint::written")?;
        file.sync_all()?;
        fail_point("checkpoint::synced")?;
        fs::rename(unfinished, self.folder.join(name))?;
        fail_point("checkpoint::renamed")?;
        File::open(&self.folder)?.sync_all()
    }
}

impl Store for LocalStore {
    fn put(&self, name: &str, parts: &[&[u8]]) -> Result<(), Error> {
        let unfinished = self.folder.join(format!("{name}{UNFINISHED}"));
        let written = self.write(&unfinished, name, parts);
        if written.is_err() {
            // On a full disk the beginning of the file would take the room of the next try.
            let _ = fs::remove_file(&unfinished);
        }
        written.map_err(Error::file("write", &unfinished))
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, Error> {
        let path = self.folder.join(name);
        fs::read(&path).map_err(Error::file("read", &path))
    }

    fn list(&self) -> Result<Vec<StoredFile>, Error> {
        let mut files = Vec::new();
        for path in self.entries()? {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let about = fs::metadata(&path).map_err(Error::file("read", &path))?;
            if !about.is_file() || name.ends_with(UNFINISHED) || name == LOCK {
                continue;
            }
            let age = about.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let written_ms = age.map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(0));
            files.push(StoredFile { name: name.to_owned(), written_ms, bytes: about.len() });
        }
        Ok(files)
    }

    fn delete(&self, name: &str) -> Result<(), Error> {
        let path = self.folder.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(Error::file("remove", &path)),
        }
    }

    fn place(&self) -> String {
        self.folder.display().to_string()
    }
}

use crate::fail::fail_point;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_whole_or_absent() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(folder.path()).unwrap();
        store.put("a", &[b"one", b"", b"two"]).unwrap();
        store.put("a", &[b"replaced"]).unwrap();
        assert_eq!(store.get("a").unwrap(), b"replaced");
        let listed = store.list().unwrap();
        assert_eq!((listed.len(), listed[0].name.as_str(), listed[0].bytes), (1, "a", 8));
        store.delete("a").unwrap();
        store.delete("a").unwrap();
        assert!(store.get("a").is_err());
        assert_eq!(store.list().unwrap(), []);
    }

    #[test]
    fn what_a_crash_left_is_swept_and_the_folder_is_locked() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("b.part"), "half").unwrap();
        let store = LocalStore::open(folder.path()).unwrap();
        assert_eq!(store.list().unwrap(), []);
        assert!(!folder.path().join("b.part").exists());
        assert!(matches!(LocalStore::open(folder.path()), Err(Error::InUse { .. })));
        drop(store);
        LocalStore::open(folder.path()).unwrap();
    }

    #[test]
    fn a_place_that_refuses_is_an_error_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::open(folder.path()).unwrap();
        fs::create_dir(folder.path().join("taken")).unwrap();
        assert!(store.put("taken", &[b"x"]).is_err());
        assert_eq!(store.list().unwrap(), []);
        assert!(!folder.path().join("taken.part").exists());
    }
}
