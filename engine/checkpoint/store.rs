//! Where checkpoints lie: whole files under names, in a folder or an object store.
//!
//! A [`Store`] writes a file whole or not at all and never in place. It knows nothing of what the
//! files mean. Which kind a place is, is decided here and nowhere else.

pub mod local;
pub mod object;

use std::path::Path;

use crate::error::Error;
use local::LocalStore;
use object::ObjectStore;

/// A file of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Its name, without the store's own place.
    pub name: String,
    /// When it was written, milliseconds since the epoch.
    pub written_ms: i64,
    /// Its length.
    pub bytes: u64,
}

/// A place for whole files.
pub trait Store: Send {
    /// Writes the parts, one after another, as one file. When this returns, the file is durable
    /// and whole; after an error, or a crash at any moment, it is not there at all.
    ///
    /// # Errors
    /// What the place reports: a disk that is full, a store that is away.
    fn put(&self, name: &str, parts: &[&[u8]]) -> Result<(), Error>;

    /// The bytes of a file.
    ///
    /// # Errors
    /// As [`Store::put`], also when there is no such file.
    fn get(&self, name: &str) -> Result<Vec<u8>, Error>;

    /// Every file, in no order.
    ///
    /// # Errors
    /// As [`Store::put`].
    fn list(&self) -> Result<Vec<StoredFile>, Error>;

    /// Removes a file; one that is not there is no error.
    ///
    /// # Errors
    /// As [`Store::put`].
    fn delete(&self, name: &str) -> Result<(), Error>;

    /// The place, for messages.
    fn place(&self) -> String;

    /// Whether there is a way to it that may be broken: a file that cannot be read is no damaged
    /// file then.
    fn is_remote(&self) -> bool {
        false
    }
}

/// Opens a place, which no one else may write to from now on.
///
/// # Errors
/// As [`LocalStore::open`] and [`ObjectStore::open`].
pub fn open(place: &str) -> Result<Box<dyn Store>, Error> {
    if is_url(place) {
        Ok(Box::new(ObjectStore::open(place, &[])?))
    } else {
        Ok(Box::new(LocalStore::open(Path::new(place))?))
    }
}

/// Opens a place to look at, also while an engine writes there; nothing is changed.
///
/// # Errors
/// As [`ObjectStore::look`].
pub fn look(place: &str) -> Result<Box<dyn Store>, Error> {
    if is_url(place) {
        Ok(Box::new(ObjectStore::look(place, &[])?))
    } else {
        Ok(Box::new(LocalStore::look(Path::new(place))))
    }
}

/// Whether a place can be one, before it is opened.
///
/// # Errors
/// Why it cannot.
pub fn check(place: &str) -> Result<(), String> {
    if is_url(place) { object::check(place) } else { Ok(()) }
}

/// Whether a place is the URL of an object store; else it is a folder.
#[must_use]
pub fn is_url(place: &str) -> bool {
    place.contains("://")
}
