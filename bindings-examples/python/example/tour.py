"""The whole library in one program: the same in every language of bindings-examples, whose README says what each line
is.

python tour.py model.safetensors model-int4.safetensors bits=4 group_size=128
"""

import math
import os
import struct
import sys

import mono_quant
from mono_quant import Config, Model, Reader, Run

USAGE = "usage: tour INPUT OUTPUT [KEY=VALUE ...] [call:KEY=VALUE ...] [--digits MODULE IMAGES]"


def read_arguments(arguments):
    """Input, output, options, and what --digits names or None."""
    options, digits, rest = [], None, arguments[2:]
    while rest:
        option = rest.pop(0)
        if option == "--digits" and len(rest) >= 2:
            digits = rest.pop(0), rest.pop(0)
        elif "=" in option:
            options.append(option)
        else:
            return None
    return (*arguments[:2], options, digits) if len(arguments) >= 2 else None


progress, actions = [], []


def see_progress(done_bytes, total_bytes):
    progress.append(done_bytes)


def see_tensor(index, count, layer, action, sqnr_db):
    actions.append(action)


def settings_of(options):
    config, run = Config(), Run(progress=see_progress, observer=see_tensor)
    for option in options:
        is_call = option.startswith("call:")
        key, value = option.removeprefix("call:").split("=", 1)
        (run if is_call else config).set(**{key: value})
    return config, run


def shape_text(shape):
    return "[" + ", ".join(map(str, shape)) + "]"


def tensor_text(tensor):
    return f"{tensor.dtype.name} {shape_text(tensor.shape)}"


def sqnr_text(sqnr_db):
    return "none" if sqnr_db is None else "exact" if math.isinf(sqnr_db) else f"{sqnr_db:.2f} dB"


def print_layers(model, config, run):
    """Gives the first that will be quantized."""
    layers = [layer for layer in model.layers(config, run=run) if layer.kind]
    for layer in layers:
        what = f"as it is: {layer.reason}" if layer.action == "copy" else layer.scheme
        print(f"layer {layer.name} {layer.kind} {shape_text(layer.shape)} {what}")
    return next((layer for layer in layers if layer.action == "quantize"), None)


def print_settings(config, run):
    for key in ("dtype", "bits", "group_size", "symmetric", "threads"):
        value, source = config.resolve(key, run=run)
        if key != "threads" or source != "default":  # that is a matter of the machine
            print(f"setting {key} = {value} ({source})")


def quantize(model, config, run):
    quantized, report = model.quantize(config, run=run)
    copied = actions.count("copy")
    print(f"events {len(actions) - copied} quantized, {copied} copied")
    print(f"progress {progress[0]} to {progress[-1]}")
    before, after = report.number("bytes_before"), report.number("bytes_after")
    warnings = len(report.warnings)
    print(f"report {before:.0f} to {after:.0f} bytes, SQNR {sqnr_text(report.sqnr_db)}, {warnings} warnings")
    return quantized


class Memory:
    """The program's own output."""

    def __init__(self):
        self.data = bytearray()

    def write(self, offset, data):
        self.data.extend(bytes(max(0, offset + len(data) - len(self.data))))
        self.data[offset : offset + len(data)] = data

    def commit(self, size):
        self.data.extend(bytes(size - len(self.data)))

    def abort(self):
        self.data.clear()


def save(quantized, output, run):
    quantized.save(output, run=run)
    file_format = mono_quant.detect_format(output)
    if os.path.isdir(output):
        print(f"saved a folder, format {file_format}")
        return
    print(f"saved {os.path.getsize(output)} bytes, format {file_format}")
    memory = Memory()
    quantized.save(memory, threads=1, format=file_format)
    with open(output, "rb") as file:
        print("writer the same bytes" if file.read() == memory.data else "writer other bytes")
        read_into = lambda offset, view: os.preadv(file.fileno(), [view], offset) == len(view)
        with Model.open(Reader(os.path.getsize(output), read_into)) as model:
            print(f"reader {len(model)} tensors")


def compare(model, saved):
    floats, _ = saved.dequantize()
    report = model.compare(floats)
    different = sum(1 for layer in report.layers if layer["sqnr_db"] is not None)
    print(f"back SQNR {sqnr_text(report.sqnr_db)}, {different} tensors differ")


def quantize_alone(model, layer, config, run):
    parts, report = mono_quant.quantize_tensor(model[layer.tensor], layer.tensor, layer.kind, config, run=run)
    count = sum(1 for part in parts.values() if isinstance(part, mono_quant.Tensor))
    restored = mono_quant.dequantize_tensor(parts)
    print(f"alone {layer.name} {count} parts, SQNR {sqnr_text(report.sqnr_db)}, restored {tensor_text(restored)}")


def run_linear(saved, layer):
    """A row of activations, made up, through the layer in integers. Not every layer can be run so: the status says it."""
    try:
        linear = saved.linear(layer.name)
        row = [(i % 7 - 3) / 4 for i in range(layer.shape[1])]
        data = struct.pack(f"{len(row)}f", *row)
        outputs = linear(mono_quant.Tensor.from_bytes(mono_quant.DType.F32, (1, len(row)), data))
        print(f"linear {outputs.shape[1]} outputs, first 0x{outputs.data.cast('I')[0]:08x}")
    except mono_quant.Error as error:
        print(f"linear {error.code.name}")


class Thrown(Exception):
    pass


def throw(done_bytes, total_bytes):
    raise Thrown


def cancel(model, config):
    try:
        model.quantize(config, run=Run(progress=throw))
        sys.exit("tour: what was thrown did not come out")
    except Thrown:
        pass
    try:
        model.quantize(config, run=Run(progress=lambda done_bytes, total_bytes: False))
        print("cancelled OK")
    except mono_quant.Error as error:
        print(f"cancelled {error.code.name}")


def open_missing(path):
    try:
        Model.open(path + ".missing")
        print("missing OK")
    except mono_quant.Error as error:
        print(f"missing {error.code.name}")


def classify(module, image):
    """The place of the largest output."""
    scores = module.forward(image)["0"].data.cast("f")
    return max(range(len(scores)), key=scores.__getitem__)


def digits(module_path, images_path):
    pixels = Model.open(images_path)["images"].data[:64]
    image = mono_quant.Tensor.from_bytes(
        mono_quant.DType.F32, (1, 1, 8, 8), struct.pack("64f", *(p / 16 for p in pixels))
    )
    try:
        module = Model.open(module_path)
        of_floats, of_codes = classify(module, image), classify(module.quantize()[0], image)
        print(f"digits float {of_floats}, int8 {of_codes}")
    except mono_quant.UnsupportedError as error:
        print(f"digits {error.code.name}")


def tour(input_path, output_path, options, images):
    config, run = settings_of(options)
    print("mono_quant {}, ABI {}.{}".format(mono_quant.version(), *mono_quant.abi_version()))
    file_format = mono_quant.detect_format(input_path)
    with Model.open(input_path, run=run) as model:
        print(f"input {file_format}, {len(model)} tensors")
        layer = print_layers(model, config, run)
        print_settings(config, run)
        save(quantize(model, config, run), output_path, run)
        with Model.open(output_path) as saved:
            compare(model, saved)
            if layer is not None:
                quantize_alone(model, layer, config, run)
                print(f"one {tensor_text(saved.get_float(layer.tensor))}")
                run_linear(saved, layer)
        cancel(model, config)
    open_missing(input_path)
    if images is not None:
        digits(*images)


def main():
    arguments = read_arguments(sys.argv[1:])
    if arguments is None:
        print(USAGE, file=sys.stderr)
        return 2
    try:
        tour(*arguments)
    except mono_quant.Error as error:
        print(f"tour: {error.message}", *filter(None, [error.suggestion]), sep="\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
