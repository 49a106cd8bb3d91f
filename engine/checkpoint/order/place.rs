//! Where order logs lie: files that are appended to, named by the checkpoint they begin at.
//!
//! An [`OrderPlace`] knows nothing of what the files mean. The one of a run is a [`Folder`]; the
//! simulation has one whose disk forgets what was not synced.

use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::super::{order_path, order_sequence_of};
use crate::error::Error;

/// A place for order logs.
pub trait OrderPlace: Send + Sync {
    /// An empty log that begins at this checkpoint; one that was there is replaced. With `sync` its
    /// name is durable when this returns.
    ///
    /// # Errors
    /// What the place reports: a disk that is full.
    fn create(&self, sequence: u64, sync: bool) -> Result<Box<dyn OrderFile>, Error>;

    /// A log to go on with, and its bytes; an empty one when there is none.
    ///
    /// # Errors
    /// As [`OrderPlace::create`].
    fn open(&self, sequence: u64) -> Result<(Box<dyn OrderFile>, Vec<u8>), Error>;

    /// The bytes of a log; none when it is not there.
    ///
    /// # Errors
    /// As [`OrderPlace::create`].
    fn read(&self, sequence: u64) -> Result<Vec<u8>, Error>;

    /// The checkpoints at which logs begin, in no order.
    ///
    /// # Errors
    /// As [`OrderPlace::create`].
    fn list(&self) -> Result<Vec<u64>, Error>;

    /// Removes a log.
    ///
    /// # Errors
    /// As [`OrderPlace::create`].
    fn remove(&self, sequence: u64) -> Result<(), Error>;

    /// A log's name, for messages.
    fn path(&self, sequence: u64) -> PathBuf;
}

/// A log that is open.
pub trait OrderFile: Debug + Send {
    /// Writes behind its end.
    ///
    /// # Errors
    /// Those of the disk; a part may have been written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Cuts it to this length.
    ///
    /// # Errors
    /// Those of the disk.
    fn cut(&mut self, length: u64) -> io::Result<()>;

    /// Returns when all of it is on the disk.
    ///
    /// # Errors
    /// Those of the disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// Order logs in a folder.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A folder, which must be there.
    #[must_use]
    pub fn new(path: &Path) -> Folder {
        Folder(path.to_owned())
    }
}

impl OrderPlace for Folder {
    fn create(&self, sequence: u64, sync: bool) -> Result<Box<dyn OrderFile>, Error> {
        let path = self.path(sequence);
        let file = File::create(&path).map_err(Error::file("create", path))?;
        if sync {
            let synced = File::open(&self.0).and_then(|folder| folder.sync_all());
            synced.map_err(Error::file("sync", &self.0))?;
        }
        Ok(Box::new(file))
    }

    fn open(&self, sequence: u64) -> Result<(Box<dyn OrderFile>, Vec<u8>), Error> {
        let (path, mut bytes) = (self.path(sequence), Vec::new());
        let opened =
            File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = opened.map_err(Error::file("open", &path))?;
        file.read_to_end(&mut bytes).map_err(Error::file("read", path))?;
        Ok((Box::new(file), bytes))
    }

    fn read(&self, sequence: u64) -> Result<Vec<u8>, Error> {
        let path = self.path(sequence);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read.map_err(Error::file("read", path)),
        }
    }

    fn list(&self) -> Result<Vec<u64>, Error> {
        let failed = || Error::file("list", &self.0);
        let mut sequences = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(failed())? {
            let name = entry.map_err(failed())?.file_name();
            sequences.extend(name.to_str().and_then(order_sequence_of));
        }
        Ok(sequences)
    }

    fn remove(&self, sequence: u64) -> Result<(), Error> {
        let path = self.path(sequence);
        fs::remove_file(&path).map_err(Error::file("remove", path))
    }

    fn path(&self, sequence: u64) -> PathBuf {
        order_path(&self.0, sequence)
    }
}

impl OrderFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length).and_then(|()| self.seek(SeekFrom::End(0))).map(|_| ())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
