use crate::call::{c_text, call, optional_text, text_of, Handle};
use mono_quant_sys as sys;
use std::fmt;

/// What a job did, and what it cost.
pub struct Report(pub(crate) Handle<sys::mnq_report>);

/// A tensor of a report.
#[derive(Clone, Copy)]
pub struct ReportLayer<'a> {
    report: &'a Report,
    index: usize,
}

impl Report {
    /// The whole report.
    pub fn json(&self) -> &str {
        // SAFETY: the text lives as long as the report.
        unsafe { text_of(sys::mnq_report_json(self.0.get())) }
    }

    /// One number of the whole model: "sqnr_db" (infinite for an exact result), "bytes_before", "bytes_after",
    /// "compression_ratio", "layers_quantized"...
    pub fn number(&self, name: &str) -> Option<f64> {
        let (name, mut value) = (c_text(name).ok()?, 0.0);
        // SAFETY: the name lives as long as the call.
        call(|error| unsafe { sys::mnq_report_number(self.0.get(), name.as_ptr(), &mut value, error) }).ok()?;
        Some(value)
    }

    /// Every tensor of the input, in its order.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = ReportLayer<'_>> {
        // SAFETY: the handle is there.
        let count = unsafe { sys::mnq_report_layer_count(self.0.get()) };
        (0..count).map(move |index| ReportLayer { report: self, index })
    }

    /// What may be wrong.
    pub fn warnings(&self) -> Vec<&str> {
        // SAFETY: the texts live as long as the report.
        unsafe {
            let count = sys::mnq_report_warning_count(self.0.get());
            (0..count).map(|index| text_of(sys::mnq_report_warning(self.0.get(), index))).collect()
        }
    }

    /// What is wrong, where something was validated.
    pub fn problems(&self) -> Vec<&str> {
        // SAFETY: the texts live as long as the report.
        unsafe {
            let count = sys::mnq_report_problem_count(self.0.get());
            (0..count).map(|index| text_of(sys::mnq_report_problem(self.0.get(), index))).collect()
        }
    }
}

impl<'a> ReportLayer<'a> {
    /// "name", "tensor", "kind", "dtype", "scheme", "action" or "reason".
    pub fn text(&self, name: &str) -> Option<&'a str> {
        let name = c_text(name).ok()?;
        // SAFETY: the text lives as long as the report.
        unsafe { optional_text(sys::mnq_report_layer_text(self.report.0.get(), self.index, name.as_ptr())) }
    }

    /// "sqnr_db", "max_error", "bytes_before", "bytes_after", "parameters", "bits"...
    pub fn number(&self, name: &str) -> Option<f64> {
        let (name, mut value) = (c_text(name).ok()?, 0.0);
        let report = self.report.0.get();
        // SAFETY: the name lives as long as the call.
        call(|error| unsafe { sys::mnq_report_layer_number(report, self.index, name.as_ptr(), &mut value, error) })
            .ok()?;
        Some(value)
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.json())
    }
}

impl fmt::Debug for ReportLayer<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ReportLayer({})", self.text("name").unwrap_or_default())
    }
}
