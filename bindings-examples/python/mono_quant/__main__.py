"""python -m mono_quant: the command line."""

import importlib.util
import os
import pathlib
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent


def find_program() -> str:
    inside = pathlib.Path(os.environ.get("MONO_QUANT_DIR") or HERE, "bin", "monoquant")
    program = str(inside) if inside.exists() else shutil.which("monoquant")
    return program or sys.exit("mono_quant: monoquant is not there; name where mono_quant is in MONO_QUANT_DIR")


def show_libtorch() -> None:
    """TorchScript modules need LibTorch: PyTorch's, where this Python has it."""
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        return
    folders = [os.environ.get("LD_LIBRARY_PATH", ""), os.path.join(spec.submodule_search_locations[0], "lib")]
    os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, folders))


def main() -> None:
    show_libtorch()
    os.execv(find_program(), ["monoquant", *sys.argv[1:]])


if __name__ == "__main__":
    main()
