//! The comparison as a page, and its place in a file.

use std::fmt::Write;
use std::path::Path;

use crate::compare::{Outcome, SceneResult, WorkloadResult};
use crate::peers::Peer;
use crate::workload::{Contender, Measure};
use compare_lines::Failure;
use compare_lines::Figures;

const BEGIN: &str = "<!-- compare: begin -->";
const END: &str = "<!-- compare: end -->";

/// The tables of all scenes.
pub fn page(scenes: &[SceneResult]) -> String {
    let mut page = String::new();
    for scene in scenes {
        let _ = writeln!(page, "### {}\n", scene.title);
        page.push_str("| workload | Tabularaft | against | its figure | ratio (rounds) | aim |\n");
        page.push_str("|---|---|---|---|---|---|\n");
        for result in &scene.workloads {
            rows(&mut page, result);
        }
        page.push('\n');
    }
    page
}

fn rows(page: &mut String, result: &WorkloadResult) {
    let (ours, theirs): (Vec<_>, Vec<_>) =
        result.outcomes.iter().partition(|(contender, _)| contender.peer == Peer::Tabularaft);
    for (own, own_outcome) in ours {
        let title = if own.remark.is_empty() {
            result.workload.title.clone()
        } else {
            format!("{}: {}", result.workload.title, own.remark)
        };
        let figure = shown(own_outcome, result.workload.measure);
        if theirs.is_empty() {
            let _ = writeln!(page, "| {title} | {figure} | | | | |");
        }
        for (contender, outcome) in &theirs {
            let _ = writeln!(
                page,
                "| {title} | {figure} | {} | {} | {} |",
                contender.label(),
                shown(outcome, result.workload.measure),
                ratio_and_aim(own_outcome, outcome, contender, result.workload.measure)
            );
        }
    }
}

/// The median figure.
fn shown(outcome: &Outcome, measure: Measure) -> String {
    let figures = match outcome {
        Ok(figures) => figures,
        Err(why) => return format!("failed: {why}"),
    };
    let middle = |what: fn(&Figures) -> f64| median(figures.iter().map(what)).unwrap_or(0.0);
    let rate = per_second(middle(|run| run.per_second));
    let (p50, p99) = (middle(|run| run.p50_micros), middle(|run| run.p99_micros));
    match measure {
        Measure::Latency => format!("**p50 {}**, p99 {}, {rate}", micros(p50), micros(p99)),
        Measure::Rate if p50 > 0.0 => format!("**{rate}**, p50 {}, p99 {}", micros(p50), micros(p99)),
        Measure::Rate => format!("**{rate}**"),
        Measure::Seconds => format!("**{p50:.2} s**"),
        Measure::Bytes => format!("**{p50:.0} B**"),
    }
}

/// How many times better ours is: the median of the rounds, in each of which both ran close to each other.
fn ratio_and_aim(own: &Outcome, other: &Outcome, contender: &Contender, measure: Measure) -> String {
    let (Ok(own), Ok(other)) = (own, other) else { return "– | ".to_owned() };
    let ratios: Vec<f64> = own.iter().zip(other).map(|(own, other)| better(own, other, measure)).collect();
    let Some(middle) = median(ratios.iter().copied()) else { return "– | ".to_owned() };
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    let aim = match contender.aim {
        Some(aim) if middle >= aim => format!("{aim}×: met"),
        Some(aim) => format!("{aim}×: short by {:.1}×", aim / middle),
        None => String::new(),
    };
    format!("**{}** ({} to {}) | {aim}", times(middle), times(least), times(most))
}

fn better(own: &Figures, other: &Figures, measure: Measure) -> f64 {
    match measure {
        Measure::Rate => own.per_second / other.per_second,
        Measure::Latency | Measure::Seconds | Measure::Bytes => other.p50_micros / own.p50_micros,
    }
}

/// The middle value; of an even number of them the mean of the two in the middle.
fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

fn times(ratio: f64) -> String {
    if ratio >= 10.0 { format!("{ratio:.0}×") } else { format!("{ratio:.2}×") }
}

fn per_second(rate: f64) -> String {
    match rate {
        rate if rate >= 1e6 => format!("{:.2} M/s", rate / 1e6),
        rate if rate >= 1e4 => format!("{:.0} k/s", rate / 1e3),
        rate if rate >= 1e3 => format!("{:.1} k/s", rate / 1e3),
        rate => format!("{rate:.0}/s"),
    }
}

fn micros(micros: f64) -> String {
    if micros >= 1e4 {
        format!("{:.0} ms", micros / 1e3)
    } else if micros >= 1e3 {
        format!("{:.1} ms", micros / 1e3)
    } else {
        format!("{micros:.0} µs")
    }
}

/// Puts the page between its marks in the file, instead of what is there.
///
/// # Errors
///
/// When the file has no such marks, or cannot be written.
pub fn paste(page: &str, file: &Path) -> Result<(), Failure> {
    let old = std::fs::read_to_string(file)?;
    let marks = || format!("{} has no lines `{BEGIN}` and `{END}`", file.display());
    let (before, rest) = old.split_once(BEGIN).ok_or_else(marks)?;
    let (_, after) = rest.split_once(END).ok_or_else(marks)?;
    std::fs::write(file, format!("{before}{BEGIN}\n\n{page}{END}{after}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{median, paste, per_second, times};

    #[test]
    fn a_page_replaces_what_is_between_the_marks() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "a\n<!-- compare: begin -->\nold\n<!-- compare: end -->\nb\n")
            .expect("written");
        paste("new\n", file.path()).expect("the marks are there");
        let text = std::fs::read_to_string(file.path()).expect("read");
        assert_eq!(text, "a\n<!-- compare: begin -->\n\nnew\n<!-- compare: end -->\nb\n");
    }

    #[test]
    fn a_file_without_marks_is_left_alone() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "mine").expect("written");
        assert!(paste("new", file.path()).is_err());
        assert_eq!(std::fs::read_to_string(file.path()).expect("read"), "mine");
    }

    #[test]
    fn figures_are_short() {
        assert_eq!(per_second(1_234_567.0), "1.23 M/s");
        assert_eq!(per_second(47_100.0), "47 k/s");
        assert_eq!(times(12.3), "12×");
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 8.0]), Some(3.0));
        assert_eq!(median([]), None);
    }
}
