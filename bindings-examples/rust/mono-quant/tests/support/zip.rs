//! A member of a ZIP file as a reader. The files are made by Python's zipfile.
use super::inflate::inflate;
use mono_quant::ReadAt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

/// A file with one member. Returns its path as it was given.
pub fn make<'a>(archive: &'a Path, member: &Path, method: &str) -> &'a Path {
    let script = "import sys, zipfile as z\n\
                  with z.ZipFile(sys.argv[1], 'w', getattr(z, sys.argv[3])) as archive: archive.write(sys.argv[2], 'model')";
    let status = Command::new("python3").arg("-c").arg(script).arg(archive).arg(member).arg(method).status();
    assert!(status.expect("python3 runs").success());
    archive
}

/// A member that is stored is a part of the file, read where it lies; one that is deflated is unpacked when it is first
/// read.
pub struct Member {
    file: File,
    start: u64,
    packed: u64,
    size: u64,
    is_deflated: bool,
    unpacked: Mutex<Option<Vec<u8>>>,
}

impl Member {
    /// The first member, by its local header.
    pub fn open(archive: &Path) -> Member {
        let file = File::open(archive).unwrap();
        let mut header = [0; 30];
        file.read_exact_at(&mut header, 0).unwrap();
        let number =
            |at: usize, size: usize| (0..size).rev().fold(0, |number, byte| number << 8 | u64::from(header[at + byte]));
        assert_eq!(number(0, 4), 0x0403_4b50);
        Member {
            start: 30 + number(26, 2) + number(28, 2),
            packed: number(18, 4),
            size: number(22, 4),
            is_deflated: number(8, 2) == 8,
            unpacked: Mutex::new(None),
            file,
        }
    }

    fn unpack(&self) -> io::Result<Vec<u8>> {
        let mut packed = vec![0; self.packed as usize];
        self.file.read_exact_at(&mut packed, self.start)?;
        Ok(inflate(&packed))
    }
}

impl ReadAt for Member {
    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        if !self.is_deflated {
            return self.file.read_exact_at(into, self.start + offset);
        }
        let mut unpacked = self.unpacked.lock().unwrap();
        if unpacked.is_none() {
            *unpacked = Some(self.unpack()?);
        }
        unpacked.as_ref().unwrap().read_exact_at(into, offset)
    }
}
