//! How a command ends when it does not end well: one line on stderr and exit code 1.

use std::error::Error;
use std::fmt::Display;
use std::io;

use tabularaft::admin::AdminError;

/// What the command prints after `error: `.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something to say.
    Said(String),
    /// Whoever read our stdout has gone. That is their decision and no failure of ours.
    BrokenPipe,
}

/// What a command returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure with this message; line breaks in it become spaces.
    pub(crate) fn new(message: impl Display) -> Self {
        Self::Said(one_line(&message.to_string()))
    }

    /// A failure for this error and all that led to it.
    pub(crate) fn of(error: &dyn Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some errors tell their cause themselves.
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = error.source();
        }
        Self::new(message)
    }

    /// What it says.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Said(message) => message,
            Self::BrokenPipe => "nobody reads what is written",
        }
    }

    /// A failure to write what was asked for to stdout.
    pub(crate) fn on_stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::BrokenPipe,
            _ => Self::new(format_args!("cannot write to stdout: {error}")),
        }
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        Self::new(error)
    }
}

/// Puts `what` in front of an error.
pub(crate) trait Context<T> {
    /// `what: error`
    fn context(self, what: impl Display) -> Outcome<T>;
}

impl<T, E: Display> Context<T> for Result<T, E> {
    fn context(self, what: impl Display) -> Outcome<T> {
        self.map_err(|error| Failure::new(format_args!("{what}: {error}")))
    }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line() {
        let Failure::Said(message) = Failure::new("first\n  second\n\nthird\n") else { panic!("said") };
        assert_eq!(message, "first second third");
    }

    #[derive(Debug)]
    struct Caused {
        message: &'static str,
        cause: io::Error,
    }

    impl std::fmt::Display for Caused {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.message)
        }
    }

    impl Error for Caused {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.cause)
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        for message in ["cannot open", "cannot open: no disc"] {
            let error = Caused { message, cause: io::Error::other("no disc") };
            let Failure::Said(said) = Failure::of(&error) else { panic!("said") };
            assert_eq!(said, "cannot open: no disc");
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let error = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(matches!(Failure::on_stdout(&error), Failure::BrokenPipe));
    }
}
