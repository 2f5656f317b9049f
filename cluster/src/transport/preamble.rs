//! The first twelve bytes each way, in plain text and the same in every version, so that two programs that cannot
//! talk to each other can at least say why.
//!
//! Persistent: the layout never changes.
//!
//! ```text
//! magic "TABRAFT\n" (8) | protocol version u16 LE | flags u16 LE (bit 0: has a secret; others: sent 0, ignored)
//! ```

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The version of everything that follows the preamble. It changes only when old and new cannot talk at all;
/// smaller steps are told by the feature level of the hello.
pub const PROTOCOL_VERSION: u16 = 1;

const MAGIC: [u8; 8] = *b"TABRAFT\n";
const HAS_SECRET: u16 = 1;

/// The size of an encoded preamble.
pub(crate) const PREAMBLE_BYTES: usize = 12;

/// What a side says before anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Preamble {
    pub(crate) version: u16,
    pub(crate) has_secret: bool,
}

/// Why no preamble could be read.
#[derive(Debug)]
pub(crate) enum PreambleError {
    /// The bytes are none of ours.
    NotOurProtocol,
    /// The socket ended or broke.
    Io(io::Error),
}

impl Preamble {
    /// What this program says of itself.
    pub(crate) fn ours(has_secret: bool) -> Self {
        Self { version: PROTOCOL_VERSION, has_secret }
    }

    pub(crate) fn encode(self) -> [u8; PREAMBLE_BYTES] {
        let [v0, v1] = self.version.to_le_bytes();
        let [f0, f1] = (if self.has_secret { HAS_SECRET } else { 0 }).to_le_bytes();
        let [m0, m1, m2, m3, m4, m5, m6, m7] = MAGIC;
        [m0, m1, m2, m3, m4, m5, m6, m7, v0, v1, f0, f1]
    }

    pub(crate) fn decode(bytes: [u8; PREAMBLE_BYTES]) -> Option<Self> {
        let [magic @ .., v0, v1, f0, f1] = bytes;
        (magic == MAGIC).then(|| Self {
            version: u16::from_le_bytes([v0, v1]),
            has_secret: u16::from_le_bytes([f0, f1]) & HAS_SECRET != 0,
        })
    }

    /// Reads a preamble, and gives up at the first byte that cannot belong to one: a stranger who waits for an answer
    /// after three bytes gets it at once.
    pub(crate) async fn read(source: &mut (impl AsyncRead + Unpin)) -> Result<Self, PreambleError> {
        let mut bytes = [0; PREAMBLE_BYTES];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match source.read(rest).await {
                Ok(0) if filled == 0 => {
                    return Err(PreambleError::Io(io::ErrorKind::UnexpectedEof.into()));
                }
                Ok(0) => return Err(PreambleError::NotOurProtocol),
                Ok(n) => filled += n,
                Err(error) => return Err(PreambleError::Io(error)),
            }
            if bytes.iter().take(filled).zip(MAGIC).any(|(got, wanted)| *got != wanted) {
                return Err(PreambleError::NotOurProtocol);
            }
        }
        Self::decode(bytes).ok_or(PreambleError::NotOurProtocol)
    }
}
