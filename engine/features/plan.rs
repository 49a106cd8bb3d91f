//! Which features there are, in which column, under which name: derived once from the settings.

use pelton_kernels::assemble::{AssembleSpec, Dense, Sparse, SparseColumn};
use pelton_kernels::calendar::Calendar;
use pelton_kernels::hash;
use pelton_kernels::window::{Aggregate, Feature, Layout, Over, TableSpec, WindowSpec};
use pelton_models::FeatureShape;

use crate::config::Config;
use crate::config::features as settings;
use crate::config::features::{CalendarPart, FeatureConfig, NumberForm, WindowConfig};
use crate::schema::Schema;

/// One window table.
#[derive(Clone, Debug)]
pub struct TablePlan {
    /// Names of the key's columns.
    pub name: String,
    /// Category columns of the key.
    pub key: Vec<usize>,
    /// Number columns it reads.
    pub values: Vec<usize>,
    /// Category columns it reads.
    pub codes: Vec<usize>,
    /// Its first column among those of all tables.
    pub offset: usize,
    /// Windows and aggregates.
    pub spec: TableSpec,
}

/// Every feature.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Dense columns.
    pub dense: Vec<Dense>,
    /// Their names.
    pub dense_names: Vec<String>,
    /// Sparse columns.
    pub sparse: Vec<SparseColumn>,
    /// Their names.
    pub sparse_names: Vec<String>,
    /// Tables over events.
    pub event_tables: Vec<TablePlan>,
    /// Tables over labels.
    pub label_tables: Vec<TablePlan>,
    /// Sparse columns are hashed into 2^bits.
    pub hash_bits: u32,
    /// First and last hour of the night.
    pub night: (u8, u8),
}

/// The name of what the last labels of all rows say.
const RECENT_LABELS: &str = "recent_labels";

impl Plan {
    /// What a score may be explained by: dense features, sparse features, and what is known of the
    /// last labels.
    #[must_use]
    pub fn reason_names(&self) -> Vec<String> {
        let features = self.dense_names.iter().chain(&self.sparse_names).cloned();
        features.chain([RECENT_LABELS.to_owned()]).collect()
    }

    /// The plan of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Plan {
        let features = &config.features;
        let (hash_bits, night) = (features.hash_bits, features.night);
        let mut plan = Plan { hash_bits, night, ..Plan::default() };
        let schema = &config.event.schema;
        for feature in &features.list {
            match feature {
                FeatureConfig::Number { column, forms, clip, buckets } => {
                    plan.add_number(schema, *column, forms, *clip, buckets);
                }
                FeatureConfig::Category { columns } => {
                    let source = match columns[..] {
                        [column] => Sparse::Category(column),
                        _ => Sparse::Cross(columns.clone()),
                    };
                    plan.add_sparse(names_of(schema, columns), source);
                }
                FeatureConfig::Calendar(parts) => {
                    parts.iter().for_each(|part| plan.add_calendar(*part));
                }
                FeatureConfig::Window(_) => {}
            }
        }
        let windows = features.list.iter().filter_map(|feature| match feature {
            FeatureConfig::Window(window) => Some(window),
            _ => None,
        });
        let mut groups: Vec<Vec<&WindowConfig>> = Vec::new();
        for window in windows {
            // Windows of one key share one table, so that its entries are kept once.
            let same = |group: &&mut Vec<&WindowConfig>| {
                let first = group[0];
                (&first.key, first.over, first.layout) == (&window.key, window.over, window.layout)
            };
            match groups.iter_mut().find(same) {
                Some(group) => group.push(window),
                None => groups.push(vec![window]),
            }
        }
        groups.iter().for_each(|group| plan.add_table(config, group));
        plan
    }

    /// Dense columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.dense.len()
    }

    /// Dense columns that are aggregates of windows.
    #[must_use]
    pub fn given_width(&self) -> usize {
        self.dense.iter().filter(|dense| matches!(dense, Dense::Given(_))).count()
    }

    /// Event time after which this aggregate is what it will be: width and delay of its window.
    #[must_use]
    pub fn filled_after_ms(&self, given: usize) -> i64 {
        let tables = self.event_tables.iter().chain(&self.label_tables);
        let window = tables.filter_map(|table| {
            let feature = table.spec.features.get(given.checked_sub(table.offset)?)?;
            table.spec.windows.get(feature.window)
        });
        window.map(|window| window.width_ms.saturating_add(window.delay_ms)).max().unwrap_or(0)
    }

    /// How features are made of a batch's columns, in this time zone.
    #[must_use]
    pub fn assembly(&self, time_zone: &str) -> AssembleSpec {
        AssembleSpec {
            dense: self.dense.clone(),
            sparse: self.sparse.clone(),
            hash_bits: self.hash_bits,
            calendar: calendar(time_zone),
            night: self.night,
        }
    }

    /// What the model will see of a row.
    #[must_use]
    pub fn shape(&self) -> FeatureShape {
        FeatureShape {
            dense_width: self.dense.len(),
            sparse_width: self.sparse.len(),
            sparse_bits: self.hash_bits,
        }
    }

    fn add_dense(&mut self, name: String, column: Dense) {
        self.dense.push(column);
        self.dense_names.push(name);
    }

    fn add_sparse(&mut self, name: String, source: Sparse) {
        let salt = hash::hash_bytes(name.as_bytes());
        self.sparse.push(SparseColumn { source, salt });
        self.sparse_names.push(name);
    }

    fn add_number(
        &mut self,
        schema: &Schema,
        column: usize,
        forms: &[NumberForm],
        clip: Option<(f32, f32)>,
        buckets: &[f32],
    ) {
        let name = &schema.numbers[column];
        for &form in forms {
            let name = match form {
                NumberForm::Identity => name.clone(),
                NumberForm::Log => format!("log({name})"),
            };
            self.add_dense(name, Dense::Number { column, form, clip });
        }
        if !buckets.is_empty() {
            let boundaries = buckets.to_vec();
            self.add_sparse(format!("bucket({name})"), Sparse::Buckets { column, boundaries });
        }
    }

    fn add_calendar(&mut self, part: CalendarPart) {
        let name = settings::name_of(part).to_owned();
        match part {
            CalendarPart::Hour | CalendarPart::Weekday => {
                self.add_sparse(name, Sparse::Calendar(part));
            }
            _ => self.add_dense(name, Dense::Calendar(part)),
        }
    }

    fn add_table(&mut self, config: &Config, group: &[&WindowConfig]) {
        let schema = &config.event.schema;
        let first = group[0];
        let mut table = TablePlan {
            name: names_of(schema, &first.key),
            key: first.key.clone(),
            values: Vec::new(),
            codes: Vec::new(),
            offset: self.given_width(),
            spec: empty_spec(config, group),
        };
        for window in group {
            for &width_ms in &window.widths_ms {
                table.spec.windows.push(WindowSpec {
                    width_ms,
                    delay_ms: window.delay_ms,
                    include_self: window.include_current,
                });
                for &aggregate in &window.aggregates {
                    let name = window_name(schema, window, width_ms, aggregate);
                    self.add_dense(name, Dense::Given(self.given_width()));
                    let window = table.spec.windows.len() - 1;
                    let aggregate = table.aggregate(aggregate);
                    table.spec.features.push(Feature { window, aggregate });
                }
            }
        }
        match first.over {
            settings::Over::Events => {
                table.spec.values = table.values.len();
                table.spec.codes = table.codes.len();
                self.event_tables.push(table);
            }
            settings::Over::Labels => {
                table.spec.values = 1;
                self.label_tables.push(table);
            }
        }
    }
}

impl TablePlan {
    /// The kernel's form of an aggregate; columns it is the first to need are added.
    fn aggregate(&mut self, aggregate: settings::Aggregate) -> Aggregate {
        use settings::Aggregate as Wanted;
        let index = |list: &mut Vec<usize>, column: usize| {
            list.iter().position(|&c| c == column).unwrap_or_else(|| {
                list.push(column);
                list.len() - 1
            })
        };
        let mut value = |column: Option<usize>| column.map_or(0, |c| index(&mut self.values, c));
        match aggregate {
            Wanted::Count => Aggregate::Count,
            Wanted::Rate => Aggregate::Rate,
            Wanted::SincePrevious => Aggregate::Since,
            Wanted::Sum(column) => Aggregate::Sum { value: value(column) },
            Wanted::Mean(column) => Aggregate::Mean { value: value(column) },
            Wanted::Std(column) => Aggregate::Std { value: value(column) },
            Wanted::Min(column) => Aggregate::Min { value: value(column) },
            Wanted::Max(column) => Aggregate::Max { value: value(column) },
            Wanted::Last(column) => Aggregate::Last { value: value(column) },
            Wanted::Ratio(column) => Aggregate::Ratio { value: value(Some(column)) },
            Wanted::Distinct(column) => {
                Aggregate::Distinct { code: index(&mut self.codes, column) }
            }
        }
    }
}

fn empty_spec(config: &Config, group: &[&WindowConfig]) -> TableSpec {
    let widths = group.iter().flat_map(|window| window.widths_ms.iter().copied());
    let narrowest_ms = widths.min().unwrap_or(1);
    TableSpec {
        over: match group[0].over {
            settings::Over::Events => Over::Events,
            settings::Over::Labels => Over::Labels,
        },
        layout: match group[0].layout {
            settings::Layout::Exact => Layout::Exact,
            settings::Layout::Tiled(tiles) => {
                let tiles = i64::try_from(tiles).unwrap_or(i64::MAX);
                Layout::Tiled { tile_ms: (narrowest_ms / tiles).max(1) }
            }
        },
        values: 0,
        codes: 0,
        windows: Vec::new(),
        features: Vec::new(),
        lateness_ms: config.event.lateness_ms,
        keys_max: config.features.keys_max,
        bytes_max: config.features.bytes_max,
    }
}

/// The clock of a zone: its offsets from 1970 to 2100.
fn calendar(time_zone: &str) -> Calendar {
    let zone = jiff::tz::TimeZone::get(time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
    let start = jiff::Timestamp::UNIX_EPOCH;
    let offset_ms = |at: jiff::Timestamp| i64::from(zone.to_offset(at).seconds()) * 1000;
    let mut offsets = vec![(i64::MIN, offset_ms(start))];
    for transition in zone.following(start) {
        let at_ms = transition.timestamp().as_millisecond();
        if at_ms > YEAR_2100_MS {
            break;
        }
        offsets.push((at_ms, i64::from(transition.offset().seconds()) * 1000));
    }
    Calendar::new(offsets)
}

const YEAR_2100_MS: i64 = 4_102_444_800_000;

fn names_of(schema: &Schema, columns: &[usize]) -> String {
    let names: Vec<&str> = columns.iter().map(|&c| schema.categories[c].as_str()).collect();
    names.join("*")
}

/// `mean(AMOUNT) of CARD over 7d`, `mean label of TERMINAL over 30d, delayed 7d`.
fn window_name(
    schema: &Schema,
    window: &WindowConfig,
    width_ms: i64,
    aggregate: settings::Aggregate,
) -> String {
    use settings::Aggregate as Wanted;
    let of = |name: &str, column: Option<usize>| match column {
        Some(column) => format!("{name}({})", schema.numbers[column]),
        None => format!("{name}(label)"),
    };
    let aggregate = match aggregate {
        Wanted::Count => "count".to_owned(),
        Wanted::Rate => "rate".to_owned(),
        Wanted::SincePrevious => "since_previous".to_owned(),
        Wanted::Sum(column) => of("sum", column),
        Wanted::Mean(column) => of("mean", column),
        Wanted::Std(column) => of("std", column),
        Wanted::Min(column) => of("min", column),
        Wanted::Max(column) => of("max", column),
        Wanted::Last(column) => of("last", column),
        Wanted::Ratio(column) => of("ratio", Some(column)),
        Wanted::Distinct(column) => format!("distinct({})", schema.categories[column]),
    };
    let key = names_of(schema, &window.key);
    let delay = match window.delay_ms {
        0 => String::new(),
        delay_ms => format!(", delayed {}", duration(delay_ms)),
    };
    format!("{aggregate} of {key} over {}{delay}", duration(width_ms))
}

/// Milliseconds in the largest unit that divides them.
#[must_use]
pub fn duration(ms: i64) -> String {
    const UNITS: [(&str, i64); 5] =
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let (unit, size) = UNITS.iter().find(|(_, size)| ms % size == 0).unwrap_or(&UNITS[4]);
    format!("{}{unit}", ms / size)
}

/// The UTC date of an instant; `None` outside the years a calendar knows.
#[must_use]
pub fn date(time_ms: i64) -> Option<String> {
    let at = jiff::Timestamp::from_millisecond(time_ms).ok()?;
    Some(at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string())
}
