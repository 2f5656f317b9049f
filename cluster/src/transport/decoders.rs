//! Doors for the fuzzer into this module.

use bytes::BytesMut;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::frame::FrameDecoder;
use super::preamble::{PREAMBLE_BYTES, Preamble};
use super::record::{Opener, Protection, Sealer};
use super::{Accepted, CallRefusal, Hello, Refusal};

/// A small limit, so that frames that are too large are met as often as others.
const FRAME_BYTES_MAX: usize = 4_096;

/// Opens the bytes as records, and reads them as the frames inside records whose checksums hold.
pub(crate) fn connection(bytes: &[u8]) {
    let _ = Opener::new(Protection::Checksum).open(&mut BytesMut::from(bytes), &mut BytesMut::new());
    let mut sealed = Vec::new();
    let mut sealer = Sealer::new(Protection::Checksum);
    bytes.chunks(sealer.capacity()).for_each(|plain| sealer.seal(plain, &mut sealed));
    let mut frames = FrameDecoder::new(FRAME_BYTES_MAX);
    let opened =
        Opener::new(Protection::Checksum).open(&mut BytesMut::from(sealed.as_slice()), frames.arrived());
    assert!(opened.is_ok(), "what was just sealed opens");
    while let Ok(Some(frame)) = frames.next() {
        assert!(frame.payload.len() <= FRAME_BYTES_MAX, "a frame keeps to the limit");
    }
}

/// Reads the bytes as each of the things that are said in a handshake.
pub(crate) fn handshake(bytes: &[u8]) {
    if let Some(preamble) = bytes.first_chunk::<PREAMBLE_BYTES>().and_then(|bytes| Preamble::decode(*bytes)) {
        assert_eq!(Preamble::decode(preamble.encode()), Some(preamble));
    }
    again::<Hello>(bytes);
    again::<Accepted>(bytes);
    again::<Refusal>(bytes);
    again::<CallRefusal>(bytes);
}

fn again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(value) = postcard::from_bytes::<T>(bytes) else { return };
    let written = postcard::to_stdvec(&value).expect("what was decoded can be encoded");
    assert_eq!(postcard::from_bytes::<T>(&written).ok(), Some(value));
}
