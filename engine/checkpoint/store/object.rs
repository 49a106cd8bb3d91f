//! Checkpoints in an object store: S3 and what speaks like it, Google Cloud Storage, Azure Blob.
//!
//! A checkpoint is one object, and an object appears whole or not at all: a small one by one
//! request, a large one as an upload in parts that becomes an object when the last part is in. A
//! process that dies on the way leaves parts that nobody sees; stores bill them until a life-cycle
//! rule of the bucket removes them.
//!
//! Keys, regions and endpoints come from the environment (`AWS_*`, `GOOGLE_*`, `AZURE_*`), as the
//! tools of these stores read it. The calls wait, so they belong on the writer's thread. A request
//! that fails is tried again a few times, each time a while later; a store that is away is an
//! error within a minute, and the writer comes again with its next checkpoint.
//!
//! A lock cannot be held there. Instead the newest engine is the owner (`Owner`); an older one
//! that still runs is refused.

mod owner;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{
    BackoffConfig, Error as Cause, GetOptions, ObjectStore as Client, ObjectStoreExt,
    PutPayloadMut, RetryConfig, WriteMultipart,
};
use tokio::runtime::{Builder, Runtime};

use super::{Store, StoredFile};
use crate::error::Error;
use crate::fail::fail_point;
use owner::Owner;

/// A request carries no more: at 600 KiB/s it takes as long as a request may (30 s).
const PART_BYTES: usize = 16 << 20;
/// Parts on their way at once.
const PARTS_AT_ONCE: usize = 4;
/// The object that says who writes.
const OWNER: &str = "owner";

/// A prefix in a bucket.
#[derive(Debug)]
pub struct ObjectStore {
    /// Its own small one, so that connections live on between two calls.
    runtime: Runtime,
    client: Box<dyn Client>,
    prefix: Path,
    url: String,
    owner: Option<Owner>,
}

/// The store of an URL.
#[derive(Clone, Copy)]
enum Kind {
    Amazon,
    Azure,
    Google,
}

impl ObjectStore {
    /// Opens the place behind an URL and becomes its owner: an engine that had it open can write
    /// there no more. `settings` go above those of the environment, under the same names.
    ///
    /// # Errors
    /// [`Error::Usage`] for an URL or settings that cannot be used, or when another process opened
    /// it at the same moment; [`Error::File`] for what the store says.
    pub fn open(url: &str, settings: &[(&str, &str)]) -> Result<ObjectStore, Error> {
        let mut store = ObjectStore::look(url, settings)?;
        let path = store.path(OWNER);
        let taken = store.runtime.block_on(Owner::take(&*store.client, &path));
        let taken = taken.map_err(store.failed("open", ""))?;
        let raced = || Error::Usage {
            what: format!("another process opened the checkpoints in {url} at the same moment"),
            remedy: "stop it, or give this one a [checkpoint] dir of its own".into(),
        };
        store.owner = Some(taken.ok_or_else(raced)?);
        Ok(store)
    }

    /// Opens the place to look at: nothing is written there.
    ///
    /// # Errors
    /// [`Error::Usage`] for an URL or settings that cannot be used.
    pub fn look(url: &str, settings: &[(&str, &str)]) -> Result<ObjectStore, Error> {
        let refused = |why: String| Error::Usage {
            what: format!("the checkpoints in {url} cannot be opened: {why}"),
            remedy: "look at [checkpoint] dir, and the store's keys in the environment".into(),
        };
        let (kind, prefix) = parse(url).map_err(refused)?;
        let client = connect(url, kind, settings).map_err(|cause| refused(cause.to_string()))?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("pelton-store")
            .enable_all()
            .build();
        let runtime = runtime.map_err(Error::file("open", url))?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(ObjectStore { runtime, client, prefix, url, owner: None })
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    fn failed(&self, action: &'static str, name: &str) -> impl FnOnce(Cause) -> Error {
        let path = PathBuf::from(&self.url).join(name);
        move |cause| Error::File { action, path, source: as_io(cause) }
    }

    /// An engine that was replaced must not overwrite what the new one writes.
    fn check_owner(&self) -> Result<(), Error> {
        let Some(owner) = &self.owner else { return Ok(()) };
        let path = self.path(OWNER);
        let is_ours = self.runtime.block_on(owner.is_still(&*self.client, &path));
        if is_ours.map_err(self.failed("read", OWNER))? {
            return Ok(());
        }
        Err(Error::Replaced { place: self.url.clone() })
    }

    async fn write(&self, path: &Path, parts: &[&[u8]]) -> Result<(), Cause> {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        fail_point("checkpoint::created").map_err(as_cause)?;
        if bytes <= PART_BYTES {
            let mut payload = PutPayloadMut::new().with_block_size(bytes);
            parts.iter().for_each(|part| payload.extend_from_slice(part));
            self.client.put(path, payload.freeze()).await?;
        } else {
            let upload = self.client.put_multipart(path).await?;
            let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
            if let Err(cause) = send_parts(&mut upload, parts).await {
                // What was sent would be billed; the store may be away for this, too.
                let _ = upload.abort().await;
                return Err(cause);
            }
            upload.finish().await?;
        }
        fail_point("checkpoint::written").map_err(as_cause)
    }

    /// In pieces, so that no request takes longer than it may.
    async fn read(&self, path: &Path) -> Result<Vec<u8>, Cause> {
        let about = self.client.head(path).await?;
        let mut bytes = Vec::new();
        for first in (0..about.size).step_by(PART_BYTES) {
            let range = first..about.size.min(first + PART_BYTES as u64);
            let options =
                GetOptions::new().with_range(Some(range)).with_if_match(about.e_tag.clone());
            let piece = self.client.get_opts(path, options).await?.bytes().await?;
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    async fn entries(&self) -> Result<Vec<StoredFile>, Cause> {
        let listed = self.client.list_with_delimiter(Some(&self.prefix)).await?;
        let file = |object: object_store::ObjectMeta| {
            let name = object.location.filename()?.to_owned();
            let written_ms = object.last_modified.timestamp_millis();
            (name != OWNER).then_some(StoredFile { name, written_ms, bytes: object.size })
        };
        Ok(listed.objects.into_iter().filter_map(file).collect())
    }
}

async fn send_parts(upload: &mut WriteMultipart, parts: &[&[u8]]) -> Result<(), Cause> {
    let pieces = parts.iter().flat_map(|part| part.chunks(PART_BYTES));
    let count = pieces.clone().count();
    for (index, piece) in pieces.enumerate() {
        upload.wait_for_capacity(PARTS_AT_ONCE).await?;
        if index + 1 == count {
            fail_point("checkpoint::half_written").map_err(as_cause)?;
        }
        upload.write(piece);
    }
    upload.wait_for_capacity(1).await
}

impl Store for ObjectStore {
    fn put(&self, name: &str, parts: &[&[u8]]) -> Result<(), Error> {
        self.check_owner()?;
        let written = self.runtime.block_on(self.write(&self.path(name), parts));
        written.map_err(self.failed("write", name))?;
        // One that was replaced meanwhile must not count what it wrote as kept.
        self.check_owner()
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, Error> {
        let read = self.runtime.block_on(self.read(&self.path(name)));
        read.map_err(self.failed("read", name))
    }

    fn list(&self) -> Result<Vec<StoredFile>, Error> {
        self.runtime.block_on(self.entries()).map_err(self.failed("list", ""))
    }

    fn delete(&self, name: &str) -> Result<(), Error> {
        match self.runtime.block_on(self.client.delete(&self.path(name))) {
            Err(Cause::NotFound { .. }) => Ok(()),
            deleted => deleted.map_err(self.failed("remove", name)),
        }
    }

    fn place(&self) -> String {
        self.url.clone()
    }

    fn is_remote(&self) -> bool {
        true
    }
}

/// Whether an URL names a kind of store that is known, and a bucket.
///
/// # Errors
/// What is wrong with it.
pub fn check(url: &str) -> Result<(), String> {
    parse(url).map(|_| ())
}

/// The kind of store, and the path below its bucket.
fn parse(url: &str) -> Result<(Kind, Path), String> {
    let (scheme, rest) = url.split_once("://").ok_or("it is no URL")?;
    let kind = match scheme {
        "s3" => Kind::Amazon,
        "az" => Kind::Azure,
        "gs" => Kind::Google,
        _ => return Err(format!("{scheme}:// is not known; s3://, gs:// and az:// are")),
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err("it names no bucket".to_owned());
    }
    Path::parse(prefix).map(|path| (kind, path)).map_err(|cause| cause.to_string())
}

fn connect(url: &str, kind: Kind, settings: &[(&str, &str)]) -> Result<Box<dyn Client>, Cause> {
    /// The three builders have the same methods, but no trait.
    macro_rules! build {
        ($builder:ident) => {{
            let mut builder = $builder::from_env().with_url(url).with_retry(patience());
            for (name, value) in settings {
                builder = builder.with_config(name.to_ascii_lowercase().parse()?, *value);
            }
            Ok(Box::new(builder.build()?))
        }};
    }
    match kind {
        Kind::Amazon => build!(AmazonS3Builder),
        Kind::Azure => build!(MicrosoftAzureBuilder),
        Kind::Google => build!(GoogleCloudStorageBuilder),
    }
}

/// A few seconds for a store that refuses, half a minute for one that does not answer.
fn patience() -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(5),
        base: 2.0,
    };
    RetryConfig { backoff, max_retries: 6, retry_timeout: Duration::from_secs(25) }
}

/// The kinds that decide who must act; the cause stays below.
fn as_io(cause: Cause) -> io::Error {
    match cause {
        // Its text says nothing that its source does not.
        Cause::Generic { source, .. } => io::Error::other(source),
        Cause::NotFound { .. } => io::Error::new(io::ErrorKind::NotFound, cause),
        cause => io::Error::other(cause),
    }
}

fn as_cause(error: io::Error) -> Cause {
    Cause::Generic { store: "fail point", source: Box::new(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_below_the_bucket_is_found() {
        let path = |url: &str| parse(url).map(|(_, path)| path.to_string());
        assert_eq!(path("s3://bucket/a/b"), Ok("a/b".to_owned()));
        assert_eq!(path("gs://bucket"), Ok(String::new()));
        assert_eq!(path("az://container/a/"), Ok("a".to_owned()));
        for wrong in ["s3:///a", "ftp://host/a", "folder", "s3://bucket/a//b"] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
    }
}
