//! The listening side of one connection.

use std::{net::SocketAddr, sync::Arc};

use tracing::Span;

use super::{
    Closed, Peer, Reply, Service, Session, TransportConfig,
    frame::FrameKind,
    handshake::{Arrival, Halves},
    links::Gate,
    outbox::Outbox,
    reader::FrameReader,
    socket::ReadHalf,
    task::OwnedTask,
    writer::Side,
};

/// Serves a dialer that was let in until it leaves or `ordered_to_end` is ready.
pub(crate) async fn serve(
    arrival: Arrival,
    remote: SocketAddr,
    service: &dyn Service,
    config: &TransportConfig,
    ordered_to_end: impl Future<Output = ()>,
) {
    let Arrival { halves: Halves { mut reader, writer }, hello, accepted, place } = arrival;
    let gate = Gate::new(config.links.as_ref(), &hello.from, &accepted.identity, false);
    reader.open_up(config.max_frame_bytes, gate);
    let outbox = Arc::new(Outbox::new(config));
    let writing = writer.run(Arc::clone(&outbox), Side::Server, config.close_timeout);
    let writer = OwnedTask::spawn(Span::current(), writing);
    let mut session = service.open(Peer {
        identity: hello.from,
        role: hello.role,
        lane: hello.lane,
        feature_level: hello.feature_level,
        remote,
    });
    // The connection is over when any arm is ready, so it does not matter where the others are dropped.
    let why = tokio::select! {
        biased;
        why = take_requests(&mut reader, session.as_mut(), &outbox, config) => outbox.close(why),
        why = outbox.closed() => why,
        () = ordered_to_end => {
            outbox.finish();
            Closed::Here
        }
    };
    tracing::debug!(%why, "connection ended");
    session.closed(&why);
    writer.join().await;
    drop(place);
}

/// Hands requests to the session in the order in which they come, as long as not too many are unanswered.
async fn take_requests(
    reader: &mut FrameReader<ReadHalf>,
    session: &mut dyn Session,
    outbox: &Arc<Outbox>,
    config: &TransportConfig,
) -> Closed {
    loop {
        outbox.room().await;
        match reader.next().await {
            Ok(frame) if frame.kind == FrameKind::Request => {
                outbox.asked();
                session
                    .request(frame.payload, Reply::new(Arc::clone(outbox), frame.id, config.max_frame_bytes));
            }
            Ok(_) => {
                return Closed::Damaged { what: "a frame that a dialer does not send" };
            }
            Err(why) => return why,
        }
    }
}
