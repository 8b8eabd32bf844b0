//! What `list` prints: a table on a terminal, tab-separated columns without header in a pipe, a JSON array for
//! programs.

use super::text::{Paint, plain};
use crate::provider::Server;
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

/// Aligned columns under a header, lines cut at `width` columns.
pub fn table(rows: &[Row], width: usize, paint: Paint) -> String {
    let cells: Vec<[String; 7]> = rows.iter().map(Row::cells).collect();
    let mut widths = HEAD.map(str::len);
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; 7]| {
        let mut text = String::new();
        for ((cell, width), is_number) in row.iter().zip(widths).zip(NUMBERS) {
            let gap = " ".repeat(width - cell.chars().count());
            let cell = if is_number { format!("{gap}{cell}") } else { format!("{cell}{gap}") };
            text.push_str(&cell);
            text.push_str("  ");
        }
        text.trim_end().chars().take(width).collect::<String>()
    };
    let mut text = paint.bold(&line(&HEAD.map(str::to_owned)));
    text.push('\n');
    for row in &cells {
        text.push_str(&line(row));
        text.push('\n');
    }
    text
}

/// One line a server, columns separated by tabs, no header; unknown is `-`.
pub fn tabs(rows: &[Row]) -> String {
    rows.iter().map(|row| row.cells().join("\t") + "\n").collect()
}

/// One array on one line.
pub fn emit_json(rows: &[Row]) -> String {
    json::to_string(rows) + "\n"
}
