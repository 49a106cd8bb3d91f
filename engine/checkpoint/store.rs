//! Where checkpoints lie: whole files under names, in a folder or an object store.
//!
//! A [`Store`] writes a file whole or not at all and never in place. It knows nothing of what the
//! files mean.

pub mod local;

use crate::error::Error;

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
}
