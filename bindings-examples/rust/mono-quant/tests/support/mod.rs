//! What several tests use.
#![allow(dead_code)] // each of them uses a part

use mono_quant::{Config, Model, ReadAt, Tensor};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

pub mod inflate;
pub mod zip;

/// Numbers that look like weights, the same on every machine.
pub fn weights(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(|_| 0.1 * (next() + next() + next())).collect()
}

/// Two layers of 64 by 128 and their biases.
pub fn small_model() -> Model {
    let names = ["first.weight", "first.bias", "second.weight", "second.bias"];
    let shapes: [&[i64]; 4] = [&[64, 128], &[64], &[64, 128], &[64]];
    let tensor = |at: usize| {
        let count = shapes[at].iter().product::<i64>() as usize;
        Tensor::from_slice(&weights(count, at as u64), shapes[at]).unwrap()
    };
    let tensors: Vec<Tensor> = (0..4).map(tensor).collect();
    Model::from_tensors(names.into_iter().zip(&tensors)).unwrap()
}

pub fn small_file() -> Vec<u8> {
    small_model().save_to_memory(None).unwrap().to_vec()
}

pub fn int4() -> Config {
    Config::new().with("bits", 4).unwrap().with("group_size", 32).unwrap()
}

/// A folder that is gone after the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("mono-quant-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn root(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Counts how many of it were dropped.
pub struct Dropped<B>(pub B, pub std::sync::Arc<AtomicUsize>);

impl<B> Drop for Dropped<B> {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

impl<T, B: AsRef<[T]>> AsRef<[T]> for Dropped<B> {
    fn as_ref(&self) -> &[T] {
        self.0.as_ref()
    }
}

impl<B: ReadAt> ReadAt for Dropped<B> {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(into, offset)
    }
}
