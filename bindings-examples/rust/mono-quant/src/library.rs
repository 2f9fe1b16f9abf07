use crate::call::{c_path, call, make, text_of};
use crate::error::Result;
use crate::model::Buffer;
use mono_quant_sys as sys;
use std::os::raw::{c_char, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;
use std::ptr;
use std::sync::{Arc, PoisonError, RwLock};

/// The version of the library that is loaded, as "1.2.0".
pub fn version() -> &'static str {
    // SAFETY: the version is a static string.
    unsafe { text_of(sys::mnq_version()) }
}

/// The ABI version of the library that is loaded: major and minor.
pub fn abi_version() -> (u32, u32) {
    // SAFETY: it takes nothing.
    let version = unsafe { sys::mnq_abi_version() };
    (version >> 16, version & 0xffff)
}

/// How the library was built and what it uses here, as a JSON object.
pub fn build_info() -> Result<String> {
    // SAFETY: the output is taken over.
    Ok(Buffer(make(|out, error| unsafe { sys::mnq_build_info(out, error) })?).into_text())
}

/// What can be asked for, as a JSON object of lists: schemes, methods, kinds of layers, layouts and formats.
pub fn capabilities() -> Result<String> {
    // SAFETY: the output is taken over.
    Ok(Buffer(make(|out, error| unsafe { sys::mnq_list_capabilities(out, error) })?).into_text())
}

/// The format of a file or folder, from its content: "safetensors", "torchscript", "gguf"...
pub fn detect_format(path: impl AsRef<Path>) -> Result<&'static str> {
    let path = c_path(path.as_ref())?;
    let mut format = ptr::null();
    // SAFETY: the path lives as long as the call, and the format is a static string.
    call(|error| unsafe { sys::mnq_detect_format(path.as_ptr(), &mut format, error) })?;
    Ok(unsafe { text_of(format) })
}

/// The number of threads that jobs use where the key `threads` is not set.
pub fn threads() -> u32 {
    // SAFETY: it takes nothing.
    unsafe { sys::mnq_threads() }
}

/// Sets it; 0 for the number of CPUs that this process may use.
pub fn set_threads(count: u32) -> Result<()> {
    // SAFETY: it takes a number.
    call(|error| unsafe { sys::mnq_set_threads(count, error) })
}

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogLevel {
    /// Something may be wrong.
    Warning,
    /// Something is worth knowing.
    Info,
}

impl LogLevel {
    pub(crate) fn of(level: sys::mnq_log_level) -> LogLevel {
        if level == sys::MNQ_LOG_WARNING {
            LogLevel::Warning
        } else {
            LogLevel::Info
        }
    }
}

type Log = dyn Fn(LogLevel, &str) + Send + Sync;
static LOG: RwLock<Option<Arc<Log>>> = RwLock::new(None);

/// Has the messages of all jobs told to a closure, from any thread, possibly from several at once. It must not call this
/// crate. As no call is there to carry it out, a panic of it ends with it.
pub fn set_log(closure: impl Fn(LogLevel, &str) + Send + Sync + 'static) {
    *LOG.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(closure));
    // SAFETY: the callback takes no state of its own.
    let _ = call(|error| unsafe { sys::mnq_set_log_callback(Some(log), ptr::null_mut(), error) });
}

/// Nobody is told of messages any more.
pub fn clear_log() {
    // SAFETY: NULL is taken for none.
    let _ = call(|error| unsafe { sys::mnq_set_log_callback(None, ptr::null_mut(), error) });
    *LOG.write().unwrap_or_else(PoisonError::into_inner) = None;
}

unsafe extern "C" fn log(_user: *mut c_void, level: sys::mnq_log_level, message: *const c_char) {
    let closure = LOG.read().unwrap_or_else(PoisonError::into_inner).clone();
    let _ = catch_unwind(AssertUnwindSafe(|| {
        if let Some(closure) = closure {
            closure(LogLevel::of(level), text_of(message));
        }
    }));
}
