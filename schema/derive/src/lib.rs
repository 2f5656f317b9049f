//! Derive macros of the Tabularaft table store. They are documented, and meant to be used, where they are
//! re-exported: beside the traits they implement.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

mod expand;
mod field;
mod name;
mod serde_attributes;
mod table;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct with named fields the record of a table. See the trait of the same name for the attributes.
///
/// The struct must also derive serde's `Serialize` and `Deserialize`.
#[proc_macro_derive(Record, attributes(record, key, index))]
pub fn derive_record(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand::record(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
