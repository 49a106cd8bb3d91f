//! The checkpoint writer of a life: the loop of its thread, a step at a time.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError};

use crate::checkpoint::format::Sections;
use crate::checkpoint::writer::{Delivery, Snapshot, Writing};
use crate::simulate::fate::Fate;

/// The writer, and the ends of its channels.
pub struct Desk {
    pub writing: Writing,
    pub fate: Arc<Fate>,
    /// It waits for its delivery.
    pub snapshot: Option<Snapshot>,
    pub snapshots: Receiver<Snapshot>,
    pub delivered: Receiver<Delivery>,
    pub home: Sender<Sections>,
}

/// What a step has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Something was done.
    Made,
    /// There is nothing to do yet.
    Waits,
    /// There will be nothing more to do.
    Over,
}

impl Desk {
    /// One step: a snapshot is taken, or a delivery, and with its delivery the snapshot is written.
    pub fn step(&mut self) -> Stand {
        let Some(snapshot) = self.snapshot.take() else {
            let next = self.snapshots.try_recv();
            return next.map_or_else(stand, |snapshot| {
                self.snapshot = Some(snapshot);
                Stand::Made
            });
        };
        match self.delivered.try_recv() {
            Ok(delivery) if delivery.sequence == snapshot.manifest.sequence => {
                let clock = || self.fate.now();
                let written = self.writing.write_or_count(snapshot, delivery.positions, &clock);
                let is_home = written.is_ok_and(|sections| self.home.send(sections).is_ok());
                if is_home { Stand::Made } else { Stand::Over }
            }
            Ok(_) => {
                self.snapshot = Some(snapshot);
                Stand::Made
            }
            Err(error) => {
                self.snapshot = Some(snapshot);
                stand(error)
            }
        }
    }
}

fn stand(error: TryRecvError) -> Stand {
    match error {
        TryRecvError::Empty => Stand::Waits,
        TryRecvError::Disconnected => Stand::Over,
    }
}
