//! Aligned columns.

/// Rows of text under a heading, each column as wide as its widest cell.
pub(crate) struct Columns {
    rows: Vec<Vec<String>>,
    right: Vec<usize>,
}

impl Columns {
    /// An empty table with this heading.
    pub(crate) fn new<const N: usize>(heading: [&str; N]) -> Self {
        Self { rows: vec![heading.map(String::from).to_vec()], right: Vec::new() }
    }

    /// Aligns these columns, counted from 0, to the right: numbers.
    pub(crate) fn right(mut self, columns: &[usize]) -> Self {
        self.right = columns.to_vec();
        self
    }

    /// Adds a row.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// True when there is nothing under the heading.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() <= 1
    }

    /// The table, one line per row, without blanks at the ends of lines.
    pub(crate) fn text(&self) -> String {
        let widths = self.widths();
        let mut text = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).enumerate();
            let line: Vec<String> =
                cells.map(|(column, (cell, &width))| self.pad(column, cell, width)).collect();
            text.push_str(line.join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
        };
        (0..columns).map(|column| width(column).unwrap_or(0)).collect()
    }

    fn pad(&self, column: usize, cell: &str, width: usize) -> String {
        if self.right.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_without_blanks() {
        let mut columns = Columns::new(["NAME", "RECORDS", "NOTE"]).right(&[1]);
        columns.row(["a".into(), "12345678".into(), String::new()]);
        columns.row(["länger".into(), "7".into(), "x".into()]);
        assert_eq!(columns.text(), "NAME     RECORDS  NOTE\na       12345678\nlänger         7  x\n");
    }
}
