//! The buffers of micro-batches: a fixed number of [`Slot`]s that go round between the threads.
//!
//! Ingest takes a free slot from the [`Ring`], fills its columns, and the slot travels through the
//! stages as a micro-batch until emit sends it home. Holding a slot is the right to hold a batch:
//! when none is free, ingest waits, and that is the only back-pressure there is. Nothing on the way
//! allocates: every column has its full length from the start (arenas of texts and raw bytes grow
//! to the size the stream needs, once). Where the engine computes on a GPU the columns lie in
//! page-locked memory ([`Columns`]), and decoding writes straight into what is uploaded.

mod arena;
mod columns;
mod given;
mod reasons;
mod reject;
mod slot;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::device::{Device, DeviceError};
use crate::schema::Schema;

pub use arena::Arena;
pub use columns::Columns;
pub use given::GivenFeatures;
pub use reasons::Reasons;
pub use reject::{Envelope, QuarantinedLabel, Reason, Reject};
pub use slot::{LabelRecord, Lead, Position, Run, Slot, Span};

/// How long a wait for a slot goes on before it is asked whether to stop.
const PATIENCE: Duration = Duration::from_millis(50);

/// The fixed set of slots, and the way home for those on loan.
#[derive(Debug)]
pub struct Ring {
    free: Receiver<Box<Slot>>,
    home: Sender<Box<Slot>>,
}

impl Ring {
    /// One line per user of a slot; their sum is the number of slots.
    pub const USERS: [(&'static str, usize); 5] = [
        ("ingest fills one", 1),
        ("one waits for compute", 1),
        ("compute works on one", 1),
        ("one waits for emit", 1),
        ("emit writes one", 1),
    ];

    /// The number of slots in a ring.
    #[must_use]
    pub fn slot_count() -> usize {
        Ring::USERS.iter().map(|(_, slots)| slots).sum()
    }

    /// A ring of empty slots for `rows_max` rows each, in memory that this device copies from.
    ///
    /// # Errors
    /// [`DeviceError`] when the GPU's driver has no such memory to give.
    pub fn new(device: &Device, schema: &Schema, rows_max: usize) -> Result<Ring, DeviceError> {
        let (home, free) = bounded(Ring::slot_count());
        for _ in 0..Ring::slot_count() {
            let slot = Box::new(Slot::on(device, schema, rows_max)?);
            home.send(slot).expect("the ring has room for all");
        }
        Ok(Ring { free, home })
    }

    /// Waits for a free slot, which still holds the batch it carried last, for its spans. `None`
    /// when `stop` is raised before one comes home.
    #[must_use]
    pub fn take_unless(&self, stop: &AtomicBool) -> Option<Box<Slot>> {
        loop {
            match self.free.recv_timeout(PATIENCE) {
                Ok(slot) => return Some(slot),
                Err(_) if stop.load(Ordering::Relaxed) => return None,
                Err(_) => {}
            }
        }
    }

    /// Sends a slot home.
    pub fn put(&self, slot: Box<Slot>) {
        self.home.send(slot).expect("the ring holds a receiver itself");
    }

    /// Every slot that is free now.
    pub fn drain(&self) -> impl Iterator<Item = Box<Slot>> {
        self.free.try_iter()
    }

    /// The way home, for the last stage.
    #[must_use]
    pub fn home(&self) -> Sender<Box<Slot>> {
        self.home.clone()
    }

    /// Slots that are free now.
    #[must_use]
    pub fn free_count(&self) -> usize {
        self.free.len()
    }
}
