//! The reading half of a connection.

use std::{io, time::Duration};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{
    Closed, clock,
    frame::{Frame, FrameDecoder, FrameKind},
    links::Gate,
    record::Opener,
};

/// How much is read with one system call at first, and at most.
const READ_BYTES_MIN: usize = 8 * 1024;
const READ_BYTES_MAX: usize = 128 * 1024;

/// Reads records and gives back frames. All state is in `self`, so dropping a read in the middle loses nothing.
pub(crate) struct FrameReader<R> {
    source: R,
    /// Holds bytes back when a test wants the network to.
    gate: Option<Gate>,
    opener: Opener,
    /// Bytes as they came, up to the last record that is not whole yet.
    sealed: BytesMut,
    decoder: FrameDecoder,
    stall_timeout: Duration,
    /// Grows while reads fill it, so that idle connections stay small and busy ones need few system calls.
    read_bytes: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(source: R, opener: Opener, payload_bytes_max: usize, stall_timeout: Duration) -> Self {
        Self {
            source,
            gate: None,
            opener,
            sealed: BytesMut::new(),
            decoder: FrameDecoder::new(payload_bytes_max),
            stall_timeout,
            read_bytes: READ_BYTES_MIN,
        }
    }

    /// Once the handshake is over: frames may be as large as configured, and tests may disturb the link.
    pub(crate) fn open_up(&mut self, payload_bytes_max: usize, gate: Option<Gate>) {
        self.decoder.set_limit(payload_bytes_max);
        self.gate = gate;
    }

    /// Gives the socket back, to drain it before it is closed.
    pub(crate) fn into_source(self) -> R {
        self.source
    }

    /// The next frame, or how the connection ended.
    ///
    /// # Cancel safety
    ///
    /// Safe: bytes that have arrived stay in the buffer.
    pub(crate) async fn next(&mut self) -> Result<Frame, Closed> {
        loop {
            if let Some(frame) = self.decoder.next()? {
                return if frame.kind == FrameKind::Bye { Err(Closed::ByPeer) } else { Ok(frame) };
            }
            self.fill().await?;
            self.opener.open(&mut self.sealed, self.decoder.arrived())?;
        }
    }

    /// Waits until more bytes have come.
    async fn fill(&mut self) -> Result<(), Closed> {
        let have = self.sealed.len() + self.decoder.unfinished();
        let count = if have == 0 { self.read().await? } else { self.read_or_stall(have).await? };
        if count > 0 {
            return Ok(());
        }
        Err(if have == 0 { Closed::Vanished } else { Closed::MidFrame { have } })
    }

    /// As [`Self::read`], but a peer in the middle of a frame has to go on with it.
    async fn read_or_stall(&mut self, have: usize) -> Result<usize, Closed> {
        loop {
            if let Some(result) = clock::within(self.stall_timeout, self.read()).await {
                return Ok(result?);
            }
            // Bytes that a test holds back have been sent: the peer is not to blame.
            if !self.gate.as_ref().is_some_and(Gate::holds_back) {
                return Err(Closed::Stalled { after: self.stall_timeout, have });
            }
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        self.sealed.reserve(self.read_bytes);
        let count = match &mut self.gate {
            None => self.source.read_buf(&mut self.sealed).await?,
            Some(gate) => gate.read(&mut self.source, &mut self.sealed).await?,
        };
        if count >= self.read_bytes {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        }
        Ok(count)
    }
}
