//! The records of one partition, a batch at a time, straight from librdkafka's memory.
//!
//! librdkafka fills one queue per partition on threads of its own; [`PartitionQueue`] takes what
//! is there with one call for many records and lends them out one by one. Nothing is copied and
//! nothing is allocated here. The safe interface of the client library allocates for every record
//! and takes them singly: measured at 240-byte records on 2 cores, 0.44 us of CPU a record against
//! 0.28 us this way, and records lent by it cannot wait in a struct for their turn in the merge.
//! This is the only file of the engine with unsafe code.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::slice;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;

use super::callbacks::Callbacks;

/// Most records taken by one call.
const BATCH: usize = 512;

/// Rung by librdkafka when a queue that was empty is no longer.
pub struct Bell {
    ring: Sender<()>,
    rung: Receiver<()>,
}

impl Bell {
    /// A bell that has not been rung.
    #[must_use]
    pub fn new() -> Arc<Bell> {
        let (ring, rung) = bounded(1);
        Arc::new(Bell { ring, rung })
    }

    /// Rings it; never waits, and ringing twice is ringing once.
    pub fn ring(&self) {
        // Full means that it is ringing already.
        let _ = self.ring.try_send(());
    }

    /// Waits until it rings or `deadline` has passed, and silences it.
    pub fn wait_until(&self, deadline: std::time::Instant) {
        let _ = self.rung.recv_deadline(deadline);
    }
}

/// What comes next in a partition.
pub enum Front<'a> {
    /// A record.
    Record(Record<'a>),
    /// The partition's end as it was when it was last asked for, at this next offset.
    End(i64),
    /// The partition cannot be read on.
    Failed(RDKafkaErrorCode),
}

/// One record of a topic, on loan.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    message: *const sys::rd_kafka_message_t,
    owner: PhantomData<&'a PartitionQueue>,
}

impl<'a> Record<'a> {
    /// The body; empty for a tombstone.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        // SAFETY: the message lives as long as the loan, and its body with it.
        unsafe { bytes((*self.message).payload, (*self.message).len) }.unwrap_or_default()
    }

    /// The key, if it has one.
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        // SAFETY: as for the body.
        unsafe { bytes((*self.message).key, (*self.message).key_len) }
    }

    /// Its offset in its partition.
    #[must_use]
    pub fn offset(&self) -> i64 {
        // SAFETY: the message lives as long as the loan.
        unsafe { (*self.message).offset }
    }

    /// The time its producer or the broker gave it, milliseconds since the epoch.
    #[must_use]
    pub fn time_ms(&self) -> Option<i64> {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message lives as long as the loan; `kind` is written.
        let time = unsafe { sys::rd_kafka_message_timestamp(self.message, &raw mut kind) };
        (time >= 0).then_some(time)
    }

    /// Its headers, in order, but those whose names are not UTF-8 or whose values are null.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let mut headers = ptr::null_mut();
        // SAFETY: the message lives as long as the loan, and so do its headers, which it owns.
        let count = unsafe {
            match sys::rd_kafka_message_headers(self.message, &raw mut headers) {
                sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => {
                    sys::rd_kafka_header_cnt(headers)
                }
                _ => 0,
            }
        };
        (0..count).filter_map(move |index| {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            // SAFETY: the index is below the count, so that all three are written; name (ending in
            // NUL) and value belong to the headers.
            unsafe {
                let (name, value) = (&raw mut name, &raw mut value);
                sys::rd_kafka_header_get_all(headers, index, name, value, &raw mut size);
            }
            if name.is_null() {
                return None;
            }
            // SAFETY: as above.
            unsafe { Some((CStr::from_ptr(name).to_str().ok()?, bytes(value, size)?)) }
        })
    }
}

/// # Safety
/// `start` is null, or has `length` readable bytes that live and do not change for `'a`.
unsafe fn bytes<'a>(start: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: by this function's own condition.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast::<u8>(), length) })
}

/// The queue of one partition, and the records taken from it that were not yet passed.
pub struct PartitionQueue {
    topic: CString,
    partition: i32,
    queue: *mut sys::rd_kafka_queue_t,
    /// Records taken; those before `at` are freed.
    taken: Vec<*mut sys::rd_kafka_message_t>,
    at: usize,
    /// Keeps alive what librdkafka rings; used through its address only.
    _bell: Arc<Bell>,
    /// Dropped last: records must be freed before their client.
    consumer: Arc<BaseConsumer<Callbacks>>,
}

// SAFETY: librdkafka's queues and messages may be used from any thread, and the pointers are
// reached through this struct alone.
unsafe impl Send for PartitionQueue {}

impl PartitionQueue {
    /// Takes the partition's records out of the consumer's common queue. To be called before the
    /// partition is assigned, or records could go astray. `None` when the name holds a NUL.
    #[must_use]
    pub fn open(
        consumer: &Arc<BaseConsumer<Callbacks>>,
        topic: &str,
        partition: i32,
        bell: &Arc<Bell>,
    ) -> Option<PartitionQueue> {
        let topic = CString::new(topic).ok()?;
        let client = consumer.client().native_ptr();
        // SAFETY: the client lives as long as `consumer`, which the struct keeps; the bell's
        // address is valid until `Drop` takes it away from the queue, since the struct keeps an
        // `Arc` of it.
        let queue = unsafe {
            let queue = sys::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition);
            if queue.is_null() {
                return None;
            }
            sys::rd_kafka_queue_forward(queue, ptr::null_mut());
            let address = Arc::as_ptr(bell).cast_mut().cast();
            sys::rd_kafka_queue_cb_event_enable(queue, Some(ring_bell), address);
            queue
        };
        Some(PartitionQueue {
            topic,
            partition,
            queue,
            taken: Vec::with_capacity(BATCH),
            at: 0,
            _bell: Arc::clone(bell),
            consumer: Arc::clone(consumer),
        })
    }

    /// What comes next, if anything is at hand; never waits.
    pub fn front(&mut self) -> Option<Front<'_>> {
        if self.at == self.taken.len() && self.take() == 0 {
            return None;
        }
        let message = self.taken[self.at];
        // SAFETY: it was taken and is not freed before `pass`, which needs the loan to have ended.
        let (code, offset) = unsafe { ((*message).err, (*message).offset) };
        Some(match RDKafkaErrorCode::from(code) {
            RDKafkaErrorCode::NoError => Front::Record(Record { message, owner: PhantomData }),
            RDKafkaErrorCode::PartitionEOF => Front::End(offset),
            other => Front::Failed(other),
        })
    }

    /// Passes the front, which must have been looked at, and frees it.
    pub fn pass(&mut self) {
        // SAFETY: the message at `at` was taken, and stepping past it means it is freed once.
        unsafe { sys::rd_kafka_message_destroy(self.taken[self.at]) };
        self.at += 1;
    }

    /// The offset after the newest record that the broker has told of, once it has.
    #[must_use]
    pub fn high(&self) -> Option<i64> {
        let (mut low, mut high) = (-1, -1);
        let client = self.consumer.client().native_ptr();
        let topic = self.topic.as_ptr();
        // SAFETY: the client is alive, the name ends in NUL, both results are written.
        unsafe {
            let (low, high) = (&raw mut low, &raw mut high);
            sys::rd_kafka_get_watermark_offsets(client, topic, self.partition, low, high);
        }
        (high >= 0).then_some(high)
    }

    fn take(&mut self) -> usize {
        self.taken.clear();
        self.at = 0;
        // One by one: `rd_kafka_consume_batch_queue` of librdkafka 2.12 counts the end of a
        // partition as a consumed record, and after the next rebalance the fetch resumes behind the
        // record that came there.
        // `members_share_partitions_and_take_over_from_one_another` holds this.
        while self.taken.len() < BATCH {
            // SAFETY: the queue is alive until `Drop`. No timeout: what is there, and back.
            let message = unsafe { sys::rd_kafka_consume_queue(self.queue, 0) };
            if message.is_null() {
                break;
            }
            self.taken.push(message);
        }
        self.taken.len()
    }
}

impl Drop for PartitionQueue {
    fn drop(&mut self) {
        // SAFETY: each record from `at` on is freed once; the callback is gone before the bell it
        // rings (librdkafka calls it under the queue's lock); the client outlives this function.
        unsafe {
            for &message in &self.taken[self.at..] {
                sys::rd_kafka_message_destroy(message);
            }
            sys::rd_kafka_queue_cb_event_enable(self.queue, None, ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.queue);
        }
    }
}

/// # Safety
/// `bell` is the address of a [`Bell`] that lives while it is set on a queue.
unsafe extern "C" fn ring_bell(_client: *mut sys::rd_kafka_t, bell: *mut c_void) {
    // SAFETY: by this function's own condition.
    unsafe { &*bell.cast::<Bell>() }.ring();
}
