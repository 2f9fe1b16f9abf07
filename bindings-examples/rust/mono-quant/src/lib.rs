//! Quantize the weights of any PyTorch model: a checkpoint goes in, a smaller one comes out, with a report of what it
//! cost in accuracy.
//!
//! ```no_run
//! use mono_quant::{quantize_file, Config};
//!
//! let config = Config::new().with("bits", 4)?.with("group_size", 128)?;
//! let report = quantize_file("model.safetensors", "model-int4.safetensors", &config, None)?;
//! println!("{:.1} dB", report.number("sqnr_db").unwrap_or(f64::NAN));
//! # Ok::<(), mono_quant::Error>(())
//! ```
//!
//! What every item here keeps:
//!
//! * An [`Error`] has a [`Code`], what went wrong, what to do about it, and the file, tensor or key at fault.
//! * A model, a tensor and a report are immutable and may be used by any number of threads at once. Models keep what
//!   they need of where they came from, so nothing here has a lifetime to name.
//! * A job takes an optional [`Run`]: its own settings, callbacks and cancel. `None` and `&mut run` are both taken as
//!   they are.
//! * A closure that panics stops its job, and the panic goes on out of the call that ran it.
//! * Only running out of memory for a handle of a few bytes panics of itself, as it does elsewhere in Rust.
//!
//! All settings are in the configuration's keys ([`Config::keys`]); what each function does is said at length in
//! `mono_quant.h`.
#![warn(missing_docs)]

mod call;
mod config;
mod error;
mod jobs;
pub mod kernels;
mod library;
mod linear;
mod model;
mod report;
mod run;
mod streams;
mod tensor;
mod values;

pub use config::{Config, Setting};
pub use error::{Code, Error, Result};
pub use jobs::{
    compare_file, convert_file, dequantize_file, merge_folder, quantize_file, validate_file, Quantized, QuantizedTensor,
};
pub use library::{
    abi_version, build_info, capabilities, clear_log, detect_format, set_log, set_threads, threads, version, LogLevel,
};
pub use linear::{Embedding, Linear};
pub use model::{Buffer, Layer, LayerTensor, Model};
pub use report::{Report, ReportLayer};
pub use run::{Canceller, Run, TensorDone};
pub use streams::{MemoryWriter, ReadAt, Seekable, WriteAt};
pub use tensor::{DType, Element, Tensor};
pub use values::{Value, Values};
