//! Raw declarations of libmono_quant: every function, number and structure of
//! `mono_quant.h`, which says what each does. The crate `mono-quant` is what programs use.
#![allow(non_camel_case_types)]

#[rustfmt::skip]
mod declarations;
pub use declarations::*;
