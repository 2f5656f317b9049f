//! The settings file of `node run --config`.
//!
//! Its keys are the fields of [`NodeConfig`], so the one table of defaults serves programs and this command.
//! An unknown key is an error: a setting that is misspelt and silently ignored is worse than a node that does
//! not start.

use std::path::Path;

use tabularaft::NodeConfig;

use crate::failure::{Context, Failure, Outcome};

/// Reads the settings; absent keys have their defaults.
pub(crate) fn read(path: &Path) -> Outcome<NodeConfig> {
    let text = std::fs::read_to_string(path).context(format_args!("cannot read {}", path.display()))?;
    parse(&text).map_err(|why| Failure::new(format_args!("{} {why}", path.display())))
}

pub(crate) fn parse(text: &str) -> Result<NodeConfig, String> {
    let config: NodeConfig = toml::from_str(text).map_err(|error| {
        let place = error.span().map(|span| line_of(text, span.start));
        place.map_or_else(|| error.message().into(), |line| format!("line {line}: {}", error.message()))
    })?;
    config.validate().map_err(|error| error.to_string())?;
    Ok(config)
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_settings_have_their_defaults() {
        assert_eq!(parse("").unwrap(), NodeConfig::default());
        let config = parse("cluster_name = \"orders\"\nvoter = false\nheartbeat_ms = 50\n").unwrap();
        assert_eq!((config.cluster_name.as_str(), config.voter, config.heartbeat_ms), ("orders", false, 50));
        assert_eq!(config.election_ms, NodeConfig::default().election_ms);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_the_known_keys() {
        let why = parse("voter = true\n\nheartbeat = 50\n").unwrap_err();
        assert!(
            why.contains("line 3") && why.contains("`heartbeat`") && why.contains("`heartbeat_ms`"),
            "{why}"
        );
    }

    #[test]
    fn a_value_of_another_type_or_out_of_range_is_named() {
        let why = parse("voters_max = 3\nvoter = \"yes\"\n").unwrap_err();
        assert!(why.contains("line 2") && why.contains("boolean"), "{why}");
        let why = parse("voters_max = 100\n").unwrap_err();
        assert!(why.contains("voters_max is 100"), "{why}");
        assert!(parse("voter =\n").unwrap_err().contains("line 1"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let Err(Failure::Said(message)) = read(Path::new("/nonexistent/node.toml")) else {
            panic!("refused")
        };
        assert!(message.contains("/nonexistent/node.toml"), "{message}");
    }
}
