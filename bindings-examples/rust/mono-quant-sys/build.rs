//! Finds libmono_quant: where MONO_QUANT_DIR says, else where pkg-config says.
//!
//! What is set by hand wins over what is installed. Crates that depend on this one get the folder of the library as
//! DEP_MONO_QUANT_LIBDIR, for an rpath of their own.
use std::env;
use std::path::PathBuf;
use std::process::Command;

const HELP: &str =
    "libmono_quant was not found. Install it and let pkg-config find it (PKG_CONFIG_PATH=PREFIX/lib/pkgconfig), \
                    or set MONO_QUANT_DIR=PREFIX to where it was installed.";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for name in ["MONO_QUANT_DIR", "PKG_CONFIG", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR", "PKG_CONFIG_SYSROOT_DIR"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let wants_static = env::var_os("CARGO_FEATURE_STATIC").is_some();
    let flags = match env::var_os("MONO_QUANT_DIR") {
        Some(prefix) => flags_of_prefix(PathBuf::from(prefix), wants_static),
        None => ask_pkg_config(&["--libs"], wants_static),
    };
    link(&flags, wants_static);
}

/// The flags of a library that was installed in a place of its own.
fn flags_of_prefix(prefix: PathBuf, wants_static: bool) -> Vec<String> {
    let folder = ["lib", "lib64"].iter().map(|name| prefix.join(name)).find(|folder| folder.is_dir());
    let folder = folder.unwrap_or_else(|| panic!("MONO_QUANT_DIR={} has no lib. {HELP}", prefix.display()));
    if wants_static {
        env::set_var("PKG_CONFIG_PATH", folder.join("pkgconfig")); // it knows what else a static library needs
        return ask_pkg_config(&["--libs"], true);
    }
    vec![format!("-L{}", folder.display()), "-lmono_quant".to_string()]
}

fn ask_pkg_config(arguments: &[&str], wants_static: bool) -> Vec<String> {
    let tool = env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let mut command = Command::new(tool);
    command.args(arguments).args(if wants_static { &["--static"][..] } else { &[] }).arg("mono_quant");
    match command.output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_string).collect()
        }
        Ok(output) => panic!("{HELP}\n{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => panic!("{HELP}\npkg-config cannot be run: {error}"),
    }
}

fn link(flags: &[String], wants_static: bool) {
    for flag in flags {
        if let Some(folder) = flag.strip_prefix("-L") {
            println!("cargo:rustc-link-search=native={folder}");
            println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}"); // for the tests of this crate
            println!("cargo:libdir={folder}");
        } else if let Some(name) = flag.strip_prefix("-l") {
            let kind = if wants_static && name == "mono_quant" { "static=" } else { "dylib=" };
            println!("cargo:rustc-link-lib={kind}{name}");
        }
    }
}
