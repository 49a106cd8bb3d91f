//! The records of a schema as kernels are told of them.

use pelton_kernels::decode::{BinaryField, DecodeSpec, Decoder, FIELDS_MAX, Format, JsonField};

use crate::config::event::EventConfig;
use crate::config::layout::Layout;
use crate::schema::{Place, Schema};

/// Longer records are hard for kernels, whatever the settings allow.
const RECORD_BYTES_MAX: usize = 1 << 20;

/// The event records of a configuration.
#[must_use]
pub fn spec(event: &EventConfig, layout: Option<&Layout>) -> DecodeSpec {
    match layout {
        Some(layout) => binary_spec(&event.schema, layout),
        None => json_spec(&event.schema, event.record_bytes_max),
    }
}

/// Bodies in JSON; those of more bytes than that are left to the decoder of the stream, which says
/// what is wrong with them.
pub(super) fn json_spec(schema: &Schema, record_bytes_max: usize) -> DecodeSpec {
    let fields = schema
        .fields
        .iter()
        .map(|field| JsonField { name: field.name().to_owned(), targets: field.targets.clone() });
    let record_bytes_max = record_bytes_max.min(RECORD_BYTES_MAX);
    of_format(schema, Format::Json { fields: fields.collect(), record_bytes_max })
}

/// Binary bodies, of which the layout has every field.
pub(super) fn binary_spec(schema: &Schema, layout: &Layout) -> DecodeSpec {
    let laid = schema.fields.iter().filter_map(|field| {
        let laid = layout.find(field.name())?;
        Some(BinaryField {
            offset: laid.offset,
            kind: laid.kind,
            missing_bits: laid.missing_bits,
            targets: field.targets.clone(),
        })
    });
    let format = Format::Binary { fields: laid.collect(), record_bytes: layout.record_bytes };
    of_format(schema, format)
}

fn of_format(schema: &Schema, format: Format) -> DecodeSpec {
    DecodeSpec {
        format,
        numbers: schema.numbers.len(),
        categories: schema.categories.len(),
        texts: schema.texts.len(),
        label: schema.label.clone(),
    }
}

/// Why kernels cannot read records of this configuration, field by field; nothing where they can.
#[must_use]
pub fn refusals(
    (event, layout): (&EventConfig, Option<&Layout>),
    spec: &DecodeSpec,
) -> Vec<String> {
    let (schema, is_json) = (&event.schema, layout.is_none());
    let mut reasons: Vec<String> = Vec::new();
    for field in &schema.fields {
        let why = match &field.place {
            Place::Key => "is the key of a message",
            Place::Header(_) => "is a header of a message",
            Place::Body(path) if is_json && path.contains('.') => "lies in another object",
            Place::Body(_) => continue,
        };
        reasons.push(format!("the field {} {why}, and kernels read flat bodies", field.name()));
    }
    if schema.fields.len() > FIELDS_MAX {
        let (count, name) = (schema.fields.len(), schema.fields[FIELDS_MAX].name());
        reasons.push(format!("{name} is field {FIELDS_MAX} of {count}, which are too many"));
    }
    if reasons.is_empty()
        && let Err(error) = Decoder::new(spec)
    {
        reasons.push(error.to_string());
    }
    reasons
}
