//! Records read on a GPU: their way there, and the launches of `json.cu` and `binary.cu`.

use std::sync::Arc;

use super::powers::POWERS;
use super::table::{ClassEntry, Entry, TargetEntry};
use super::{Decoder, Records, value};
use crate::KernelError;
use crate::assemble::device::ColumnBuffers;
use crate::coordinate::device::TableError;
use crate::device::{Argument, Buffer, DeviceError, Gpu, Launch, Pinned, Plain, Stream};

/// Most threads of a block.
const THREADS: u32 = 256;
/// Warps of a block where a warp reads a record, as warp.cu has them.
const WARPS: u32 = 4;
/// Records of a block of warps are fewer, and other blocks are to find room beside it.
const WARPS_STAGE_BYTES: u32 = 8 << 10;
/// With more records of JSON than this, a thread to each fills a GPU.
const BY_WARP_ROWS_MAX: usize = 1 << 16;
/// Bytes of shared memory for the records of a block; larger ones are read where they lie. Half of
/// what every GPU has, so that two blocks at least are at work together.
const STAGE_BYTES: u32 = 32 << 10;

/// Records in the memory of a GPU.
#[derive(Debug)]
pub struct RecordBuffers {
    rows: usize,
    byte_count: usize,
    bytes: Buffer<u8>,
    ends: Buffer<u32>,
}

/// Columns in the memory of a GPU that rows are read into.
#[derive(Debug)]
pub struct DecodedBuffers {
    /// Times, numbers and categories, as features are made of them.
    pub columns: ColumnBuffers,
    widths: [usize; 3],
    ids: Buffer<u128>,
    labels: Buffer<f32>,
    texts: Buffer<[u32; 2]>,
    marks: Buffer<u8>,
}

/// Page-locked memory for what was read, as [`super::Decoded`] has it.
#[derive(Debug)]
pub struct PinnedDecoded<'a> {
    /// `[stride]`.
    pub times_ms: &'a mut Pinned<i64>,
    /// `[numbers, stride]`.
    pub numbers: &'a mut Pinned<f32>,
    /// `[categories, stride]`.
    pub categories: &'a mut Pinned<u64>,
    /// `[stride]`.
    pub ids: &'a mut Pinned<u128>,
    /// `[stride]`.
    pub labels: &'a mut Pinned<f32>,
    /// `[texts, stride]`.
    pub texts: &'a mut Pinned<[u32; 2]>,
    /// `[stride]`.
    pub marks: &'a mut Pinned<u8>,
}

/// Who reads a record of JSON. The rows are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A thread: the fewest steps altogether.
    ByThread,
    /// A warp: the fewest steps one after another.
    ByWarp,
}

/// A [`Decoder`] on a GPU.
#[derive(Debug)]
pub struct DeviceDecoder {
    is_binary: bool,
    widths: [usize; 3],
    numbers: [u32; 8],
    entries: Buffer<Entry>,
    targets: Buffer<TargetEntry>,
    classes: Buffer<ClassEntry>,
    texts: Buffer<u8>,
    powers: Buffer<[u64; 2]>,
    order: Buffer<u32>,
}

/// As value.cuh declares it.
#[derive(Clone, Copy)]
#[repr(C)]
struct Argued {
    addresses: [u64; 6],
    truth_codes: [u64; 2],
    numbers: [u32; 8],
}

/// As records.cuh declares it.
#[derive(Clone, Copy)]
#[repr(C)]
struct RecordsArgued {
    addresses: [u64; 2],
    rows: u32,
    stage_bytes: u32,
}

/// As value.cuh declares it: the columns, and the stride.
type OutArgued = [u64; 8];

// SAFETY: numbers only, without padding: 32, 8, 24, 96 and 24 bytes.
unsafe impl Plain for Entry {}
// SAFETY: as above.
unsafe impl Plain for TargetEntry {}
// SAFETY: as above.
unsafe impl Plain for ClassEntry {}
// SAFETY: as above.
unsafe impl Plain for Argued {}
// SAFETY: as above.
unsafe impl Plain for RecordsArgued {}

fn small(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

impl RecordBuffers {
    /// Room for so many records of so many bytes together, at most 2^32 - 1.
    ///
    /// # Errors
    /// [`DeviceError::Memory`], [`DeviceError::Lost`].
    pub fn new(gpu: &Arc<Gpu>, rows: usize, bytes: usize) -> Result<RecordBuffers, DeviceError> {
        // They are read in pieces of 16 bytes.
        let bytes = Buffer::new(gpu, bytes.min(u32::MAX as usize).next_multiple_of(16))?;
        Ok(RecordBuffers { rows: 0, byte_count: 0, bytes, ends: Buffer::new(gpu, rows)? })
    }

    /// Copies records to the GPU, without waiting; whoever changes them waits for it.
    ///
    /// # Errors
    /// [`TableError`]: a shape where there is no room for them, before anything is changed.
    pub fn give(&mut self, stream: &Stream, records: &mut Records) -> Result<(), TableError> {
        let (rows, bytes) = (records.rows(), records.byte_count());
        for (argument, given, room) in
            [("rows", rows, self.ends.len()), ("bytes", bytes, self.bytes.len())]
        {
            if given > room {
                let kernel = "decode";
                return Err(KernelError::Shape { kernel, argument, expected: room, given }.into());
            }
        }
        stream.upload((&mut self.bytes, 0), (&mut records.bytes, 0), bytes)?;
        stream.upload((&mut self.ends, 0), (&mut records.ends, 0), rows)?;
        (self.rows, self.byte_count) = (rows, bytes);
        Ok(())
    }

    /// Records there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of so many records in the mean.
    fn bytes_of(&self, records: usize) -> usize {
        (self.byte_count / self.rows.max(1) + 1) * records
    }
}

impl DecodedBuffers {
    /// Room for `stride` rows of so many numbers, categories and texts.
    ///
    /// # Errors
    /// [`DeviceError::Memory`], [`DeviceError::Lost`].
    pub fn new(
        gpu: &Arc<Gpu>,
        [numbers, categories, texts]: [usize; 3],
        stride: usize,
    ) -> Result<DecodedBuffers, DeviceError> {
        Ok(DecodedBuffers {
            columns: ColumnBuffers::new(gpu, [numbers, categories, 0], stride)?,
            widths: [numbers, categories, texts],
            ids: Buffer::new(gpu, stride)?,
            labels: Buffer::new(gpu, stride)?,
            texts: Buffer::new(gpu, texts * stride)?,
            marks: Buffer::new(gpu, stride)?,
        })
    }

    /// Copies what was read back here, without waiting; whoever reads it waits for it.
    ///
    /// # Errors
    /// [`TableError`]: a shape where the memory is of another, before anything is changed.
    pub fn fetch(&self, stream: &Stream, to: PinnedDecoded<'_>) -> Result<(), TableError> {
        let stride = self.columns.rows_max();
        let [numbers, categories, texts] = self.widths;
        let shapes = [
            ("times_ms", to.times_ms.len(), 1),
            ("numbers", to.numbers.len(), numbers),
            ("categories", to.categories.len(), categories),
            ("ids", to.ids.len(), 1),
            ("labels", to.labels.len(), 1),
            ("texts", to.texts.len(), texts),
            ("marks", to.marks.len(), 1),
        ];
        for (argument, given, columns) in shapes {
            let (kernel, expected) = ("decode", columns * stride);
            if given != expected {
                return Err(KernelError::Shape { kernel, argument, expected, given }.into());
            }
        }
        let rows = self.columns.rows();
        self.columns.fetch(stream, (to.times_ms, to.numbers, to.categories))?;
        stream.download((to.ids, 0), (&self.ids, 0), rows)?;
        stream.download((to.labels, 0), (&self.labels, 0), rows)?;
        for column in 0..texts {
            let at = column * stride;
            stream.download((to.texts, at), (&self.texts, at), rows)?;
        }
        Ok(stream.download((to.marks, 0), (&self.marks, 0), rows)?)
    }

    fn argument(&self) -> OutArgued {
        let [times_ms, numbers, categories, _] = self.columns.addresses();
        [
            times_ms,
            numbers,
            categories,
            self.ids.address(),
            self.labels.address(),
            self.texts.address(),
            self.marks.address(),
            self.columns.rows_max() as u64,
        ]
    }
}

impl DeviceDecoder {
    /// The decoder on a GPU.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn new(stream: &Stream, here: &Decoder) -> Result<DeviceDecoder, DeviceError> {
        let table = &here.table;
        Ok(DeviceDecoder {
            is_binary: table.is_binary(),
            widths: table.widths(),
            numbers: [
                small(table.entries.len()),
                table.first,
                small(table.classes.len()),
                table.meaning,
                table.record_bytes,
                u32::from(table.has.label),
                small(table.order.len()),
                0,
            ],
            entries: stream.buffer_of(&table.entries)?,
            targets: stream.buffer_of(&table.targets)?,
            classes: stream.buffer_of(&table.classes)?,
            texts: stream.buffer_of(&table.texts)?,
            powers: stream.buffer_of(&POWERS)?,
            order: stream.buffer_of(&table.order)?,
        })
    }

    /// Reads the records into the columns, without waiting. The marks say which rows are plain;
    /// what time and id are of rows without them is whatever was there.
    ///
    /// # Errors
    /// [`TableError`], for a shape before anything is changed.
    pub fn run(
        &self,
        stream: &Stream,
        records: &RecordBuffers,
        out: &mut DecodedBuffers,
    ) -> Result<(), TableError> {
        let is_wide = self.is_binary || records.rows > BY_WARP_ROWS_MAX;
        let form = if is_wide { Form::ByThread } else { Form::ByWarp };
        self.run_as(form, stream, records, out)
    }

    /// The same in a form that is chosen; binary records are read by threads always.
    ///
    /// # Errors
    /// [`TableError`], for a shape before anything is changed.
    pub fn run_as(
        &self,
        form: Form,
        stream: &Stream,
        records: &RecordBuffers,
        out: &mut DecodedBuffers,
    ) -> Result<(), TableError> {
        let kernel = "decode";
        let widths = ["numbers", "categories", "texts"].into_iter().zip(out.widths);
        for ((argument, given), expected) in widths.zip(self.widths) {
            if given != expected {
                return Err(KernelError::Shape { kernel, argument, expected, given }.into());
            }
        }
        let (rows, room) = (records.rows, out.columns.rows_max());
        if rows > room {
            let argument = "stride";
            return Err(KernelError::Shape { kernel, argument, expected: rows, given: room }.into());
        }
        out.columns.keep(rows);
        if rows == 0 {
            return Ok(());
        }
        let launch = match form {
            _ if self.is_binary => by_thread("decode_binary", records),
            Form::ByThread => by_thread("decode_json", records),
            Form::ByWarp => by_warp(records),
        };
        let of_records = RecordsArgued {
            addresses: [records.bytes.address(), records.ends.address()],
            rows: small(rows),
            stage_bytes: launch.shared_bytes,
        };
        let (table, out) = (self.argument(), out.argument());
        let arguments = [Argument::of(&table), Argument::of(&of_records), Argument::of(&out)];
        // SAFETY: the kernels' arguments. Records come from `Records`, so that their ends are in
        // order and within the bytes; the columns are those of the table and as long as the rows.
        unsafe { stream.launch(launch, &arguments) }?;
        Ok(())
    }

    fn argument(&self) -> Argued {
        Argued {
            addresses: [
                self.entries.address(),
                self.targets.address(),
                self.classes.address(),
                self.texts.address(),
                self.powers.address(),
                self.order.address(),
            ],
            truth_codes: value::truth_codes(),
            numbers: self.numbers,
        }
    }
}

/// Threads of a block, so that its records, if they are as long as the mean and a quarter more,
/// are staged together. It changes no result.
fn by_thread(kernel: &'static str, records: &RecordBuffers) -> Launch {
    let mut threads = THREADS;
    let of_block = |threads: u32| records.bytes_of(threads as usize * 5 / 4);
    while threads > 32 && of_block(threads) > STAGE_BYTES as usize {
        threads /= 2;
    }
    Launch { shared_bytes: STAGE_BYTES, ..Launch::over(kernel, records.rows, threads) }
}

/// Room for the records of a block in the same way.
fn by_warp(records: &RecordBuffers) -> Launch {
    let of_block = records.bytes_of(WARPS as usize * 5 / 4);
    let is_small = of_block <= WARPS_STAGE_BYTES as usize;
    let shared_bytes = if is_small { WARPS_STAGE_BYTES } else { STAGE_BYTES };
    // There is no overflow: rows are below 2^32, as their ends are.
    Launch { shared_bytes, ..Launch::over("decode_json_warp", records.rows * 32, WARPS * 32) }
}
