//! What `list` prints: a table on a terminal, tab-separated columns without header in a pipe, a JSON array for
//! programs.

use super::text::{Paint, plain};
use crate::provider::Server;
use crate::select::{by_score, natural};
use crate::time::Duration;
use miniserde::{Deserialize, Serialize, json};

/// A server as it is listed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub provider: String,
    pub name: String,
    pub country: Option<String>,
    pub city: Option<String>,
    pub features: Vec<String>,
    /// Percent.
    pub load: Option<u8>,
    pub endpoint: String,
    pub rtt_ms: Option<f64>,
}

impl Row {
    pub fn new(server: &Server, rtt: Option<Duration>) -> Row {
        Row {
            provider: server.provider.name().to_owned(),
            name: server.name.clone(),
            country: server.country.map(|c| c.to_string()),
            city: server.city.clone(),
            features: server.features.words().into_iter().map(str::to_owned).collect(),
            load: server.load,
            endpoint: server.endpoint.to_string(),
            // Microseconds are what an ICMP timestamp gives.
            rtt_ms: rtt.map(|d| d.as_micros() as f64 / 1000.0),
        }
    }

    fn cells(&self) -> [String; 7] {
        let or_dash = |text: Option<String>| text.filter(|t| !t.is_empty()).map_or("-".into(), |t| plain(&t));
        [
            or_dash(Some(self.name.clone())),
            or_dash(self.country.clone()),
            or_dash(self.city.clone()),
            or_dash(Some(self.features.join(","))),
            or_dash(self.load.map(|l| l.to_string())),
            or_dash(Some(self.endpoint.clone())),
            or_dash(self.rtt_ms.map(|ms| format!("{ms:.1}"))),
        ]
    }
}

const HEAD: [&str; 7] = ["NAME", "COUNTRY", "CITY", "FEATURES", "LOAD", "ENDPOINT", "RTT"];
/// Columns of numbers, aligned to the right: LOAD and RTT.
const NUMBERS: [bool; 7] = [false, false, false, false, true, false, true];

/// How the rows are printed.
#[derive(Clone, Copy)]
pub enum Shape {
    /// Aligned columns under a header, lines cut at `width` columns.
    Table { width: usize, paint: Paint },
    /// One line a server, columns separated by tabs, no header; unknown is `-`.
    Tabs,
    /// One array on one line.
    Json,
}

/// Rows kept as the text they become, one after another: of 18,000 servers that is a megabyte or two.
pub struct Listing {
    shape: Shape,
    text: String,
    rows: Vec<Place>,
    widths: [usize; 7],
}

/// Where a row stands in the text, and what it is sorted by beside its name.
struct Place {
    start: usize,
    name: usize,
    end: usize,
    score: Option<f64>,
    load: Option<u8>,
    rtt: Option<Duration>,
}

/// What comes first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Name,
    /// The provider's score.
    Score,
    /// The round trip; those that did not answer come last.
    Rtt,
}

impl Listing {
    pub fn new(shape: Shape) -> Listing {
        Listing { shape, text: String::new(), rows: Vec::new(), widths: HEAD.map(str::len) }
    }

    pub fn push(&mut self, server: &Server, rtt: Option<Duration>) {
        let row = Row::new(server, rtt);
        let start = self.text.len();
        self.text.push_str(&row.name);
        let name = self.text.len();
        match self.shape {
            Shape::Json => self.text.push_str(&json::to_string(&row)),
            Shape::Table { .. } | Shape::Tabs => {
                let cells = row.cells();
                for (width, cell) in self.widths.iter_mut().zip(&cells) {
                    *width = (*width).max(cell.chars().count());
                }
                self.text.push_str(&cells.join("\t"));
            }
        }
        let end = self.text.len();
        self.rows.push(Place { start, name, end, score: server.score, load: server.load, rtt });
    }

    fn name(&self, at: &Place) -> &str {
        &self.text[at.start..at.name]
    }

    pub fn sort(&mut self, order: Order) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.sort_by(|a, b| {
            let by_name = || natural(self.name(a), self.name(b));
            let by_list = || by_score((a.score, a.load), (b.score, b.load)).then_with(by_name);
            match order {
                Order::Name => by_name(),
                Order::Score => by_list(),
                Order::Rtt => (a.rtt.is_none(), a.rtt).cmp(&(b.rtt.is_none(), b.rtt)).then_with(by_list),
            }
        });
        self.rows = rows;
    }

    /// Hands out the text in pieces.
    pub fn emit<E>(&self, out: &mut dyn FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        let rows = || self.rows.iter().map(|at| &self.text[at.name..at.end]);
        match self.shape {
            Shape::Json => {
                out("[")?;
                for (nth, row) in rows().enumerate() {
                    out(if nth == 0 { "" } else { "," })?;
                    out(row)?;
                }
                out("]\n")
            }
            Shape::Tabs => rows().try_for_each(|row| out(row).and_then(|()| out("\n"))),
            Shape::Table { width, paint } => {
                out(&(paint.bold(&self.line(&HEAD.join("\t"), width)) + "\n"))?;
                rows().try_for_each(|row| out(&(self.line(row, width) + "\n")))
            }
        }
    }

    /// Cells made as wide as their columns.
    fn line(&self, cells: &str, most: usize) -> String {
        let mut text = String::new();
        for ((cell, width), is_number) in cells.split('\t').zip(self.widths).zip(NUMBERS) {
            let gap = " ".repeat(width - cell.chars().count());
            text.push_str(&if is_number { format!("{gap}{cell}") } else { format!("{cell}{gap}") });
            text.push_str("  ");
        }
        text.trim_end().chars().take(most).collect()
    }
}
