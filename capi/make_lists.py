#!/usr/bin/env python3
"""Makes from functions.inc what repeats it: the function table, the list of exports and the declarations for bindings.

    make_lists.py           writes the files that differ
    make_lists.py --check   says which differ, and where mono_quant.h declares something else, and fails
"""
import collections
import difflib
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
WIDTH = 120

Function = collections.namedtuple("Function", "name since returns parameters")  # since: "1.0"; parameters: texts

ORIGIN = "made from functions.inc by make_lists.py"

STATIC_TEXTS = {"version", "status_name", "dtype_name"}

TABLE_TOP = f"""\
/*
 * mono_quant_api.h - the function table, for hosts that load the library by themselves;
 * {ORIGIN}.
 *
 * It has every function of mono_quant.h, which says what each does, under its name without mnq_. It starts with its
 * size and version and only ever grows at its end: a host may use a member where
 * offsetof(mnq_api, member) < table_size.
 */
#ifndef MONO_QUANT_API_H
#define MONO_QUANT_API_H

#include "mono_quant.h"

#ifdef __cplusplus
extern "C" {{
#endif

struct mnq_api {{
  size_t table_size;      /* of this structure in the library that is loaded */
  uint32_t table_version; /* MNQ_ABI_VERSION of the library that is loaded */
"""
TABLE_END = """\
};

#ifdef __cplusplus
}
#endif

#endif /* MONO_QUANT_API_H */
"""


def split_parameters(text):
    """"int a, char* b" -> ["int a", "char* b"]; "void" -> []."""
    parameters = [" ".join(one.split()) for one in text.split(",")]
    return [] if parameters == ["void"] else parameters


def read_functions(text):
    """Reads the rows of functions.inc. Fails for a row that has another form."""
    rows = [" ".join(row.split()) for row in re.findall(r"^MNQ_FUNCTION.*(?:\n .*)*", text, re.MULTILINE)]
    functions = []
    for row in rows:
        match = re.fullmatch(r"MNQ_FUNCTION\(([a-z0-9_]+), (\d+)_(\d+), ([^()]+), \(([^()]+)\)\)", row)
        if match is None:
            sys.exit(f"functions.inc: '{row}' is no function, its version and its signature")
        name, major, minor, returns, parameters = match.groups()
        functions.append(Function(name, f"{major}.{minor}", returns, split_parameters(parameters)))
    return functions


def read_declarations(text):
    """Reads what mono_quant.h declares: {name without mnq_: (what it returns, its parameters)}."""
    plain = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    found = re.findall(r"MNQ_(?:API|CALL)\s+([^;()]*?)\bmnq_(\w+)\(([^;()]*)\)\s+MNQ_NOEXCEPT;", plain)
    return {name: (" ".join(returns.split()), split_parameters(parameters)) for returns, name, parameters in found}


def wrap(start, items, end):
    """Puts items behind start, on further lines below the first one where they would be too long."""
    lines, line = [], start
    for number, item in enumerate(items):
        piece = item + (end if number + 1 == len(items) else ",")
        gap = "" if line == start or not line.strip() else " "
        if len(line + gap + piece) > WIDTH:
            lines.append(line)
            line, gap = " " * len(start), ""
        line += gap + piece
    return "\n".join(lines + [line]) + "\n"


def make_table(functions):
    text, since = TABLE_TOP, functions[0].since
    for function in functions:
        if function.since != since:
            since = function.since
            text += f"  /* since {since} */\n"
        text += wrap(f"  {function.returns} (*{function.name})(", function.parameters or ["void"], ");")
    return text + TABLE_END


def make_exports(functions):
    """The version script of the linker: a node for each version, on top of the one before."""
    text, base = f"# Every function under the version it came with: {ORIGIN}.\n", ""
    for since in dict.fromkeys(function.since for function in functions):
        names = "".join(f"    mnq_{function.name};\n" for function in functions if function.since == since)
        others = "" if base else "  local: *;\n"
        text += f"MONO_QUANT_{since} {{\n  global:\n{names}{others}}}{base};\n"
        base = f" MONO_QUANT_{since}"
    return text


def read_enums(text):
    """Reads the typedefs of numbers: [{name, type, values}]."""
    pairs = re.findall(r"typedef (\w+) (mnq_\w+);\s*(?:enum \{(.*?)\};)?", text, re.DOTALL)
    return [
        {"name": name, "type": type_, "values": {key: int(value) for key, value in re.findall(r"(\w+) = (\d+)", body)}}
        for type_, name, body in pairs
    ]


def parameter_of(text):
    type_, name = re.fullmatch(r"(.*?)(\w+)", text).groups()
    return {"type": type_.strip(), "name": name}


def read_callbacks(text):
    """Reads the typedefs of functions: [{name, returns, parameters}]."""
    found = re.findall(r"typedef (\w+) \(\*(mnq_\w+)\)\(([^()]*)\);", text)
    return [
        {"name": name, "returns": returns, "parameters": [parameter_of(one) for one in split_parameters(parameters)]}
        for returns, name, parameters in found
    ]


def read_structs(text):
    """Reads the structures that programs fill: [{name, members}]."""
    found = re.findall(r"typedef struct (mnq_\w+) \{(.*?)\} \1;", text, re.DOTALL)
    return [
        {"name": name, "members": [parameter_of(" ".join(one.split())) for one in body.split(";") if one.strip()]}
        for name, body in found
    ]


def ownership_of(function):
    """Says who owns what a function hands over: by the rules of mono_quant.h, the same for all."""
    if function.returns == "const char*":
        return "static" if function.name in STATIC_TEXTS else "borrowed"
    return "borrowed" if "*" in function.returns and function.name != "get_api" else "none"


def declaration_of(function):
    parameters = [parameter_of(parameter) for parameter in function.parameters]
    for parameter in parameters:
        handle = re.fullmatch(r"(mnq_\w+)\*\*", parameter["type"])
        if handle is not None:
            parameter["owner"] = "caller"  # frees what it is set to
            parameter["free"] = handle[1] + "_free"
    return {
        "name": f"mnq_{function.name}",
        "since": function.since,
        "returns": function.returns,
        "returns_owned_by": ownership_of(function),
        "can_fail": function.returns == "mnq_status" and bool(parameters) and parameters[-1]["type"] == "mnq_error**",
        "parameters": parameters,
    }


def make_declarations(functions):
    """All that a binding needs, a line each, so that a change is one of a line."""
    header = re.sub(r"/\*.*?\*/", "", (HERE / "mono_quant.h").read_text(), flags=re.DOTALL)
    freed = [function.name for function in functions if function.name.endswith("_free")]
    version = [int(part) for part in functions[-1].since.split(".")]
    sections = {
        "handles": [{"name": f"mnq_{name[:-5]}", "free": f"mnq_{name}"} for name in freed],
        "enums": read_enums(header),
        "callbacks": read_callbacks(header),
        "structs": read_structs(header),
        "functions": [declaration_of(function) for function in functions],
    }
    text = f'{{"origin": "{ORIGIN}", "abi_version": {version}, "soname": "libmono_quant.so.{version[0]}"'
    for name, rows in sections.items():
        text += f',\n"{name}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]"
    return text + "}\n"


FILES = {"mono_quant_api.h": make_table, "mono_quant.map": make_exports, "abi.json": make_declarations}


def disagreements(functions, header):
    """Says where functions.inc and mono_quant.h differ."""
    version = ".".join(re.findall(r"^#define MNQ_ABI_VERSION_M[AJIN]+OR (\d+)$", header, re.MULTILINE))
    if version != functions[-1].since:
        yield f"functions.inc ends with ABI {functions[-1].since}, mono_quant.h is of {version}\n"
    declared = read_declarations(header)
    listed = {function.name: (function.returns, function.parameters) for function in functions}
    for name in sorted(listed.keys() | declared.keys()):
        if listed.get(name) != declared.get(name):
            yield f"mnq_{name}: functions.inc has {listed.get(name)}, mono_quant.h {declared.get(name)}\n"


def check(functions, files):
    """Says what differs; true where nothing does."""
    complaints = list(disagreements(functions, (HERE / "mono_quant.h").read_text()))
    for path, text in files.items():
        kept = path.read_text() if path.exists() else ""
        complaints += difflib.unified_diff(kept.splitlines(True), text.splitlines(True), path.name, ORIGIN)
    sys.stderr.writelines(complaints)
    return not complaints


def main():
    functions = read_functions((HERE / "functions.inc").read_text())
    files = {HERE / name: make(functions) for name, make in FILES.items()}
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if check(functions, files) else "run capi/make_lists.py, or mend functions.inc or mono_quant.h")
    for path, text in files.items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


main()
