//! The protocol's bytes, and the client against a small node that answers as it is told.

mod client;
mod protocol;
