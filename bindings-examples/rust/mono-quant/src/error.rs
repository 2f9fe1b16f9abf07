use crate::call::text_of;
use mono_quant_sys as sys;
use std::ffi::CStr;
use std::fmt;

/// What a call of this crate gives.
pub type Result<T> = std::result::Result<T, Error>;

/// The kind of an error. It is open: a later library may give one that has no name here yet.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(i32);

#[allow(missing_docs)]
impl Code {
    pub const INVALID_ARG: Code = Code(sys::MNQ_E_INVALID_ARG);
    pub const CONFIG: Code = Code(sys::MNQ_E_CONFIG);
    pub const NOT_FOUND: Code = Code(sys::MNQ_E_NOT_FOUND);
    pub const IO: Code = Code(sys::MNQ_E_IO);
    pub const FORMAT: Code = Code(sys::MNQ_E_FORMAT);
    pub const UNSUPPORTED: Code = Code(sys::MNQ_E_UNSUPPORTED);
    pub const SHAPE: Code = Code(sys::MNQ_E_SHAPE);
    pub const DTYPE: Code = Code(sys::MNQ_E_DTYPE);
    pub const CALIBRATION: Code = Code(sys::MNQ_E_CALIBRATION);
    pub const VALIDATION: Code = Code(sys::MNQ_E_VALIDATION);
    pub const CANCELLED: Code = Code(sys::MNQ_E_CANCELLED);
    pub const BUFFER_TOO_SMALL: Code = Code(sys::MNQ_E_BUFFER_TOO_SMALL);
    pub const STATE: Code = Code(sys::MNQ_E_STATE);
    pub const OUT_OF_MEMORY: Code = Code(sys::MNQ_E_OUT_OF_MEMORY);
    pub const TORCH: Code = Code(sys::MNQ_E_TORCH);
    pub const ABI: Code = Code(sys::MNQ_E_ABI);
    pub const INTERNAL: Code = Code(sys::MNQ_E_INTERNAL);
}

impl Code {
    /// The number that the C library has for it.
    pub fn number(self) -> i32 {
        self.0
    }

    /// "NOT_FOUND", "CONFIG"...; "UNKNOWN" for a number that is none.
    pub fn name(self) -> &'static str {
        // SAFETY: the name of a status is a static string.
        unsafe { CStr::from_ptr(sys::mnq_status_name(self.0)) }.to_str().unwrap_or("UNKNOWN")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.name())
    }
}

/// What went wrong, and what to do about it. It shows as its message; `{:#}` adds the suggestion on a line of its own.
#[derive(Debug)]
pub struct Error {
    code: Code,
    message: String,
    suggestion: String,
    subject: String,
    source: Option<std::io::Error>,
}

impl Error {
    /// What kind of error it is.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What went wrong, in a sentence.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it; may be empty.
    pub fn suggestion(&self) -> &str {
        &self.suggestion
    }

    /// The file, tensor, layer or key at fault; may be empty.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// An error of this crate's own making.
    pub(crate) fn invalid(message: impl Into<String>, subject: impl Into<String>) -> Error {
        let suggestion = String::new();
        Error { code: Code::INVALID_ARG, message: message.into(), suggestion, subject: subject.into(), source: None }
    }

    /// What failed before the library was called.
    pub(crate) fn io(message: &str, source: std::io::Error) -> Error {
        Error { code: Code::IO, ..Error::invalid(format!("{message}: {source}"), "") }.with_source(source)
    }

    /// Takes over an error of the library, which may be NULL.
    pub(crate) fn take(status: sys::mnq_status, error: *mut sys::mnq_error) -> Error {
        // SAFETY: the texts of an error are there until it is freed, and it is not used after that. All take NULL.
        unsafe {
            let taken = Error {
                code: Code(status),
                message: text_of(sys::mnq_error_message(error)).to_string(),
                suggestion: text_of(sys::mnq_error_suggestion(error)).to_string(),
                subject: text_of(sys::mnq_error_subject(error)).to_string(),
                source: None,
            };
            sys::mnq_error_free(error);
            taken
        }
    }

    /// What a reader or a writer said, of which this error came.
    pub(crate) fn with_source(mut self, source: std::io::Error) -> Error {
        self.source = Some(source);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)?;
        if out.alternate() && !self.suggestion.is_empty() {
            write!(out, "\n{}", self.suggestion)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
