//! A checkpoint that no memory holds goes from a reader to a writer within memory_budget. The test is alone in its file,
//! so that it is alone in its process.
#![cfg(target_os = "linux")]
use mono_quant::*;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

const ROWS: u64 = 16 * 1024;
const COLUMNS: u64 = 1024;

/// 64 MiB of weights that are made up when they are asked for.
struct MadeUp {
    header: Vec<u8>,
    weights: Vec<u8>,
}

impl MadeUp {
    fn new() -> MadeUp {
        let size = 4 * ROWS * COLUMNS;
        let text =
            format!(r#"{{"big.weight":{{"dtype":"F32","shape":[{ROWS},{COLUMNS}],"data_offsets":[0,{size}]}}}}"#);
        let mut header = (text.len() as u64).to_le_bytes().to_vec();
        header.extend(text.bytes());
        MadeUp { header, weights: MadeUp::weights() }
    }

    /// The numbers from -127 to 127, again and again.
    fn weights() -> Vec<u8> {
        (-127..=127).flat_map(|code| (code as f32).to_le_bytes()).collect()
    }
}

impl ReadAt for MadeUp {
    fn size(&self) -> io::Result<u64> {
        Ok(self.header.len() as u64 + 4 * ROWS * COLUMNS)
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        let start = (offset as usize).min(self.header.len());
        let (head, tail) = into.split_at_mut(into.len().min(self.header.len() - start));
        head.copy_from_slice(&self.header[start..start + head.len()]);
        let mut place = (offset as usize).saturating_sub(self.header.len()) % self.weights.len();
        for part in tail.chunks_mut(self.weights.len()) {
            let first = part.len().min(self.weights.len() - place);
            part[..first].copy_from_slice(&self.weights[place..place + first]);
            let second = part.len() - first;
            part[first..].copy_from_slice(&self.weights[..second]);
            place = (place + part.len()) % self.weights.len();
        }
        Ok(())
    }
}

#[derive(Default)]
struct Counting(AtomicU64);

impl WriteAt for Counting {
    fn write_all_at(&self, data: &[u8], _offset: u64) -> io::Result<()> {
        self.0.fetch_add(data.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    1024 * line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
}

#[test]
fn streams_stay_within_memory_budget() {
    let model = Model::from_reader(MadeUp::new(), None).unwrap();
    let (writer, before) = (Counting::default(), peak_bytes());
    let mut run = Run::new().with("memory_budget", "16MiB").unwrap();
    let report = model.quantize_to(&writer, None, &mut run).unwrap();
    let used = peak_bytes() - before;
    assert!(used < 24 << 20, "{used} bytes, 16 MiB and what the run itself needs");
    assert!(writer.0.load(Ordering::Relaxed) > ROWS * COLUMNS);
    assert!(report.number("sqnr_db").unwrap() > 40.0);
}
