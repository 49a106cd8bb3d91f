//! What a page shows: panels, each one plot, bars or a table, with the words that explain it.
//!
//! A panel takes series and knows nothing of models. [`Panel::weights`] and [`Panel::importances`]
//! wait for who has such figures.

use super::scale::Scale;

/// One thing to look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// What it shows.
    pub title: String,
    /// How to read it, in a sentence or two.
    pub says: String,
    /// The picture.
    pub body: Body,
    /// The figures behind it, if they are few.
    pub table: Option<Table>,
}

/// The picture of a panel.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Series between two scales.
    Plot(Plot),
    /// A bar for each name, largest first as they are given.
    Bars(Vec<(String, f64)>),
    /// Rows by what was true (down) and what was predicted (across).
    Matrix {
        /// Names of the classes.
        names: Vec<String>,
        /// `[names, names]`.
        counts: Vec<u64>,
    },
}

/// Series between two scales.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// What goes from left to right, and its scale.
    pub across: (String, Scale),
    /// What goes up, and its scale.
    pub up: (String, Scale),
    /// What is drawn.
    pub series: Vec<Series>,
    /// Lines for orientation.
    pub guides: Vec<Guide>,
}

/// Points that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Which of the colours; those of one model share theirs.
    pub colour: usize,
    /// How it is drawn.
    pub style: Style,
    /// Across and up, in the units of the scales; one that is no number leaves a gap.
    pub points: Vec<(f64, f64)>,
}

/// How a series is drawn.
#[derive(Clone, Debug, PartialEq)]
pub enum Style {
    /// A thick line.
    Line,
    /// A thin dashed line.
    Dashed,
    /// A filled outline that keeps its height up to the next point.
    Steps,
    /// Dots, each with the range it may lie in.
    Dots(Vec<(f64, f64)>),
}

/// A line for orientation.
#[derive(Clone, Debug, PartialEq)]
pub enum Guide {
    /// From the lower left to the upper right.
    Diagonal,
    /// Level, at this height, with its name.
    Level(f64, String),
    /// Upright, at this place across, with its name: an alert, say.
    At(f64, String),
}

/// Figures in rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// What each column holds.
    pub columns: Vec<String>,
    /// The cells.
    pub rows: Vec<Vec<String>>,
}

impl Panel {
    /// A panel without a table.
    #[must_use]
    pub fn new(title: impl Into<String>, says: impl Into<String>, body: Body) -> Panel {
        Panel { title: title.into(), says: says.into(), body, table: None }
    }

    /// The same with the figures behind it.
    #[must_use]
    pub fn with_table(mut self, columns: &[&str], rows: Vec<Vec<String>>) -> Panel {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        self.table = Some(Table { columns, rows });
        self
    }

    /// How much each member of a mixture counts over event time; points are (milliseconds since the
    /// epoch, weight of 0 to 1).
    #[must_use]
    pub fn weights(series: Vec<Series>) -> Panel {
        let times = || series.iter().flat_map(|series| &series.points).map(|point| point.0 as i64);
        let across =
            Scale::Time { from_ms: times().min().unwrap_or(0), to_ms: times().max().unwrap_or(0) };
        let says = "How much each member counts in the score. They add up to one.";
        let plot = Plot {
            across: ("event time (UTC)".to_owned(), across),
            up: ("weight".to_owned(), Scale::SHARES),
            series,
            guides: Vec::new(),
        };
        Panel::new("Weights of the mixture", says, Body::Plot(plot))
    }

    /// How much the model uses each feature, largest first; the largest thirty are drawn.
    #[must_use]
    pub fn importances(mut of: Vec<(String, f64)>, says: impl Into<String>) -> Panel {
        of.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        of.truncate(30);
        Panel::new("Importance of the features", says, Body::Bars(of))
    }
}

impl Series {
    /// A thick line.
    #[must_use]
    pub fn line(name: impl Into<String>, colour: usize, points: Vec<(f64, f64)>) -> Series {
        Series { name: name.into(), colour, style: Style::Line, points }
    }

    /// A thin dashed line.
    #[must_use]
    pub fn dashed(name: impl Into<String>, colour: usize, points: Vec<(f64, f64)>) -> Series {
        Series { name: name.into(), colour, style: Style::Dashed, points }
    }
}
