//! The whole library in one program: the same in every language of bindings-examples, whose README says what each line
//! is.
//!
//!     cargo run --release --example tour -- model.safetensors model-int4.safetensors bits=4 group_size=128
use mono_quant::{
    abi_version, detect_format, version, Code, Config, Layer, MemoryWriter, Model, Report, Result, Run, Tensor, Value,
    Values,
};
use std::fs::{self, File};
use std::panic::{catch_unwind, set_hook, take_hook, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

const USAGE: &str = "usage: tour INPUT OUTPUT [KEY=VALUE ...] [call:KEY=VALUE ...] [--digits MODULE IMAGES]";

struct Arguments {
    input: PathBuf,
    output: PathBuf,
    settings: Vec<(String, String)>,
    digits: Option<(PathBuf, PathBuf)>,
}

fn read_arguments() -> Option<Arguments> {
    let mut words = std::env::args().skip(1);
    let (input, output) = (words.next()?.into(), words.next()?.into());
    let mut arguments = Arguments { input, output, settings: Vec::new(), digits: None };
    while let Some(word) = words.next() {
        if word == "--digits" {
            arguments.digits = Some((words.next()?.into(), words.next()?.into()));
        } else {
            let (key, value) = word.split_once('=')?;
            arguments.settings.push((key.to_string(), value.to_string()));
        }
    }
    Some(arguments)
}

fn set_options(settings: &[(String, String)]) -> Result<(Config, Run)> {
    let (mut config, mut run) = (Config::new(), Run::new());
    for (key, value) in settings {
        match key.strip_prefix("call:") {
            Some(key) => run.set(key, value).map(|_| ())?,
            None => config.set(key, value).map(|_| ())?,
        }
    }
    Ok((config, run))
}

fn tensor_text(tensor: &Tensor) -> String {
    format!("{} {:?}", tensor.dtype(), tensor.shape())
}

fn sqnr_text(report: &Report) -> String {
    match report.number("sqnr_db") {
        None => "none".to_string(),
        Some(sqnr_db) if sqnr_db.is_infinite() => "exact".to_string(),
        Some(sqnr_db) => format!("{sqnr_db:.2} dB"),
    }
}

fn open_input(input: &Path, run: &Run) -> Result<Model> {
    let format = detect_format(input)?;
    let model = Model::open_with(input, run)?;
    println!("input {format}, {} tensors", model.tensor_count());
    Ok(model)
}

/// Prints the layers; those that belong to none have no kind. Returns the first that is quantized.
fn list_layers(model: &Model, config: &Config, run: &Run) -> Result<Option<Layer>> {
    let layers = model.layers(config, run)?;
    for layer in &layers {
        if let Some(kind) = &layer.kind {
            let scheme = layer.scheme.clone().unwrap_or_else(|| format!("as it is: {}", layer.reason));
            println!("layer {} {kind} {:?} {scheme}", layer.name, layer.shape);
        }
    }
    Ok(layers.into_iter().find(|layer| layer.kind.is_some() && layer.action == "quantize"))
}

/// The default of threads is a matter of the machine.
fn print_settings(config: &Config, run: &Run) -> Result<()> {
    for key in ["dtype", "bits", "group_size", "symmetric", "threads"] {
        let setting = config.resolve(key, None, run)?;
        if key != "threads" || setting.source != "default" {
            println!("setting {key} = {} ({})", setting.value, setting.source);
        }
    }
    Ok(())
}

/// What the closures of a job saw.
#[derive(Default)]
struct Events {
    quantized: usize,
    copied: usize,
    first: Option<u64>,
    last: u64,
}

fn quantize(model: &Model, config: &Config, run: &mut Run) -> Result<Model> {
    let events = Arc::new(Mutex::new(Events::default()));
    let seen = events.clone();
    run.on_progress(move |done, _total| {
        let mut seen = seen.lock().unwrap();
        seen.first.get_or_insert(done);
        seen.last = done;
    });
    let seen = events.clone();
    run.on_tensor(move |done| match done.action {
        "copy" => seen.lock().unwrap().copied += 1,
        _ => seen.lock().unwrap().quantized += 1,
    });
    let quantized = model.quantize(config, run)?;
    let (events, report) = (events.lock().unwrap(), quantized.report);
    println!("events {} quantized, {} copied", events.quantized, events.copied);
    println!("progress {} to {}", events.first.unwrap_or(0), events.last);
    let bytes = |name| report.number(name).unwrap_or(0.0);
    let (before, after, warnings) = (bytes("bytes_before"), bytes("bytes_after"), report.warnings().len());
    println!("report {before:.0} to {after:.0} bytes, SQNR {}, {warnings} warnings", sqnr_text(&report));
    Ok(quantized.model)
}

fn save(quantized: &Model, output: &Path, run: &mut Run) -> Result<()> {
    quantized.save(output, run)?;
    let format = detect_format(output)?;
    match fs::metadata(output).expect("the output is there") {
        of if of.is_dir() => println!("saved a folder, format {format}"),
        of => {
            println!("saved {} bytes, format {format}", of.len());
            use_streams(quantized, output, format)?;
        }
    }
    Ok(())
}

/// The file that was saved, by the program's own output and input.
fn use_streams(quantized: &Model, output: &Path, format: &str) -> Result<()> {
    let writer = MemoryWriter::new();
    quantized.save_to(&writer, &mut Run::new().with("format", format)?)?;
    let is_same = writer.into_bytes() == fs::read(output).expect("the output can be read");
    println!("writer {} bytes", if is_same { "the same" } else { "other" });
    let reader = File::open(output).expect("the output can be read");
    println!("reader {} tensors", Model::from_reader(reader, None)?.tensor_count());
    Ok(())
}

fn compare_floats(model: &Model, saved: &Model) -> Result<()> {
    let report = model.compare(&saved.dequantize(None)?.model, None)?;
    let is_exact = |sqnr_db: Option<f64>| sqnr_db.map_or(true, f64::is_infinite);
    let count = report.layers().filter(|layer| !is_exact(layer.number("sqnr_db"))).count();
    println!("back SQNR {}, {count} tensors differ", sqnr_text(&report));
    Ok(())
}

/// One tensor by itself, there and back; no model is needed for that.
fn quantize_alone(model: &Model, layer: &Layer, config: &Config, run: &mut Run) -> Result<()> {
    let tensor = model.tensor(&layer.tensor)?;
    let alone = tensor.quantize(Some(&layer.tensor), layer.kind.as_deref(), config, run)?;
    let count = alone.parts.iter().filter(|(_, value)| matches!(value, Ok(Value::Tensor(_)))).count();
    let restored = tensor_text(&Tensor::dequantize(&alone.parts, None)?);
    println!("alone {} {count} parts, SQNR {}, restored {restored}", layer.name, sqnr_text(&alone.report));
    Ok(())
}

/// A row of activations, made up, through the layer in integers. Not every layer can be run so: the status says it.
fn linear_text(saved: &Model, layer: &Layer) -> Result<String> {
    let linear = saved.linear(&layer.name, None, None)?;
    let row: Vec<f32> = (0..layer.shape[1]).map(|i| (i % 7 - 3) as f32 / 4.0).collect();
    let outputs = linear.run(&Tensor::from_slice(&row, &[1, layer.shape[1]])?)?;
    Ok(format!("{} outputs, first {:#010x}", outputs.shape()[1], outputs.values::<f32>()?[0].to_bits()))
}

/// A job that is cancelled by its closure ends with an error; one whose closure panics goes on with the panic.
fn cancel(model: &Model) {
    let mut run = Run::new();
    let canceller = run.canceller();
    run.on_progress(move |_, _| canceller.cancel());
    let error = model.quantize(None, &mut run).expect_err("a cancelled job gives no model");
    let hook = take_hook();
    set_hook(Box::new(|_| ())); // this panic is expected: nothing is to be printed
    let panic = catch_unwind(AssertUnwindSafe(|| {
        model.quantize(None, Run::new().on_progress(|_, _| panic!("thrown in the callback")))
    }));
    set_hook(hook);
    let said = panic.err().and_then(|panic| panic.downcast_ref::<&str>().copied());
    let lost = if said == Some("thrown in the callback") { "" } else { ", but the panic was lost" };
    println!("cancelled {}{lost}", error.code());
}

fn open_missing(input: &Path) {
    let mut path = input.as_os_str().to_owned();
    path.push(".missing");
    println!("missing {}", Model::open(path).expect_err("there is no such file").code());
}

/// The first image, 0 to 16, as the module wants it: floats from 0 to 1.
fn read_image(images: &Path) -> Result<Values> {
    let pixels = Model::open(images)?.tensor("images")?;
    let floats: Vec<f32> = pixels.bytes()[..64].iter().map(|pixel| f32::from(*pixel) / 16.0).collect();
    Values::new().with_tensor(None, &Tensor::wrap::<f32, _>(floats, &[1, 1, 8, 8])?)
}

/// The place of the largest output.
fn classify(module: &Model, image: &Values) -> Result<usize> {
    let scores = module.forward(None, image, None)?.tensor(0)?;
    let scores = scores.values::<f32>()?;
    Ok((0..scores.len()).fold(0, |best, at| if scores[at] > scores[best] { at } else { best }))
}

fn run_digits(module: &Path, images: &Path) -> Result<()> {
    let image = read_image(images)?;
    let module = Model::open(module)?;
    let of_floats = classify(&module, &image)?;
    let of_codes = classify(&module.quantize(None, None)?.model, &image)?;
    println!("digits float {of_floats}, int8 {of_codes}");
    Ok(())
}

fn tour(arguments: &Arguments) -> Result<()> {
    let (config, mut run) = set_options(&arguments.settings)?;
    let (major, minor) = abi_version();
    println!("mono_quant {}, ABI {major}.{minor}", version());
    let model = open_input(&arguments.input, &run)?;
    let first = list_layers(&model, &config, &run)?;
    print_settings(&config, &run)?;
    save(&quantize(&model, &config, &mut run)?, &arguments.output, &mut run)?;
    let saved = Model::open(&arguments.output)?;
    compare_floats(&model, &saved)?;
    if let Some(layer) = first {
        quantize_alone(&model, &layer, &config, &mut run)?;
        println!("one {}", tensor_text(&saved.float(&layer.tensor, None)?));
        println!("linear {}", linear_text(&saved, &layer).unwrap_or_else(|error| error.code().to_string()));
    }
    cancel(&model);
    open_missing(&arguments.input);
    match arguments.digits.as_ref().map_or(Ok(()), |(module, images)| run_digits(module, images)) {
        Err(error) if error.code() == Code::UNSUPPORTED => println!("digits {}", error.code()),
        other => other?,
    }
    Ok(())
}

fn main() -> ExitCode {
    match read_arguments().as_ref().map(tour) {
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("tour: {error:#}");
            ExitCode::FAILURE
        }
    }
}
