//! Markdown that reads as well raw as rendered: padded tables, and numbers
//! with the digits that mean something.

use std::fmt::Write as _;

/// Which side a column's cells lean to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table with one header row.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without columns.
    pub fn new() -> Table {
        Table {
            columns: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// With one more column of words.
    #[must_use]
    pub fn words(mut self, name: impl Into<String>) -> Table {
        self.columns.push((escaped(&name.into()), Align::Left));
        self
    }

    /// With one more column of numbers.
    #[must_use]
    pub fn numbers(mut self, name: impl Into<String>) -> Table {
        self.columns.push((escaped(&name.into()), Align::Right));
        self
    }

    /// Appends a row; missing cells are empty, surplus ones are dropped.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut cells: Vec<String> = cells.into_iter().map(|cell| escaped(&cell)).collect();
        cells.resize(self.columns.len(), String::new());
        self.rows.push(cells);
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, with a line end after the last row.
    pub fn render(&self) -> String {
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|i| {
                let cells = self.rows.iter().map(|row| width(&row[i]));
                cells
                    .chain([width(&self.columns[i].0), 3])
                    .max()
                    .unwrap_or(3)
            })
            .collect();
        let mut text = String::new();
        let names: Vec<String> = self.columns.iter().map(|column| column.0.clone()).collect();
        self.line(&mut text, &widths, &names);
        for ((_, align), width) in self.columns.iter().zip(&widths) {
            let _ = match align {
                Align::Left => write!(text, "|-{}-", "-".repeat(*width)),
                Align::Right => write!(text, "|-{}:", "-".repeat(*width)),
            };
        }
        text.push_str("|\n");
        for row in &self.rows {
            self.line(&mut text, &widths, row);
        }
        text
    }

    fn line(&self, text: &mut String, widths: &[usize], cells: &[String]) {
        for ((cell, (_, align)), wanted) in cells.iter().zip(&self.columns).zip(widths) {
            let padding = " ".repeat(wanted - width(cell));
            let _ = match align {
                Align::Left => write!(text, "| {cell}{padding} "),
                Align::Right => write!(text, "| {padding}{cell} "),
            };
        }
        text.push_str("|\n");
    }
}

impl Default for Table {
    fn default() -> Table {
        Table::new()
    }
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

/// Text that cannot end its cell or its line.
fn escaped(cell: &str) -> String {
    one_line(cell).replace('|', "\\|")
}

/// Text with every run of white space, line ends included, as one blank.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A code span, whatever backticks the text has.
pub fn code(text: &str) -> String {
    let text = one_line(text);
    if text.contains('`') {
        format!("`` {text} ``")
    } else {
        format!("`{text}`")
    }
}

/// A number with `digits` decimals; a dash where there is none.
pub fn number(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let text = format!("{value:.digits$}");
    // What rounds to zero has no sign.
    match text.strip_prefix('-') {
        Some(rest) if !rest.contains(|c: char| c.is_ascii_digit() && c != '0') => rest.to_owned(),
        _ => text,
    }
}

/// A number with its sign.
pub fn signed(value: f64, digits: usize) -> String {
    let text = number(value, digits);
    if text.starts_with('-') || !value.is_finite() {
        text
    } else {
        format!("+{text}")
    }
}

/// A number with at most `digits` decimals and no trailing zeros.
pub fn trimmed(value: f64, digits: usize) -> String {
    let text = number(value, digits);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Nanoseconds in the unit that gives up to three digits before the point.
pub fn time(ns: f64) -> String {
    if !ns.is_finite() {
        return "–".to_owned();
    }
    let (value, unit) = match ns.abs() {
        0.0 => (ns, "s"),
        n if n < 1e3 => (ns, "ns"),
        n if n < 1e6 => (ns / 1e3, "µs"),
        n if n < 1e9 => (ns / 1e6, "ms"),
        _ => (ns / 1e9, "s"),
    };
    let digits = match value.abs() {
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => 0,
    };
    let digits = if unit == "s" { 2 } else { digits };
    format!("{} {unit}", trimmed(value, digits))
}

/// A large count with its thousands, millions or billions as k, M or G.
pub fn count(value: f64) -> String {
    match value.abs() {
        v if v < 1e4 => trimmed(value, 1),
        v if v < 1e6 => format!("{} k", trimmed(value / 1e3, 1)),
        v if v < 1e9 => format!("{} M", trimmed(value / 1e6, 1)),
        _ => format!("{} G", trimmed(value / 1e9, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_padded_and_escaped() {
        let mut table = Table::new().words("guest").numbers("%");
        table.row(["a|b".into(), "1.25".into()]);
        table.row(["µ".into()]);
        assert_eq!(
            table.render(),
            "| guest |    % |\n|-------|-----:|\n| a\\|b  | 1.25 |\n| µ     |      |\n"
        );
    }

    #[test]
    fn numbers_have_no_negative_zero() {
        assert_eq!(number(-0.0001, 2), "0.00");
        assert_eq!(number(-0.01, 2), "-0.01");
        assert_eq!(signed(-0.0001, 2), "+0.00");
        assert_eq!(signed(0.5, 2), "+0.50");
        assert_eq!(signed(f64::NAN, 2), "–");
        assert_eq!(trimmed(100.0, 3), "100");
        assert_eq!(trimmed(0.5, 3), "0.5");
    }

    #[test]
    fn times_have_units() {
        assert_eq!(time(0.0), "0 s");
        assert_eq!(time(850.0), "850 ns");
        assert_eq!(time(12_345.0), "12.3 µs");
        assert_eq!(time(10_000_000.0), "10 ms");
        assert_eq!(time(1_234_567.0), "1.23 ms");
        assert_eq!(time(60e9), "60 s");
        assert_eq!(time(3600e9), "3600 s");
        assert_eq!(time(f64::NAN), "–");
    }

    #[test]
    fn counts_are_short() {
        assert_eq!(count(9_999.0), "9999");
        assert_eq!(count(15_300.0), "15.3 k");
        assert_eq!(count(1.5e8), "150 M");
        assert_eq!(count(2.34e9), "2.3 G");
    }

    #[test]
    fn code_survives_backticks() {
        assert_eq!(code("a  b\nc"), "`a b c`");
        assert_eq!(code("a`b"), "`` a`b ``");
    }
}
