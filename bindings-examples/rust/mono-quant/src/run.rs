use crate::call::{c_text, call, make, text_of, Handle, Slot};
use crate::error::Result;
use crate::library::LogLevel;
use mono_quant_sys as sys;
use std::fmt;
use std::os::raw::{c_char, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;

type Progress = Box<dyn FnMut(u64, u64) + Send>;
type Observer = Box<dyn FnMut(&TensorDone<'_>) + Send>;
type Log = Box<dyn FnMut(LogLevel, &str) + Send>;

/// One job's own settings, progress and cancel. It can serve several jobs, one after the other.
///
/// Its closures are called on the thread that made the call. One that panics stops the job, and the panic goes on out
/// of the call: the run is then cancelled, until [`Run::reset`]. One that wants to stop the job has a [`Canceller`].
pub struct Run {
    handle: Arc<Handle<sys::mnq_run>>,
    callbacks: NonNull<Callbacks>, // the library has its address: it is boxed, and freed with the run
}

/// A tensor of a job that is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorDone<'a> {
    /// Which it is, from 0, of `count`.
    pub index: usize,
    /// How many the job has in all.
    pub count: usize,
    /// The layer, or the tensor where it is no layer's weight.
    pub layer: &'a str,
    /// "quantize", "cast", "copy" or "dequantize".
    pub action: &'a str,
    /// Not a number where none is measured, infinite for an exact one.
    pub sqnr_db: f64,
}

#[derive(Default)]
struct Callbacks {
    progress: Option<Progress>,
    observer: Option<Observer>,
    log: Option<Log>,
    failed: Slot,
    run: Option<NonNull<sys::mnq_run>>, // for a callback that cannot say by itself that the job is to stop
}

// SAFETY: the closures are Send, and are called only while a job has the run by `&mut`.
unsafe impl Send for Run {}
// SAFETY: what `&Run` allows are functions that any thread may call.
unsafe impl Sync for Run {}

impl Run {
    /// One without settings.
    pub fn new() -> Run {
        // SAFETY: the output is taken over.
        let handle = make(|out, error| unsafe { sys::mnq_run_create(out, error) }).expect("memory for a run");
        let callbacks = Callbacks { run: NonNull::new(handle.get()), ..Callbacks::default() };
        let callbacks = NonNull::from(Box::leak(Box::new(callbacks)));
        Run { handle: Arc::new(handle), callbacks }
    }

    /// Sets a key for this run's jobs; it wins over the config.
    pub fn set(&mut self, key: &str, value: impl fmt::Display) -> Result<&mut Run> {
        let (key, value) = (c_text(key)?, c_text(&value.to_string())?);
        // SAFETY: the texts live as long as the call.
        call(|error| unsafe { sys::mnq_run_set(self.pointer(), key.as_ptr(), value.as_ptr(), error) })?;
        Ok(self)
    }

    /// The same for the layers that the glob matches.
    pub fn set_for_layers(&mut self, glob: &str, key: &str, value: impl fmt::Display) -> Result<&mut Run> {
        let (glob, key, value) = (c_text(glob)?, c_text(key)?, c_text(&value.to_string())?);
        // SAFETY: the texts live as long as the call.
        call(|error| unsafe {
            sys::mnq_run_set_for_layers(self.pointer(), glob.as_ptr(), key.as_ptr(), value.as_ptr(), error)
        })?;
        Ok(self)
    }

    /// As [`Run::set`], for making one in a single expression.
    pub fn with(mut self, key: &str, value: impl fmt::Display) -> Result<Run> {
        self.set(key, value)?;
        Ok(self)
    }

    /// Has bytes of input done and in all told to a closure: at the start, about ten times a second, and at the end.
    pub fn on_progress(&mut self, closure: impl FnMut(u64, u64) + Send + 'static) -> &mut Run {
        self.callbacks().progress = Some(Box::new(closure));
        // SAFETY: the callbacks live as long as the run.
        set(|error| unsafe { sys::mnq_run_set_progress(self.pointer(), Some(progress), self.user(), error) });
        self
    }

    /// Has each tensor told to a closure that is done, in order.
    pub fn on_tensor(&mut self, closure: impl FnMut(&TensorDone<'_>) + Send + 'static) -> &mut Run {
        self.callbacks().observer = Some(Box::new(closure));
        // SAFETY: the callbacks live as long as the run.
        set(|error| unsafe { sys::mnq_run_set_observer(self.pointer(), Some(observe), self.user(), error) });
        self
    }

    /// Has the messages of this run's jobs told to a closure, in place of the process's ([`crate::set_log`]).
    pub fn on_log(&mut self, closure: impl FnMut(LogLevel, &str) + Send + 'static) -> &mut Run {
        self.callbacks().log = Some(Box::new(closure));
        // SAFETY: the callbacks live as long as the run.
        set(|error| unsafe { sys::mnq_run_set_log_callback(self.pointer(), Some(log), self.user(), error) });
        self
    }

    /// What stops this run's job from another thread, or from one of its closures.
    pub fn canceller(&self) -> Canceller {
        Canceller(self.handle.clone())
    }

    /// Whether it was cancelled, by a [`Canceller`] or by a closure that panicked; it stays so until [`Run::reset`].
    pub fn is_cancelled(&self) -> bool {
        // SAFETY: any thread may ask.
        unsafe { sys::mnq_run_is_cancelled(self.handle.get()) != 0 }
    }

    /// Makes it one that is not cancelled, for its next job; settings and closures stay.
    pub fn reset(&mut self) {
        // SAFETY: no job uses it.
        unsafe { sys::mnq_run_reset(self.pointer()) }
    }

    fn pointer(&mut self) -> *mut sys::mnq_run {
        self.handle.get()
    }

    fn user(&mut self) -> *mut c_void {
        self.callbacks.as_ptr().cast()
    }

    fn callbacks(&mut self) -> &mut Callbacks {
        // SAFETY: no job uses the run, so no closure runs.
        unsafe { self.callbacks.as_mut() }
    }

    pub(crate) fn const_pointer(run: Option<&Run>) -> *const sys::mnq_run {
        run.map_or(ptr::null(), |run| run.handle.get())
    }

    pub(crate) fn mut_pointer(run: &mut Option<&mut Run>) -> *mut sys::mnq_run {
        run.as_mut().map_or(ptr::null_mut(), |run| run.pointer())
    }

    /// Where its closures leave their panics.
    pub(crate) fn slot<'a>(run: &'a Option<&mut Run>) -> Option<&'a Slot> {
        // SAFETY: the callbacks live as long as the run, and after a job nobody changes them.
        run.as_ref().map(|run| unsafe { &run.callbacks.as_ref().failed })
    }
}

impl Default for Run {
    fn default() -> Run {
        Run::new()
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Run").field("is_cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // SAFETY: it was a box, and no job uses the run any more: a job has it by `&mut`.
        unsafe { drop(Box::from_raw(self.callbacks.as_ptr())) }
    }
}

/// Stops a run's job, or the next one that uses it, from any thread and at any time.
#[derive(Clone)]
pub struct Canceller(Arc<Handle<sys::mnq_run>>);

impl Canceller {
    /// The job ends with [`crate::Code::CANCELLED`] within a fraction of a second, and leaves no file behind.
    pub fn cancel(&self) {
        // SAFETY: any thread may cancel, any time.
        unsafe { sys::mnq_run_cancel(self.0.get()) }
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Canceller")
    }
}

/// A callback is set: that fails only for lack of memory.
fn set(function: impl FnOnce(*mut *mut sys::mnq_error) -> sys::mnq_status) {
    call(function).expect("memory for a callback");
}

/// Runs a closure of a run; what it panics with is kept for the end of the call.
unsafe fn guard<T>(
    user: *mut c_void,
    field: impl FnOnce(*mut Callbacks) -> *mut Option<T>,
    work: impl FnOnce(&mut T),
) -> i32 {
    let callbacks = user.cast::<Callbacks>();
    let slot = &*ptr::addr_of!((*callbacks).failed);
    slot.guard(|| {
        if let Some(closure) = &mut *field(callbacks) {
            work(closure);
        }
        Ok(())
    })
}

unsafe extern "C" fn progress(user: *mut c_void, done_bytes: u64, total_bytes: u64) -> i32 {
    guard(user, |callbacks| ptr::addr_of_mut!((*callbacks).progress), |closure| closure(done_bytes, total_bytes))
}

unsafe extern "C" fn observe(
    user: *mut c_void,
    index: usize,
    count: usize,
    layer: *const c_char,
    action: *const c_char,
    sqnr_db: f64,
) -> i32 {
    let done = TensorDone { index, count, layer: text_of(layer), action: text_of(action), sqnr_db };
    guard(user, |callbacks| ptr::addr_of_mut!((*callbacks).observer), |closure| closure(&done))
}

unsafe extern "C" fn log(user: *mut c_void, level: sys::mnq_log_level, message: *const c_char) {
    let (level, message) = (LogLevel::of(level), text_of(message));
    if guard(user, |callbacks| ptr::addr_of_mut!((*callbacks).log), |closure| closure(level, message)) != 0 {
        let run = (*user.cast::<Callbacks>()).run;
        sys::mnq_run_cancel(run.map_or(ptr::null_mut(), NonNull::as_ptr));
    }
}
