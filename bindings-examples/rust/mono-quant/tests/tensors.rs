//! Tensors, kernels, layers and values.
mod support;

use mono_quant::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use support::{int4, small_model, weights, Dropped};

#[test]
fn a_tensor_has_what_it_was_made_of() {
    let tensor = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]).unwrap();
    assert_eq!((tensor.dtype(), tensor.shape()), (DType::F32, &[2i64, 3][..]));
    assert_eq!(tensor.values::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(tensor.bytes()[..4], 1.0f32.to_le_bytes());
    assert_eq!(format!("{tensor:?}"), "Tensor(F32 [2, 3])");
    assert!(tensor.values::<f64>().unwrap_err().message().contains("F32, not F64"));
    assert_eq!(Tensor::from_slice(&[1u8, 2], &[3]).unwrap_err().code(), Code::SHAPE);
    let scalar = Tensor::from_slice(&[7i64], &[]).unwrap();
    assert_eq!((scalar.shape(), scalar.values::<i64>().unwrap()), (&[][..], &[7][..]));
    let empty = Tensor::from_slice::<f32>(&[], &[0, 4]).unwrap();
    assert_eq!(empty.values::<f32>().unwrap(), []);
    let half = Tensor::from_bytes(DType::BF16, &[0, 0x80, 0x3f, 0x40][..2], &[1]).unwrap();
    assert_eq!(half.dtype().name(), "BF16");
}

#[test]
fn wrapped_values_are_dropped_after_their_last_user() {
    let count = Arc::new(AtomicUsize::new(0));
    let tensor = Tensor::wrap::<f32, _>(Dropped(weights(8192, 1), count.clone()), &[64, 128]).unwrap();
    let model = Model::from_tensors([("x.weight", &tensor)]).unwrap();
    drop(tensor);
    assert_eq!(model.tensor("x.weight").unwrap().values::<f32>().unwrap(), weights(8192, 1));
    assert_eq!(count.load(Ordering::SeqCst), 0);
    drop(model);
    assert_eq!(count.load(Ordering::SeqCst), 1);
    Tensor::wrap::<f32, _>(Dropped(vec![1.0], count.clone()), &[2]).unwrap_err();
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

/// -2 to 2 in steps of a code: the scale of a row is 2 / 127, and each weight its own code times that.
#[test]
fn a_tensor_alone_is_quantized_by_hand_and_back() {
    let rows: Vec<f32> = (-127..=127).map(|code| code as f32 * (2.0 / 127.0)).collect();
    let tensor = Tensor::from_slice(&rows, &[1, 255]).unwrap();
    let config = Config::new().with("min_parameters", 1).unwrap();
    let alone = tensor.quantize(Some("fc.weight"), Some("Linear"), &config, None).unwrap();
    let names: Vec<_> = alone.parts.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names[..2], ["fc.weight", "fc.weight_scale"]);
    assert_eq!(names.last().unwrap(), "mono_quant");
    let codes = alone.parts.tensor(0).unwrap();
    assert_eq!(codes.values::<i8>().unwrap(), (-127..=127).collect::<Vec<i8>>());
    assert_eq!(alone.parts.tensor(1).unwrap().values::<f32>().unwrap(), [2.0 / 127.0]);
    let back = Tensor::dequantize(&alone.parts, None).unwrap();
    assert_eq!((back.dtype(), back.shape()), (DType::F32, &[1i64, 255][..]));
    assert!(back.values::<f32>().unwrap().iter().zip(&rows).all(|(back, row)| (back - row).abs() < 1e-6));
}

#[test]
fn one_weight_of_a_quantized_model_comes_as_floats() {
    let model = small_model().quantize(&int4(), None).unwrap().model;
    assert_eq!(model.tensor("first.weight_packed").unwrap().dtype(), DType::I32);
    let floats = model.float("first.weight", None).unwrap();
    let sqnr_db = kernels::sqnr(&weights(8192, 0), floats.values().unwrap()).unwrap();
    assert!(sqnr_db > 18.0 && sqnr_db < 30.0, "{sqnr_db}");
    assert_eq!(model.float("first.bias", None).unwrap().values::<f32>().unwrap(), weights(64, 1));
}

#[test]
fn layers_say_what_becomes_of_them() {
    let layers = small_model().layers(&int4(), None).unwrap();
    let first = layers.iter().find(|layer| layer.name == "first" && layer.kind.is_some()).unwrap();
    assert_eq!((first.tensor.as_str(), first.action.as_str()), ("first.weight", "quantize"));
    assert_eq!((first.kind.as_deref(), first.scheme.as_deref()), (Some("Linear"), Some("int4 group 32")));
    assert_eq!((first.shape.as_slice(), first.dtype), (&[64i64, 128][..], DType::F32));
    let bias = layers.iter().find(|layer| layer.tensor == "first.bias").unwrap();
    assert_eq!((bias.action.as_str(), &bias.kind), ("copy", &None));
}

#[test]
fn layers_may_be_told() {
    let tensor = Tensor::from_slice(&weights(64 * 128, 1), &[64, 128]).unwrap();
    let told = LayerTensor { kind: Some("Linear"), ..LayerTensor::new("some.kernel", &tensor) };
    let tied = LayerTensor { tensor: None, tied_to: Some("some.kernel"), ..LayerTensor::new("head.weight", &tensor) };
    let model = Model::from_layers(&[told, tied]).unwrap();
    let layers = model.layers(None, None).unwrap();
    assert_eq!(
        (layers[0].kind.as_deref(), layers[0].ties.as_slice()),
        (Some("Linear"), &["head.weight".to_string()][..])
    );
    let wrong = LayerTensor { kind: Some("Lienar"), ..LayerTensor::new("some.kernel", &tensor) };
    assert_eq!(Model::from_layers(&[wrong]).unwrap_err().code(), Code::INVALID_ARG);
}

#[test]
fn values_keep_what_they_are() {
    let tensor = Tensor::from_slice(&[1.0f32], &[1]).unwrap();
    let mut values = Values::new().with_tensor(Some("x"), &tensor).unwrap();
    values.add(None, &Value::Int(7)).unwrap().add(Some("b"), &Value::Bool(true)).unwrap();
    values.add(None, &Value::Float(0.5)).unwrap().add(None, &Value::Text("é".into())).unwrap();
    values.add(None, &Value::None).unwrap();
    assert_eq!((values.len(), values.name(0), values.name(2)), (6, "x", "b"));
    let shown: Vec<_> = values.iter().map(|(_, value)| format!("{:?}", value.unwrap())).collect();
    assert_eq!(shown, ["Tensor(Tensor(F32 [1]))", "Int(7)", "Bool(true)", "Float(0.5)", "Text(\"é\")", "None"]);
    assert_eq!(values.tensor(1).unwrap_err().code(), Code::DTYPE);
}

/// One row: 1.27 is the largest, so the scale is 0.01.
#[test]
fn kernels_work_on_slices() {
    let (row, rows) = ([1.27f32, -0.5, 0.0, 0.25], kernels::Rows { row_length: 4, group_size: 0 });
    let (mut scales, mut codes) = ([0.0f32], [0i8; 4]);
    let sqnr_db = kernels::quantize(&row, rows, 8, &mut scales, None, &mut codes).unwrap();
    assert_eq!((scales, codes), ([1.27 / 127.0], [127, -50, 0, 25]));
    assert!(sqnr_db > 100.0);
    let mut back = [0.0f32; 4];
    kernels::dequantize(&codes, rows, &scales, None, &mut back).unwrap();
    assert!(back.iter().zip(&row).all(|(back, row)| (back - row).abs() < 1e-6));
    let (mut low, mut high) = ([0.0], [0.0]);
    kernels::ranges(&row, 4, &mut low, &mut high).unwrap();
    assert_eq!((low, high), ([-0.5], [1.27]));
    assert_eq!(kernels::pack_int4(&[-8, 7, 1]).unwrap(), [0xf0, 0x09]);
    assert_eq!(kernels::unpack_int4(&[0xf0, 0x09], 3).unwrap(), [-8, 7, 1]);
    assert_eq!(kernels::sqnr(&row, &row).unwrap(), f64::INFINITY);
}

#[test]
fn kernels_refuse_slices_that_do_not_fit() {
    let rows = kernels::Rows { row_length: 4, group_size: 2 };
    let mut codes = [0i8; 4];
    let error = kernels::quantize(&[1.0; 4], rows, 8, &mut [0.0], None, &mut codes).unwrap_err();
    assert_eq!((error.code(), error.subject()), (Code::INVALID_ARG, "scales"));
    assert!(kernels::ranges(&[1.0; 3], 2, &mut [0.0], &mut [0.0]).is_err());
    let mut scales = [0.0, 0.0];
    let error = kernels::quantize(&[1.0, f32::NAN, 0.0, 0.0], rows, 8, &mut scales, None, &mut codes).unwrap_err();
    assert_eq!(error.code(), Code::VALIDATION);
}

/// A tensor goes out to DLPack and back in, and its values stay where they are.
#[test]
fn dlpack_shares_values() {
    let tensor = Tensor::from_slice(&weights(64, 1), &[8, 8]).unwrap();
    // SAFETY: what the library makes is whole.
    let back = unsafe { Tensor::from_dlpack(tensor.to_dlpack().unwrap()) }.unwrap();
    assert_eq!(back.bytes().as_ptr(), tensor.bytes().as_ptr());
    drop(tensor);
    assert_eq!(back.values::<f32>().unwrap(), weights(64, 1));
}

#[test]
fn reports_and_texts_of_the_library() {
    let report = small_model().quantize(&int4(), None).unwrap().report;
    assert_eq!(report.number("layers_quantized"), Some(2.0));
    let first = report.layers().find(|layer| layer.text("name") == Some("first")).unwrap();
    assert_eq!(first.text("scheme"), Some("int4 group 32"));
    assert_eq!(first.number("bytes_before"), Some(4.0 * 8192.0));
    assert!(report.json().starts_with('{'));
    assert!(report.problems().is_empty());
    let plan = small_model().plan(&int4(), None).unwrap();
    assert_eq!(plan.number("sqnr_db"), None);
    assert!(capabilities().unwrap().contains("\"qint8\""));
    assert!(Config::keys().unwrap().contains("group_size"));
    assert_eq!(abi_version().0, 1);
    assert!(build_info().unwrap().contains(version()));
}
