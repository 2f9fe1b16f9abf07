#!/usr/bin/env python3
"""Makes the raw declarations of each language from capi/abi.json: everything that a binding by hand is built on.

    make_declarations.py [LANGUAGE...]          writes the files that differ; of all languages where none is named
    make_declarations.py --check [LANGUAGE...]  says which differ, and fails
"""
import collections
import difflib
import json
import pathlib
import re
import sys
import textwrap

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


# ---- Python ----------------------------------------------------------------------------------------------------------

PYTHON_PLAIN = {"float": "c_float", "double": "c_double", "size_t": "c_size_t"} | {
    f"{sign}int{bits}_t": f"c_{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}

PYTHON_TOP = f'''\
"""Everything that mono_quant.h declares, which says what each does; {ORIGIN}."""
import enum
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_double, c_float, c_int8, c_int32, c_int64, c_size_t
from ctypes import c_uint8, c_uint32, c_uint64, c_void_p

ABI_VERSION = (%d, %d)
SONAME = "%s"
'''


def value_name(key):
    """"MNQ_E_CONFIG" -> "CONFIG"; "MNQ_DTYPE_F32" -> "F32"."""
    return re.sub("^MNQ_((E|DTYPE|LOG|VALUE)_)?", "", key)


def pascal_name(name):
    """"mnq_log_level" -> "LogLevel"."""
    return "".join("DType" if word == "dtype" else word.capitalize() for word in name.removeprefix("mnq_").split("_"))


def python_type(abi, text):
    core, pointers = read_type(text)
    for enum in abi["enums"]:
        core = enum["type"] if enum["name"] == core else core
    known = {row["name"] for kind in ("callbacks", "structs") for row in abi[kind]}
    if not pointers:
        return "None" if core == "void" else core if core in known else PYTHON_PLAIN[core]
    inner = "c_char_p" if core == "char" else PYTHON_PLAIN.get(core, core if core in known else "c_void_p")
    depth = len(pointers) - (inner in ("c_char_p", "c_void_p"))
    return "POINTER(" * depth + inner + ")" * depth


def python_tuple(texts):
    return "(" + ", ".join(texts) + ("," if len(texts) == 1 else "") + ")"


def python_function(abi, one):
    """Data may hold zeros: it is no text that ends with one."""
    returns = "c_void_p" if one["name"].endswith("_data") else python_type(abi, one["returns"])
    types = python_tuple([python_type(abi, parameter["type"]) for parameter in one["parameters"]])
    line = f'    "{one["name"]}": ({returns}, {types}),'
    if len(line) > 120:
        wrapped = textwrap.fill(types, 119, initial_indent=" " * 8, subsequent_indent=" " * 9)
        line = f'    "{one["name"]}": (\n        {returns},\n{wrapped},\n    ),'
    return line


def make_python(abi):
    text = PYTHON_TOP % (*abi["abi_version"], abi["soname"])
    for enum in abi["enums"]:
        text += f"\n\nclass {pascal_name(enum['name'])}(enum.IntEnum):\n"
        text += "".join(f"    {value_name(key)} = {value}\n" for key, value in enum["values"].items())
    for struct in abi["structs"]:
        members = "".join(f'        ("{one["name"]}", {python_type(abi, one["type"])}),\n' for one in struct["members"])
        text += f"\n\nclass {struct['name']}(Structure):\n    _fields_ = [\n{members}    ]\n"
    text += "\n\n"
    for one in abi["callbacks"]:
        types = [python_type(abi, text) for text in [one["returns"]] + [each["type"] for each in one["parameters"]]]
        text += f"{one['name']} = CFUNCTYPE({', '.join(types)})\n"
    text += "\n# What each returns and takes.\nFUNCTIONS = {\n"
    return text + "\n".join(python_function(abi, one) for one in abi["functions"]) + "\n}\n"


# ---- C# --------------------------------------------------------------------------------------------------------------

CSHARP_PLAIN = {
    "float": "float", "double": "double", "size_t": "UIntPtr",
    "int8_t": "sbyte", "uint8_t": "byte", "int32_t": "int", "uint32_t": "uint", "int64_t": "long", "uint64_t": "ulong",
}  # fmt: skip

CSHARP_TOP = f"""\
// Everything that mono_quant.h declares, which says what each does; {ORIGIN}.
using System;
using System.Runtime.InteropServices;

namespace MonoQuant
{{
"""


def csharp_name(name):
    """"INVALID_ARG" -> "InvalidArg"; "F8_E4M3" -> "F8E4M3"."""
    return "".join(word if any(map(str.isdigit, word)) else word.capitalize() for word in name.split("_"))


def csharp_handle(abi, core):
    """The SafeHandle of a handle, but for errors, of which there is one for a moment only where a call fails."""
    is_handle = core != "mnq_error" and any(row["name"] == core for row in abi["handles"])
    return pascal_name(core) + "Handle" if is_handle else "IntPtr"


def csharp_core(abi, core):
    named = any(row["name"] == core for kind in ("enums", "callbacks", "structs") for row in abi[kind])
    return pascal_name(core) if named else "void" if core == "void" else CSHARP_PLAIN[core]


def csharp_parameter(abi, text):
    """Texts are UTF-8 with a zero behind them; arrays are pinned for the call, and outputs are out."""
    core, pointers = read_type(text)
    if not pointers:
        return csharp_core(abi, core)
    is_number = core in CSHARP_PLAIN
    if len(pointers) == 2:
        return "IntPtr[]" if pointers[1] else f"out {csharp_handle(abi, core)}"
    if text in ("double*", "int64_t*", "size_t*"):
        return f"out {CSHARP_PLAIN[core]}"
    if core == "char" or is_number or core == "mnq_layer_tensor":
        element = "byte" if core == "char" else csharp_core(abi, core)
        return f"[In] {element}[]" if pointers[0] else f"[In, Out] {element}[]"
    return csharp_handle(abi, core)


def csharp_plain(abi, text):
    """What callbacks take and functions return: pointers are just that."""
    core, pointers = read_type(text)
    return "IntPtr" if pointers else csharp_core(abi, core)


def camel_name(name):
    first, *rest = name.split("_")
    return "@out" if name == "out" else first + "".join(map(str.capitalize, rest))


def csharp_function(abi, one):
    is_free = one["name"] in {row["free"] for row in abi["handles"]}
    type_of = csharp_plain if is_free else csharp_parameter
    parameters = [f"{type_of(abi, each['type'])} {camel_name(each['name'])}" for each in one["parameters"]]
    start = f"    internal static extern {csharp_plain(abi, one['returns'])} {one['name']}("
    line = start + ", ".join(parameters) + ");"
    if len(line) > 120:
        line = start + "\n        " + ",\n        ".join(parameters) + ");"
    return f"\n    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]\n{line}\n"


def csharp_enum(enum):
    values = "".join(f"    {csharp_name(value_name(key))} = {value},\n" for key, value in enum["values"].items())
    return f"public enum {pascal_name(enum['name'])}\n{{\n{values}}}\n\n"


def csharp_callback(abi, one):
    texts = [f"{csharp_plain(abi, each['type'])} {camel_name(each['name'])}" for each in one["parameters"]]
    parameters = ", ".join(texts)
    attribute = "[UnmanagedFunctionPointer(CallingConvention.Cdecl)]\n"
    name = f"{csharp_plain(abi, one['returns'])} {pascal_name(one['name'])}"
    return f"{attribute}internal delegate {name}({parameters});\n\n"


def csharp_struct(abi, struct):
    members = "".join(
        f"    internal {csharp_plain(abi, one['type'])} {pascal_name(one['name'])};\n" for one in struct["members"]
    )
    attribute = "[StructLayout(LayoutKind.Sequential)]\n"
    return f"{attribute}internal struct {pascal_name(struct['name'])}\n{{\n{members}}}\n\n"


def csharp_handle_class(row):
    name = pascal_name(row["name"]) + "Handle"
    return f"""\
internal sealed class {name} : Handle
{{
    internal static readonly {name} Null = new {name}();

    protected override void Free(IntPtr pointer) {{ Native.{row['free']}(pointer); }}
}}

"""


def make_csharp(abi):
    text = CSHARP_TOP + "".join(map(csharp_enum, abi["enums"]))
    text += "".join(csharp_callback(abi, one) for one in abi["callbacks"])
    text += "".join(csharp_struct(abi, struct) for struct in abi["structs"])
    text += "".join(csharp_handle_class(row) for row in abi["handles"] if row["name"] != "mnq_error")
    text += f"internal static class Native\n{{\n    private const string Library = \"{abi['soname']}\";\n"
    text += "    internal const uint AbiVersion = (%dU << 16) | %dU;\n" % tuple(abi["abi_version"])
    return text + "".join(csharp_function(abi, one) for one in abi["functions"]) + "}\n}\n"


# ---- Node ------------------------------------------------------------------------------------------------------------

NODE_TOP = f"""\
// Everything that mono_quant.h declares, which says what each does, as koffi reads it;
// {ORIGIN}.
"""

# Text may have a NUL in it, and is read by its size.
NODE_BYTES = ("mnq_buffer_data",)


def node_parameter(parameter):
    """Where the function writes one value, koffi is told to bring it back. It knows no const behind a *."""
    core, pointers = read_type(parameter["type"])
    is_one = len(pointers) == 2 and not pointers[1] or parameter["type"] in ("double*", "int64_t*", "size_t*")
    type_ = parameter["type"].removeprefix("struct ").replace("* const*", "**")
    return f"{'_Out_ ' if is_one else ''}{type_} {parameter['name']}"


def node_signature(one):
    returns = "const void*" if one["name"] in NODE_BYTES else one["returns"]
    # A parameter that is a callback is a pointer to a function here.
    parameters = ", ".join(re.sub(r"^(\w+_fn) ", r"\1* ", node_parameter(each)) for each in one["parameters"])
    return f"{returns} {one['name']}({parameters or 'void'})"


def node_value(name, value):
    return f"\nexport const {name} = {json.dumps(value, indent=2)};\n"


def make_node(abi):
    structs = {one["name"]: {each["name"]: each["type"] for each in one["members"]} for one in abi["structs"]}
    return (
        NODE_TOP
        + node_value("abiVersion", dict(zip(("major", "minor"), abi["abi_version"])))
        + node_value("opaque", opaque_names(abi, RUST_PLAIN))
        + node_value("enums", {one["name"]: one["values"] for one in abi["enums"]})
        + node_value("structs", structs)
        + node_value("callbacks", [node_signature(one) for one in abi["callbacks"]])
        + node_value("functions", [node_signature(one) for one in abi["functions"]])
    )


# ---- All -------------------------------------------------------------------------------------------------------------

LANGUAGES = {
    "csharp": (make_csharp, "csharp/MonoQuant/Declarations.cs"),
    "node": (make_node, "node/lib/declarations.js"),
    "python": (make_python, "python/mono_quant/_declarations.py"),
    "rust": (make_rust, "rust/mono-quant-sys/src/declarations.rs"),
}


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
