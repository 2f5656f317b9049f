//! Figures on standard output, one `name value unit` line each; what is going on goes to standard error.

use std::fmt::Display;

/// Prints one figure.
pub fn figure(name: impl Display, value: f64, unit: &str) {
    let digits = if value >= 100.0 {
        0
    } else if value >= 1.0 {
        2
    } else {
        4
    };
    println!("{name} {value:.digits$} {unit}");
}

/// Prints the median of some runs.
pub fn median_figure(name: impl Display, runs: impl IntoIterator<Item = f64>, unit: &str) {
    if let Some(median) = median(runs) {
        figure(name, median, unit);
    }
}

/// The middle value; of an even number of values the upper one of the two in the middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Says what is going on.
pub fn step(what: impl Display) {
    eprintln!("# {what}");
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_the_value_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([]), None);
    }
}
