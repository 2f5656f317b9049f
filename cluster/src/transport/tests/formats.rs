//! Bytes that cross a socket: they stay what they are, and none of them makes a decoder panic.

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::transport::{
    frame::{Frame, FrameDecoder, FrameKind, HEADER_BYTES},
    preamble::Preamble,
    record::{Opener, Protection, Sealer},
};

#[test]
fn the_preamble_keeps_its_bytes() {
    assert_eq!(&Preamble { version: 0x0102, has_secret: true }.encode(), b"TABRAFT\n\x02\x01\x01\x00");
    assert_eq!(&Preamble::ours(false).encode(), b"TABRAFT\n\x01\x00\x00\x00");
    let unknown_flags = *b"TABRAFT\n\x09\x00\xfe\xff";
    assert_eq!(Preamble::decode(unknown_flags), Some(Preamble { version: 9, has_secret: false }));
}

#[test]
fn a_frame_and_a_record_keep_their_bytes() {
    let frame = Frame { kind: FrameKind::Request, id: 0x0102, payload: "abc".into() };
    let bytes = [frame.header().as_slice(), &frame.payload].concat();
    assert_eq!(bytes, b"\x03\0\0\0\x04\x02\x01\0\0\0\0\0\0abc");
    let mut record = Vec::new();
    Sealer::new(Protection::Checksum).seal(b"123456789", &mut record);
    assert_eq!(record, b"\x0d\x00123456789\x83\x92\x06\xe3", "CRC-32C of the standard check string");
    let kinds = [
        FrameKind::Hello,
        FrameKind::Accepted,
        FrameKind::Refused,
        FrameKind::Request,
        FrameKind::Reply,
        FrameKind::NoReply,
        FrameKind::Bye,
    ];
    assert_eq!(kinds.map(|kind| kind as u8), [1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn the_hello_and_its_answer_keep_their_bytes() {
    let hello = Hello { cluster_id: Some(1), wants: Some(2), lane: Lane::Bulk, ..hello() };
    let bytes =
        b"\x01\x04test\x01\x01\x01\x10dialer@127.0.0.1\x01\x01\x01\x15dialer@127.0.0.1:7100\x00\x01\x01\x02";
    assert_eq!(postcard::to_stdvec(&hello).unwrap(), bytes);
    assert_eq!(postcard::from_bytes::<Hello>(bytes).unwrap(), hello);
    let accepted = Accepted { identity: node("b@c", 300), feature_level: 4 };
    let bytes = b"\x01\x03b@c\xac\x02\xac\x02\x01\x08b@c:7100\x04";
    assert_eq!(postcard::to_stdvec(&accepted).unwrap(), bytes);
    assert_eq!(postcard::from_bytes::<Accepted>(bytes).unwrap(), accepted);
}

#[test]
fn refusals_keep_their_tags() {
    let text = String::new;
    let name = || "a@b".parse().unwrap();
    let refusals = [
        Refusal::ProtocolVersion { acceptor: 1, dialer: 2 },
        Refusal::NotOurProtocol,
        Refusal::WrongSecret,
        Refusal::SecretRequired,
        Refusal::NoSecretHere,
        Refusal::ClusterName { ours: text(), theirs: text() },
        Refusal::ClusterId { ours: 1, theirs: 2 },
        Refusal::WrongNode { wanted: 1, actual: 2 },
        Refusal::Removed { name: name(), at: 1 },
        Refusal::NameTaken { name: name(), by: text() },
        Refusal::Busy { limit: 1 },
        Refusal::NotReady { why: text() },
        Refusal::Other(text()),
    ];
    for (tag, refusal) in (0u8..).zip(refusals) {
        assert_eq!(postcard::to_stdvec(&refusal).unwrap()[0], tag, "{refusal:?}");
    }
    let refusals = [
        CallRefusal::NoAnswer,
        CallRefusal::ReplyTooLarge { bytes: 1, limit: 2 },
        CallRefusal::Other(text()),
    ];
    for (tag, refusal) in (0u8..).zip(refusals) {
        assert_eq!(postcard::to_stdvec(&refusal).unwrap()[0], tag, "{refusal:?}");
    }
}

const LIMIT: usize = 300;

proptest! {
    #[test]
    fn the_frame_decoder_takes_any_bytes_without_panic_and_keeps_no_more_than_arrived(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)
    ) {
        let mut decoder = FrameDecoder::new(LIMIT);
        let mut arrived = 0;
        'chunks: for chunk in chunks {
            arrived += chunk.len();
            decoder.arrived().extend_from_slice(&chunk);
            loop {
                match decoder.next() {
                    Ok(Some(frame)) => prop_assert!(frame.payload.len() <= LIMIT),
                    Ok(None) => break,
                    Err(_) => break 'chunks,
                }
            }
            // Growing buffers double at most; what a header announces plays no part.
            prop_assert!(decoder.arrived().capacity() <= 2 * arrived.max(64));
            prop_assert!(decoder.unfinished() < HEADER_BYTES + LIMIT);
        }
    }

    #[test]
    fn frames_come_out_as_they_went_in_however_the_bytes_are_cut(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..LIMIT), 0..20),
        cut in 1usize..100,
    ) {
        let frames: Vec<_> = (1u64..).zip(payloads)
            .map(|(id, payload)| Frame { kind: FrameKind::Reply, id, payload: payload.into() })
            .collect();
        let mut sealed = Vec::new();
        let mut sealer = Sealer::new(Protection::Checksum);
        let plain: Vec<u8> =
            frames.iter().flat_map(|frame| [&frame.header()[..], &frame.payload].concat()).collect();
        plain.chunks(77).for_each(|record| sealer.seal(record, &mut sealed));
        let (mut opener, mut decoder) = (Opener::new(Protection::Checksum), FrameDecoder::new(LIMIT));
        let (mut waiting, mut got) = (BytesMut::new(), Vec::new());
        for chunk in sealed.chunks(cut) {
            waiting.extend_from_slice(chunk);
            opener.open(&mut waiting, decoder.arrived()).unwrap();
            while let Some(frame) = decoder.next().unwrap() {
                got.push(frame);
            }
        }
        prop_assert_eq!(got, frames);
        prop_assert_eq!(decoder.unfinished() + waiting.len(), 0);
    }

    #[test]
    fn the_record_decoders_take_any_bytes_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        for mut opener in [Opener::new(Protection::Checksum), Opener::new(keys())] {
            let _ = opener.open(&mut BytesMut::from(bytes.as_slice()), &mut BytesMut::new());
        }
    }

    #[test]
    fn the_decoders_of_the_handshake_take_any_bytes_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200)
    ) {
        let _ = postcard::from_bytes::<Hello>(&bytes);
        let _ = postcard::from_bytes::<Accepted>(&bytes);
        let _ = postcard::from_bytes::<Refusal>(&bytes);
        let _ = postcard::from_bytes::<CallRefusal>(&bytes);
    }
}

/// The keys of some connection.
fn keys() -> Protection {
    let secret = Secret::generate().unwrap();
    let (_, offer) = crate::transport::noise::offer(&secret, b"").unwrap();
    crate::transport::noise::answer(&secret, b"", &offer).unwrap().1
}
