//! Tables of text for a terminal.
//!
//! Not for programs: those read the JSON.

use std::fmt::Write as _;

/// Rows under headings; the first column is aligned left, the others right.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new<S: Into<String>>(headings: impl IntoIterator<Item = S>) -> Self {
        Self { rows: vec![headings.into_iter().map(Into::into).collect()] }
    }

    pub(super) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The rows below the headings.
    pub(super) fn rows(&self) -> &[Vec<String>] {
        &self.rows[1..]
    }

    pub(super) fn headings(&self) -> &[String] {
        &self.rows[0]
    }

    /// A line for each row, each ended by a newline.
    pub(super) fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let _a_string_takes_everything = match column {
                    0 => write!(line, "{cell:<width$}"),
                    _ => write!(line, "  {cell:>width$}"),
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["policy", "hours"]);
        table.row(["hpa", "1,234.5"]);
        table.row(["a longer name", "–"]);
        table.row(["short"]);
        assert_eq!(
            table.text(),
            "policy           hours\nhpa            1,234.5\na longer name        –\nshort\n"
        );
    }
}
