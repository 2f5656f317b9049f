//! What travels over a simulated connection.

/// Something on its way over a connection.
pub(super) struct Event {
    pub(super) connection: u64,
    /// To which end.
    pub(super) to: usize,
    pub(super) what: What,
}

/// What it is.
pub(super) enum What {
    Dial,
    Accepted,
    Refused,
    Bytes(Vec<u8>),
    End,
    Break,
}

impl What {
    /// For the digest of a run.
    pub(super) fn number(&self) -> u8 {
        match self {
            Self::Dial => 1,
            Self::Accepted => 2,
            Self::Refused => 3,
            Self::Bytes(_) => 4,
            Self::End => 5,
            Self::Break => 6,
        }
    }
}
