//! `cargo xtask flips --count N`: the store's tests of damaged files and backups, optimised and with more damages than in the suite.

use crate::step;

/// Of eleven damages eight are single bits.
const COUNT: &str = "14000";
const SEED: &str = "1";

pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let (count, seed) = asked(words)?;
    let test = [
        "test",
        "--release",
        "--package",
        "tabularaft-store",
        "--test",
        "whole_node",
        "--test",
        "backup",
        "--",
    ];
    let mut command = step::cargo(&test);
    command.args(["damage_anywhere", "--nocapture"]);
    // A damaged database may panic, which is caught, and happens often here.
    command.env("RUST_BACKTRACE", "0");
    command.env("TABULARAFT_FLIPS", count).env("TABULARAFT_FLIPS_SEED", seed);
    step::run(&mut command)
}

/// How many damages are tried, and the number that the choice of them begins with.
fn asked<'a>(words: &[&'a str]) -> Result<(&'a str, &'a str), String> {
    let (mut count, mut seed) = (COUNT, SEED);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        if value.parse::<u64>().is_err() {
            return Err(format!("{word} needs a number, not {value:?}"));
        }
        match *word {
            "--count" => count = value,
            "--seed" => seed = value,
            other => return Err(format!("unknown option {other:?}: --count N, --seed N")),
        }
    }
    Ok((count, seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_says_how_many_and_which() {
        assert_eq!(asked(&[]), Ok(("14000", "1")));
        assert_eq!(asked(&["--seed", "7", "--count", "20"]), Ok(("20", "7")));
        assert!(asked(&["--count"]).unwrap_err().contains("needs a value"));
        assert!(asked(&["--count", "many"]).unwrap_err().contains("number"));
        assert!(asked(&["--bits", "7"]).unwrap_err().contains("--bits"));
    }
}
