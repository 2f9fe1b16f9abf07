use crate::call::{c_text, call, make, pointer_of, text_of, Handle};
use crate::error::Result;
use crate::tensor::Tensor;
use mono_quant_sys as sys;
use std::fmt;

/// A value that goes into a method of a module, or comes out of it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Value {
    /// For an argument that is optional.
    None,
    /// A tensor, which is shared, not copied.
    Tensor(Tensor),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A text.
    Text(String),
}

/// Named values: what a module is run on, what it gives, or the parts of a quantized tensor.
pub struct Values(pub(crate) Handle<sys::mnq_values>);

impl Values {
    /// None yet.
    pub fn new() -> Values {
        // SAFETY: the output is taken over.
        Values(make(|out, error| unsafe { sys::mnq_values_create(out, error) }).expect("memory for values"))
    }

    /// Adds a value for the argument of that name, or (`None`) for the next that no name was given for.
    pub fn add(&mut self, name: Option<&str>, value: &Value) -> Result<&mut Values> {
        let name = name.map(c_text).transpose()?;
        let text = if let Value::Text(text) = value { Some(c_text(text)?) } else { None };
        let (values, name) = (self.0.get(), pointer_of(&name));
        // SAFETY: the name and the value live as long as the call; a tensor's data is shared by the values.
        call(|error| unsafe {
            match value {
                Value::None => sys::mnq_values_add_none(values, name, error),
                Value::Tensor(tensor) => sys::mnq_values_add_tensor(values, name, tensor.0.get(), error),
                Value::Int(number) => sys::mnq_values_add_int(values, name, *number, error),
                Value::Float(number) => sys::mnq_values_add_float(values, name, *number, error),
                Value::Bool(truth) => sys::mnq_values_add_bool(values, name, i32::from(*truth), error),
                Value::Text(_) => sys::mnq_values_add_text(values, name, pointer_of(&text), error),
            }
        })?;
        Ok(self)
    }

    /// Adds a tensor, as [`Values::add`] does, for making them in a single expression.
    pub fn with_tensor(self, name: Option<&str>, tensor: &Tensor) -> Result<Values> {
        let text = name.map(c_text).transpose()?;
        // SAFETY: the name lives as long as the call; the tensor's data is shared by the values.
        call(|error| unsafe { sys::mnq_values_add_tensor(self.0.get(), pointer_of(&text), tensor.0.get(), error) })?;
        Ok(self)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        // SAFETY: the handle is there.
        unsafe { sys::mnq_values_count(self.0.get()) }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of a value; empty beyond the last.
    pub fn name(&self, index: usize) -> &str {
        // SAFETY: the name lives as long as the values, which do not change meanwhile.
        unsafe { text_of(sys::mnq_values_name(self.0.get(), index)) }
    }

    /// A value; none beyond the last.
    pub fn get(&self, index: usize) -> Result<Value> {
        let values = self.0.get();
        // SAFETY: the handle is there, and outputs are taken over.
        unsafe {
            Ok(match sys::mnq_values_kind(values, index) {
                sys::MNQ_VALUE_TENSOR => {
                    Value::Tensor(Tensor(make(|out, error| sys::mnq_values_get_tensor(values, index, out, error))?))
                }
                sys::MNQ_VALUE_INT => Value::Int(self.int(index)?),
                sys::MNQ_VALUE_BOOL => Value::Bool(self.int(index)? != 0),
                sys::MNQ_VALUE_FLOAT => {
                    let mut number = 0.0;
                    call(|error| sys::mnq_values_get_float(values, index, &mut number, error))?;
                    Value::Float(number)
                }
                sys::MNQ_VALUE_TEXT => Value::Text(text_of(sys::mnq_values_get_text(values, index)).to_string()),
                _ => Value::None,
            })
        }
    }

    /// The tensor at an index; an error where it is something else.
    pub fn tensor(&self, index: usize) -> Result<Tensor> {
        // SAFETY: the output is taken over.
        Ok(Tensor(make(|out, error| unsafe { sys::mnq_values_get_tensor(self.0.get(), index, out, error) })?))
    }

    /// All, with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Result<Value>)> + '_ {
        (0..self.len()).map(|index| (self.name(index), self.get(index)))
    }

    fn int(&self, index: usize) -> Result<i64> {
        let mut number = 0;
        // SAFETY: the handle is there.
        call(|error| unsafe { sys::mnq_values_get_int(self.0.get(), index, &mut number, error) })?;
        Ok(number)
    }
}

impl Default for Values {
    fn default() -> Values {
        Values::new()
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self.iter()).finish()
    }
}
