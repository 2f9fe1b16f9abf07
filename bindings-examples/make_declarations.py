#!/usr/bin/env python3
"""Makes the raw declarations of each language from capi/abi.json: everything that a binding by hand is built on.

    make_declarations.py [LANGUAGE...]          writes the files that differ; of all languages where none is named
    make_declarations.py --check [LANGUAGE...]  says which differ, and fails
"""
import collections
import difflib
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
ABI = HERE.parent / "capi" / "abi.json"
ORIGIN = "made from capi/abi.json by make_declarations.py"

# A C type: the name at its core, and for each * behind it, from the inside out, whether it points to something const.
CType = collections.namedtuple("CType", "core points_to_const")


def read_type(text):
    """"const char* const*" -> CType("char", (True, True)); "mnq_error**" -> CType("mnq_error", (False, False))."""
    core, is_const, pointers = None, False, []
    for word in text.replace("*", " * ").split():
        if word == "*":
            pointers.append(is_const)
            is_const = False
        elif word == "const":
            is_const = True
        elif word != "struct":
            core = word
    return CType(core, tuple(pointers))


def all_types(abi):
    """Every type that a function, a callback or a structure uses, in order, each once."""
    texts = []
    for function in abi["functions"] + abi["callbacks"]:
        texts += [parameter["type"] for parameter in function["parameters"]] + [function["returns"]]
    texts += [member["type"] for struct in abi["structs"] for member in struct["members"]]
    return [read_type(text) for text in dict.fromkeys(texts)]


def opaque_names(abi, plain):
    """The structures that programs only point to: handles, DLPack's and the function table."""
    known = set(plain) | {row["name"] for kind in ("enums", "callbacks", "structs") for row in abi[kind]}
    return list(dict.fromkeys(type_.core for type_ in all_types(abi) if type_.core not in known))


# ---- Rust ------------------------------------------------------------------------------------------------------------

RUST_PLAIN = {"void": "c_void", "char": "c_char", "float": "f32", "double": "f64", "size_t": "usize"} | {
    f"{sign}int{bits}_t": f"{letter}{bits}" for sign, letter in (("", "i"), ("u", "u")) for bits in (8, 16, 32, 64)
}

RUST_TOP = f"""\
// Everything that mono_quant.h declares, which says what each does; {ORIGIN}.

use std::os::raw::{{c_char, c_void}};

pub const MNQ_ABI_VERSION_MAJOR: u32 = %d;
pub const MNQ_ABI_VERSION_MINOR: u32 = %d;
/// In the form of [`mnq_abi_version`].
pub const MNQ_ABI_VERSION: u32 = MNQ_ABI_VERSION_MAJOR << 16 | MNQ_ABI_VERSION_MINOR;
"""


def rust_type(text):
    core, pointers = read_type(text)
    name = RUST_PLAIN.get(core, core)
    for is_const in pointers:
        name = f"*{'const' if is_const else 'mut'} {name}"
    return name


def rust_parameters(parameters):
    return ", ".join(f"{one['name']}: {rust_type(one['type'])}" for one in parameters)


def rust_result(returns):
    return "" if returns == "void" else f" -> {rust_type(returns)}"


def rust_struct(struct):
    members = "".join(f"    pub {one['name']}: {rust_type(one['type'])},\n" for one in struct["members"])
    return f"\n#[repr(C)]\n#[derive(Clone, Copy)]\npub struct {struct['name']} {{\n{members}}}\n"


def make_rust(abi):
    text = RUST_TOP % tuple(abi["abi_version"])
    for enum in abi["enums"]:
        text += f"\npub type {enum['name']} = {rust_type(enum['type'])};\n"
        text += "".join(f"pub const {key}: {enum['name']} = {value};\n" for key, value in enum["values"].items())
    for name in opaque_names(abi, RUST_PLAIN):
        text += f"\n#[repr(C)]\npub struct {name} {{\n    _private: [u8; 0],\n}}\n"
    text += "".join(map(rust_struct, abi["structs"])) + "\n"
    for one in abi["callbacks"]:
        signature = f"({rust_parameters(one['parameters'])}){rust_result(one['returns'])}"
        text += f"pub type {one['name']} = Option<unsafe extern \"C\" fn{signature}>;\n"
    text += '\nextern "C" {\n'
    for one in abi["functions"]:
        text += f"    /// Since {one['since']}.\n"
        text += f"    pub fn {one['name']}({rust_parameters(one['parameters'])}){rust_result(one['returns'])};\n"
    return text + "}\n"


# ---- All -------------------------------------------------------------------------------------------------------------

LANGUAGES = {"rust": (make_rust, "rust/mono-quant-sys/src/declarations.rs")}


def difference(path, text):
    kept = path.read_text() if path.exists() else ""
    return list(difflib.unified_diff(kept.splitlines(True), text.splitlines(True), str(path), ORIGIN))


def main():
    is_check = sys.argv[1:2] == ["--check"]
    names = sys.argv[2 if is_check else 1 :] or list(LANGUAGES)
    unknown = [name for name in names if name not in LANGUAGES]
    if unknown:
        sys.exit(f"no declarations are made for {', '.join(unknown)}; known: {', '.join(LANGUAGES)}")
    abi = json.loads(ABI.read_text())
    texts = {HERE / path: make(abi) for make, path in (LANGUAGES[name] for name in names)}
    complaints = [line for path, text in texts.items() for line in difference(path, text)]
    if is_check:
        sys.stderr.writelines(complaints)
        sys.exit("run bindings-examples/make_declarations.py" if complaints else 0)
    for path, text in texts.items():
        if difference(path, text):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


main()
