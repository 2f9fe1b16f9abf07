//! Errors say what, why and what to do, and come where they should.
mod support;

use mono_quant::*;
use std::error::Error as _;
use support::{small_model, Folder};

#[test]
fn has_code_message_suggestion_and_subject() {
    let error = Model::open("no/such/model.safetensors").unwrap_err();
    assert_eq!(error.code(), Code::NOT_FOUND);
    assert_eq!((error.code().name(), error.code().number()), ("NOT_FOUND", 3));
    assert!(error.message().contains("no/such/model.safetensors"), "{error}");
    assert_eq!(error.subject(), "no/such/model.safetensors");
    assert_eq!(error.to_string(), error.message());
    assert!(error.source().is_none());
}

#[test]
fn alternate_form_has_the_suggestion() {
    let error = Config::new().with("bit", 4).unwrap_err();
    assert_eq!(error.code(), Code::CONFIG);
    assert_eq!(error.subject(), "bit");
    assert!(error.suggestion().contains("bits"), "{error:?}");
    assert_eq!(format!("{error:#}"), format!("{}\n{}", error.message(), error.suggestion()));
}

#[test]
fn numbers_and_bools_are_values() {
    let config = Config::new().with("bits", 4).unwrap().with("symmetric", false).unwrap();
    assert_eq!(config.resolve("bits", None, None).unwrap().value, "4");
    assert_eq!(config.resolve("symmetric", None, None).unwrap(), Setting { value: "false".into(), source: "config" });
    let run = Run::new().with("bits", 8).unwrap();
    assert_eq!(config.resolve("bits", None, &run).unwrap(), Setting { value: "8".into(), source: "call" });
    let back = Config::from_json(&config.to_json().unwrap()).unwrap();
    assert_eq!(back.resolve("symmetric", None, None).unwrap().value, "false");
    assert_eq!(
        Config::new().with("bits", 4).unwrap().with("dtype", "quint8").unwrap().validate().unwrap_err().code(),
        Code::CONFIG
    );
}

#[test]
fn a_zero_byte_is_no_text() {
    assert_eq!(Config::new().with("bi\0ts", 4).unwrap_err().code(), Code::INVALID_ARG);
    assert_eq!(Model::open("a\0b").unwrap_err().code(), Code::INVALID_ARG);
    assert_eq!(small_model().plan(None, None).unwrap().number("by\0tes"), None);
}

#[test]
fn what_is_there_is_not_replaced() {
    let folder = Folder::new();
    let path = folder.path("model.safetensors");
    small_model().save(&path, None).unwrap();
    assert_eq!(small_model().save(&path, None).unwrap_err().code(), Code::IO);
    small_model().save(&path, &mut Run::new().with("overwrite", true).unwrap()).unwrap();
}

#[test]
fn damaged_bytes_are_an_error_of_format() {
    assert_eq!(Model::from_memory(vec![7u8; 64], None).unwrap_err().code(), Code::FORMAT);
    assert_eq!(Model::from_reader(vec![7u8; 64], None).unwrap_err().code(), Code::FORMAT);
}

#[test]
fn names_that_are_none_are_not_found() {
    let model = small_model();
    assert_eq!(model.tensor("third.weight").unwrap_err().code(), Code::NOT_FOUND);
    assert_eq!(model.float("third.weight", None).unwrap_err().code(), Code::NOT_FOUND);
    assert_eq!(Values::new().tensor(0).unwrap_err().code(), Code::NOT_FOUND);
    let report = model.plan(None, None).unwrap();
    assert_eq!(report.number("no such number"), None);
    assert_eq!(report.layers().next().unwrap().text("no such text"), None);
}

/// What may go to another thread, and what may be used by several: all of it, as the library says of its handles.
#[test]
fn all_is_send_and_sync() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Error>();
    check::<Config>();
    check::<Run>();
    check::<Canceller>();
    check::<Tensor>();
    check::<Model>();
    check::<Report>();
    check::<Values>();
    check::<Buffer>();
}

#[test]
fn log_of_the_process_hears_jobs() {
    use std::sync::{Arc, Mutex};
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = heard.clone();
    set_log(move |level, message| ear.lock().unwrap().push((level, message.to_string())));
    let config = Config::new().with("accuracy_warning", "warn").unwrap().with("sqnr_warning_db", 90).unwrap();
    small_model().quantize(&config, None).unwrap();
    clear_log();
    assert!(
        heard.lock().unwrap().iter().any(|(level, text)| *level == LogLevel::Warning && text.contains("first")),
        "{heard:?}"
    );
}
