//! What `list` prints: a table on a terminal, tab-separated columns without header in a pipe, a JSON array for
//! programs.

use super::text::{Paint, plain};
use crate::provider::{ProviderKind, Server};
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

const HEAD: [&str; 7] = ["NAME", "COUNTRY", "CITY", "FEATURES", "LOAD", "ENDPOINT", "RTT"];
/// Columns of numbers, aligned to the right: LOAD and RTT.
const NUMBERS: [bool; 7] = [false, false, false, false, true, false, true];
/// What a narrow terminal takes from first: the columns that may be cut, and how far; chosen. Half an address is none.
const CUT: [(usize, usize); 3] = [(0, 10), (2, 6), (3, 8)];
/// What it does without, one after the other, where that is not enough; NAME and RTT stay.
const LEFT_OUT: [usize; 5] = [3, 2, 5, 4, 1];
const GAP: usize = 2;
/// Between the texts of a row (US-ASCII, unit separator).
const UNIT: char = '\x1f';

/// How the rows are printed.
#[derive(Clone, Copy)]
pub enum Shape {
    /// Aligned columns under a header, no line longer than `width`: cells are cut, then columns left out.
    Table { width: usize, paint: Paint },
    /// One line a server, columns separated by tabs, no header; unknown is `-`.
    Tabs,
    /// One array on one line.
    Json,
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

/// Rows to be, their texts one after another: 18,000 servers are two megabytes.
#[derive(Default)]
pub struct Listing {
    /// Name, country, city, features, endpoint; an empty one is unknown.
    text: String,
    rows: Vec<Place>,
}

/// Where a row stands in the text, and its numbers.
struct Place {
    start: u32,
    end: u32,
    provider: ProviderKind,
    load: Option<u8>,
    rtt_micros: Option<u32>,
    score: Option<f64>,
}

impl Listing {
    pub fn push(&mut self, server: &Server, rtt: Option<Duration>) {
        let start = self.text.len();
        let country = server.country.as_ref().map_or("", |c| c.as_str());
        let (features, endpoint) = (server.features.words().join(","), server.endpoint.to_string());
        let city = server.city.as_deref().unwrap_or_default();
        for (nth, text) in [&server.name, country, city, &features, &endpoint].into_iter().enumerate() {
            if nth > 0 {
                self.text.push(UNIT);
            }
            self.text.extend(text.chars().map(|c| if c == UNIT { '?' } else { c }));
        }
        // The text is bounded by what a provider's list may be long; microseconds are what an ICMP timestamp gives.
        let place = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.rows.push(Place {
            start: place(start),
            end: place(self.text.len()),
            provider: server.provider,
            load: server.load,
            rtt_micros: rtt.map(|d| u32::try_from(d.as_micros()).unwrap_or(u32::MAX)),
            score: server.score,
        });
    }

    fn texts(&self, at: &Place) -> impl Iterator<Item = &str> {
        self.text.get(at.start as usize..at.end as usize).unwrap_or_default().split(UNIT)
    }

    pub fn sort(&mut self, order: Order) {
        let mut rows = std::mem::take(&mut self.rows);
        let name = |at: &Place| self.texts(at).next().unwrap_or_default();
        rows.sort_by(|a, b| {
            let by_name = || natural(name(a), name(b));
            let by_list = || by_score((a.score, a.load), (b.score, b.load)).then_with(by_name);
            let rtt = |at: &Place| (at.rtt_micros.is_none(), at.rtt_micros);
            match order {
                Order::Name => by_name(),
                Order::Score => by_list(),
                Order::Rtt => rtt(a).cmp(&rtt(b)).then_with(by_list),
            }
        });
        self.rows = rows;
    }

    /// Hands out what is to be printed, in pieces.
    pub fn emit<E>(&self, shape: Shape, out: &mut dyn FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        match shape {
            Shape::Json => {
                out("[")?;
                for (nth, at) in self.rows.iter().enumerate() {
                    out(if nth == 0 { "" } else { "," })?;
                    out(&json::to_string(&self.row(at)))?;
                }
                out("]\n")
            }
            Shape::Tabs => self.rows.iter().try_for_each(|at| out(&(self.cells(at).join("\t") + "\n"))),
            Shape::Table { width, paint } => {
                let mut widths = HEAD.map(str::len);
                for at in &self.rows {
                    for (width, cell) in widths.iter_mut().zip(self.cells(at)) {
                        *width = (*width).max(cell.chars().count());
                    }
                }
                let widths = fit(widths, width);
                let line = |cells| aligned(cells, &widths, width);
                out(&(paint.bold(&line(HEAD.map(str::to_owned))) + "\n"))?;
                self.rows.iter().try_for_each(|at| out(&(line(self.cells(at)) + "\n")))
            }
        }
    }

    fn row(&self, at: &Place) -> Row {
        let mut texts = self.texts(at).map(str::to_owned);
        let mut next = || texts.next().unwrap_or_default();
        let (name, country, city, features, endpoint) = (next(), next(), next(), next(), next());
        let known = |text: String| Some(text).filter(|t| !t.is_empty());
        Row {
            provider: at.provider.name().to_owned(),
            name,
            country: known(country),
            city: known(city),
            features: features.split(',').filter(|w| !w.is_empty()).map(str::to_owned).collect(),
            load: at.load,
            endpoint,
            rtt_ms: at.rtt_micros.map(|micros| f64::from(micros) / 1000.0),
        }
    }

    fn cells(&self, at: &Place) -> [String; 7] {
        let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { plain(text) };
        let mut texts = self.texts(at).map(or_dash);
        let mut next = || texts.next().unwrap_or_default();
        let (name, country, city, features, endpoint) = (next(), next(), next(), next(), next());
        let load = at.load.map_or("-".to_owned(), |l| l.to_string());
        let rtt = at.rtt_micros.map_or("-".to_owned(), |micros| format!("{:.1}", f64::from(micros) / 1000.0));
        [name, country, city, features, load, endpoint, rtt]
    }
}

/// The widths at which a line is no longer than `most`; a column of none is left out.
fn fit(natural: [usize; 7], most: usize) -> [usize; 7] {
    let length = |widths: &[usize; 7]| {
        let shown = widths.iter().filter(|w| **w > 0).count();
        widths.iter().sum::<usize>() + GAP * shown.saturating_sub(1)
    };
    let mut left_out = LEFT_OUT.iter();
    let mut natural = natural;
    loop {
        let mut widths = natural;
        while length(&widths) > most {
            let longest = CUT.iter().filter(|(n, least)| widths[*n] > *least).max_by_key(|(n, _)| widths[*n]);
            let Some((n, _)) = longest else { break };
            widths[*n] -= 1;
        }
        match left_out.next().filter(|_| length(&widths) > most) {
            Some(n) => natural[*n] = 0,
            None => return widths,
        }
    }
}

/// Cells made as wide as their columns, the line cut at `most`.
fn aligned(cells: [String; 7], widths: &[usize; 7], most: usize) -> String {
    let mut text = String::new();
    for ((mut cell, width), is_number) in
        cells.into_iter().zip(widths).zip(NUMBERS).filter(|((_, w), _)| **w > 0)
    {
        if cell.chars().count() > *width {
            cell = cell.chars().take(width.saturating_sub(2)).chain("..".chars()).collect();
        }
        let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
        text.push_str(&if is_number { format!("{gap}{cell}") } else { format!("{cell}{gap}") });
        text.push_str(&" ".repeat(GAP));
    }
    text.trim_end().chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(width: usize) -> [String; 2] {
        let cells =
            ["NL-FREE#123456789", "NL", "Amsterdam", "p2p,secure-core", "31", "203.0.113.11:51820", "12.4"];
        let widths: Vec<usize> =
            HEAD.iter().zip(cells).map(|(head, cell)| head.len().max(cell.len())).collect();
        let widths = fit(widths.try_into().unwrap(), width);
        [HEAD, cells].map(|cells| aligned(cells.map(str::to_owned), &widths, width))
    }

    #[test]
    fn a_narrow_terminal_gets_less_of_each_server_but_its_name_and_round_trip() {
        for (width, head, row) in [
            (
                90,
                "NAME               COUNTRY  CITY       FEATURES         LOAD  ENDPOINT             RTT",
                "NL-FREE#123456789  NL       Amsterdam  p2p,secure-core    31  203.0.113.11:51820  12.4",
            ),
            (
                80,
                "NAME           COUNTRY  CITY       FEATURES       LOAD  ENDPOINT             RTT",
                "NL-FREE#123..  NL       Amsterdam  p2p,secure-..    31  203.0.113.11:51820  12.4",
            ),
            (
                60,
                "NAME        COUNTRY  CITY     LOAD  ENDPOINT             RTT",
                "NL-FREE#..  NL       Amste..    31  203.0.113.11:51820  12.4",
            ),
            (40, "NAME               COUNTRY  LOAD   RTT", "NL-FREE#123456789  NL         31  12.4"),
            (20, "NAME             RTT", "NL-FREE#1234..  12.4"),
            (9, "NAME", "NL-FREE#."),
        ] {
            let lines = shown(width);
            assert_eq!(lines.each_ref().map(|l| l.trim_end()), [head.trim_end(), row], "{width}");
            assert!(lines.iter().all(|l| l.len() <= width));
        }
    }
}
