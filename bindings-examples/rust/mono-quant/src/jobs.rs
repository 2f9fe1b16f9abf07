use crate::call::{c_path, call, make, settle, Slot};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::report::Report;
use crate::run::Run;
use crate::values::Values;
use mono_quant_sys as sys;
use std::path::Path;
use std::ptr;

/// A new model, and what it cost.
#[derive(Debug)]
pub struct Quantized {
    /// The model, in memory.
    pub model: Model,
    /// What was done.
    pub report: Report,
}

/// One quantized tensor: the parts that a file would have of it, codes first, and what it cost.
#[derive(Debug)]
pub struct QuantizedTensor {
    /// What [`crate::Tensor::dequantize`] takes.
    pub parts: Values,
    /// What was done.
    pub report: Report,
}

pub(crate) fn config_pointer(config: Option<&Config>) -> *const sys::mnq_config {
    config.map_or(ptr::null(), |config| config.0.get())
}

/// Where the callbacks of a job leave what stopped them: those of its run, and of the models' readers.
pub(crate) fn slots_of<'a>(run: &'a Option<&mut Run>, models: &[&'a Model]) -> Vec<&'a Slot> {
    Run::slot(run).into_iter().chain(models.iter().filter_map(|model| model.slot())).collect()
}

/// Ends a job: see [`settle`].
pub(crate) fn end<T>(result: Result<T>, run: &Option<&mut Run>, models: &[&Model]) -> Result<T> {
    settle(result, &slots_of(run, models))
}

/// Quantizes a file or a folder to a file or a folder, within `memory_budget` bytes whatever its size. What is written
/// follows from the key `format`, or from the output's name.
pub fn quantize_file<'a>(
    input: impl AsRef<Path>,
    output: impl AsRef<Path>,
    config: impl Into<Option<&'a Config>>,
    run: impl Into<Option<&'a mut Run>>,
) -> Result<Report> {
    let (input, output) = (c_path(input.as_ref())?, c_path(output.as_ref())?);
    let (config, mut run) = (config_pointer(config.into()), run.into());
    // SAFETY: all that is passed lives as long as the call.
    let made = make(|report, error| unsafe {
        let run = Run::mut_pointer(&mut run);
        sys::mnq_quantize_file(input.as_ptr(), output.as_ptr(), config, run, report, error)
    });
    Ok(Report(end(made, &run, &[])?))
}

macro_rules! file_jobs {
    ($($(#[$text:meta])* $name:ident $function:ident;)*) => {
        $(
            $(#[$text])*
            pub fn $name<'a>(
                input: impl AsRef<Path>,
                output: impl AsRef<Path>,
                run: impl Into<Option<&'a mut Run>>,
            ) -> Result<Report> {
                let (input, output, mut run) = (c_path(input.as_ref())?, c_path(output.as_ref())?, run.into());
                // SAFETY: all that is passed lives as long as the call.
                let made = make(|report, error| unsafe {
                    sys::$function(input.as_ptr(), output.as_ptr(), Run::mut_pointer(&mut run), report, error)
                });
                Ok(Report(end(made, &run, &[])?))
            }
        )*
    };
}

file_jobs! {
    /// Turns quantized tensors back into floats of the dtype that they came from.
    dequantize_file mnq_dequantize_file;
    /// Writes a checkpoint in another format: what that cannot hold is quantized anew or becomes floats, and the report
    /// says so.
    convert_file mnq_convert_file;
    /// The accuracy of each tensor of the second file against the one of the same name in the first.
    compare_file mnq_compare_file;
}

/// Checks a file, and (where there is one) that it is what became of the original. What it finds is in the report
/// ([`Report::problems`]).
pub fn validate_file<'a>(
    path: impl AsRef<Path>,
    original: Option<&Path>,
    run: impl Into<Option<&'a mut Run>>,
) -> Result<Report> {
    let (path, original, mut run) = (c_path(path.as_ref())?, original.map(c_path).transpose()?, run.into());
    // SAFETY: all that is passed lives as long as the call.
    let made = make(|report, error| unsafe {
        let original = crate::call::pointer_of(&original);
        sys::mnq_validate_file(path.as_ptr(), original, Run::mut_pointer(&mut run), report, error)
    });
    Ok(Report(end(made, &run, &[])?))
}

/// Puts together a folder whose parts were made with the key `shard`.
pub fn merge_folder<'a>(output: impl AsRef<Path>, run: impl Into<Option<&'a mut Run>>) -> Result<()> {
    let (output, mut run) = (c_path(output.as_ref())?, run.into());
    // SAFETY: all that is passed lives as long as the call.
    let done = call(|error| unsafe { sys::mnq_merge_folder(output.as_ptr(), Run::mut_pointer(&mut run), error) });
    end(done, &run, &[])
}
