//! Event records into rows, whoever reads them: one by one here, or many at once on a GPU.
//!
//! Sources add records as they come and say when they have no more at hand ([`Events::finish`]).
//! Until then records that a GPU is to read are rows of the slot only by their number
//! ([`Slot::unread`]), so that labels know which rows they precede; afterwards nothing tells who
//! has read them: rows, rejects, labels and their order are the same.

use crate::config::Config;
use crate::config::decode::DecodeBy;
use crate::device::{Device, DeviceError};
use crate::error::Error;
use crate::ring::{Position, Slot};
use crate::schema::Schema;
use crate::source::Source;

use super::device::DeviceReader;
use super::{MessageParts, Names, event};

/// Makes rows of event records.
pub struct Events {
    schema: Schema,
    names: Names,
    there: Option<Box<DeviceReader>>,
}

impl Events {
    /// Rows of this schema, from records with these names.
    #[must_use]
    pub fn new(schema: Schema, names: Names) -> Events {
        Events { schema, names, there: None }
    }

    /// Lets a GPU read records from now on; false where these are spelled in another way than the
    /// settings say, as recordings may be.
    pub fn read_by(&mut self, reader: DeviceReader) -> bool {
        let can_read = reader.is_binary() == self.names.layout().is_some();
        self.there = can_read.then(|| Box::new(reader));
        can_read
    }

    /// The columns of the rows.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Whether a message's headers are needed at all.
    #[must_use]
    pub fn has_headers(&self) -> bool {
        self.names.has_headers()
    }

    /// Adds a record to `slot`, which must not be full.
    ///
    /// # Errors
    /// [`Error::Device`] when the GPU goes away.
    pub fn add(
        &mut self,
        slot: &mut Slot,
        message: &MessageParts<'_>,
        position: Position,
    ) -> Result<(), Error> {
        if let Some(there) = &mut self.there {
            if there.take(&self.schema, slot, message, position) {
                return Ok(());
            }
            there.finish(&self.schema, &self.names, slot)?;
            if there.take(&self.schema, slot, message, position) {
                return Ok(());
            }
        }
        // Nobody else reads it, or it is longer than all the room there.
        event(&self.schema, &self.names, slot, message, position);
        Ok(())
    }

    /// Makes rows or rejects of all that was added; the slot may have room again.
    ///
    /// # Errors
    /// As [`Events::add`].
    pub fn finish(&mut self, slot: &mut Slot) -> Result<(), Error> {
        match &mut self.there {
            Some(there) => there.finish(&self.schema, &self.names, slot),
            None => Ok(()),
        }
    }
}

/// Lets a source decode on the GPU of the run, where the settings say so and there is one.
///
/// # Errors
/// [`Error::Device`] when the GPU goes away. One without the memory leaves decoding here.
pub fn place(config: &Config, device: &Device, source: &mut dyn Source) -> Result<(), Error> {
    if config.decode == DecodeBy::Cpu {
        return Ok(());
    }
    let Device::Gpu(gpu) = device else {
        tracing::info!("source.decode = \"device\": there is no GPU here, the CPU decodes");
        return Ok(());
    };
    let reader = match DeviceReader::new(config, gpu) {
        Err(Error::Device(error @ DeviceError::Memory { .. })) => {
            tracing::warn!(%error, "source.decode = \"device\": the CPU decodes");
            return Ok(());
        }
        reader => reader?,
    };
    if source.read_by(reader) {
        tracing::info!("event records are decoded on the GPU");
    } else {
        tracing::info!("source.decode = \"device\": this recording is decoded by the CPU");
    }
    Ok(())
}
