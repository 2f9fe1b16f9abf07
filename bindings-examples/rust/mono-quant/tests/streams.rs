//! The program's own input and output give what files give, and what they fail with comes out of the call.
mod support;

use mono_quant::*;
use std::error::Error as _;
use std::fs::{self, File};
use std::io::{self, Cursor};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;
use support::{int4, small_file, small_model, zip, Dropped, Folder};

/// The small model quantized from a file into a file.
fn from_file(folder: &Folder) -> Vec<u8> {
    fs::write(folder.path("in.safetensors"), small_file()).unwrap();
    quantize_file(folder.path("in.safetensors"), folder.path("out.safetensors"), &int4(), None).unwrap();
    fs::read(folder.path("out.safetensors")).unwrap()
}

fn from_reader(reader: impl ReadAt + 'static, threads: u32) -> Vec<u8> {
    let writer = MemoryWriter::new();
    let mut run = Run::new().with("threads", threads).unwrap();
    Model::from_reader(reader, None).unwrap().quantize_to(&writer, &int4(), &mut run).unwrap();
    writer.into_bytes()
}

struct Slow(Vec<u8>);

impl ReadAt for Slow {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        sleep(Duration::from_millis(20));
        self.0.read_exact_at(into, offset)
    }
}

#[test]
fn every_input_gives_the_bytes_of_a_file() {
    let folder = Folder::new();
    let (expected, input) = (from_file(&folder), folder.path("in.safetensors"));
    let bytes = small_file();
    assert_eq!(from_reader(bytes.clone(), 2), expected, "memory");
    assert_eq!(from_reader(Arc::<[u8]>::from(bytes.clone()), 1), expected, "shared memory");
    assert_eq!(from_reader(Box::new(bytes.clone()) as Box<dyn ReadAt>, 2), expected, "whatever reads");
    assert_eq!(from_reader(File::open(&input).unwrap(), 2), expected, "a file");
    assert_eq!(from_reader(Seekable::new(Cursor::new(bytes.clone())), 2), expected, "what seeks");
    assert_eq!(from_reader(Slow(bytes), 2), expected, "a slow source");
    let (stored, deflated) = (folder.path("stored.zip"), folder.path("deflated.zip"));
    let stored = zip::Member::open(zip::make(&stored, &input, "ZIP_STORED"));
    assert_eq!(from_reader(stored, 2), expected, "a member that is stored");
    let deflated = zip::Member::open(zip::make(&deflated, &input, "ZIP_DEFLATED"));
    assert_eq!(from_reader(deflated, 2), expected, "a member that is deflated");
}

#[test]
fn every_output_gets_the_bytes_of_a_file() {
    let folder = Folder::new();
    let expected = from_file(&folder);
    let model = Model::open(folder.path("in.safetensors")).unwrap();
    let seekable = Seekable::new(Cursor::new(Vec::new()));
    model.quantize_to(&seekable, &int4(), None).unwrap();
    assert_eq!(seekable.into_inner().into_inner(), expected, "what seeks");
    let path = folder.path("own");
    model.quantize_to(&File::create(&path).unwrap(), &int4(), None).unwrap();
    assert_eq!(fs::read(&path).unwrap(), expected, "a file");
    let memory = MemoryWriter::new();
    model.quantize(&int4(), None).unwrap().model.save_to(&memory, None).unwrap();
    model.quantize_to(&memory, &int4(), None).unwrap();
    assert_eq!(memory.into_bytes(), expected, "a model that was quantized before, and one that is");
}

#[test]
fn floats_go_to_a_writer() {
    let model = small_model().quantize(&int4(), None).unwrap().model;
    let writer = MemoryWriter::new();
    let report = model.dequantize_to(&writer, None).unwrap();
    assert_eq!(report.layers().len(), 4);
    let floats = Model::from_memory(writer.into_bytes(), None).unwrap();
    let report = model.compare(&floats, None).unwrap();
    assert_eq!(report.number("sqnr_db"), Some(f64::INFINITY));
}

/// Memory and readers are dropped once, when the last model that reads them is gone.
#[test]
fn what_was_lent_is_dropped_after_its_last_user() {
    let count = Arc::new(AtomicUsize::new(0));
    let dropped = || count.load(Ordering::SeqCst);
    let model = Model::from_memory(Dropped(small_file(), count.clone()), None).unwrap();
    let tensor = model.tensor("first.weight").unwrap();
    drop(model);
    assert_eq!(tensor.values::<f32>().unwrap(), support::weights(64 * 128, 0));
    drop(tensor);
    assert_eq!(dropped(), 1);
    let model = Model::from_reader(Dropped(small_file(), count.clone()), None).unwrap();
    let floats = model.dequantize(None).unwrap().model;
    drop(model);
    floats.save_to_memory(None).unwrap();
    drop(floats);
    assert_eq!(dropped(), 2);
    drop(Model::from_memory(Dropped(vec![1; 9], count.clone()), None).unwrap_err());
    drop(Model::from_reader(Dropped(vec![1; 9], count.clone()), None).unwrap_err());
    assert_eq!(dropped(), 4);
}

/// Fails from a place on.
struct Failing {
    bytes: Vec<u8>,
    limit: u64,
    panics: bool,
}

impl ReadAt for Failing {
    fn size(&self) -> io::Result<u64> {
        self.bytes.size()
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        if offset + into.len() as u64 > self.limit {
            assert!(!self.panics, "the store is gone");
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "the store hung up"));
        }
        self.bytes.read_exact_at(into, offset)
    }
}

#[test]
fn what_a_reader_fails_with_is_the_source() {
    let bytes = small_file();
    let error = Model::from_reader(Failing { bytes: bytes.clone(), limit: 4, panics: false }, None).unwrap_err();
    assert_eq!(error.code(), Code::IO);
    assert_eq!(error.source().unwrap().to_string(), "the store hung up");
    let limit = bytes.len() as u64 / 2;
    let model = Model::from_reader(Failing { bytes, limit, panics: false }, None).unwrap();
    let error = model.quantize(&int4(), None).unwrap_err();
    assert_eq!((error.code(), error.source().unwrap().to_string().as_str()), (Code::IO, "the store hung up"));
    assert!(model.describe().is_ok(), "the model itself is whole");
}

#[test]
fn panics_of_a_reader_come_out_of_the_call() {
    let bytes = small_file();
    let limit = bytes.len() as u64 / 2;
    let model = Model::from_reader(Failing { bytes, limit, panics: true }, None).unwrap();
    for threads in [1, 2] {
        let mut run = Run::new().with("threads", threads).unwrap();
        let panic = catch_unwind(AssertUnwindSafe(|| model.quantize(&int4(), &mut run).map(drop)));
        assert_eq!(panic.unwrap_err().downcast_ref::<&str>(), Some(&"the store is gone"));
    }
}

#[derive(Default)]
struct Refusing {
    panics: bool,
    refuses_commit: bool,
    was_aborted: AtomicBool,
}

impl WriteAt for Refusing {
    fn write_all_at(&self, _data: &[u8], offset: u64) -> io::Result<()> {
        assert!(!self.panics, "the disk is gone");
        if self.refuses_commit || offset == 0 {
            return Ok(());
        }
        Err(io::Error::from_raw_os_error(28))
    }

    fn commit(&self, _size: u64) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Other, "no room in the store"))
    }

    fn abort(&self) {
        self.was_aborted.store(true, Ordering::SeqCst);
    }
}

#[test]
fn what_a_writer_fails_with_is_the_source() {
    let writer = Refusing::default();
    let error = small_model().quantize_to(&writer, &int4(), None).unwrap_err();
    assert_eq!(error.code(), Code::IO);
    assert!(error.message().contains("28"), "{error}");
    let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.raw_os_error(), Some(28));
    assert!(writer.was_aborted.load(Ordering::SeqCst));
    let writer = Refusing { refuses_commit: true, ..Refusing::default() };
    let error = small_model().save_to(&writer, None).unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "no room in the store");
}

#[test]
fn panics_of_a_writer_come_out_of_the_call() {
    let writer = Refusing { panics: true, ..Refusing::default() };
    let panic = catch_unwind(AssertUnwindSafe(|| small_model().save_to(&writer, None))).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the disk is gone"));
}

#[test]
fn input_without_a_size_is_an_error() {
    struct Endless;
    impl ReadAt for Endless {
        fn size(&self) -> io::Result<u64> {
            Err(io::ErrorKind::Unsupported.into())
        }
        fn read_exact_at(&self, _into: &mut [u8], _offset: u64) -> io::Result<()> {
            unreachable!("nothing is read")
        }
    }
    let error = Model::from_reader(Endless, None).unwrap_err();
    assert_eq!(error.code(), Code::IO);
    assert!(error.source().is_some());
}
