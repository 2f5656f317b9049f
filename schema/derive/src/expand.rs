//! The implementation of `Record` for a struct.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{DeriveInput, Error, Result};

use crate::field::{self, Field};
use crate::serde_attributes;
use crate::table::{FunctionIndex, Table};

pub(crate) fn record(input: &DeriveInput) -> Result<TokenStream> {
    if !input.generics.params.is_empty() {
        let message = "a record has no type parameters: one table has one definition";
        return Err(Error::new_spanned(&input.generics, message));
    }
    serde_attributes::check_struct(&input.attrs)?;
    let table = Table::of(input)?;
    let fields = field::all(input)?;

    let (ident, name, root) = (&input.ident, &table.name, &table.crate_path);
    let key_type = key_type(&fields);
    let ordered = ordered(&table, &fields);
    let table_def = table_def(&table, &fields);
    let key = key(&table, &fields);
    Ok(quote! {
        #[automatically_derived]
        impl #root::Record for #ident {
            type Key = #key_type;

            const TABLE: &'static str = #name;

            const ORDERED: bool = #ordered;

            fn table_def() -> #root::TableDef {
                #table_def
            }

            fn key(&self) -> #root::Key {
                #key
            }
        }
    })
}

fn keys(fields: &[Field]) -> impl Iterator<Item = &Field> {
    fields.iter().filter(|field| field.is_key)
}

fn key_type(fields: &[Field]) -> TokenStream {
    let types: Vec<_> = keys(fields).map(|field| &field.ty).collect();
    match types.as_slice() {
        [only] => quote!(#only),
        types => quote!((#(#types),*)),
    }
}

fn ordered(table: &Table, fields: &[Field]) -> TokenStream {
    let root = &table.crate_path;
    let fields = fields.iter().map(|field| {
        let ty = &field.ty;
        quote_spanned!(field.type_span()=> <#ty as #root::FieldShape>::ORDERED)
    });
    quote!(#(#fields)&&*)
}

fn table_def(table: &Table, fields: &[Field]) -> TokenStream {
    let (root, builder, options) = (&table.crate_path, table.builder(), table.options());
    let add_fields = fields.iter().map(|field| {
        let (ty, name) = (&field.ty, &field.name);
        // The trait is named as in `ordered`, so that the compiler reports a type that lacks it only once.
        let field_type = quote_spanned!(field.type_span()=> <#ty as #root::FieldShape>::field_type());
        quote!(let table = table.field(#name, #field_type);)
    });
    let add_keys = keys(fields).map(|field| {
        let name = &field.name;
        quote!(let table = table.key(#name);)
    });
    let add_indexes = fields.iter().filter_map(|field| {
        let (ty, name, index) = (&field.ty, &field.name, field.index.as_ref()?);
        let (index_name, unique) = (index.name.as_ref().unwrap_or(name), index.unique);
        let add = if index.each { quote!(each_index) } else { quote!(index) };
        Some(quote_spanned! {field.type_span()=>
            let table = #root::__private::#add::<#ty>(table, #index_name, #name, #unique);
        })
    });
    let add_function_indexes = table.indexes.iter().map(|index| {
        let FunctionIndex { name, function, unique } = index;
        quote!(let table = #root::__private::function_index(table, #name, #function, #unique);)
    });
    quote! {
        let table = #builder;
        let table = #root::__private::options(table, #options);
        #(#add_fields)*
        #(#add_keys)*
        #(#add_indexes)*
        #(#add_function_indexes)*
        #root::__private::finish(table)
    }
}

fn key(table: &Table, fields: &[Field]) -> TokenStream {
    let root = &table.crate_path;
    let append = keys(fields).map(|field| {
        let (ty, ident) = (&field.ty, &field.ident);
        quote_spanned!(field.type_span()=> <#ty as #root::KeyField>::append_to_key(&self.#ident, &mut key);)
    });
    quote! {
        let mut key = ::std::vec::Vec::new();
        #(#append)*
        #root::Key::from_bytes(key)
    }
}
