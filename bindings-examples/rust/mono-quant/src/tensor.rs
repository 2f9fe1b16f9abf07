use crate::call::{array_of, c_text, make, make_two, pointer_of, release_box, Handle};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::jobs::QuantizedTensor;
use crate::report::Report;
use crate::run::Run;
use crate::values::Values;
use mono_quant_sys as sys;
use std::ffi::CStr;
use std::mem::{align_of, size_of, size_of_val};
use std::{fmt, slice};

/// The type of a tensor's elements. It is open, as [`crate::Code`] is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DType(pub(crate) i32);

#[allow(missing_docs)]
impl DType {
    pub const BOOL: DType = DType(sys::MNQ_DTYPE_BOOL);
    pub const U8: DType = DType(sys::MNQ_DTYPE_U8);
    pub const I8: DType = DType(sys::MNQ_DTYPE_I8);
    pub const U16: DType = DType(sys::MNQ_DTYPE_U16);
    pub const I16: DType = DType(sys::MNQ_DTYPE_I16);
    pub const U32: DType = DType(sys::MNQ_DTYPE_U32);
    pub const I32: DType = DType(sys::MNQ_DTYPE_I32);
    pub const U64: DType = DType(sys::MNQ_DTYPE_U64);
    pub const I64: DType = DType(sys::MNQ_DTYPE_I64);
    pub const F16: DType = DType(sys::MNQ_DTYPE_F16);
    pub const BF16: DType = DType(sys::MNQ_DTYPE_BF16);
    pub const F32: DType = DType(sys::MNQ_DTYPE_F32);
    pub const F64: DType = DType(sys::MNQ_DTYPE_F64);
    pub const C64: DType = DType(sys::MNQ_DTYPE_C64);
    pub const F8_E4M3: DType = DType(sys::MNQ_DTYPE_F8_E4M3);
    pub const F8_E5M2: DType = DType(sys::MNQ_DTYPE_F8_E5M2);
    pub const F8_E8M0: DType = DType(sys::MNQ_DTYPE_F8_E8M0);
    pub const F6_E2M3: DType = DType(sys::MNQ_DTYPE_F6_E2M3);
    pub const F6_E3M2: DType = DType(sys::MNQ_DTYPE_F6_E3M2);
    pub const F4: DType = DType(sys::MNQ_DTYPE_F4);
    pub const F8_E4M3FNUZ: DType = DType(sys::MNQ_DTYPE_F8_E4M3FNUZ);
    pub const F8_E5M2FNUZ: DType = DType(sys::MNQ_DTYPE_F8_E5M2FNUZ);
}

impl DType {
    /// "F32", "I8"...
    pub fn name(self) -> &'static str {
        // SAFETY: the name is a static string.
        unsafe { CStr::from_ptr(sys::mnq_dtype_name(self.0)) }.to_str().unwrap_or("UNKNOWN")
    }
}

impl fmt::Display for DType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl fmt::Debug for DType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// A type of Rust that a tensor's elements can have.
///
/// # Safety
/// Every pattern of bits is a value of it, and it is what `DTYPE` says.
pub unsafe trait Element: Copy + Send + Sync + 'static {
    /// What the library calls it.
    const DTYPE: DType;
}

macro_rules! elements {
    ($($element:ident $dtype:ident),*) => {
        $(
            // SAFETY: a plain number.
            unsafe impl Element for $element {
                const DTYPE: DType = DType::$dtype;
            }
        )*
    };
}
elements!(u8 U8, i8 I8, u16 U16, i16 I16, u32 U32, i32 I32, u64 U64, i64 I64, f32 F32, f64 F64);

/// One tensor: row-major, contiguous and immutable.
pub struct Tensor(pub(crate) Handle<sys::mnq_tensor>);

impl Tensor {
    /// A tensor with a copy of the values.
    pub fn from_slice<T: Element>(values: &[T], shape: &[i64]) -> Result<Tensor> {
        // SAFETY: the elements are numbers, whose bytes may be read.
        let bytes = unsafe { slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
        Tensor::from_bytes(T::DTYPE, bytes, shape)
    }

    /// A tensor of any dtype with a copy of its bytes, of which there must be as many as dtype and shape demand.
    pub fn from_bytes(dtype: DType, bytes: &[u8], shape: &[i64]) -> Result<Tensor> {
        // SAFETY: shape and data live as long as the call.
        let handle = make(|out, error| unsafe {
            let data = array_of(bytes).cast();
            sys::mnq_tensor_create(dtype.0, array_of(shape), shape.len(), data, bytes.len(), out, error)
        });
        Ok(Tensor(handle?))
    }

    /// A tensor that takes the values over as they are, a `Vec` or an `Arc<[f32]>` say: they are dropped once nothing
    /// uses them any more.
    pub fn wrap<T: Element, V: AsRef<[T]> + Send + Sync + 'static>(values: V, shape: &[i64]) -> Result<Tensor> {
        let own = Box::into_raw(Box::new(values));
        // SAFETY: the box does not move, and lives until the library releases it.
        let handle = make(|out, error| unsafe {
            let values = (*own).as_ref();
            let (data, size) = (array_of(values).cast(), size_of_val(values));
            let release = Some(release_box::<V> as unsafe extern "C" fn(_));
            sys::mnq_tensor_wrap(T::DTYPE.0, array_of(shape), shape.len(), data, size, release, own.cast(), out, error)
        });
        if handle.is_err() {
            // SAFETY: where the call fails, the box stays ours.
            drop(unsafe { Box::from_raw(own) });
        }
        Ok(Tensor(handle?))
    }

    /// The type of its elements.
    pub fn dtype(&self) -> DType {
        // SAFETY: the handle is there.
        DType(unsafe { sys::mnq_tensor_dtype(self.0.get()) })
    }

    /// Its sizes, outermost first.
    pub fn shape(&self) -> &[i64] {
        // SAFETY: the shape has as many sizes as the rank says, and lives as long as the tensor.
        unsafe { view(sys::mnq_tensor_shape(self.0.get()), sys::mnq_tensor_rank(self.0.get())) }
    }

    /// Its data, as it lies in memory.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the data is as large as it says, and lives as long as the tensor.
        unsafe { view(sys::mnq_tensor_data(self.0.get()).cast(), sys::mnq_tensor_size_bytes(self.0.get())) }
    }

    /// Its values, without a copy. An error where they are of another type.
    pub fn values<T: Element>(&self) -> Result<&[T]> {
        let bytes = self.bytes();
        if self.dtype() != T::DTYPE {
            return Err(Error::invalid(format!("the tensor is {}, not {}", self.dtype(), T::DTYPE), ""));
        }
        if bytes.is_empty() {
            return Ok(&[]);
        }
        if bytes.as_ptr() as usize % align_of::<T>() != 0 {
            return Err(Error::invalid(format!("the tensor does not lie as {} must", T::DTYPE), ""));
        }
        // SAFETY: there are that many, of that type, and aligned.
        Ok(unsafe { view(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) })
    }

    /// Quantizes this tensor by itself, as the weight of a layer would be.
    ///
    /// `name`, for settings of layers and for messages, is "weight" where there is none; `kind`, of its layer, is Linear,
    /// or what the rank says.
    pub fn quantize<'a>(
        &self,
        name: Option<&str>,
        kind: Option<&str>,
        config: impl Into<Option<&'a Config>>,
        run: impl Into<Option<&'a mut Run>>,
    ) -> Result<QuantizedTensor> {
        let (name, kind) = (name.map(c_text).transpose()?, kind.map(c_text).transpose()?);
        let (config, mut run) = (config.into(), run.into());
        // SAFETY: all that is passed lives as long as the call.
        let made = make_two(|parts, report, error| unsafe {
            let (name, kind) = (pointer_of(&name), pointer_of(&kind));
            let (config, run) = (crate::jobs::config_pointer(config), Run::mut_pointer(&mut run));
            sys::mnq_tensor_quantize(self.0.get(), name, kind, config, run, parts, report, error)
        });
        let (parts, report) = crate::jobs::end(made, &run, &[])?;
        Ok(QuantizedTensor { parts: Values(parts), report: Report(report) })
    }

    /// The tensor that such parts hold, in the dtype that it came from.
    pub fn dequantize<'a>(parts: &Values, run: impl Into<Option<&'a mut Run>>) -> Result<Tensor> {
        let mut run = run.into();
        // SAFETY: all that is passed lives as long as the call.
        let made = make(|out, error| unsafe {
            sys::mnq_tensor_dequantize(parts.0.get(), Run::mut_pointer(&mut run), out, error)
        });
        Ok(Tensor(crate::jobs::end(made, &run, &[])?))
    }

    /// Takes over a tensor of DLPack 1.x without a copy.
    ///
    /// # Safety
    /// `managed` points to a `DLManagedTensorVersioned` that is whole; it is used up only on success.
    pub unsafe fn from_dlpack(managed: *mut sys::DLManagedTensorVersioned) -> Result<Tensor> {
        Ok(Tensor(make(|out, error| sys::mnq_tensor_from_dlpack(managed, out, error))?))
    }

    /// The same of the structure before DLPack 1.0, which older producers give.
    ///
    /// # Safety
    /// `managed` points to a `DLManagedTensor` that is whole; it is used up only on success.
    pub unsafe fn from_dlpack_unversioned(managed: *mut sys::DLManagedTensor) -> Result<Tensor> {
        Ok(Tensor(make(|out, error| sys::mnq_tensor_from_dlpack_unversioned(managed, out, error))?))
    }

    /// Gives the tensor to DLPack 1.x without a copy: who consumes it calls its deleter.
    pub fn to_dlpack(&self) -> Result<*mut sys::DLManagedTensorVersioned> {
        let mut managed = std::ptr::null_mut();
        // SAFETY: the output is the caller's.
        crate::call::call(|error| unsafe { sys::mnq_tensor_to_dlpack(self.0.get(), &mut managed, error) })?;
        Ok(managed)
    }
}

impl fmt::Debug for Tensor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Tensor({} {:?})", self.dtype(), self.shape())
    }
}

/// A view of an array of the library, which may be NULL where it is empty.
pub(crate) unsafe fn view<'a, T>(data: *const T, count: usize) -> &'a [T] {
    if count == 0 {
        return &[];
    }
    slice::from_raw_parts(data, count)
}
