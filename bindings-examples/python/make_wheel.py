#!/usr/bin/env python3
"""Makes a wheel with the library inside: nothing is compiled, and nothing is fetched.

    make_wheel.py TREE FOLDER

TREE is where the library was installed, an unpacked archive of it, or a build folder. Whether the wheel runs on any
Linux of some age, or on this system alone, follows from what its libraries need: for the former build them with
MONO_QUANT_SELF_CONTAINED, as ./dev package does. pip calls this, too: it takes TREE from MONO_QUANT_DIR, else build/ of
this repository.
"""

import base64
import ctypes
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
SONAME = "libmono_quant.so.1"

# What every manylinux has, and with which versions of it each begins: PEP 600, and the policies of auditwheel.
EVERYWHERE = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "ld-linux-x86-64.so.2"} | {
    "libstdc++.so.6", "libgcc_s.so.1", "libz.so.1",
}  # fmt: skip
MANYLINUX = [
    {"tag": "manylinux_2_28_x86_64", "GLIBC": (2, 28), "GLIBCXX": (3, 4, 24), "CXXABI": (1, 3, 11)},
    {"tag": "manylinux_2_31_x86_64", "GLIBC": (2, 31), "GLIBCXX": (3, 4, 28), "CXXABI": (1, 3, 12)},
    {"tag": "manylinux_2_34_x86_64", "GLIBC": (2, 34), "GLIBCXX": (3, 4, 29), "CXXABI": (1, 3, 13)},
    {"tag": "manylinux_2_35_x86_64", "GLIBC": (2, 35), "GLIBCXX": (3, 4, 30), "CXXABI": (1, 3, 13)},
]
# The backend for modules finds these in the process, where PyTorch brought them.
OF_PYTORCH = {"libtorch_cpu.so", "libc10.so"}

METADATA = """\
Metadata-Version: 2.1
Name: mono-quant
Version: {version}
Summary: Quantize the weights of any PyTorch model
License: Apache-2.0
Requires-Python: >=3.9
Classifier: Operating System :: POSIX :: Linux
Classifier: Typing :: Typed
Description-Content-Type: text/markdown

{readme}"""


def read_elf(path):
    return subprocess.run(["readelf", "-dVW", path], check=True, capture_output=True, text=True).stdout


def needed_libraries(path):
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", read_elf(path)))


def needed_versions(path):
    """{"GLIBC": (2, 34), ...}: the newest that its symbols need."""
    newest = {}
    for family, version in re.findall(r"Name: ([A-Z]+)_([0-9.]+) ", read_elf(path)):
        numbers = tuple(map(int, version.split(".")))
        newest[family] = max(newest.get(family, ()), numbers)
    return newest


def platform_tag(files):
    """The oldest manylinux that has all that the files need; that of this system alone where none has."""
    own = {SONAME, *OF_PYTORCH}
    foreign = set().union(*map(needed_libraries, files)) - EVERYWHERE - own
    versions = [needed_versions(path) for path in files]
    for row in MANYLINUX if not foreign else []:
        if all(one.get(family, ()) <= row[family] for one in versions for family in ("GLIBC", "GLIBCXX", "CXXABI")):
            return row["tag"]
    print(
        f"the wheel is for this system alone: it needs {', '.join(sorted(foreign)) or 'newer libraries'}",
        file=sys.stderr,
    )
    return "linux_x86_64"


def stripped(path, folder):
    copy = pathlib.Path(folder, pathlib.Path(path).name)
    shutil.copy(os.path.realpath(path), copy)
    copy.chmod(0o755)
    subprocess.run(["strip", "--strip-unneeded", copy], check=True)
    return copy


def programs_of(tree, folder):
    """{the name in the wheel: the file}. The backend for modules comes along where it was built."""
    parts = {"lib": [SONAME], "bin": ["monoquant"]}
    if (tree / "lib" / "libmono_quant_torch.so").exists():
        parts["lib"].append("libmono_quant_torch.so")
    return {f"mono_quant/{part}/{name}": stripped(tree / part / name, folder) for part in parts for name in parts[part]}


def licences_of(tree):
    """Those of what is inside, too, where the tree has them."""
    installed = tree / "share" / "doc" / "mono_quant"
    own = installed / "LICENSE" if installed.exists() else HERE.parent.parent / "LICENSE"
    return [own, *sorted(installed.glob("licences/*"))]


def version_of(tree):
    library = ctypes.CDLL(str(tree / "lib" / SONAME))
    library.mnq_version.restype = ctypes.c_char_p
    return library.mnq_version().decode()


class Wheel:
    """A ZIP archive whose last file lists the others; the same bytes for the same content."""

    def __init__(self, path):
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9)
        self._record = ""

    def add(self, name, data, mode=0o644):
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = (0o100000 | mode) << 16
        self._zip.writestr(info, data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        self._record += f"{name},sha256={digest},{len(data)}\n"

    def close(self, record):
        self._zip.writestr(zipfile.ZipInfo(record), self._record + f"{record},,\n", zipfile.ZIP_DEFLATED)
        self._zip.close()


def make_wheel(tree, folder):
    """Gives the name of the file."""
    with tempfile.TemporaryDirectory() as scratch:
        programs, version = programs_of(tree, scratch), version_of(tree)
        tag = f"py3-none-{platform_tag(list(programs.values()))}"
        name = f"mono_quant-{version}-{tag}.whl"
        wheel, information = Wheel(folder / name), f"mono_quant-{version}.dist-info"
        for path in sorted((HERE / "mono_quant").glob("*.py")) + [HERE / "mono_quant" / "py.typed"]:
            wheel.add(f"mono_quant/{path.name}", path.read_bytes())
        for inside, path in programs.items():
            wheel.add(inside, path.read_bytes(), 0o755)
    for path in licences_of(tree):
        wheel.add(f"{information}/licenses/{path.name}", path.read_bytes())
    metadata = METADATA.format(version=version, readme=(HERE / "README.md").read_text())
    wheel.add(f"{information}/METADATA", metadata.encode())
    wheel.add(
        f"{information}/WHEEL",
        f"Wheel-Version: 1.0\nGenerator: mono_quant\nRoot-Is-Purelib: false\nTag: {tag}\n".encode(),
    )
    wheel.add(f"{information}/entry_points.txt", b"[console_scripts]\nmonoquant = mono_quant.__main__:main\n")
    wheel.close(f"{information}/RECORD")
    return name


# ---- What pip calls: PEP 517


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    tree = os.environ.get("MONO_QUANT_DIR") or HERE.parent.parent / "build"
    return make_wheel(pathlib.Path(tree).resolve(), pathlib.Path(wheel_directory))


def get_requires_for_build_wheel(config_settings=None):
    return []


def build_sdist(sdist_directory, config_settings=None):
    raise NotImplementedError("the sources are those of the library: make a wheel")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: make_wheel.py TREE FOLDER")
    print(make_wheel(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])))
