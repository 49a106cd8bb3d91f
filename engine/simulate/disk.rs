//! A disk with a cache: the checkpoints and order logs of a simulated machine.
//!
//! What a file holds as the process sees it, what of it is synced, and whether its name is on the
//! disk are three things. The death of the process leaves the first, that of the machine draws for
//! each file something between the others: unsynced bytes may be there, torn, or zeros; a file that
//! was made may be gone, one that was removed back.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Flaw;
use super::fate::{Death, Fate, Reach};
use crate::checkpoint::order::place::{OrderFile, OrderPlace};
use crate::checkpoint::store::{Store, StoredFile};
use crate::checkpoint::{file_name, order_path, order_sequence_of, sequence_of};
use crate::error::Error;

/// A file, as three parties see it.
#[derive(Debug, Default)]
struct File {
    /// What the process sees; none = removed, or not made.
    seen: Option<Vec<u8>>,
    /// The bytes that are on the disk for certain, if the name is.
    synced: Vec<u8>,
    /// Whether the name is on the disk for certain.
    is_named: bool,
    /// It was removed, and a death of the machine brought it back.
    is_back: bool,
}

/// A disk.
pub struct Disk {
    fate: Arc<Fate>,
    files: Mutex<BTreeMap<String, File>>,
    damaged: Mutex<BTreeSet<(u64, usize, u8)>>,
    /// Whether order logs lie where the checkpoints do, elsewhere, or nowhere.
    logs: Logs,
    flaw: Option<Flaw>,
}

/// Where order logs lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logs {
    /// In the folder of the checkpoints.
    Beside,
    /// In a folder of their own.
    Apart,
    /// Nowhere: there are none.
    Nowhere,
}

impl Disk {
    /// An empty disk; with a flaw, it does not do what it is told.
    #[must_use]
    pub fn new(fate: &Arc<Fate>, logs: Logs, flaw: Option<Flaw>) -> Arc<Disk> {
        Arc::new(Disk {
            fate: Arc::clone(fate),
            files: Mutex::default(),
            damaged: Mutex::default(),
            logs,
            flaw,
        })
    }

    /// The checkpoints, and the order logs.
    #[must_use]
    pub fn places(self: &Arc<Disk>) -> (Box<dyn Store>, Option<Arc<dyn OrderPlace>>) {
        let has_logs = self.logs != Logs::Nowhere;
        let orders = has_logs.then(|| Arc::new(Orders(Arc::clone(self))) as Arc<dyn OrderPlace>);
        (Box::new(Checkpoints(Arc::clone(self))), orders)
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, File>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn damaged(&self) -> MutexGuard<'_, BTreeSet<(u64, usize, u8)>> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After a death: what is there now is what the next process finds.
    pub fn die(&self, death: Death) {
        if death == Death::Process {
            return;
        }
        let mut files = self.files();
        for file in files.values_mut() {
            let is_sure = file.is_named == file.seen.is_some();
            let is_there = if is_sure { file.is_named } else { self.fate.below(2) == 0 };
            file.is_back |= file.seen.is_none() && is_there;
            let seen = file.seen.take().unwrap_or_else(|| file.synced.clone());
            file.seen = is_there.then(|| self.survivor(&file.synced, seen));
            file.is_named = is_there;
            file.synced = file.seen.clone().unwrap_or_default();
        }
        files.retain(|_, file| file.is_named);
    }

    /// What is left of a file of these synced bytes, whose cache held `seen`.
    fn survivor(&self, synced: &[u8], seen: Vec<u8>) -> Vec<u8> {
        match self.fate.below(4) {
            0 => seen,
            1 => synced.to_vec(),
            kind if seen.len() > synced.len() && seen.starts_with(synced) => {
                let mut bytes = seen;
                bytes.truncate(synced.len() + self.fate.index(bytes.len() - synced.len()) + 1);
                if kind == 2 {
                    // The length was written, the bytes were not.
                    let from = synced.len() + self.fate.index(bytes.len() - synced.len());
                    bytes[from..].fill(0);
                }
                bytes
            }
            _ => synced.to_vec(),
        }
    }

    /// A bit of one of the checkpoints turns over, unseen.
    pub fn flip_a_bit(&self) {
        let mut files = self.files();
        let sequences: Vec<u64> = files.keys().filter_map(|name| sequence_of(name)).collect();
        if sequences.is_empty() {
            return;
        }
        let sequence = sequences[self.fate.index(sequences.len())];
        let Some(file) = files.get_mut(&file_name(sequence)) else { return };
        let Some(seen) = file.seen.as_mut().filter(|bytes| !bytes.is_empty()) else { return };
        let (at, bit) = (self.fate.index(seen.len()), self.fate.index(8) as u8);
        seen[at] ^= 1 << bit;
        if let Some(byte) = file.synced.get_mut(at) {
            *byte ^= 1 << bit;
        }
        let mut damaged = self.damaged();
        if !damaged.remove(&(sequence, at, bit)) {
            damaged.insert((sequence, at, bit));
        }
    }

    /// The bits turn back: someone had a copy.
    pub fn repair(&self) {
        let mut files = self.files();
        for (sequence, at, bit) in std::mem::take(&mut *self.damaged()) {
            let Some(file) = files.get_mut(&file_name(sequence)) else { continue };
            for bytes in [file.seen.as_mut(), Some(&mut file.synced)].into_iter().flatten() {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
        }
    }

    /// The checkpoints a process would find, and whether each is whole, in the order of their
    /// numbers.
    #[must_use]
    pub fn checkpoints(&self) -> Vec<(u64, bool)> {
        let damaged = self.damaged();
        let is_whole = |sequence| damaged.iter().all(|(other, ..)| *other != sequence);
        let files = self.files();
        let there = files.iter().filter(|(_, file)| file.seen.is_some());
        there.filter_map(|(name, _)| sequence_of(name)).map(|s| (s, is_whole(s))).collect()
    }

    /// Whether a checkpoint had been removed: what goes with it may be gone.
    #[must_use]
    pub fn is_back(&self, sequence: u64) -> bool {
        self.files().get(&file_name(sequence)).is_some_and(|file| file.is_back)
    }

    fn seen(&self, name: &str) -> Option<Vec<u8>> {
        self.files().get(name).and_then(|file| file.seen.clone())
    }

    /// An effect on a file; a full disk is none of them.
    fn change(&self, name: &str, change: impl FnOnce(&mut File)) -> io::Result<()> {
        if self.fate.effect() == Reach::Whole {
            change(self.files().entry(name.to_owned()).or_default());
        }
        self.fate.answer()
    }

    /// The names of the folder of checkpoints, or of order logs, are what the process sees.
    fn sync_names(&self, of_checkpoints: bool) {
        let is_there =
            |name: &str| self.logs == Logs::Beside || sequence_of(name).is_some() == of_checkpoints;
        for (_, file) in self.files().iter_mut().filter(|(name, _)| is_there(name)) {
            file.is_named = file.seen.is_some();
            if !file.is_named {
                file.synced.clear();
            }
        }
    }
}

fn full() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

/// The checkpoints on a disk.
struct Checkpoints(Arc<Disk>);

impl Store for Checkpoints {
    fn put(&self, name: &str, parts: &[&[u8]]) -> Result<(), Error> {
        let Disk { fate, .. } = &*self.0;
        let failed = |error| Error::file("write", name)(error);
        if fate.is_disk_full() {
            return Err(failed(full()));
        }
        let bytes = parts.concat();
        // Under its name only when it is whole and synced; then the folder is.
        let renamed = self.0.change(name, |file| {
            (file.seen, file.synced, file.is_back) = (Some(bytes.clone()), bytes, false);
        });
        self.0.damaged().retain(|(sequence, ..)| file_name(*sequence) != name);
        renamed.map_err(failed)?;
        if fate.effect() == Reach::Whole {
            self.0.sync_names(true);
        }
        fate.answer().map_err(failed)
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, Error> {
        let missing = || Error::file("read", name)(io::Error::from(io::ErrorKind::NotFound));
        self.0.seen(name).ok_or_else(missing)
    }

    fn list(&self) -> Result<Vec<StoredFile>, Error> {
        let files = self.0.files();
        let stored = |(name, file): (&String, &File)| {
            let bytes = file.seen.as_ref()?.len() as u64;
            Some(StoredFile { name: name.clone(), written_ms: 0, bytes })
        };
        Ok(files.iter().filter_map(stored).collect())
    }

    fn delete(&self, name: &str) -> Result<(), Error> {
        let removed = self.0.change(name, |file| file.seen = None);
        removed.map_err(Error::file("remove", name))
    }

    fn place(&self) -> String {
        "the simulated disk".to_owned()
    }
}

/// The order logs on a disk.
struct Orders(Arc<Disk>);

impl Orders {
    fn name(&self, sequence: u64) -> String {
        self.path(sequence).to_string_lossy().into_owned()
    }

    fn file(&self, sequence: u64) -> Box<dyn OrderFile> {
        Box::new(Log { disk: Arc::clone(&self.0), name: self.name(sequence) })
    }
}

impl OrderPlace for Orders {
    fn create(&self, sequence: u64, sync: bool) -> Result<Box<dyn OrderFile>, Error> {
        let (disk, name) = (&self.0, self.name(sequence));
        let failed = |error| Error::file("create", self.path(sequence))(error);
        if disk.fate.is_disk_full() {
            disk.fate.lose_order();
            return Err(failed(full()));
        }
        disk.change(&name, |file| file.seen = Some(Vec::new())).map_err(failed)?;
        if sync && disk.fate.effect() == Reach::Whole {
            disk.sync_names(false);
        }
        disk.fate.answer().map_err(failed)?;
        Ok(self.file(sequence))
    }

    fn open(&self, sequence: u64) -> Result<(Box<dyn OrderFile>, Vec<u8>), Error> {
        let name = self.name(sequence);
        if self.0.seen(&name).is_none() {
            let made = self.0.change(&name, |file| file.seen = Some(Vec::new()));
            made.map_err(Error::file("open", self.path(sequence)))?;
        }
        Ok((self.file(sequence), self.0.seen(&name).unwrap_or_default()))
    }

    fn read(&self, sequence: u64) -> Result<Vec<u8>, Error> {
        Ok(self.0.seen(&self.name(sequence)).unwrap_or_default())
    }

    fn list(&self) -> Result<Vec<u64>, Error> {
        let files = self.0.files();
        let there = files.iter().filter(|(_, file)| file.seen.is_some());
        Ok(there.filter_map(|(name, _)| order_sequence_of(name)).collect())
    }

    fn remove(&self, sequence: u64) -> Result<(), Error> {
        let removed = self.0.change(&self.name(sequence), |file| file.seen = None);
        removed.map_err(Error::file("remove", self.path(sequence)))
    }

    fn path(&self, sequence: u64) -> PathBuf {
        order_path(std::path::Path::new(""), sequence)
    }
}

/// An order log that is open.
struct Log {
    disk: Arc<Disk>,
    name: String,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("name", &self.name).finish_non_exhaustive()
    }
}

impl OrderFile for Log {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Disk { fate, flaw, .. } = &*self.disk;
        if *flaw == Some(Flaw::ForgetsOrder) {
            return Ok(());
        }
        let is_full = fate.is_disk_full();
        let reach = fate.effect();
        let length = match reach {
            Reach::Whole if !is_full => bytes.len(),
            Reach::Nothing => 0,
            Reach::Whole | Reach::Part => fate.index(bytes.len().max(1)),
        };
        let mut files = self.disk.files();
        if let Some(seen) = files.get_mut(&self.name).and_then(|file| file.seen.as_mut()) {
            seen.extend_from_slice(&bytes[..length]);
        }
        fate.answer()?;
        if is_full {
            fate.lose_order();
            return Err(full());
        }
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if self.disk.flaw == Some(Flaw::KeepsTornEntry) {
            return Ok(());
        }
        self.disk.change(&self.name, |file| {
            if let Some(seen) = &mut file.seen {
                seen.truncate(length);
            }
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.change(&self.name, |file| {
            if let Some(seen) = &file.seen {
                file.synced.clone_from(seen);
            }
        })
    }
}
