//! The writing half of a connection.

use std::{io, sync::Arc, time::Duration};

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{
    Closed, clock,
    frame::{Frame, FrameKind},
    outbox::Outbox,
    record::Sealer,
};

/// From how many sealed bytes on the socket is written though more frames wait: bounds the buffer of a connection.
const WRITE_BYTES: usize = 128 * 1024;

/// Seals frames into records and writes them, as many as wait with one system call.
pub(crate) struct FrameWriter<W> {
    sink: W,
    sealer: Sealer,
    /// Frame bytes of the record that is being filled.
    plain: Vec<u8>,
    /// Finished records that are not written yet.
    sealed: Vec<u8>,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    pub(crate) fn new(sink: W, sealer: Sealer) -> Self {
        Self { sink, sealer, plain: Vec::new(), sealed: Vec::new() }
    }

    /// Writes one frame at once.
    pub(crate) async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        self.add(frame).await?;
        self.flush().await
    }

    /// Tells the peer that nothing more will come.
    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        self.sink.shutdown().await
    }

    /// Writes what comes into `outbox` until the connection ends; records the end there.
    pub(crate) async fn run(mut self, outbox: Arc<Outbox>, side: Side, close_timeout: Duration) {
        let overdue = async {
            outbox.finishing().await;
            clock::sleep(close_timeout).await;
        };
        // Both arms may be dropped at any point: the connection is over then, whatever was half written.
        let why = tokio::select! {
            biased;
            result = self.pump(&outbox, side) => result.map_or_else(Closed::from, |()| Closed::Here),
            why = outbox.closed() => why,
            () = overdue => Closed::Here,
        };
        outbox.close(why);
    }

    async fn pump(&mut self, outbox: &Outbox, side: Side) -> io::Result<()> {
        let mut batch = Vec::new();
        while outbox.take(&mut batch).await {
            let frames = batch.len();
            for frame in batch.drain(..) {
                self.add(&frame).await?;
            }
            self.flush().await?;
            if side == Side::Server {
                // Only written replies make room, so that a client which does not read them cannot pile them up here.
                outbox.answered(frames);
            }
        }
        self.send(&Frame::control(FrameKind::Bye, Vec::new())).await?;
        self.shutdown().await
    }

    async fn add(&mut self, frame: &Frame) -> io::Result<()> {
        self.add_bytes(&frame.header()).await?;
        self.add_bytes(&frame.payload).await
    }

    async fn add_bytes(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.sealer.capacity() - self.plain.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.plain.extend_from_slice(now);
            bytes = later;
            if self.plain.len() == self.sealer.capacity() {
                self.seal();
                if self.sealed.len() >= WRITE_BYTES {
                    self.write().await?;
                }
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.plain.is_empty() {
            self.seal();
        }
        self.write().await
    }

    fn seal(&mut self) {
        self.sealer.seal(&self.plain, &mut self.sealed);
        self.plain.clear();
    }

    async fn write(&mut self) -> io::Result<()> {
        self.sink.write_all(&self.sealed).await?;
        self.sealed.clear();
        Ok(())
    }
}

/// Which side of the connection a writer works for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// It writes requests.
    Client,
    /// It writes replies.
    Server,
}
