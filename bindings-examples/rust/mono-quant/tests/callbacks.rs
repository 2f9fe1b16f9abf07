//! Closures of a run: what they hear, how they stop a job, and that their panics come out of the call.
mod support;

use mono_quant::*;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use support::{int4, small_model, weights, Folder};

/// What work panics with.
fn panic_of<T>(work: impl FnOnce() -> T) -> &'static str {
    let panic = catch_unwind(AssertUnwindSafe(|| drop(work()))).expect_err("it panics");
    panic.downcast_ref::<&str>().copied().expect("it is the text that was thrown")
}

#[test]
fn progress_begins_at_nothing_and_ends_at_all() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (ear, mut run) = (heard.clone(), Run::new());
    run.on_progress(move |done, total| ear.lock().unwrap().push((done, total)));
    small_model().quantize(&int4(), &mut run).unwrap();
    let heard = heard.lock().unwrap();
    let total = 2 * 4 * (64 * 128 + 64);
    assert_eq!((heard.first(), heard.last()), (Some(&(0, total)), Some(&(total, total))));
}

#[test]
fn each_tensor_is_told_of_once_and_in_order() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (ear, mut run) = (heard.clone(), Run::new());
    run.on_tensor(move |done| {
        ear.lock().unwrap().push((
            done.index,
            done.count,
            done.layer.to_string(),
            done.action.to_string(),
            done.sqnr_db.is_nan(),
        ))
    });
    small_model().quantize(&int4(), &mut run).unwrap();
    let row = |index, layer: &str, action: &str, is_nan| (index, 4, layer.to_string(), action.to_string(), is_nan);
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 4);
    assert!(
        heard.contains(&row(heard.iter().position(|row| row.2 == "first").unwrap(), "first", "quantize", false)),
        "{heard:?}"
    );
    assert_eq!(heard.iter().map(|row| row.0).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(heard.iter().filter(|row| row.3 == "copy").count(), 2);
}

#[test]
fn closure_stops_its_job_by_its_canceller() {
    let folder = Folder::new();
    let (output, mut run) = (folder.path("out.safetensors"), Run::new());
    let canceller = run.canceller();
    run.on_progress(move |_, _| canceller.cancel());
    let error = small_model().quantize_to_file(&output, &int4(), &mut run).unwrap_err();
    assert_eq!(error.code(), Code::CANCELLED);
    assert_eq!(std::fs::read_dir(folder.root()).unwrap().count(), 0);
    assert!(run.is_cancelled());
    run.on_progress(|_, _| ()).reset();
    small_model().quantize_to_file(&output, &int4(), &mut run).unwrap();
}

#[test]
fn another_thread_stops_a_job() {
    let tensor = Tensor::wrap::<f32, _>(weights(1 << 22, 1), &[2048, 2048]).unwrap();
    let model = Model::from_tensors([("big.weight", &tensor)]).unwrap();
    let mut run = Run::new().with("method", "search").unwrap();
    let (canceller, (started, wait)) = (run.canceller(), std::sync::mpsc::channel());
    run.on_progress(move |_, _| started.send(()).unwrap());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            wait.recv().unwrap();
            canceller.cancel();
        });
        assert_eq!(model.quantize(&int4(), &mut run).unwrap_err().code(), Code::CANCELLED);
    });
}

#[test]
fn canceller_may_outlive_its_run() {
    let canceller = Run::new().canceller();
    canceller.cancel();
}

#[test]
fn panics_of_closures_come_out_of_the_call() {
    let model = small_model();
    let mut run = Run::new();
    run.on_progress(|_, _| panic!("in progress"));
    assert_eq!(panic_of(|| model.quantize(&int4(), &mut run)), "in progress");
    run.reset();
    run.on_progress(|_, _| ()).on_tensor(|_| panic!("in the observer"));
    assert_eq!(panic_of(|| model.quantize(&int4(), &mut run)), "in the observer");
    run.reset();
    run.on_tensor(|_| ()).on_log(|_, _| panic!("in the log"));
    run.set("sqnr_warning_db", 90).unwrap();
    assert_eq!(panic_of(|| model.quantize(&int4(), &mut run)), "in the log");
    run.reset();
    run.on_log(|_, _| ());
    model.quantize(&int4(), &mut run).expect("a run goes on after a panic");
}

#[test]
fn log_of_a_run_hears_its_jobs_alone() {
    let heard = Arc::new(AtomicUsize::new(0));
    let (ear, mut run) = (heard.clone(), Run::new().with("sqnr_warning_db", 90).unwrap());
    run.on_log(move |level, _| {
        assert_eq!(level, LogLevel::Warning);
        ear.fetch_add(1, Ordering::SeqCst);
    });
    small_model().quantize(&int4(), &mut run).unwrap();
    let count = heard.load(Ordering::SeqCst);
    assert!(count > 0);
    small_model().quantize(&int4(), &mut Run::new().with("sqnr_warning_db", 90).unwrap()).unwrap();
    assert_eq!(heard.load(Ordering::SeqCst), count);
}

/// One model is read by eight threads at once, each with a run of its own.
#[test]
fn threads_share_a_model() {
    let (model, done) = (small_model(), AtomicU64::new(0));
    let expected = model.quantize(&int4(), None).unwrap().model.save_to_memory(None).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut run = Run::new();
                let quantized = model.quantize(&int4(), run.on_progress(|_, _| ())).unwrap();
                assert_eq!(*quantized.model.save_to_memory(&mut run).unwrap(), *expected);
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    assert_eq!(done.load(Ordering::SeqCst), 8);
}
