//! The page itself: one self-contained HTML file that is well-formed XML as well.
//!
//! Nothing is fetched and no script runs; what is drawn is inline SVG, and the style sheet
//! (`engine/report/page.css`) follows the reader's choice of light or dark. Every text that comes
//! from outside is escaped here. Invariant: equal pages give equal bytes.

use std::fmt::Write;

use super::panel::{Body, Panel, Plot, Series, Style, Table};
use super::svg::{COLOURS, draw};

/// Facts longer than this take two columns.
const FACT_SHORT_MAX: usize = 40;
const CSS: &str = include_str!("page.css");

/// What a page says, from top to bottom.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Its name.
    pub title: String,
    /// What was run: names and values.
    pub facts: Vec<(String, String)>,
    /// Measures by name: of each model the value, if it has one.
    pub measures: Measures,
    /// Panels under headings.
    pub sections: Vec<Section>,
}

/// Final measures of each model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measures {
    /// Names of the models.
    pub models: Vec<String>,
    /// Of each measure its name and its value for each model; NaN where it is not defined.
    pub rows: Vec<(String, Vec<f64>)>,
}

/// Panels under a heading.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    /// A short word for links within the page.
    pub id: &'static str,
    /// The heading.
    pub title: String,
    /// What is shown.
    pub panels: Vec<Panel>,
}

/// A text as it may stand in an element or an attribute. Control characters become spaces: no
/// escape makes them legal.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter if letter.is_control() || matches!(letter, '\u{FFFE}' | '\u{FFFF}') => {
                out.push(' ');
            }
            letter => out.push(letter),
        }
    }
    out
}

impl Page {
    /// The page as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        let mut out = String::new();
        let title = escape(&self.title);
        let _ = write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
             <meta name=\"color-scheme\" content=\"light dark\"/>\n\
             <title>{title}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n\
             <header>\n<h1>{title}</h1>\n<nav aria-label=\"Sections\">"
        );
        for section in &self.sections {
            let _ = write!(out, "<a href=\"#{}\">{}</a> ", section.id, escape(&section.title));
        }
        out.push_str("</nav>\n<dl class=\"facts\">\n");
        for (name, value) in &self.facts {
            let class = if value.len() > FACT_SHORT_MAX { " class=\"wide\"" } else { "" };
            let (name, value) = (escape(name), escape(value));
            let _ = writeln!(out, "<div{class}><dt>{name}</dt><dd>{value}</dd></div>");
        }
        out.push_str("</dl>\n</header>\n<main>\n");
        self.measures.write(&mut out);
        for section in &self.sections {
            section.write(&mut out);
        }
        out.push_str("</main>\n</body>\n</html>\n");
        out
    }
}

impl Measures {
    fn write(&self, out: &mut String) {
        if self.rows.is_empty() {
            return;
        }
        out.push_str("<section id=\"measures\">\n<h2>Measures</h2>\n<table>\n");
        out.push_str("<thead><tr><th scope=\"col\">measure</th>");
        for model in &self.models {
            let _ = write!(out, "<th scope=\"col\">{}</th>", escape(model));
        }
        out.push_str("</tr></thead>\n<tbody>\n");
        for (name, values) in &self.rows {
            let _ = write!(out, "<tr><th scope=\"row\">{}</th>", escape(name));
            for value in values {
                // The whole value is there for programs, and for who copies it.
                let _ = match value.is_finite() {
                    true => write!(out, "<td><data value=\"{value}\">{value:.6}</data></td>"),
                    false => write!(out, "<td>not defined</td>"),
                };
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody>\n</table>\n</section>\n");
    }
}

impl Section {
    fn write(&self, out: &mut String) {
        let title = escape(&self.title);
        let _ =
            writeln!(out, "<section id=\"{}\">\n<h2>{title}</h2>\n<div class=\"panels\">", self.id);
        for panel in &self.panels {
            write_panel(panel, out);
        }
        out.push_str("</div>\n</section>\n");
    }
}

fn write_panel(panel: &Panel, out: &mut String) {
    let _ = writeln!(out, "<figure>\n<figcaption><h3>{}</h3>", escape(&panel.title));
    let _ = writeln!(out, "<p>{}</p></figcaption>", escape(&panel.says));
    match &panel.body {
        Body::Plot(plot) => {
            write_legend(plot, out);
            out.push_str(&draw(plot, (&panel.title, &panel.says)));
        }
        Body::Bars(bars) => write_bars(bars, out),
        Body::Matrix { names, counts } => write_matrix(names, counts, out),
    }
    if let Some(table) = &panel.table {
        out.push_str("<details><summary>Figures</summary>\n");
        write_table(table, out);
        out.push_str("</details>\n");
    }
    out.push_str("</figure>\n");
}

fn write_legend(plot: &Plot, out: &mut String) {
    out.push_str("<ul class=\"legend\">");
    for Series { name, colour, style, .. } in &plot.series {
        let (class, shape) = match style {
            Style::Line => ("line", "<path d=\"M1 6H23\"/>"),
            Style::Dashed => ("dashed", "<path d=\"M1 6H23\"/>"),
            Style::Steps => ("steps", "<path d=\"M1 11V4H12V8H23V11Z\"/>"),
            Style::Dots(_) => ("dots", "<circle cx=\"12\" cy=\"6\" r=\"4\"/>"),
        };
        let (colour, name) = (colour % COLOURS, escape(name));
        let _ = write!(
            out,
            "<li><svg viewBox=\"0 0 24 12\" aria-hidden=\"true\"><g class=\"{class} c{colour}\">\
             {shape}</g></svg>{name}</li>"
        );
    }
    out.push_str("</ul>\n");
}

fn write_bars(bars: &[(String, f64)], out: &mut String) {
    let most = bars.iter().map(|bar| bar.1.abs()).fold(0.0, f64::max);
    out.push_str("<table class=\"bars\"><tbody>\n");
    for (name, value) in bars {
        let width = if most > 0.0 { 100.0 * value.abs() / most } else { 0.0 };
        let name = escape(name);
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{name}</th><td><div class=\"bar\" style=\"width:{width:.1}%\">\
             </div></td><td>{value:.4}</td></tr>"
        );
    }
    out.push_str("</tbody></table>\n");
}

fn write_matrix(names: &[String], counts: &[u64], out: &mut String) {
    out.push_str("<table class=\"matrix\"><thead><tr><th scope=\"col\">true \\ predicted</th>");
    for name in names {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escape(name));
    }
    out.push_str("<th scope=\"col\">rows</th></tr></thead>\n<tbody>\n");
    for (name, row) in names.iter().zip(counts.chunks_exact(names.len().max(1))) {
        let _ = write!(out, "<tr><th scope=\"row\">{}</th>", escape(name));
        let rows: u64 = row.iter().sum();
        for count in row {
            let share = *count as f64 / rows.max(1) as f64;
            let _ = write!(
                out,
                "<td style=\"--share:{:.0}%\">{count}<small>{:.1} %</small></td>",
                60.0 * share,
                100.0 * share
            );
        }
        let _ = writeln!(out, "<td>{rows}</td></tr>");
    }
    out.push_str("</tbody></table>\n");
}

fn write_table(table: &Table, out: &mut String) {
    out.push_str("<table><thead><tr>");
    for column in &table.columns {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escape(column));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for cell in row {
            let _ = write!(out, "<td>{}</td>", escape(cell));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table>\n");
}
