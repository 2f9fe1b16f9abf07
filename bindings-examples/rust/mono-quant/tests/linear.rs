//! Linear layers and embeddings by themselves.
mod support;

use mono_quant::*;
use support::{int4, small_model, weights};

/// The plain product: rows x weight, transposed, and the bias.
fn times(rows: &[f32], weight: &[f32], bias: &[f32], length: usize) -> Vec<f32> {
    let dot = |row: &[f32], line: &[f32]| row.iter().zip(line).map(|(a, b)| a * b).sum::<f32>();
    let product = |row| weight.chunks(length).zip(bias).map(move |(line, add)| dot(row, line) + add);
    rows.chunks(length).flat_map(product).collect()
}

fn are_near(found: &Tensor, expected: &[f32]) -> bool {
    let found = found.values::<f32>().unwrap();
    found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.02)
}

#[test]
fn a_layer_of_a_model_does_what_its_weights_do() {
    let quantized = small_model().quantize(&int4(), None).unwrap().model;
    let layer = quantized.linear("first", None, None).unwrap();
    let weight = quantized.float("first.weight", None).unwrap();
    let bias = quantized.tensor("first.bias").unwrap();
    drop(quantized);
    let rows = weights(3 * 128, 9);
    let outputs = layer.run(&Tensor::from_slice(&rows, &[3, 1, 128]).unwrap()).unwrap();
    assert_eq!((outputs.dtype(), outputs.shape()), (DType::F32, &[3i64, 1, 64][..]));
    assert!(are_near(&outputs, &times(&rows, weight.values().unwrap(), bias.values().unwrap(), 128)));
    assert!(layer.describe().unwrap().contains("\"output_count\":64"));
}

#[test]
fn a_layer_of_floats() {
    let identity: Vec<f32> = (0..4 * 32).map(|at| if at / 32 == at % 32 { 1.0 } else { 0.0 }).collect();
    let weight = Tensor::from_slice(&identity, &[4, 32]).unwrap();
    let bias = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], &[4]).unwrap();
    let layer = Linear::new(&weight, Some(&bias), None, None).unwrap();
    let row: Vec<f32> = (0..32).map(|at| at as f32 / 31.0).collect();
    let row = Tensor::from_slice(&row, &[1, 32]).unwrap();
    assert!(are_near(&layer.run(&row).unwrap(), &[1.0, 2.0 + 1.0 / 31.0, 3.0 + 2.0 / 31.0, 4.0 + 3.0 / 31.0]));
    assert_eq!(layer.run_to(&row, DType::BF16).unwrap().dtype(), DType::BF16);
}

#[test]
fn what_does_not_fit_is_refused() {
    let model = small_model();
    assert_eq!(model.linear("third", None, None).unwrap_err().code(), Code::NOT_FOUND);
    let layer = model.linear("first", &int4(), None).unwrap();
    assert_eq!(layer.run(&Tensor::from_slice(&[0.0f32; 64], &[1, 64]).unwrap()).unwrap_err().code(), Code::SHAPE);
    assert_eq!(layer.run(&Tensor::from_slice(&[0.0f64; 128], &[1, 128]).unwrap()).unwrap_err().code(), Code::DTYPE);
}

#[test]
fn an_embedding_gathers_rows() {
    let table: Vec<f32> = (0..32 * 64).map(|at| (at / 64) as f32 + (at % 64) as f32 / 64.0).collect();
    let tensor = Tensor::from_slice(&table, &[32, 64]).unwrap();
    let embedding = Model::from_tensors([("embed.weight", &tensor)]).unwrap().embedding("embed").unwrap();
    let rows = embedding.run(&Tensor::from_slice(&[5i64, 31], &[2, 1]).unwrap(), DType::F32).unwrap();
    assert_eq!(rows.shape(), [2, 1, 64]);
    assert_eq!(rows.values::<f32>().unwrap(), [&table[5 * 64..6 * 64], &table[31 * 64..]].concat());
    let beyond = Tensor::from_slice(&[32i64], &[1]).unwrap();
    assert_eq!(embedding.run(&beyond, DType::F32).unwrap_err().code(), Code::INVALID_ARG);
    assert!(embedding.describe().unwrap().contains("\"row_count\":32"));
}
