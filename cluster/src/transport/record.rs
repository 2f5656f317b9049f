//! Records: how plain bytes travel, encrypted when there is a secret and with a checksum when there is none.
//!
//! Persistent: the layout belongs to the protocol version.
//!
//! ```text
//! body length u16 LE | body: Noise ciphertext and tag, or plain bytes and their CRC-32C (u32 LE)
//! ```
//!
//! Frames flow through records like water: a record may hold many small frames, and a big frame spans many records.
//! The length is not authenticated, but a changed one makes the tag of the record fail. Records are numbered (the
//! Noise nonce), so none can be left out, repeated or moved unnoticed.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use snow::StatelessTransportState;

use super::Closed;

/// The limit of the Noise protocol for one message.
const BODY_BYTES_MAX: usize = 65_535;
const LENGTH_BYTES: usize = 2;
const NOISE_TAG_BYTES: usize = 16;
const CHECKSUM_BYTES: usize = 4;

/// What keeps the bytes of a connection from being read or changed.
#[derive(Clone)]
pub(crate) enum Protection {
    /// Encryption and authentication with keys that only this connection has.
    Noise(Arc<StatelessTransportState>),
    /// No protection against people, only against accidents; on loopback only.
    Checksum,
}

impl Protection {
    fn overhead(&self) -> usize {
        match self {
            Self::Noise(_) => NOISE_TAG_BYTES,
            Self::Checksum => CHECKSUM_BYTES,
        }
    }
}

/// Turns plain bytes into records.
pub(crate) struct Sealer {
    protection: Protection,
    /// The number of the next record; each is used once.
    number: u64,
}

impl Sealer {
    pub(crate) fn new(protection: Protection) -> Self {
        Self { protection, number: 0 }
    }

    /// How many plain bytes fit into one record.
    pub(crate) fn capacity(&self) -> usize {
        BODY_BYTES_MAX - self.protection.overhead()
    }

    /// Appends one record with `plain` (at most [`Self::capacity`] bytes) to `out`.
    pub(crate) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        let body_bytes = plain.len() + self.protection.overhead();
        let length = u16::try_from(body_bytes).expect("callers seal at most `capacity` bytes");
        out.extend_from_slice(&length.to_le_bytes());
        match &self.protection {
            Protection::Noise(noise) => {
                let start = out.len();
                out.resize(start + body_bytes, 0);
                let (_, body) = out.split_at_mut(start);
                noise
                    .write_message(self.number, plain, body)
                    .expect("the record has its size, and u64 numbers suffice");
            }
            Protection::Checksum => {
                out.extend_from_slice(plain);
                out.extend_from_slice(&crc32c::crc32c(plain).to_le_bytes());
            }
        }
        self.number += 1;
    }
}

/// Turns records back into plain bytes.
pub(crate) struct Opener {
    protection: Protection,
    number: u64,
}

impl Opener {
    pub(crate) fn new(protection: Protection) -> Self {
        Self { protection, number: 0 }
    }

    /// Moves all whole records out of `sealed` and appends what they hold to `plain`.
    ///
    /// # Errors
    ///
    /// [`Closed::Damaged`] when a record was changed on the way; the connection cannot go on.
    pub(crate) fn open(&mut self, sealed: &mut BytesMut, plain: &mut BytesMut) -> Result<(), Closed> {
        while let Some(length) = sealed.first_chunk::<LENGTH_BYTES>() {
            let body_bytes = usize::from(u16::from_le_bytes(*length));
            let Some(body) = sealed.get(LENGTH_BYTES..LENGTH_BYTES + body_bytes) else {
                break;
            };
            self.open_one(body, plain)?;
            sealed.advance(LENGTH_BYTES + body_bytes);
        }
        Ok(())
    }

    fn open_one(&mut self, body: &[u8], plain: &mut BytesMut) -> Result<(), Closed> {
        let plain_bytes = body
            .len()
            .checked_sub(self.protection.overhead())
            .ok_or(Closed::Damaged { what: "a record is shorter than its own checksum" })?;
        match &self.protection {
            Protection::Noise(noise) => {
                let start = plain.len();
                plain.resize(start + plain_bytes, 0);
                let (_, into) = plain.split_at_mut(start);
                noise
                    .read_message(self.number, body, into)
                    .map_err(|_| Closed::Damaged { what: "a record does not decrypt" })?;
            }
            Protection::Checksum => {
                let (content, checksum) = body.split_at(plain_bytes);
                if crc32c::crc32c(content).to_le_bytes() != checksum {
                    return Err(Closed::Damaged { what: "the checksum of a record is wrong" });
                }
                plain.extend_from_slice(content);
            }
        }
        self.number += 1;
        Ok(())
    }
}
