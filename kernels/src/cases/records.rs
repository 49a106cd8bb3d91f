//! Work for the kernels that read records.

use super::{Draw, Work, bytes};
use crate::coordinate::device::TableError;
use crate::decode::device::{DecodedBuffers, DeviceDecoder, Form, RecordBuffers};
use crate::decode::{
    BinaryField, BinaryKind, DecodeSpec, DecodedRows, Decoder, Format, JsonField, LabelMeaning,
    Records, Target, TimeUnit,
};
use crate::device::{Device, Stream};

/// Numbers and categories of a click.
const CLICK: [usize; 2] = [13, 26];
/// Columns of a click, its end and its mark: what is read and written beside its bytes.
const CLICK_COLUMNS: f64 = (4 + 8 + 13 * 4 + 26 * 8 + 16 + 4 + 1) as f64;

/// Bytes read and written for a click of JSON, in the mean.
pub(super) const JSON_CLICK_BYTES: f64 = 448.0 + CLICK_COLUMNS;
/// For a binary one.
pub(super) const BINARY_CLICK_BYTES: f64 = BINARY_CLICK as f64 + CLICK_COLUMNS;
/// For a payment of JSON: its bytes in the mean, its end, columns and mark.
pub(super) const PAYMENT_BYTES: f64 = 139.0 + (4 + 8 + 4 + 3 * 8 + 16 + 4 + 8 + 1) as f64;

/// Bytes of a binary click: id, time, numbers, categories, label.
const BINARY_CLICK: usize = 8 + 8 + 13 * 4 + 26 * 4 + 4;

/// What a click fills, in the order of its fields.
fn click_targets() -> impl Iterator<Item = Target> {
    let [numbers, categories] = CLICK;
    let numbers = (0..numbers).map(Target::Number);
    let first = [Target::Id, Target::Time(TimeUnit::Milliseconds)].into_iter();
    first.chain(numbers).chain((0..categories).map(Target::Category)).chain([Target::Label])
}

/// The values of a click, in the order of its fields; a number may be missing.
fn click(row: usize, draw: &mut Draw) -> Vec<Option<u64>> {
    let [numbers, categories] = CLICK;
    let mut values = vec![Some(row as u64), Some(1_700_000_000_000 + (draw.bits() >> 40))];
    values.extend((0..numbers).map(|_| {
        let size = draw.unit() * draw.unit() * 5000.0;
        (draw.unit() > 0.1).then_some(size as u64)
    }));
    values.extend((0..categories).map(|column| {
        // Of a few to a million values.
        let bits = 4 + 20 * column as u32 / 26;
        Some(draw.bits() >> (64 - bits))
    }));
    values.push(Some(u64::from(draw.unit() < 0.2)));
    values
}

fn json_click_spec() -> DecodeSpec {
    let [numbers, categories] = CLICK;
    let fields = click_names().zip(click_targets());
    let fields = fields.map(|(name, target)| JsonField { name, targets: vec![target] });
    DecodeSpec {
        format: Format::Json { fields: fields.collect(), record_bytes_max: 4096 },
        numbers,
        categories,
        texts: 0,
        label: LabelMeaning::Binary,
    }
}

fn click_names() -> impl Iterator<Item = String> {
    let [numbers, categories] = CLICK;
    let names = ["id", "time"].map(str::to_owned).into_iter();
    let numbers = (1..=numbers).map(|column| format!("I{column}"));
    names
        .chain(numbers)
        .chain((1..=categories).map(|column| format!("C{column}")))
        .chain(["label".to_owned()])
}

fn json_click(row: usize, draw: &mut Draw) -> Vec<u8> {
    let pairs = click_names().zip(click(row, draw)).map(|(name, value)| match value {
        Some(value) => format!("\"{name}\":{value}"),
        None => format!("\"{name}\":null"),
    });
    format!("{{{}}}\n", pairs.collect::<Vec<_>>().join(",")).into_bytes()
}

const MISSING: u32 = i32::MIN as u32;

fn binary_click_spec() -> DecodeSpec {
    let [numbers, categories] = CLICK;
    let mut offset = 0;
    let fields = click_targets().map(|target| {
        let kind = match target {
            Target::Id => BinaryKind::U64,
            Target::Time(_) => BinaryKind::I64,
            Target::Category(_) => BinaryKind::U32,
            _ => BinaryKind::I32,
        };
        let at = offset;
        offset += kind.bytes();
        let missing_bits = (kind == BinaryKind::I32).then_some(u64::from(MISSING));
        BinaryField { offset: at, kind, missing_bits, targets: vec![target] }
    });
    DecodeSpec {
        format: Format::Binary { fields: fields.collect(), record_bytes: BINARY_CLICK },
        numbers,
        categories,
        texts: 0,
        label: LabelMeaning::Binary,
    }
}

fn binary_click(row: usize, draw: &mut Draw) -> Vec<u8> {
    let mut record = Vec::with_capacity(BINARY_CLICK);
    for (at, value) in click(row, draw).into_iter().enumerate() {
        match at {
            0 | 1 => record.extend_from_slice(&value.unwrap_or(0).to_le_bytes()),
            _ => {
                let bits = value.map_or(MISSING, |value| value as u32);
                record.extend_from_slice(&bits.to_le_bytes());
            }
        }
    }
    record
}

fn payment_spec() -> DecodeSpec {
    let field = |name: &str, targets: &[Target]| JsonField {
        name: name.to_owned(),
        targets: targets.to_vec(),
    };
    DecodeSpec {
        format: Format::Json {
            fields: vec![
                field("amount", &[Target::Number(0)]),
                field("card", &[Target::Category(0)]),
                field("currency", &[Target::Category(1)]),
                field("id", &[Target::Id, Target::Text(0)]),
                field("merchant", &[Target::Category(2)]),
                field("time", &[Target::Time(TimeUnit::Rfc3339)]),
                field("fraud", &[Target::Label]),
            ],
            record_bytes_max: 4096,
        },
        numbers: 1,
        categories: 3,
        texts: 1,
        label: LabelMeaning::Binary,
    }
}

/// Texts and times, in another order than the spec's; some have an escape, which makes them hard.
fn payment(row: usize, draw: &mut Draw) -> Vec<u8> {
    const NAMES: [&str; 4] = ["Blumen Öztürk & Söhne, Köln", "kiosk", "Ace \\u00e9 Ltd", "7-11"];
    let [second, day] = [60, 28].map(|most: u64| draw.bits() % most);
    let [card, cents] = [1 << 30, 20_000].map(|most: u64| draw.bits() % most);
    let merchant = NAMES[[0, 1, 1, 3, 3, 0, 1, 2][(draw.bits() >> 61) as usize]];
    let currency = if card % 8 == 0 { "USD" } else { "EUR" };
    let is_fraud = cents == 7;
    format!(
        "{{\"id\":\"pay-{row}\",\"time\":\"2018-04-{:02}T12:34:{second:02}Z\",\"card\":{card},\
         \"amount\":{}.{:02},\"currency\":\"{currency}\",\"merchant\":\"{merchant}\",\
         \"fraud\":{is_fraud}}}\n",
        day + 1,
        cents / 100,
        cents % 100,
    )
    .into_bytes()
}

/// Makes the record of a row.
type Make = fn(usize, &mut Draw) -> Vec<u8>;

pub(super) struct DecodeWork {
    form: Form,
    spec: DecodeSpec,
    decoder: Decoder,
    of: Vec<Vec<u8>>,
    rows: DecodedRows,
    records: Records,
    there: Option<(Records, RecordBuffers, DecodedBuffers, DeviceDecoder)>,
}

/// JSON clicks, as generated streams have them.
pub(super) fn open_json_clicks(
    size: (usize, u64),
    form: Form,
) -> Result<Box<dyn Work>, TableError> {
    DecodeWork::open(size, form, json_click_spec(), json_click)
}

/// The same as binary records.
pub(super) fn open_binary_clicks(size: (usize, u64)) -> Result<Box<dyn Work>, TableError> {
    DecodeWork::open(size, Form::ByThread, binary_click_spec(), binary_click)
}

/// JSON payments with texts and times.
pub(super) fn open_payments(size: (usize, u64), form: Form) -> Result<Box<dyn Work>, TableError> {
    DecodeWork::open(size, form, payment_spec(), payment)
}

fn gathered(device: &Device, of: &[Vec<u8>]) -> Result<Records, TableError> {
    let mut records = Records::new(device, of.len(), of.iter().map(Vec::len).sum())?;
    let fit = of.iter().all(|record| records.push(record));
    assert!(fit, "there is room for all of them");
    Ok(records)
}

impl DecodeWork {
    fn open(
        (rows, seed): (usize, u64),
        form: Form,
        spec: DecodeSpec,
        make: Make,
    ) -> Result<Box<dyn Work>, TableError> {
        let mut draw = Draw::new(seed);
        let of: Vec<Vec<u8>> = (0..rows).map(|row| make(row, &mut draw)).collect();
        let mut decoder = Decoder::new(&spec)?;
        if let Some(record) = of.first() {
            decoder.follow(record);
        }
        let records = gathered(&Device::Cpu, &of)?;
        let rows = DecodedRows::new(&Device::Cpu, &spec, rows)?;
        Ok(Box::new(DecodeWork { form, spec, decoder, of, rows, records, there: None }))
    }
}

fn joined(rows: &DecodedRows) -> Vec<u8> {
    let mut all = rows.marks.to_vec();
    all.extend(rows.times_ms.iter().flat_map(|time_ms| time_ms.to_le_bytes()));
    all.extend(bytes(&rows.numbers));
    all.extend(rows.categories.iter().flat_map(|code| code.to_le_bytes()));
    all.extend(rows.ids.iter().flat_map(|id| id.to_le_bytes()));
    all.extend(bytes(&rows.labels));
    all.extend(rows.texts.iter().flatten().flat_map(|place| place.to_le_bytes()));
    all
}

impl Work for DecodeWork {
    fn here(&mut self) -> Result<(), TableError> {
        self.decoder.run(&self.records, &mut self.rows.columns())?;
        Ok(())
    }

    fn bring(&mut self, stream: &Stream) -> Result<(), TableError> {
        let gpu = stream.gpu();
        // Page-locked, unlike those that are read here.
        let mut records = gathered(&Device::Gpu(gpu.clone()), &self.of)?;
        let mut there = RecordBuffers::new(gpu, records.rows_max(), records.bytes_max())?;
        there.give(stream, &mut records)?;
        let widths = [self.spec.numbers, self.spec.categories, self.spec.texts];
        let out = DecodedBuffers::new(gpu, widths, self.of.len())?;
        self.there = Some((records, there, out, DeviceDecoder::new(stream, &self.decoder)?));
        Ok(())
    }

    fn there(&mut self, stream: &Stream) -> Result<(), TableError> {
        let (_, records, out, decoder) = super::brought(&mut self.there);
        decoder.run_as(self.form, stream, records, out)
    }

    fn results(&mut self, stream: &Stream) -> Result<[Vec<u8>; 2], TableError> {
        let (_, _, out, _) = super::brought(&mut self.there);
        let device = Device::Gpu(stream.gpu().clone());
        let mut fetched = DecodedRows::new(&device, &self.spec, self.rows.stride)?;
        out.fetch(stream, fetched.memory())?;
        Ok([joined(&self.rows), joined(&fetched)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::PLAIN;

    /// Bytes of a record in the mean, and the share of rows that are plain.
    fn of(spec: &DecodeSpec, make: Make) -> (f64, f64) {
        const ROWS: usize = 2000;
        let mut draw = Draw::new(7);
        let of: Vec<Vec<u8>> = (0..ROWS).map(|row| make(row * 50, &mut draw)).collect();
        let records = gathered(&Device::Cpu, &of).expect("memory");
        let mut rows = DecodedRows::new(&Device::Cpu, spec, ROWS).expect("memory");
        let decoder = Decoder::new(spec).expect("a spec");
        decoder.run(&records, &mut rows.columns()).expect("a shape");
        let plain = rows.marks.iter().filter(|&&mark| mark == PLAIN).count();
        (records.byte_count() as f64 / ROWS as f64, plain as f64 / ROWS as f64)
    }

    #[test]
    fn records_are_as_large_and_as_plain_as_told() {
        let (bytes, plain) = of(&json_click_spec(), json_click);
        let told = JSON_CLICK_BYTES - CLICK_COLUMNS;
        assert!((bytes / told - 1.0).abs() < 0.01 && plain == 1.0, "{bytes} of {told}, {plain}");
        let (bytes, plain) = of(&binary_click_spec(), binary_click);
        assert!(bytes == BINARY_CLICK as f64 && plain == 1.0, "{bytes}, {plain}");
        let (bytes, plain) = of(&payment_spec(), payment);
        let told = PAYMENT_BYTES - 69.0;
        assert!((bytes / told - 1.0).abs() < 0.01, "{bytes} of {told}");
        assert!((0.85..0.9).contains(&plain), "one of eight is hard: {plain}");
    }
}
