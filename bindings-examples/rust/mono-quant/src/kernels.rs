//! The kernels on slices: one thread, the fastest instruction set of this CPU, no allocation.
//!
//! Rows lie one behind the other. A group size of 0 is one scale a row; else a row has
//! [`groups`](fn@groups)`(row_length, group_size)` of them.
use crate::call::{array_of, call};
use crate::error::{Error, Result};
use mono_quant_sys as sys;
use std::ptr;

/// How many scales a row has.
pub fn groups(row_length: usize, group_size: usize) -> usize {
    match group_size {
        0 => 1,
        size => (row_length + size - 1) / size,
    }
}

/// How rows are quantized.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// Weights in a row.
    pub row_length: usize,
    /// Weights that share a scale; 0 for a whole row.
    pub group_size: usize,
}

impl Rows {
    fn count(&self, weights: usize) -> Result<usize> {
        if self.row_length == 0 || weights % self.row_length != 0 {
            return Err(Error::invalid(format!("{weights} weights are no rows of {}", self.row_length), "row_length"));
        }
        Ok(weights / self.row_length)
    }

    fn scales(&self, rows: usize) -> usize {
        rows * groups(self.row_length, self.group_size)
    }
}

fn expect(name: &str, is: usize, wanted: usize) -> Result<()> {
    if is == wanted {
        return Ok(());
    }
    Err(Error::invalid(format!("{name} has {is} elements, not {wanted}"), name))
}

/// The smallest and the largest weight of each row.
pub fn ranges(weights: &[f32], row_length: usize, minimum: &mut [f32], maximum: &mut [f32]) -> Result<()> {
    let rows = Rows { row_length, group_size: 0 }.count(weights.len())?;
    expect("minimum", minimum.len(), rows)?;
    expect("maximum", maximum.len(), rows)?;
    // SAFETY: the slices are as long as the library is told.
    call(|error| unsafe {
        let (low, high) = (minimum.as_mut_ptr(), maximum.as_mut_ptr());
        sys::mnq_kernel_ranges(array_of(weights), rows, row_length, low, high, error)
    })
}

/// Quantizes rows to codes, one a byte, of 8 or 4 bits. Without zero points around zero. Returns the SQNR in dB.
pub fn quantize(
    weights: &[f32],
    rows: Rows,
    bits: i32,
    scales: &mut [f32],
    zero_points: Option<&mut [i8]>,
    codes: &mut [i8],
) -> Result<f64> {
    let count = rows.count(weights.len())?;
    expect("scales", scales.len(), rows.scales(count))?;
    expect("codes", codes.len(), weights.len())?;
    if let Some(zero_points) = &zero_points {
        expect("zero_points", zero_points.len(), rows.scales(count))?;
    }
    let (symmetric, zero_points) =
        zero_points.map_or((1, ptr::null_mut()), |zero_points| (0, zero_points.as_mut_ptr()));
    let mut sqnr_db = 0.0;
    // SAFETY: the slices are as long as the library is told.
    call(|error| unsafe {
        let (data, length, group) = (array_of(weights), rows.row_length, rows.group_size);
        let (scales, codes) = (scales.as_mut_ptr(), codes.as_mut_ptr());
        sys::mnq_kernel_quantize(
            data,
            count,
            length,
            bits,
            symmetric,
            group,
            scales,
            zero_points,
            codes,
            &mut sqnr_db,
            error,
        )
    })?;
    Ok(sqnr_db)
}

/// Turns such codes back into weights.
pub fn dequantize(
    codes: &[i8],
    rows: Rows,
    scales: &[f32],
    zero_points: Option<&[i8]>,
    weights: &mut [f32],
) -> Result<()> {
    let count = rows.count(codes.len())?;
    expect("scales", scales.len(), rows.scales(count))?;
    expect("weights", weights.len(), codes.len())?;
    if let Some(zero_points) = zero_points {
        expect("zero_points", zero_points.len(), rows.scales(count))?;
    }
    // SAFETY: the slices are as long as the library is told.
    call(|error| unsafe {
        let zero_points = zero_points.map_or(ptr::null(), array_of);
        let (codes, weights) = (array_of(codes), weights.as_mut_ptr());
        let (length, group) = (rows.row_length, rows.group_size);
        sys::mnq_kernel_dequantize(codes, count, length, group, array_of(scales), zero_points, weights, error)
    })
}

/// Packs codes in -8..7 two a byte, low nibble first, stored as code + 8.
pub fn pack_int4(codes: &[i8]) -> Result<Vec<u8>> {
    let mut packed = vec![0; (codes.len() + 1) / 2];
    // SAFETY: the slices are as long as the library is told.
    call(|error| unsafe { sys::mnq_kernel_pack_int4(array_of(codes), codes.len(), packed.as_mut_ptr(), error) })?;
    Ok(packed)
}

/// The first `count` codes of packed ones.
pub fn unpack_int4(packed: &[u8], count: usize) -> Result<Vec<i8>> {
    expect("packed", packed.len(), (count + 1) / 2)?;
    let mut codes = vec![0; count];
    // SAFETY: the slices are as long as the library is told.
    call(|error| unsafe { sys::mnq_kernel_unpack_int4(array_of(packed), count, codes.as_mut_ptr(), error) })?;
    Ok(codes)
}

/// How near `other` is to `reference`, in dB; infinite where they are equal.
pub fn sqnr(reference: &[f32], other: &[f32]) -> Result<f64> {
    expect("other", other.len(), reference.len())?;
    let mut sqnr_db = 0.0;
    // SAFETY: the slices are as long as the library is told.
    call(|error| unsafe {
        sys::mnq_kernel_sqnr(array_of(reference), array_of(other), reference.len(), &mut sqnr_db, error)
    })?;
    Ok(sqnr_db)
}
