//! Going on from the newest whole checkpoint.
//!
//! A checkpoint that is damaged, or of other settings, is refused with its reason, and the one
//! before it is tried. When there are checkpoints and none can be used, the run does not start:
//! beginning anew in silence would lose everything learned. The order logs from the checkpoint
//! on are joined into the script that leads the source.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cut::{Cutter, TOTALS, now_ms};
use super::format::{Sections, Whole};
use super::manifest::{self, Manifest};
use super::order::BatchOrder;
use super::order::chain::{Found, first_order, orders_from};
use super::order::place::{Folder, OrderPlace};
use super::retain::Retention;
use super::sequence_of;
use super::store::{self, Store};
use super::writer::{Snapshot, Writing};
use crate::config::Config;
use crate::config::contest::CHAMPION;
use crate::device::Device;
use crate::emit::Positions;
use crate::error::Error;
use crate::metrics::Totals;
use crate::pipeline::{Pipeline, SECTIONS};
use crate::ring::Span;

/// Where a run begins.
pub struct Recovery {
    /// The state.
    pub pipeline: Pipeline,
    /// What went in before, and what became of it.
    pub totals: Totals,
    /// The offsets to go on from.
    pub positions: Vec<Span>,
    /// The order in which the source reads on, batch by batch, before it is free.
    pub script: Vec<BatchOrder>,
    /// Where the sinks stood: what lies behind may be sent again and must not.
    pub sinks: Positions,
    /// How long the sinks must be quiet before they are read.
    pub settle: Duration,
    /// What takes checkpoints, where the settings ask for them.
    pub keeping: Option<Keeping>,
}

/// What takes and writes checkpoints.
pub struct Keeping {
    /// For the compute thread.
    pub cutter: Cutter,
    /// For a thread of its own.
    pub writing: Writing,
    /// The empty state, to be written before anything is read, when there is no checkpoint yet.
    pub first: Option<Snapshot>,
}

impl Recovery {
    /// Begins without state and keeps none: a replay.
    ///
    /// # Errors
    /// As [`Pipeline::on`].
    pub fn none(config: &Config, device: &Device) -> Result<Recovery, Error> {
        Ok(Recovery {
            pipeline: Pipeline::on(config, device)?,
            totals: Totals::default(),
            positions: Vec::new(),
            script: Vec::new(),
            sinks: Positions::default(),
            settle: Duration::ZERO,
            keeping: None,
        })
    }

    /// Goes on from the newest whole checkpoint of the configuration's place, if it has one.
    ///
    /// # Errors
    /// [`Error::File`] when the place cannot be read; [`Error::InUse`] when another process uses
    /// it; [`Error::NoCheckpoint`] when there are checkpoints and none can be used.
    pub fn open(config: &Config, device: &Device) -> Result<Recovery, Error> {
        let Some(dir) = &config.checkpoint.dir else { return Recovery::none(config, device) };
        let store = store::open(dir)?;
        Recovery::from_places((config, device), store, open_orders(config, dir)?, Instant::now())
    }

    /// The same from these places, which are open; the next checkpoint is due after `now`.
    ///
    /// # Errors
    /// As [`Recovery::open`].
    pub fn from_places(
        (config, device): (&Config, &Device),
        store: Box<dyn Store>,
        orders: Option<Arc<dyn OrderPlace>>,
        now: Instant,
    ) -> Result<Recovery, Error> {
        let found = newest(store.as_ref(), (config, device))?;
        let is_first = found.is_none();
        let (mut recovery, manifest) = match found {
            Some(found) => found,
            None => (Recovery::none(config, device)?, empty_manifest(config)),
        };
        let sync = config.checkpoint.order_sync;
        let found = match orders.as_deref() {
            None => Found::nothing(&manifest),
            Some(orders) if is_first => first_order(orders, &manifest, sync)?,
            Some(orders) => orders_from(orders, &manifest, sync)?,
        };
        let Found { script, log, last: last_order, is_drained } = found;
        if !is_first {
            let (sequence, batches) = (manifest.sequence, script.len());
            tracing::info!(
                sequence,
                consumed = manifest.consumed,
                batches,
                "going on from a checkpoint"
            );
        }
        recovery.positions = manifest.spans();
        add_first_offsets(&mut recovery.positions, &script);
        if !is_drained {
            recovery.settle = Duration::from_millis(config.checkpoint.settle_ms.unsigned_abs());
        }
        recovery.sinks = [manifest.scores.clone(), manifest.dead_letters.clone()];
        let retention =
            Retention { count: config.checkpoint.keep, age_ms: config.checkpoint.keep_for_ms };
        let is_led = !script.is_empty();
        // Not a number that a damaged checkpoint or a log behind it already has.
        let taken = store.list()?.iter().filter_map(|file| sequence_of(&file.name)).max();
        let last = taken.unwrap_or(0).max(last_order);
        let order = (orders.clone(), sync, log);
        let cutter = Cutter::new(&manifest, last, config.checkpoint.every_ms, order, is_led, now);
        let first = is_first.then(|| snapshot_of(&recovery, &manifest)).transpose()?;
        recovery.keeping = Some(Keeping {
            cutter,
            writing: Writing::new(store, orders, retention, manifest.sequence),
            first,
        });
        recovery.script = script;
        Ok(recovery)
    }
}

/// The folder of the order log: an object store cannot append to a file, so that there is none
/// beside it unless the settings name one.
fn open_orders(config: &Config, dir: &str) -> Result<Option<Arc<dyn OrderPlace>>, Error> {
    let folder = match &config.checkpoint.order_dir {
        Some(folder) => Path::new(folder),
        None if store::is_url(dir) => {
            tracing::warn!(
                "no [checkpoint] order_dir, so no order log: after a crash no score is sent twice, \
                 but events and labels of several partitions may be read in another order"
            );
            return Ok(None);
        }
        None => Path::new(dir),
    };
    std::fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    Ok(Some(Arc::new(Folder::new(folder))))
}

/// Tries the checkpoints of a store, newest first.
///
/// # Errors
/// [`Error::NoCheckpoint`] when there are some and none can be used; as [`Store::list`].
pub fn newest(
    store: &dyn Store,
    on: (&Config, &Device),
) -> Result<Option<(Recovery, Manifest)>, Error> {
    let mut sequences: Vec<u64> =
        store.list()?.iter().filter_map(|file| sequence_of(&file.name)).collect();
    sequences.sort_unstable_by_key(|&sequence| std::cmp::Reverse(sequence));
    let mut refusal = None;
    for &sequence in &sequences {
        match read(store, sequence, on) {
            Ok(found) => return Ok(Some(found)),
            Err(error) if error.is_device_lost() => return Err(error),
            // What the user asks for is not possible: an older state would lose what is newer.
            Err(error @ Error::Usage { .. }) => return Err(error),
            // A store that is away does not make an older checkpoint the newest.
            Err(error @ Error::File { .. }) if store.is_remote() => return Err(error),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(sequence, %error, cause, "a checkpoint was refused");
                metrics::counter!("pelton_checkpoints_refused_total").increment(1);
                refusal.get_or_insert(error);
            }
        }
    }
    refusal.map_or(Ok(None), |error| {
        let (place, count) = (store.place(), sequences.len());
        Err(Error::NoCheckpoint { place, count, source: Box::new(error) })
    })
}

/// Reads one checkpoint.
///
/// # Errors
/// [`Error::Checkpoint`] for damage, [`Error::Foreign`] for other settings, [`Error::State`] for a
/// section that cannot be understood.
pub fn read(
    store: &dyn Store,
    sequence: u64,
    on: (&Config, &Device),
) -> Result<(Recovery, Manifest), Error> {
    let name = super::file_name(sequence);
    read_bytes(store.get(&name)?, &name, on)
}

/// Reads the bytes of one.
///
/// # Errors
/// As [`read`].
pub fn read_bytes(
    bytes: Vec<u8>,
    name: &str,
    (config, device): (&Config, &Device),
) -> Result<(Recovery, Manifest), Error> {
    let name = name.to_owned();
    let damaged = |source| Error::Checkpoint { name: name.clone(), source };
    let whole = Whole::parse(bytes).map_err(damaged)?;
    let mut manifest = parse_manifest(&whole, &name)?;
    let former = former(config, &manifest, &name)?;
    let mut recovery = Recovery::none(former.as_ref().unwrap_or(config), device)?;
    for section in SECTIONS {
        let mut bytes = whole.section(section).map_err(damaged)?;
        recovery.pipeline.read_section(section, &mut bytes)?;
    }
    let mut bytes = whole.section(TOTALS).map_err(damaged)?;
    let totals = Totals::read_state(&mut bytes);
    recovery.totals =
        totals.map_err(|source| Error::State { section: TOTALS.to_owned(), source })?;
    if let Some(former) = &former {
        let mut pipeline = Pipeline::on(config, device)?;
        let (before, after) = (&former.contest.challengers, &config.contest.challengers);
        let stay = before.iter().filter(|own| after.contains(own)).map(|(name, _)| name.clone());
        let stay: Vec<String> = stay.chain([CHAMPION.to_owned()]).collect();
        pipeline.succeed(recovery.pipeline, &stay)?;
        recovery.pipeline = pipeline;
        manifest.settings = manifest::settings(config);
        manifest.challengers.clone_from(&config.contest.source);
        tracing::warn!(name, "this checkpoint had other challengers: new ones begin untrained");
    }
    Ok((recovery, manifest))
}

/// The configuration that a checkpoint is of, where its challengers were others; none where it is
/// of this one.
fn former(config: &Config, manifest: &Manifest, name: &str) -> Result<Option<Config>, Error> {
    let differs = |config: &Config| {
        let settings = manifest::settings(config);
        let other = settings.into_iter().find(|(s, d)| manifest.settings.get(s) != Some(d));
        other.map(|(section, _)| section)
    };
    let foreign = |section| Error::Foreign { name: name.to_owned(), section };
    match differs(config) {
        None => return Ok(None),
        Some(section) if section != manifest::CHALLENGERS => return Err(foreign(section)),
        Some(_) => {}
    }
    let task = config.model.task;
    let contest = config.contest.with_challengers(&manifest.challengers, task);
    let mut contest = contest.ok_or_else(|| foreign(manifest::CHALLENGERS.to_owned()))?;
    // Those of a file that lies elsewhere now are found there.
    for (name, own) in &mut contest.challengers {
        let here = config.contest.challengers.iter().find(|(other, _)| other == name);
        if let Some((_, here)) = here.filter(|(_, here)| here.anywhere() == own.anywhere()) {
            own.clone_from(here);
        }
    }
    let former = Config { contest, ..config.clone() };
    if let Some(section) = differs(&former) {
        return Err(foreign(section));
    }
    // Where the numbers are scaled before all models see them, or by each, is part of the state.
    if former.scales_rows() != config.scales_rows() {
        return Err(Error::Usage {
            what: format!(
                "{name} is of models that take all numbers standardised, this configuration also \
                 of others, or the other way round"
            ),
            remedy: "add challengers that take numbers as the champion does: linear, fm, ffm, mlp \
                     and deep take them standardised, the others as they are"
                .to_owned(),
        });
    }
    Ok(Some(former))
}

/// The manifest of a whole checkpoint.
///
/// # Errors
/// [`Error::Checkpoint`] when there is none, or it is not one.
pub fn parse_manifest(whole: &Whole, name: &str) -> Result<Manifest, Error> {
    let missing = || super::format::Damage::Missing { name: manifest::SECTION.to_owned() };
    let damaged = |source| Error::Checkpoint { name: name.to_owned(), source };
    let bytes = whole.section(manifest::SECTION).map_err(damaged)?;
    serde_json::from_slice(bytes).map_err(|_| damaged(missing()))
}

fn empty_manifest(config: &Config) -> Manifest {
    Manifest {
        sequence: 1,
        taken_ms: now_ms(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        settings: manifest::settings(config),
        challengers: config.contest.source.clone(),
        is_last: false,
        consumed: 0,
        watermark_ms: i64::MIN,
        positions: Vec::new(),
        scores: None,
        dead_letters: None,
    }
}

/// The whole state as it is written.
pub(super) fn snapshot_of(recovery: &Recovery, manifest: &Manifest) -> Result<Snapshot, Error> {
    let mut sections = Sections::default();
    for section in SECTIONS {
        let written = sections.add(section, |out| recovery.pipeline.write_section(section, out));
        written.map_err(|source| Error::State { section: section.to_owned(), source })?;
    }
    let written = sections.add(TOTALS, |out| recovery.totals.write_state(out));
    written.map_err(|source| Error::State { section: TOTALS.to_owned(), source })?;
    Ok(Snapshot { sections, manifest: manifest.clone() })
}

/// A partition that the checkpoint does not know yet is read from where the log first saw it.
fn add_first_offsets(positions: &mut Vec<Span>, script: &[BatchOrder]) {
    for stretch in script.iter().flatten() {
        let is_known =
            |span: &Span| span.partition == stretch.partition && span.topic == stretch.topic;
        if !positions.iter().any(is_known) {
            let (topic, partition) = (stretch.topic.clone(), stretch.partition);
            positions.push(Span { topic, partition, next: stretch.first });
        }
    }
}
