use crate::call::{
    array_of, c_path, c_text, call, make, make_two, optional_text, pointer_of, release_box, settle, text_of, Handle,
    Slot,
};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::jobs::{config_pointer, end, slots_of, Quantized};
use crate::report::Report;
use crate::run::Run;
use crate::streams::{LentWriter, OwnReader, ReadAt, WriteAt};
use crate::tensor::{view, DType, Tensor};
use crate::values::Values;
use mono_quant_sys as sys;
use std::ffi::CString;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::{fmt, mem, ptr};

/// A checkpoint held open, float or quantized; immutable.
///
/// Its tensors are read when they are asked for, so a file must stay as it is while the model is there.
pub struct Model {
    handle: Handle<sys::mnq_model>,
    source: Option<Arc<Slot>>, // of the reader that this model, or the one it was made from, reads
}

/// A layer of a model, and what settings make of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// "encoder.0.query".
    pub name: String,
    /// "encoder.0.query.weight".
    pub tensor: String,
    /// "Linear", "Conv2d"...; none where it is no layer's weight.
    pub kind: Option<String>,
    /// "quantize", "cast" or "copy".
    pub action: String,
    /// "int8 per channel"...; none where it is copied.
    pub scheme: Option<String>,
    /// Why.
    pub reason: String,
    /// The sizes of the tensor.
    pub shape: Vec<i64>,
    /// The type of its elements.
    pub dtype: DType,
    /// Other names of the same weight.
    pub ties: Vec<String>,
}

/// A tensor of [`Model::from_layers`], and what is known of the layer that it belongs to.
#[derive(Clone, Copy, Debug)]
pub struct LayerTensor<'a> {
    /// "encoder.0.weight", whose layer is "encoder.0".
    pub name: &'a str,
    /// May be none where it is tied.
    pub tensor: Option<&'a Tensor>,
    /// "Linear", "Conv2d"...; "" where it is no layer's weight; none: its name and shape tell.
    pub kind: Option<&'a str>,
    /// Of the weight, counted from 0; none: the kind's.
    pub channel_axis: Option<i64>,
    /// The name of another tensor, which this one is.
    pub tied_to: Option<&'a str>,
}

impl<'a> LayerTensor<'a> {
    /// A tensor of which nothing else is told.
    pub fn new(name: &'a str, tensor: &'a Tensor) -> LayerTensor<'a> {
        LayerTensor { name, tensor: Some(tensor), kind: None, channel_axis: None, tied_to: None }
    }
}

impl Model {
    /// Opens a checkpoint, a folder of one, or a TorchScript module. Nothing that a file holds is ever executed.
    pub fn open(path: impl AsRef<Path>) -> Result<Model> {
        Model::open_with(path, None)
    }

    /// The same with settings of a run; `tensors_key` applies.
    pub fn open_with<'a>(path: impl AsRef<Path>, run: impl Into<Option<&'a Run>>) -> Result<Model> {
        let (path, run) = (c_path(path.as_ref())?, Run::const_pointer(run.into()));
        // SAFETY: all that is passed lives as long as the call.
        Model::made(make(|out, error| unsafe { sys::mnq_model_open_with(path.as_ptr(), run, out, error) }))
    }

    /// Opens what is in memory, a `Vec` or an `Arc<[u8]>` say, without a copy. It is dropped once nothing uses it.
    pub fn from_memory<'a, B>(bytes: B, run: impl Into<Option<&'a Run>>) -> Result<Model>
    where
        B: AsRef<[u8]> + Send + Sync + 'static,
    {
        let (own, run) = (Box::into_raw(Box::new(bytes)), Run::const_pointer(run.into()));
        // SAFETY: the box does not move, and lives until the library releases it.
        let made = make(|out, error| unsafe {
            let (bytes, release) = ((*own).as_ref(), Some(release_box::<B> as unsafe extern "C" fn(_)));
            sys::mnq_model_wrap_memory(bytes.as_ptr().cast(), bytes.len(), release, own.cast(), run, out, error)
        });
        if made.is_err() {
            // SAFETY: where the call fails, the box stays ours.
            drop(unsafe { Box::from_raw(own) });
        }
        Model::made(made)
    }

    /// Opens the program's own input, in any format of one file. It is dropped once nothing reads from it.
    pub fn from_reader<'a>(reader: impl ReadAt + 'static, run: impl Into<Option<&'a Run>>) -> Result<Model> {
        let size = reader.size().map_err(|error| Error::io("the size of the input cannot be told", error))?;
        let (slot, run) = (Arc::new(Slot::default()), Run::const_pointer(run.into()));
        let reader = OwnReader::make(reader, size, slot.clone())?;
        // SAFETY: the model keeps what it needs of the reader.
        let made = make(|out, error| unsafe { sys::mnq_model_open_reader(reader.get(), run, out, error) });
        let handle = settle(made, &[&slot])?;
        Ok(Model { handle, source: Some(slot) })
    }

    /// A model of named tensors.
    pub fn from_tensors<'a>(tensors: impl IntoIterator<Item = (&'a str, &'a Tensor)>) -> Result<Model> {
        let tensors: Vec<_> = tensors.into_iter().collect();
        let names = tensors.iter().map(|(name, _)| c_text(name)).collect::<Result<Vec<CString>>>()?;
        let pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        let handles: Vec<*const sys::mnq_tensor> =
            tensors.iter().map(|(_, tensor)| tensor.0.get() as *const _).collect();
        // SAFETY: the arrays are as long as the library is told; it keeps what it needs.
        Model::made(make(|out, error| unsafe {
            sys::mnq_model_from_tensors(array_of(&pointers), array_of(&handles), handles.len(), out, error)
        }))
    }

    /// A model of tensors whose layers are known: their kinds, their ties.
    pub fn from_layers(tensors: &[LayerTensor<'_>]) -> Result<Model> {
        let texts = tensors.iter().map(Texts::of).collect::<Result<Vec<_>>>()?;
        let rows: Vec<_> = tensors.iter().zip(&texts).map(|(tensor, texts)| texts.row(tensor)).collect();
        // SAFETY: the array is as long as the library is told; it keeps what it needs.
        Model::made(make(|out, error| unsafe { sys::mnq_model_from_layers(array_of(&rows), rows.len(), out, error) }))
    }

    /// A copy in memory, independent of where the model came from.
    pub fn try_clone(&self) -> Result<Model> {
        // SAFETY: the output is taken over.
        let made = make(|out, error| unsafe { sys::mnq_model_clone(self.get(), out, error) });
        self.derived(end(made, &None, &[self]))
    }

    /// Writes it to a file or folder: as the key `format` of the run says, else as the extension does.
    pub fn save<'a>(&self, path: impl AsRef<Path>, run: impl Into<Option<&'a mut Run>>) -> Result<()> {
        let (path, mut run) = (c_path(path.as_ref())?, run.into());
        // SAFETY: all that is passed lives as long as the call.
        let done =
            call(|error| unsafe { sys::mnq_model_save(self.get(), path.as_ptr(), Run::mut_pointer(&mut run), error) });
        end(done, &run, &[self])
    }

    /// Writes it to memory: as TorchScript where it is a module, else as safetensors, or as `format` says.
    pub fn save_to_memory<'a>(&self, run: impl Into<Option<&'a mut Run>>) -> Result<Buffer> {
        let mut run = run.into();
        // SAFETY: all that is passed lives as long as the call.
        let made = make(|out, error| unsafe {
            sys::mnq_model_save_memory(self.get(), Run::mut_pointer(&mut run), out, error)
        });
        Ok(Buffer(end(made, &run, &[self])?))
    }

    /// Writes it to the program's own output, within `memory_budget` bytes.
    pub fn save_to<'a>(&self, writer: &dyn WriteAt, run: impl Into<Option<&'a mut Run>>) -> Result<()> {
        let mut run = run.into();
        self.write(writer, &mut run, |writer, run, error| unsafe {
            // SAFETY: all that is passed lives as long as the call.
            sys::mnq_model_save_to_writer(self.get(), writer, run, error)
        })
    }

    /// The names of the tensors as they are stored, in the order of their data.
    pub fn tensor_names(&self) -> Vec<&str> {
        // SAFETY: the names live as long as the model.
        unsafe {
            let count = sys::mnq_model_tensor_count(self.get());
            (0..count).map(|index| text_of(sys::mnq_model_tensor_name(self.get(), index))).collect()
        }
    }

    /// How many tensors are stored.
    pub fn tensor_count(&self) -> usize {
        // SAFETY: the handle is there.
        unsafe { sys::mnq_model_tensor_count(self.get()) }
    }

    /// One of them.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let name = c_text(name)?;
        // SAFETY: the name lives as long as the call.
        let made = make(|out, error| unsafe { sys::mnq_model_get_tensor(self.get(), name.as_ptr(), out, error) });
        Ok(Tensor(end(made, &None, &[self])?))
    }

    /// One weight as floats, of the dtype that it came from, however it is stored.
    pub fn float<'a>(&self, name: &str, run: impl Into<Option<&'a mut Run>>) -> Result<Tensor> {
        let (name, mut run) = (c_text(name)?, run.into());
        // SAFETY: all that is passed lives as long as the call.
        let made = make(|out, error| unsafe {
            sys::mnq_model_get_float(self.get(), name.as_ptr(), Run::mut_pointer(&mut run), out, error)
        });
        Ok(Tensor(end(made, &run, &[self])?))
    }

    /// What is in it, as a JSON object: "format", "path", "size_bytes", "parameters", "metadata", "tensors"...
    pub fn describe(&self) -> Result<String> {
        // SAFETY: the output is taken over.
        let made = make(|out, error| unsafe { sys::mnq_model_describe(self.get(), out, error) });
        Ok(Buffer(end(made, &None, &[self])?).into_text())
    }

    /// Every tensor with the layer that it is of, and what the settings would make of it.
    pub fn layers<'a>(
        &self,
        config: impl Into<Option<&'a Config>>,
        run: impl Into<Option<&'a Run>>,
    ) -> Result<Vec<Layer>> {
        let (config, run) = (config_pointer(config.into()), Run::const_pointer(run.into()));
        // SAFETY: all that is passed lives as long as the call.
        let made = make(|out, error| unsafe { sys::mnq_model_list_layers(self.get(), config, run, out, error) });
        let layers = end(made, &None, &[self])?;
        // SAFETY: the index is below the count.
        Ok(unsafe { (0..sys::mnq_layers_count(layers.get())).map(|index| read_layer(layers.get(), index)).collect() })
    }

    /// Quantizes it into a new one in memory.
    pub fn quantize<'a>(
        &self,
        config: impl Into<Option<&'a Config>>,
        run: impl Into<Option<&'a mut Run>>,
    ) -> Result<Quantized> {
        let (config, mut run) = (config_pointer(config.into()), run.into());
        // SAFETY: all that is passed lives as long as the call.
        let made = make_two(|out, report, error| unsafe {
            sys::mnq_quantize(self.get(), config, Run::mut_pointer(&mut run), out, report, error)
        });
        self.quantized(end(made, &run, &[self]))
    }

    /// Quantizes it to a file or folder, within `memory_budget` bytes.
    pub fn quantize_to_file<'a>(
        &self,
        output: impl AsRef<Path>,
        config: impl Into<Option<&'a Config>>,
        run: impl Into<Option<&'a mut Run>>,
    ) -> Result<Report> {
        let (output, config, mut run) = (c_path(output.as_ref())?, config_pointer(config.into()), run.into());
        // SAFETY: all that is passed lives as long as the call.
        let made = make(|report, error| unsafe {
            let run = Run::mut_pointer(&mut run);
            sys::mnq_quantize_to_file(self.get(), output.as_ptr(), config, run, report, error)
        });
        Ok(Report(end(made, &run, &[self])?))
    }

    /// Quantizes it to the program's own output, within `memory_budget` bytes.
    pub fn quantize_to<'a>(
        &self,
        writer: &dyn WriteAt,
        config: impl Into<Option<&'a Config>>,
        run: impl Into<Option<&'a mut Run>>,
    ) -> Result<Report> {
        let (config, mut run, mut report) = (config_pointer(config.into()), run.into(), None);
        self.write(writer, &mut run, |writer, run, error| {
            // SAFETY: all that is passed lives as long as the call.
            note(&mut report, |out| unsafe { sys::mnq_quantize_to_writer(self.get(), writer, config, run, out, error) })
        })?;
        Ok(Report(report.expect("a job that succeeds reports")))
    }

    /// What [`Model::quantize`] would do: no weight is read, so there is no accuracy.
    pub fn plan<'a>(&self, config: impl Into<Option<&'a Config>>, run: impl Into<Option<&'a Run>>) -> Result<Report> {
        let (config, run) = (config_pointer(config.into()), Run::const_pointer(run.into()));
        // SAFETY: all that is passed lives as long as the call.
        let made = make(|report, error| unsafe { sys::mnq_plan(self.get(), config, run, report, error) });
        Ok(Report(end(made, &None, &[self])?))
    }

    /// Turns quantized tensors back into floats; all others are copied.
    pub fn dequantize<'a>(&self, run: impl Into<Option<&'a mut Run>>) -> Result<Quantized> {
        let mut run = run.into();
        // SAFETY: all that is passed lives as long as the call.
        let made = make_two(|out, report, error| unsafe {
            sys::mnq_dequantize(self.get(), Run::mut_pointer(&mut run), out, report, error)
        });
        self.quantized(end(made, &run, &[self]))
    }

    /// The same to the program's own output.
    pub fn dequantize_to<'a>(&self, writer: &dyn WriteAt, run: impl Into<Option<&'a mut Run>>) -> Result<Report> {
        let (mut run, mut report) = (run.into(), None);
        self.write(writer, &mut run, |writer, run, error| {
            // SAFETY: all that is passed lives as long as the call.
            note(&mut report, |out| unsafe { sys::mnq_dequantize_to_writer(self.get(), writer, run, out, error) })
        })?;
        Ok(Report(report.expect("a job that succeeds reports")))
    }

    /// The accuracy of each tensor of `other` against the one of the same name in this.
    pub fn compare<'a>(&self, other: &Model, run: impl Into<Option<&'a mut Run>>) -> Result<Report> {
        let mut run = run.into();
        // SAFETY: all that is passed lives as long as the call.
        let made = make(|report, error| unsafe {
            sys::mnq_compare(self.get(), other.get(), Run::mut_pointer(&mut run), report, error)
        });
        Ok(Report(end(made, &run, &[self, other])?))
    }

    /// Runs a method of a module: "forward" where none is named. Of the run `activations` applies.
    pub fn forward<'a>(
        &self,
        method: Option<&str>,
        inputs: &Values,
        run: impl Into<Option<&'a Run>>,
    ) -> Result<Values> {
        let (method, run) = (method.map(c_text).transpose()?, Run::const_pointer(run.into()));
        // SAFETY: all that is passed lives as long as the call.
        let made = make(|out, error| unsafe {
            sys::mnq_model_forward(self.get(), pointer_of(&method), inputs.0.get(), run, out, error)
        });
        Ok(Values(end(made, &None, &[self])?))
    }

    /// Checks it, and (where there is one) that it is what became of the original; a module is run on inputs.
    pub fn validate<'a>(
        &self,
        original: Option<&Model>,
        inputs: Option<&Values>,
        run: impl Into<Option<&'a mut Run>>,
    ) -> Result<Report> {
        let mut run = run.into();
        // SAFETY: all that is passed lives as long as the call.
        let made = make(|report, error| unsafe {
            let other = original.map_or(ptr::null(), |model| model.get() as *const _);
            let inputs = inputs.map_or(ptr::null(), |values| values.0.get() as *const _);
            sys::mnq_model_validate(self.get(), other, inputs, Run::mut_pointer(&mut run), report, error)
        });
        Ok(Report(end(made, &run, &[self, original.unwrap_or(self)])?))
    }

    pub(crate) fn get(&self) -> *mut sys::mnq_model {
        self.handle.get()
    }

    pub(crate) fn slot(&self) -> Option<&Slot> {
        self.source.as_deref()
    }

    pub(crate) fn source(&self) -> Option<Arc<Slot>> {
        self.source.clone()
    }

    fn made(handle: Result<Handle<sys::mnq_model>>) -> Result<Model> {
        Ok(Model { handle: handle?, source: None })
    }

    fn derived(&self, handle: Result<Handle<sys::mnq_model>>) -> Result<Model> {
        Ok(Model { handle: handle?, source: self.source.clone() })
    }

    fn quantized(&self, made: Result<(Handle<sys::mnq_model>, Handle<sys::mnq_report>)>) -> Result<Quantized> {
        let (model, report) = made?;
        Ok(Quantized { model: self.derived(Ok(model))?, report: Report(report) })
    }

    /// Runs a job that writes to a writer, which is lent for the call.
    fn write(
        &self,
        writer: &dyn WriteAt,
        run: &mut Option<&mut Run>,
        job: impl FnOnce(*mut sys::mnq_writer, *mut sys::mnq_run, *mut *mut sys::mnq_error) -> sys::mnq_status,
    ) -> Result<()> {
        let lent = LentWriter::new(writer);
        let handle = lent.make()?;
        let done = call(|error| job(handle.get(), Run::mut_pointer(run), error));
        drop(handle);
        let mut slots = slots_of(run, &[self]);
        slots.push(&lent.slot);
        settle(done, &slots)
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Model({} tensors)", self.tensor_count())
    }
}

/// Keeps the report that a job makes besides its status.
fn note(
    kept: &mut Option<Handle<sys::mnq_report>>,
    job: impl FnOnce(*mut *mut sys::mnq_report) -> sys::mnq_status,
) -> sys::mnq_status {
    let mut report = ptr::null_mut();
    let status = job(&mut report);
    *kept = Handle::of(report);
    status
}

unsafe fn read_layer(layers: *const sys::mnq_layers, index: usize) -> Layer {
    let ties = 0..sys::mnq_layers_tie_count(layers, index);
    Layer {
        name: text_of(sys::mnq_layers_name(layers, index)).to_string(),
        tensor: text_of(sys::mnq_layers_tensor(layers, index)).to_string(),
        kind: optional_text(sys::mnq_layers_kind(layers, index)).map(str::to_string),
        action: text_of(sys::mnq_layers_action(layers, index)).to_string(),
        scheme: optional_text(sys::mnq_layers_scheme(layers, index)).map(str::to_string),
        reason: text_of(sys::mnq_layers_reason(layers, index)).to_string(),
        shape: view(sys::mnq_layers_shape(layers, index), sys::mnq_layers_rank(layers, index)).to_vec(),
        dtype: DType(sys::mnq_layers_dtype(layers, index)),
        ties: ties.map(|tie| text_of(sys::mnq_layers_tie(layers, index, tie)).to_string()).collect(),
    }
}

/// The texts of a [`LayerTensor`] as C has them.
struct Texts {
    name: CString,
    kind: Option<CString>,
    tied_to: Option<CString>,
}

impl Texts {
    fn of(tensor: &LayerTensor<'_>) -> Result<Texts> {
        let (kind, tied_to) = (tensor.kind.map(c_text).transpose()?, tensor.tied_to.map(c_text).transpose()?);
        Ok(Texts { name: c_text(tensor.name)?, kind, tied_to })
    }

    fn row(&self, tensor: &LayerTensor<'_>) -> sys::mnq_layer_tensor {
        sys::mnq_layer_tensor {
            struct_size: mem::size_of::<sys::mnq_layer_tensor>(),
            name: self.name.as_ptr(),
            tensor: tensor.tensor.map_or(ptr::null(), |tensor| tensor.0.get() as *const _),
            kind: pointer_of(&self.kind),
            channel_axis: tensor.channel_axis.unwrap_or(-1),
            tied_to: pointer_of(&self.tied_to),
        }
    }
}

/// Bytes that the library made.
pub struct Buffer(pub(crate) Handle<sys::mnq_buffer>);

impl Buffer {
    pub(crate) fn into_text(self) -> String {
        String::from_utf8_lossy(&self).into_owned()
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the bytes live as long as the buffer.
        unsafe { view(sys::mnq_buffer_data(self.0.get()).cast(), sys::mnq_buffer_size(self.0.get())) }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Buffer({} bytes)", self.len())
    }
}
