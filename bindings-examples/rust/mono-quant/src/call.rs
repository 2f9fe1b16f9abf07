//! The way into the C library and back: handles, errors, texts, and what callbacks leave behind.
use crate::error::{Error, Result};
use mono_quant_sys as sys;
use std::any::Any;
use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::io;
use std::os::raw::c_char;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

/// An opaque type of the library, and how it is freed.
pub(crate) trait Freed {
    unsafe fn free(handle: *mut Self);
}

macro_rules! freed {
    ($($name:ident $free:ident),*) => {
        $(impl Freed for sys::$name {
            unsafe fn free(handle: *mut Self) {
                sys::$free(handle)
            }
        })*
    };
}
freed!(mnq_buffer mnq_buffer_free, mnq_config mnq_config_free, mnq_run mnq_run_free, mnq_tensor mnq_tensor_free);
freed!(mnq_layers mnq_layers_free, mnq_model mnq_model_free, mnq_report mnq_report_free, mnq_values mnq_values_free);
freed!(mnq_reader mnq_reader_free, mnq_writer mnq_writer_free);
freed!(mnq_linear mnq_linear_free, mnq_embedding mnq_embedding_free);

/// A handle that is freed once, when this is dropped.
pub(crate) struct Handle<T: Freed>(NonNull<T>);

// SAFETY: no handle belongs to a thread. A const one may be used by many at once, and only those behind `&mut` are
// passed to functions that take them without const.
unsafe impl<T: Freed> Send for Handle<T> {}
unsafe impl<T: Freed> Sync for Handle<T> {}

impl<T: Freed> Handle<T> {
    /// None for NULL.
    pub(crate) fn of(made: *mut T) -> Option<Handle<T>> {
        NonNull::new(made).map(Handle)
    }

    pub(crate) fn get(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T: Freed> Drop for Handle<T> {
    fn drop(&mut self) {
        // SAFETY: the handle is this one's own.
        unsafe { T::free(self.0.as_ptr()) }
    }
}

/// Calls a function that can fail.
pub(crate) fn call(function: impl FnOnce(*mut *mut sys::mnq_error) -> sys::mnq_status) -> Result<()> {
    let mut error = ptr::null_mut();
    match function(&mut error) {
        sys::MNQ_OK => Ok(()),
        status => Err(Error::take(status, error)),
    }
}

/// Calls a function that makes a handle.
pub(crate) fn make<T: Freed>(
    function: impl FnOnce(*mut *mut T, *mut *mut sys::mnq_error) -> sys::mnq_status,
) -> Result<Handle<T>> {
    let mut made = ptr::null_mut();
    call(|error| function(&mut made, error))?;
    Ok(own(made))
}

/// Calls a function that makes two.
pub(crate) fn make_two<T: Freed, U: Freed>(
    function: impl FnOnce(*mut *mut T, *mut *mut U, *mut *mut sys::mnq_error) -> sys::mnq_status,
) -> Result<(Handle<T>, Handle<U>)> {
    let mut second = ptr::null_mut();
    let first = make(|first, error| function(first, &mut second, error))?;
    Ok((first, own(second)))
}

fn own<T: Freed>(made: *mut T) -> Handle<T> {
    Handle::of(made).expect("a call that succeeds gives what it makes")
}

/// A text of the library, which is always UTF-8; empty for NULL. It must live as long as 'a.
pub(crate) unsafe fn text_of<'a>(text: *const c_char) -> &'a str {
    if text.is_null() {
        return "";
    }
    CStr::from_ptr(text).to_str().unwrap_or("")
}

/// The same, where NULL or an empty text says that there is none.
pub(crate) unsafe fn optional_text<'a>(text: *const c_char) -> Option<&'a str> {
    Some(text_of(text)).filter(|text| !text.is_empty())
}

/// A text for the library.
pub(crate) fn c_text(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::invalid("a text has a zero byte in it", text))
}

/// A path for the library: the bytes that the file system has.
pub(crate) fn c_path(path: &Path) -> Result<CString> {
    #[cfg(unix)]
    let bytes = Cow::Borrowed(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()));
    #[cfg(not(unix))]
    let bytes: Cow<'_, [u8]> = Cow::Owned(path.to_string_lossy().into_owned().into_bytes());
    CString::new(bytes.into_owned()).map_err(|_| Error::invalid("a path has a zero byte in it", path.to_string_lossy()))
}

/// The pointer of an optional text.
pub(crate) fn pointer_of(text: &Option<CString>) -> *const c_char {
    text.as_ref().map_or(ptr::null(), |text| text.as_ptr())
}

/// The pointer of an array: NULL for an empty one.
pub(crate) fn array_of<T>(values: &[T]) -> *const T {
    if values.is_empty() {
        ptr::null()
    } else {
        values.as_ptr()
    }
}

/// What stopped a closure or a trait of the program's own.
pub(crate) enum Failure {
    Panic(Box<dyn Any + Send>),
    Io(io::Error),
}

/// Where a callback leaves the first thing that stopped it, for the call that it was made in.
#[derive(Default)]
pub(crate) struct Slot(Mutex<Option<Failure>>);

impl Slot {
    fn put(&self, failure: Failure) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }

    fn take(&self) -> Option<Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Runs a callback, whose panics must not cross C. Returns 0 where it went well, as C wants it.
    pub(crate) fn guard(&self, work: impl FnOnce() -> io::Result<()>) -> i32 {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(())) => 0,
            Ok(Err(error)) => {
                let number = error.raw_os_error().filter(|number| *number != 0).unwrap_or(1);
                self.put(Failure::Io(error));
                number
            }
            Err(panic) => {
                self.put(Failure::Panic(panic));
                1
            }
        }
    }
}

/// Ends a call: panics of its callbacks go on, and an error has what a reader or writer said as its source.
pub(crate) fn settle<T>(result: Result<T>, slots: &[&Slot]) -> Result<T> {
    let (mut panicked, mut said) = (None, None);
    for failure in slots.iter().filter_map(|slot| slot.take()) {
        match failure {
            Failure::Panic(panic) => panicked = panicked.or(Some(panic)),
            Failure::Io(error) => said = said.or(Some(error)),
        }
    }
    match (result, panicked, said) {
        (_, Some(panic), _) => resume_unwind(panic),
        (Err(error), None, Some(said)) => Err(error.with_source(said)),
        (result, ..) => result,
    }
}

/// Frees what a program lent, once the library does not use it any more. A panic of its drop must not cross C.
pub(crate) unsafe extern "C" fn release_box<T>(user: *mut std::os::raw::c_void) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(user.cast::<T>()))));
}
