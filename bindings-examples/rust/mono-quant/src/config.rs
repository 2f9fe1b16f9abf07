use crate::call::{c_text, call, make, pointer_of, text_of, Handle};
use crate::error::Result;
use crate::model::Buffer;
use crate::run::Run;
use mono_quant_sys as sys;
use std::fmt;
use std::ptr;

/// Settings, as keys and values: [`Config::keys`] lists them. Combinations are checked when they are used, or by
/// [`Config::validate`], so the order does not matter.
pub struct Config(pub(crate) Handle<sys::mnq_config>);

/// The value that holds for a key, and who set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// As text.
    pub value: String,
    /// "default", "config", "config layers", "call" or "call layers".
    pub source: &'static str,
}

impl Config {
    /// One in which nothing is set.
    pub fn new() -> Config {
        // SAFETY: NULL is taken for no JSON.
        Config(
            make(|out, error| unsafe { sys::mnq_config_create(ptr::null(), out, error) }).expect("memory for a config"),
        )
    }

    /// From a JSON object of keys and values, in which "layers" is a list of objects {"name": GLOB, key: value...}.
    pub fn from_json(json: &str) -> Result<Config> {
        let json = c_text(json)?;
        // SAFETY: the text lives as long as the call.
        Ok(Config(make(|out, error| unsafe { sys::mnq_config_create(json.as_ptr(), out, error) })?))
    }

    /// Sets a key for all layers: a text, a number or a bool.
    pub fn set(&mut self, key: &str, value: impl fmt::Display) -> Result<&mut Config> {
        let (key, value) = (c_text(key)?, c_text(&value.to_string())?);
        // SAFETY: the texts live as long as the call.
        call(|error| unsafe { sys::mnq_config_set(self.0.get(), key.as_ptr(), value.as_ptr(), error) })?;
        Ok(self)
    }

    /// Sets a key for the layers whose name, or whose weight's name, matches the glob. The last that matches wins.
    pub fn set_for_layers(&mut self, glob: &str, key: &str, value: impl fmt::Display) -> Result<&mut Config> {
        let (glob, key, value) = (c_text(glob)?, c_text(key)?, c_text(&value.to_string())?);
        // SAFETY: the texts live as long as the call.
        call(|error| unsafe {
            sys::mnq_config_set_for_layers(self.0.get(), glob.as_ptr(), key.as_ptr(), value.as_ptr(), error)
        })?;
        Ok(self)
    }

    /// As [`Config::set`], for making one in a single expression.
    pub fn with(mut self, key: &str, value: impl fmt::Display) -> Result<Config> {
        self.set(key, value)?;
        Ok(self)
    }

    /// The value that holds for a key, for a layer or (`None`) for none in particular; what the run sets comes first.
    pub fn resolve<'a>(&self, key: &str, layer: Option<&str>, run: impl Into<Option<&'a Run>>) -> Result<Setting> {
        let (key, layer) = (c_text(key)?, layer.map(c_text).transpose()?);
        let mut source = ptr::null();
        // SAFETY: the texts live as long as the call.
        let value = make(|out, error| unsafe {
            let (run, layer) = (Run::const_pointer(run.into()), pointer_of(&layer));
            sys::mnq_config_resolve(self.0.get(), run, layer, key.as_ptr(), out, &mut source, error)
        })?;
        // SAFETY: the source is a static string.
        Ok(Setting { value: Buffer(value).into_text(), source: unsafe { text_of(source) } })
    }

    /// Every key as a JSON list of objects: "key", "type", "default", "per_layer", "help", "choices"...
    pub fn keys() -> Result<String> {
        // SAFETY: the output is taken over.
        Ok(Buffer(make(|out, error| unsafe { sys::mnq_config_list_keys(out, error) })?).into_text())
    }

    /// What was set, as JSON that [`Config::from_json`] reads back.
    pub fn to_json(&self) -> Result<String> {
        // SAFETY: the output is taken over.
        Ok(Buffer(make(|out, error| unsafe { sys::mnq_config_to_json(self.0.get(), out, error) })?).into_text())
    }

    /// An error for a combination that cannot be, with what would be right.
    pub fn validate(&self) -> Result<()> {
        // SAFETY: the handle is there.
        call(|error| unsafe { sys::mnq_config_validate(self.0.get(), error) })
    }
}

impl Default for Config {
    fn default() -> Config {
        Config::new()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Config({})", self.to_json().unwrap_or_default())
    }
}
