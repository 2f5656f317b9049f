//! A crate that registers a module and exports nothing a program could refer to.

#![forbid(unsafe_code)]

mod router;
