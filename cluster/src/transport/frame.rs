//! Frames: the units in which the two sides of a connection talk.
//!
//! Persistent: the layout belongs to the protocol version.
//!
//! ```text
//! payload length u32 LE | kind u8 | request id u64 LE | payload
//! ```

use bytes::{Buf, Bytes, BytesMut};

use super::Closed;

/// The size of what stands before the payload.
pub(crate) const HEADER_BYTES: usize = 13;

/// What a frame is.
///
/// Persistent: add, never change or reuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// Dialer to listener, first frame: who dials.
    Hello = 1,
    /// Listener to dialer, first frame: the connection is taken.
    Accepted = 2,
    /// Listener to dialer, first frame: it is not.
    Refused = 3,
    /// Dialer to listener: a request with an id of its own.
    Request = 4,
    /// Listener to dialer: the service's reply to the request of that id.
    Reply = 5,
    /// Listener to dialer: why there is no reply to the request of that id.
    NoReply = 6,
    /// Either way, last frame: the sender closes the connection in good order.
    Bye = 7,
}

impl FrameKind {
    fn from_tag(tag: u8) -> Option<Self> {
        Some(match tag {
            1 => Self::Hello,
            2 => Self::Accepted,
            3 => Self::Refused,
            4 => Self::Request,
            5 => Self::Reply,
            6 => Self::NoReply,
            7 => Self::Bye,
            _ => return None,
        })
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: FrameKind,
    /// Which request it belongs to; 0 for frames that belong to none.
    pub(crate) id: u64,
    pub(crate) payload: Bytes,
}

impl Frame {
    /// A frame that belongs to no request.
    pub(crate) fn control(kind: FrameKind, payload: impl Into<Bytes>) -> Self {
        Self { kind, id: 0, payload: payload.into() }
    }

    /// What stands before the payload. The caller has checked the payload against a limit below `u32::MAX`.
    pub(crate) fn header(&self) -> [u8; HEADER_BYTES] {
        let length =
            u32::try_from(self.payload.len()).expect("payloads are checked against `max_frame_bytes` before");
        let [l0, l1, l2, l3] = length.to_le_bytes();
        let [i0, i1, i2, i3, i4, i5, i6, i7] = self.id.to_le_bytes();
        [l0, l1, l2, l3, self.kind as u8, i0, i1, i2, i3, i4, i5, i6, i7]
    }

    /// How many bytes it takes in the queue.
    pub(crate) fn size(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }
}

/// Cuts plain bytes into frames. Nothing is allocated for bytes that were announced but have not arrived.
pub(crate) struct FrameDecoder {
    arrived: BytesMut,
    payload_bytes_max: usize,
}

impl FrameDecoder {
    pub(crate) fn new(payload_bytes_max: usize) -> Self {
        Self { arrived: BytesMut::new(), payload_bytes_max }
    }

    /// Sets another size limit, once the handshake is over.
    pub(crate) fn set_limit(&mut self, payload_bytes_max: usize) {
        self.payload_bytes_max = payload_bytes_max;
    }

    /// Where arriving plain bytes are to be appended.
    pub(crate) fn arrived(&mut self) -> &mut BytesMut {
        &mut self.arrived
    }

    /// How many bytes of an unfinished frame have arrived.
    pub(crate) fn unfinished(&self) -> usize {
        self.arrived.len()
    }

    /// The next whole frame, if one has arrived. Its payload shares the read buffer.
    ///
    /// # Errors
    ///
    /// A frame that announces more than the limit, or is of an unknown kind.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, Closed> {
        let Some(&[l0, l1, l2, l3, tag, i0, i1, i2, i3, i4, i5, i6, i7]) =
            self.arrived.first_chunk::<HEADER_BYTES>()
        else {
            return Ok(None);
        };
        let announced = u32::from_le_bytes([l0, l1, l2, l3]);
        let kind = FrameKind::from_tag(tag).ok_or(Closed::Damaged { what: "a frame of unknown kind" })?;
        let payload_bytes =
            usize::try_from(announced).ok().filter(|bytes| *bytes <= self.payload_bytes_max).ok_or(
                Closed::FrameTooLarge { bytes: u64::from(announced), limit: self.payload_bytes_max as u64 },
            )?;
        if self.arrived.len() - HEADER_BYTES < payload_bytes {
            return Ok(None);
        }
        self.arrived.advance(HEADER_BYTES);
        let payload = self.arrived.split_to(payload_bytes).freeze();
        Ok(Some(Frame { kind, id: u64::from_le_bytes([i0, i1, i2, i3, i4, i5, i6, i7]), payload }))
    }
}
