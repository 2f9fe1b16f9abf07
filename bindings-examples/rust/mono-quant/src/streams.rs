use crate::call::{make, release_box, Handle, Slot};
use crate::error::Result;
use mono_quant_sys as sys;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::raw::c_void;
use std::slice;
use std::sync::{Arc, Mutex, PoisonError};

/// The program's own input: an object in a store, a member of an archive, something encrypted.
///
/// It is read by position, from several threads at once unless the key `threads` is 1. What it fails with is the source
/// of the call's error; what it panics with goes on out of the call.
pub trait ReadAt: Send + Sync {
    /// How many bytes there are.
    fn size(&self) -> io::Result<u64>;

    /// Fills `into` from byte `offset` on: always inside the size.
    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()>;
}

/// The program's own output. It is written by position, from several threads at once unless the key `threads` is 1;
/// each byte once, in any order, and some of them never: those are 0.
pub trait WriteAt: Sync {
    /// Takes `data` for byte `offset` on.
    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()>;

    /// The output is whole and has `size` bytes.
    fn commit(&self, size: u64) -> io::Result<()> {
        let _ = size;
        Ok(())
    }

    /// What was written is to be forgotten: the job failed or was cancelled.
    fn abort(&self) {}
}

impl ReadAt for [u8] {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(into.len());
        let from = self.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(from);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> io::Result<u64> {
        self.as_slice().size()
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_slice().read_exact_at(into, offset)
    }
}

macro_rules! read_through {
    ($($pointer:ident),*) => {
        $(impl<R: ReadAt + ?Sized> ReadAt for $pointer<R> {
            fn size(&self) -> io::Result<u64> {
                (**self).size()
            }

            fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
                (**self).read_exact_at(into, offset)
            }
        })*
    };
}
read_through!(Arc, Box);

#[cfg(unix)]
impl ReadAt for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, into, offset)
    }
}

#[cfg(unix)]
impl WriteAt for File {
    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(self, data, offset)
    }

    fn commit(&self, size: u64) -> io::Result<()> {
        self.set_len(size)
    }
}

/// Makes anything that seeks a reader or a writer by position: one thread at a time uses it.
#[derive(Debug, Default)]
pub struct Seekable<S>(Mutex<S>);

impl<S> Seekable<S> {
    /// Takes the stream; its position does not matter.
    pub fn new(stream: S) -> Seekable<S> {
        Seekable(Mutex::new(stream))
    }

    /// Gives the stream back.
    pub fn into_inner(self) -> S {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn seek<T>(&self, place: SeekFrom, work: impl FnOnce(&mut S, u64) -> io::Result<T>) -> io::Result<T>
    where
        S: Seek,
    {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = stream.seek(place)?;
        work(&mut stream, place)
    }
}

impl<S: Read + Seek + Send> ReadAt for Seekable<S> {
    fn size(&self) -> io::Result<u64> {
        self.seek(SeekFrom::End(0), |_, end| Ok(end))
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        self.seek(SeekFrom::Start(offset), |stream, _| stream.read_exact(into))
    }
}

impl<S: Write + Seek + Send> WriteAt for Seekable<S> {
    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.seek(SeekFrom::Start(offset), |stream, _| stream.write_all(data))
    }

    /// What was never written at the end is 0, too.
    fn commit(&self, size: u64) -> io::Result<()> {
        let end = self.seek(SeekFrom::End(0), |_, end| Ok(end))?;
        if end < size {
            self.write_all_at(&[0], size - 1)?;
        }
        self.seek(SeekFrom::Start(size), |stream, _| stream.flush())
    }
}

/// Output into memory.
#[derive(Debug, Default)]
pub struct MemoryWriter(Mutex<Vec<u8>>);

impl MemoryWriter {
    /// An empty one.
    pub fn new() -> MemoryWriter {
        MemoryWriter::default()
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn grow_to<T>(&self, size: usize, work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.len() < size {
            bytes.resize(size, 0);
        }
        work(&mut bytes)
    }
}

impl WriteAt for MemoryWriter {
    fn write_all_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let end = start + data.len();
        self.grow_to(end, |bytes| bytes[start..end].copy_from_slice(data));
        Ok(())
    }

    fn commit(&self, size: u64) -> io::Result<()> {
        let size = usize::try_from(size).map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.grow_to(size, |bytes| bytes.truncate(size));
        Ok(())
    }

    fn abort(&self) {
        self.grow_to(0, Vec::clear);
    }
}

/// A reader as the library has it, and where it leaves what it failed with.
pub(crate) struct OwnReader<R> {
    reader: R,
    slot: Arc<Slot>,
}

impl<R: ReadAt + 'static> OwnReader<R> {
    /// The library frees the reader once nothing uses it.
    pub(crate) fn make(reader: R, size: u64, slot: Arc<Slot>) -> Result<Handle<sys::mnq_reader>> {
        let own = Box::into_raw(Box::new(OwnReader { reader, slot }));
        let (read, release) = (read::<R>, release_box::<OwnReader<R>>);
        // SAFETY: the callbacks take such a box.
        let made = make(|out, error| unsafe {
            sys::mnq_reader_create(size, Some(read), Some(release), own.cast(), out, error)
        });
        if made.is_err() {
            // SAFETY: where the call fails, the box stays ours.
            drop(unsafe { Box::from_raw(own) });
        }
        made
    }
}

unsafe extern "C" fn read<R: ReadAt>(user: *mut c_void, offset: u64, into: *mut c_void, size: usize) -> i32 {
    let own = &*user.cast::<OwnReader<R>>();
    let into = slice::from_raw_parts_mut(into.cast::<u8>(), size);
    own.slot.guard(|| own.reader.read_exact_at(into, offset))
}

/// A writer that is lent for one call, and where it leaves what it failed with.
pub(crate) struct LentWriter<'a> {
    writer: &'a dyn WriteAt,
    pub(crate) slot: Slot,
}

impl<'a> LentWriter<'a> {
    pub(crate) fn new(writer: &'a dyn WriteAt) -> LentWriter<'a> {
        LentWriter { writer, slot: Slot::default() }
    }

    /// The handle must not outlive self.
    pub(crate) fn make(&self) -> Result<Handle<sys::mnq_writer>> {
        let user = self as *const LentWriter<'a> as *mut c_void;
        // SAFETY: the callbacks take such a pointer, and only read what is behind it.
        make(|out, error| unsafe {
            sys::mnq_writer_create(Some(write), Some(commit), Some(abort), None, user, out, error)
        })
    }
}

unsafe extern "C" fn write(user: *mut c_void, offset: u64, data: *const c_void, size: usize) -> i32 {
    let lent = &*user.cast::<LentWriter<'_>>();
    let data = if size == 0 { &[][..] } else { slice::from_raw_parts(data.cast::<u8>(), size) };
    lent.slot.guard(|| lent.writer.write_all_at(data, offset))
}

unsafe extern "C" fn commit(user: *mut c_void, size_bytes: u64) -> i32 {
    let lent = &*user.cast::<LentWriter<'_>>();
    lent.slot.guard(|| lent.writer.commit(size_bytes))
}

unsafe extern "C" fn abort(user: *mut c_void) {
    let lent = &*user.cast::<LentWriter<'_>>();
    lent.slot.guard(|| {
        lent.writer.abort();
        Ok(())
    });
}
