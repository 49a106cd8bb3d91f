//! Draws a plot as inline SVG: no script, nothing fetched, colours by class so that the page's
//! style sheet decides for light and dark.
//!
//! Invariant: the same plot gives the same text; coordinates have one decimal.

use std::fmt::Write;

use super::page::escape;
use super::panel::{Guide, Plot, Series, Style};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 46.0;
/// Colours there are; later series begin again, with other dashes.
pub(super) const COLOURS: usize = 7;

/// Places of a plot as coordinates.
struct Frame<'a>(&'a Plot);

impl Frame<'_> {
    fn x(place: f64) -> f64 {
        LEFT + place * (WIDTH - LEFT - RIGHT)
    }

    fn y(place: f64) -> f64 {
        HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM)
    }

    fn at(&self, (across, up): (f64, f64)) -> Option<(f64, f64)> {
        let (across, up) = (self.0.across.1.place(across)?, self.0.up.1.place(up)?);
        Some((Frame::x(across), Frame::y(up)))
    }
}

/// The plot; `title` and `says` are for those who do not see it.
pub(super) fn draw(plot: &Plot, (title, says): (&str, &str)) -> String {
    let mut out = String::new();
    let label = format!("{title}. {says}");
    let _ = write!(
        out,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escape(&label)
    );
    axes(plot, &mut out);
    let frame = Frame(plot);
    for guide in &plot.guides {
        draw_guide(&frame, guide, &mut out);
    }
    for series in &plot.series {
        draw_series(&frame, series, &mut out);
    }
    out.push_str("</svg>\n");
    out
}

fn axes(plot: &Plot, out: &mut String) {
    let (left, right) = (Frame::x(0.0), Frame::x(1.0));
    let (bottom, top) = (Frame::y(0.0), Frame::y(1.0));
    for tick in plot.up.1.ticks() {
        let y = Frame::y(tick.place);
        line(out, "grid", (left, y), (right, y));
        text(out, "end", (left - 6.0, y + 4.0), &tick.name);
    }
    for tick in plot.across.1.ticks() {
        let x = Frame::x(tick.place);
        line(out, "grid", (x, bottom), (x, top));
        // A name at an edge must not leave the picture.
        let anchor = match x {
            x if x > WIDTH - 40.0 => "end",
            _ => "middle",
        };
        let x = if anchor == "end" { WIDTH - 2.0 } else { x };
        text(out, anchor, (x, bottom + 16.0), &tick.name);
    }
    line(out, "axis", (left, bottom), (right, bottom));
    line(out, "axis", (left, bottom), (left, top));
    text(out, "middle", (0.5 * (left + right), HEIGHT - 8.0), &plot.across.0);
    let (x, y) = (13.0, 0.5 * (top + bottom));
    let name = escape(&plot.up.0);
    let _ = write!(
        out,
        "<text class=\"middle\" transform=\"translate({x:.1} {y:.1}) rotate(-90)\">{name}</text>"
    );
}

fn draw_guide(frame: &Frame<'_>, guide: &Guide, out: &mut String) {
    match guide {
        Guide::Diagonal => {
            // Both scales are the same one.
            let ends = [0.0, 1.0].map(|place| (Frame::x(place), Frame::y(place)));
            line(out, "guide", ends[0], ends[1]);
        }
        Guide::Level(height, name) => {
            let place = frame.0.up.1.place(*height).filter(|place| *place > 0.0 && *place < 1.0);
            // One beyond the scale would say what is not so.
            let Some(place) = place else { return };
            let y = Frame::y(place);
            line(out, "guide", (Frame::x(0.0), y), (Frame::x(1.0), y));
            let above = if place > 0.9 { y + 13.0 } else { y - 4.0 };
            text(out, "end quiet", (Frame::x(1.0) - 4.0, above), name);
        }
        Guide::At(across, name) => {
            let Some(place) = frame.0.across.1.place(*across) else { return };
            let x = Frame::x(place);
            let _ = write!(out, "<g><title>{}</title>", escape(name));
            line(out, "alert", (x, Frame::y(0.0)), (x, Frame::y(1.0)));
            out.push_str("</g>");
        }
    }
}

fn draw_series(frame: &Frame<'_>, series: &Series, out: &mut String) {
    let class = format!("c{}", series.colour % COLOURS);
    match &series.style {
        Style::Line => path(out, &format!("line {class}"), &outline(frame, &series.points)),
        Style::Dashed => path(out, &format!("dashed {class}"), &outline(frame, &series.points)),
        Style::Steps => path(out, &format!("steps {class}"), &steps(frame, &series.points)),
        Style::Dots(ranges) => {
            let _ = write!(out, "<g class=\"dots {class}\">");
            for (point, range) in series.points.iter().zip(ranges) {
                dot(frame, *point, *range, out);
            }
            out.push_str("</g>");
        }
    }
}

/// A path through the points, with gaps where there is none.
fn outline(frame: &Frame<'_>, points: &[(f64, f64)]) -> String {
    let (mut path, mut is_down) = (String::new(), false);
    for point in points {
        let Some((x, y)) = frame.at(*point) else {
            is_down = false;
            continue;
        };
        let _ = write!(path, "{}{x:.1} {y:.1}", if is_down { "L" } else { "M" });
        is_down = true;
    }
    path
}

/// A closed outline of steps; the last point only says where the one before it ends.
fn steps(frame: &Frame<'_>, points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for pair in points.windows(2) {
        let (Some((x, y)), Some((end, _))) = (frame.at(pair[0]), frame.at(pair[1])) else {
            continue;
        };
        if path.is_empty() {
            let _ = write!(path, "M{x:.1} {:.1}", Frame::y(0.0));
        }
        let _ = write!(path, "V{y:.1}H{end:.1}");
    }
    if !path.is_empty() {
        let _ = write!(path, "V{:.1}Z", Frame::y(0.0));
    }
    path
}

fn dot(frame: &Frame<'_>, (across, up): (f64, f64), (low, high): (f64, f64), out: &mut String) {
    let places = [low, up, high].map(|height| frame.at((across, height)));
    let [Some((x, low)), Some((_, y)), Some((_, high))] = places else { return };
    let _ = write!(out, "<path d=\"M{x:.1} {low:.1}V{high:.1}\"/>");
    let _ = write!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\">");
    let _ = write!(out, "<title>{across:.6}: {up:.6}</title></circle>");
}

fn path(out: &mut String, class: &str, path: &str) {
    if !path.is_empty() {
        let _ = write!(out, "<path class=\"{class}\" d=\"{path}\"/>");
    }
}

fn line(out: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let ((x, y), (u, v)) = (from, to);
    let _ = write!(out, "<path class=\"{class}\" d=\"M{x:.1} {y:.1}L{u:.1} {v:.1}\"/>");
}

fn text(out: &mut String, class: &str, (x, y): (f64, f64), text: &str) {
    let text = escape(text);
    let _ = write!(out, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>");
}
