//! What the metrics page shows of a spill.

use metrics::{Counter, Gauge, counter, gauge};

/// The metrics of one spill.
pub struct Shown {
    /// Records that are not delivered.
    pub records: Gauge,
    /// Bytes of the files.
    pub bytes: Gauge,
    disk_failing: Gauge,
    /// Records that went to the disk.
    pub spilled: Counter,
    /// Records that went from the disk to the sink.
    pub emptied: Counter,
    /// Records that had to wait for room.
    pub waits: Counter,
    is_disk_failing: bool,
}

impl Shown {
    /// Of the sink of this name.
    pub fn new(name: &'static str) -> Shown {
        Shown {
            records: gauge!("pelton_spill_records", "sink" => name),
            bytes: gauge!("pelton_spill_bytes", "sink" => name),
            disk_failing: gauge!("pelton_spill_disk_failing", "sink" => name),
            spilled: counter!("pelton_spilled_records_total", "sink" => name),
            emptied: counter!("pelton_spill_emptied_records_total", "sink" => name),
            waits: counter!("pelton_spill_waits_total", "sink" => name),
            is_disk_failing: false,
        }
    }

    /// A write has failed.
    pub fn disk_fails(&mut self, error: &std::io::Error) {
        counter!("pelton_spill_write_failures_total").increment(1);
        if !std::mem::replace(&mut self.is_disk_failing, true) {
            self.disk_failing.set(1.0);
            tracing::error!(%error, "the spill cannot be written; reading stops until it can");
        }
    }

    /// A write has worked.
    pub fn disk_works(&mut self) {
        if std::mem::replace(&mut self.is_disk_failing, false) {
            self.disk_failing.set(0.0);
            tracing::info!("the spill can be written again");
        }
    }
}
