//! Who writes to an object store: the newest engine that opened it.
//!
//! A small object holds a name that each engine draws for itself. Opening replaces it, on the
//! condition that nobody else did so in between; before and after each checkpoint the engine looks
//! whether its name still stands there. So an engine that is started anew after a crash need not
//! wait for anything to expire, and the one it replaced, should it still live, is found out at its
//! next checkpoint. No clock is asked. What is left open: the replaced one may finish an upload
//! that it had begun; it was whole when it did.

use std::hash::{BuildHasher, RandomState};

use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload, UpdateVersion};
use serde::{Deserialize, Serialize};

use crate::checkpoint::cut::now_ms;

/// This engine as the owner of a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Drawn at the start; no two engines have the same.
    name: String,
    /// Its process, for the eye.
    process: u32,
    /// When it took the place, milliseconds since the epoch, for the eye.
    since_ms: i64,
}

impl Owner {
    /// Takes the place over; `None` when another process did so at the same moment.
    ///
    /// # Errors
    /// What the store says.
    pub async fn take(store: &dyn ObjectStore, path: &Path) -> Result<Option<Owner>, Error> {
        // Each of these is seeded by the system.
        let [high, low] = [(); 2].map(|()| RandomState::new().hash_one(now_ms()));
        let name = format!("{high:016x}{low:016x}");
        let owner = Owner { name, process: std::process::id(), since_ms: now_ms() };
        let (mode, before) = match store.get(path).await {
            Ok(found) => {
                let (e_tag, version) = (found.meta.e_tag.clone(), found.meta.version.clone());
                let before = found.bytes().await?;
                (PutMode::Update(UpdateVersion { e_tag, version }), owner_in(&before))
            }
            Err(Error::NotFound { .. }) => (PutMode::Create, None),
            Err(error) => return Err(error),
        };
        let text = serde_json::to_vec(&owner).expect("texts and numbers are JSON");
        let payload = PutPayload::from(text);
        match store.put_opts(path, payload.clone(), mode.into()).await {
            Ok(_) => {}
            // A repeated request may find its own first try there.
            Err(Error::Precondition { .. } | Error::AlreadyExists { .. }) => {
                if !owner.is_still(store, path).await? {
                    return Ok(None);
                }
            }
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
                tracing::warn!(%path, "this object store knows no conditions: two engines that \
                    start at the same moment would both believe to be the owner");
                store.put(path, payload).await?;
            }
            Err(error) => return Err(error),
        }
        if let Some(before) = before {
            tracing::info!(
                process = before.process,
                since_ms = before.since_ms,
                "took the checkpoints over; should that engine still run, it can keep none there"
            );
        }
        Ok(Some(owner))
    }

    /// Whether no one else has taken the place since.
    ///
    /// # Errors
    /// What the store says.
    pub async fn is_still(&self, store: &dyn ObjectStore, path: &Path) -> Result<bool, Error> {
        match store.get(path).await {
            Ok(found) => Ok(owner_in(&found.bytes().await?).as_ref() == Some(self)),
            // Somebody tidied up; that is no other owner.
            Err(Error::NotFound { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

fn owner_in(bytes: &[u8]) -> Option<Owner> {
    serde_json::from_slice(bytes).ok()
}
