//! What is declared here against the library that is loaded, and against the list that it is made from.
use mono_quant_sys::*;
use std::mem::size_of;
use std::path::Path;
use std::process::Command;

/// Every function of the table is declared: its size is that of two numbers before the functions, and of those.
#[test]
fn as_many_functions_as_the_table_has() {
    let declared = include_str!("../src/declarations.rs").matches("    pub fn mnq_").count();
    // SAFETY: the table is static, and its first member is its size.
    let table_size = unsafe { *mnq_get_api(MNQ_ABI_VERSION).cast::<usize>() };
    assert_eq!(table_size, 2 * size_of::<usize>() + declared * size_of::<fn()>());
}

/// Every function is called with nothing: zeros for all that it takes. None crashes, and those that can fail say so.
#[test]
fn every_function_takes_nothing() {
    type Function =
        unsafe extern "C" fn(usize, usize, usize, usize, usize, usize, usize, usize, usize, usize, usize, usize) -> i32;
    // SAFETY: the table is static; the calling convention lets a function have more arguments than it takes.
    unsafe {
        let table = mnq_get_api(MNQ_ABI_VERSION).cast::<usize>();
        for index in 2..*table / size_of::<usize>() {
            let function = std::mem::transmute::<usize, Function>(*table.add(index));
            function(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        }
        let mut error = std::ptr::null_mut();
        let mut model = std::ptr::null_mut();
        assert_eq!(mnq_model_open(std::ptr::null(), &mut model, &mut error), MNQ_E_INVALID_ARG);
        assert_eq!(mnq_error_code(error), MNQ_E_INVALID_ARG);
        mnq_error_free(error);
    }
}

#[test]
fn version_is_the_library_s() {
    // SAFETY: it takes nothing.
    assert_eq!(unsafe { mnq_abi_version() }, MNQ_ABI_VERSION);
}

/// The declarations are those that abi.json gives today. Where the crate stands alone, there is none to compare with.
#[test]
fn made_again_they_are_the_same() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../make_declarations.py");
    if !script.exists() {
        return;
    }
    let output = Command::new("python3").arg(script).args(["--check", "rust"]).output().expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
