use crate::call::{c_text, make, settle, Handle, Slot};
use crate::config::Config;
use crate::error::Result;
use crate::jobs::{config_pointer, end};
use crate::model::{Buffer, Model};
use crate::run::Run;
use crate::tensor::{DType, Tensor};
use mono_quant_sys as sys;
use std::sync::Arc;
use std::{fmt, ptr};

/// A Linear layer by itself, packed once and multiplied in integers; immutable, and independent of what it was made
/// from. [`Model::linear`] gives that of a model.
pub struct Linear(Handle<sys::mnq_linear>);

impl Linear {
    /// Quantizes floats: `weight`, `[out, in]`, and `bias`, `[out]`.
    pub fn new<'a>(
        weight: &Tensor,
        bias: Option<&Tensor>,
        config: impl Into<Option<&'a Config>>,
        run: impl Into<Option<&'a Run>>,
    ) -> Result<Linear> {
        let (config, run) = (config_pointer(config.into()), Run::const_pointer(run.into()));
        let bias = bias.map_or(ptr::null(), |bias| bias.0.get() as *const _);
        // SAFETY: all that is passed lives as long as the call.
        let made =
            make(|out, error| unsafe { sys::mnq_linear_from_floats(weight.0.get(), bias, config, run, out, error) });
        Ok(Linear(made?))
    }

    /// `rows`, `[.., in]` of F32 or BF16, to `[.., out]` of the same type.
    pub fn run(&self, rows: &Tensor) -> Result<Tensor> {
        self.run_to(rows, rows.dtype())
    }

    /// The same to F32 or BF16.
    pub fn run_to(&self, rows: &Tensor, dtype: DType) -> Result<Tensor> {
        // SAFETY: the output is taken over.
        let made =
            make(|out, error| unsafe { sys::mnq_linear_run_tensor(self.0.get(), rows.0.get(), dtype.0, out, error) });
        Ok(Tensor(made?))
    }

    /// What it is, as a JSON object: "name", "scheme", "output_count", "row_length", "size_bytes"...
    pub fn describe(&self) -> Result<String> {
        // SAFETY: the output is taken over.
        let made = make(|out, error| unsafe { sys::mnq_linear_describe(self.0.get(), out, error) });
        Ok(Buffer(made?).into_text())
    }
}

impl fmt::Debug for Linear {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Linear({})", self.describe().unwrap_or_default())
    }
}

/// The table of a layer, which [`Model::embedding`] gives.
pub struct Embedding {
    handle: Handle<sys::mnq_embedding>,
    source: Option<Arc<Slot>>, // of the reader that rows are read from
}

impl Embedding {
    /// Rows as floats: `indices` of any shape, I64 or I32, to `[.., row length]` of F32, BF16, F16 or F64.
    pub fn run(&self, indices: &Tensor, dtype: DType) -> Result<Tensor> {
        // SAFETY: the output is taken over.
        let made = make(|out, error| unsafe {
            sys::mnq_embedding_run_tensor(self.handle.get(), indices.0.get(), dtype.0, out, error)
        });
        let slots: Vec<&Slot> = self.source.as_deref().into_iter().collect();
        Ok(Tensor(settle(made, &slots)?))
    }

    /// What it is, as a JSON object: "name", "scheme", "row_count", "row_length".
    pub fn describe(&self) -> Result<String> {
        // SAFETY: the output is taken over.
        let made = make(|out, error| unsafe { sys::mnq_embedding_describe(self.handle.get(), out, error) });
        Ok(Buffer(made?).into_text())
    }
}

impl fmt::Debug for Embedding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Embedding({})", self.describe().unwrap_or_default())
    }
}

impl Model {
    /// The Linear layer of that name: with the codes that it has, or quantized as the settings say.
    pub fn linear<'a>(
        &self,
        layer: &str,
        config: impl Into<Option<&'a Config>>,
        run: impl Into<Option<&'a Run>>,
    ) -> Result<Linear> {
        let (layer, config, run) = (c_text(layer)?, config_pointer(config.into()), Run::const_pointer(run.into()));
        // SAFETY: all that is passed lives as long as the call.
        let made =
            make(|out, error| unsafe { sys::mnq_linear_create(self.get(), layer.as_ptr(), config, run, out, error) });
        Ok(Linear(end(made, &None, &[self])?))
    }

    /// The table of that layer, quantized or not; of a file, rows are read when they are asked for.
    pub fn embedding(&self, layer: &str) -> Result<Embedding> {
        let layer = c_text(layer)?;
        // SAFETY: the name lives as long as the call.
        let made = make(|out, error| unsafe { sys::mnq_embedding_create(self.get(), layer.as_ptr(), out, error) });
        Ok(Embedding { handle: end(made, &None, &[self])?, source: self.source() })
    }
}
