//! The key agreement: Noise `NNpsk0`, in which the cluster's secret is the pre-shared key.
//!
//! Each side proves that it has the secret by the first message it sends, and both get keys that only this connection
//! has: a secret that leaks later does not open recorded connections.

use std::sync::Arc;

use snow::{Builder, HandshakeState, params::NoiseParams};

use super::{Secret, record::Protection};

/// Persistent: belongs to the protocol version.
const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";

/// The size of both messages: an ephemeral key and an authentication tag.
pub(crate) const MESSAGE_BYTES: usize = 48;

/// A message of the key agreement.
pub(crate) type Message = [u8; MESSAGE_BYTES];

/// The dialer's half of a key agreement that waits for its answer.
pub(crate) struct Offer(HandshakeState);

/// Starts a key agreement as the dialer. `prologue` is what both sides have said before; a changed bit of it makes
/// the agreement fail.
pub(crate) fn offer(secret: &Secret, prologue: &[u8]) -> Result<(Offer, Message), snow::Error> {
    let mut state = builder(secret, prologue)?.build_initiator()?;
    let mut message = [0; MESSAGE_BYTES];
    state.write_message(&[], &mut message)?;
    Ok((Offer(state), message))
}

impl Offer {
    /// Ends the agreement with the listener's answer; fails when the listener has another secret.
    pub(crate) fn conclude(mut self, answer: &Message) -> Result<Protection, snow::Error> {
        self.0.read_message(answer, &mut [])?;
        protection(self.0)
    }
}

/// Answers a key agreement as the listener; fails when the dialer has another secret.
pub(crate) fn answer(
    secret: &Secret,
    prologue: &[u8],
    offer: &Message,
) -> Result<(Message, Protection), snow::Error> {
    let mut state = builder(secret, prologue)?.build_responder()?;
    state.read_message(offer, &mut [])?;
    let mut message = [0; MESSAGE_BYTES];
    state.write_message(&[], &mut message)?;
    Ok((message, protection(state)?))
}

fn builder<'a>(secret: &'a Secret, prologue: &'a [u8]) -> Result<Builder<'a>, snow::Error> {
    let params: NoiseParams = PATTERN.parse()?;
    Builder::new(params).psk(0, secret.bytes())?.prologue(prologue)
}

fn protection(state: HandshakeState) -> Result<Protection, snow::Error> {
    Ok(Protection::Noise(Arc::new(state.into_stateless_transport_mode()?)))
}
