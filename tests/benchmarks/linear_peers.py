#!/usr/bin/env python3
"""Packed Linear layers against those of others, in one process and in turns, one thread, timed by what each had of the CPU.

    linear_peers.py libmono_quant.so [--rounds N] [--quick] [--json FILE]

Rows are float32, weights normally distributed; "error" is the largest difference from float64 against the largest output.
Peers, those that are there:
  torch        float32 and bfloat16; linear_dynamic with each engine, its weights packed before; for 4 bits
               _weight_int4pack_mm_for_cpu, whose rows are bfloat16
  onnxruntime  DynamicQuantizeMatMul; MatMulNBits with products in integers (accuracy_level 4)
  ggml         a product with Q8_0; with Q4_0 where groups are of 32
"""
import argparse
import ctypes
import importlib.util
import json
import math
import pathlib
import time

import torch

CASES = [(bits, group, rows, outputs, length)
         for bits, group in [(8, 0), (4, 128), (4, 32)]
         for rows, outputs, length in [(1, 768, 768), (1, 4096, 4096), (8, 4096, 4096), (32, 768, 768),
                                       (128, 3072, 768), (32, 4096, 4096)]]
QUICK = [case for case in CASES if case[2:] in [(1, 4096, 4096), (32, 4096, 4096)]]
F32 = 12


class Ours:
    """A layer of the library, made of the codes that it gives a float weight."""

    def __init__(self, library, weight, bits, group):
        outputs, length = weight.shape
        groups = length // group if group else 1
        self.library, self.outputs = library, outputs
        self.codes = torch.empty(outputs, length, dtype=torch.int8)
        self.scales = torch.empty(outputs, groups)
        self.call("kernel_quantize", pointer(weight), size(outputs), size(length), bits, 1, size(group),
                  pointer(self.scales), None, pointer(self.codes), None)
        run = ctypes.c_void_p()
        self.call("run_create", ctypes.byref(run))
        self.call("run_set", run, b"threads", b"1")
        self.layer = ctypes.c_void_p()
        self.call("linear_from_codes", pointer(self.codes), size(outputs), size(length), bits, size(group),
                  pointer(self.scales), None, None, None, run, ctypes.byref(self.layer))

    def call(self, name, *arguments):
        status = getattr(self.library, "mnq_" + name)(*arguments, None)
        if status != 0:
            raise RuntimeError(f"mnq_{name}: status {status}")

    def run(self, rows):
        out = torch.empty(rows.shape[0], self.outputs)
        needed = ctypes.c_size_t()
        self.call("linear_scratch_size", self.layer, size(rows.shape[0]), ctypes.byref(needed))
        scratch = torch.empty(needed.value, dtype=torch.uint8)

        def work():
            self.call("linear_run", self.layer, pointer(rows), size(rows.shape[0]), F32, pointer(out), F32,
                      pointer(scratch), needed)
            return out
        return work


def pointer(tensor):
    return ctypes.c_void_p(tensor.data_ptr())


def size(value):
    return ctypes.c_size_t(value)


def dynamic_peers(weight, rows):
    zeros = torch.zeros(len(weight), dtype=torch.int64)
    coded = torch.quantize_per_channel(weight, (weight.abs().amax(1) / 127).double(), zeros, 0, torch.qint8)
    for engine in torch.backends.quantized.supported_engines:
        if engine in ("none", "qnnpack"):
            continue
        torch.backends.quantized.engine = engine
        packed = torch.ops.quantized.linear_prepack(coded, None)

        def work(engine=engine, packed=packed):
            torch.backends.quantized.engine = engine
            return torch.ops.quantized.linear_dynamic(rows, packed, True)
        yield "linear_dynamic " + engine, work


def int4_peers(weight, rows, group):
    groups = weight.shape[1] // group
    blocks = weight.view(len(weight), groups, group)
    low, high = blocks.amin(2), blocks.amax(2)
    scales = (high - low).clamp(min=1e-6) / 15
    codes = ((blocks - low[..., None]) / scales[..., None]).round().clamp(0, 15).to(torch.int32).view_as(weight)
    packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes, 1)
    both = torch.stack([scales, low + 8 * scales], 2).transpose(0, 1).contiguous().bfloat16()
    narrow = rows.bfloat16()
    yield "int4pack_mm", lambda: torch.ops.aten._weight_int4pack_mm_for_cpu(narrow, packed, group, both)


class Onnx:
    """One node of onnxruntime as a product, in a session of one thread."""

    def __init__(self, node, rows, outputs, **weights):
        import onnx
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper

        self.rows = rows.numpy()
        kinds = TensorProto.FLOAT
        graph = helper.make_graph(
            [node], "product", [helper.make_tensor_value_info("rows", kinds, list(rows.shape))],
            [helper.make_tensor_value_info("out", kinds, [rows.shape[0], outputs])],
            [numpy_helper.from_array(tensor.contiguous().numpy(), name) for name, tensor in weights.items()])
        model = helper.make_model(graph, ir_version=8, opset_imports=[
            helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])

    def __call__(self):
        return torch.from_numpy(self.session.run(None, {"rows": self.rows})[0])


def onnx_peers(weight, rows, bits, group):
    from onnx import helper

    outputs, length = weight.shape
    if bits == 8:
        scales = weight.abs().amax(1) / 127
        codes = (weight / scales[:, None]).round().clamp(-127, 127).to(torch.int8)
        node = helper.make_node("DynamicQuantizeMatMul", ["rows", "codes", "scales"], ["out"], domain="com.microsoft")
        yield "DynamicQuantizeMatMul", Onnx(node, rows, outputs, codes=codes.T, scales=scales)
        return
    blocks = weight.view(outputs, -1, group)
    scales = blocks.abs().amax(2) / 7
    codes = ((blocks / scales[..., None]).round().clamp(-8, 7) + 8).to(torch.uint8)
    node = helper.make_node("MatMulNBits", ["rows", "codes", "scales"], ["out"], domain="com.microsoft", K=length,
                            N=outputs, bits=4, block_size=group, accuracy_level=4)
    yield "MatMulNBits", Onnx(node, rows, outputs, codes=codes[..., ::2] | codes[..., 1::2] << 4,
                              scales=scales.flatten())


class GgmlParameters(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("memory", ctypes.c_void_p), ("no_alloc", ctypes.c_bool)]


class GgmlPlan(ctypes.Structure):
    _fields_ = [("work_size", ctypes.c_size_t), ("work", ctypes.c_void_p), ("threads", ctypes.c_int),
                ("pool", ctypes.c_void_p), ("abort", ctypes.c_void_p), ("abort_data", ctypes.c_void_p),
                ("use_reference", ctypes.c_bool)]


class Ggml:
    """A product of ggml, its weights in blocks of one of its types."""

    FLOAT, Q4_0, Q8_0 = 0, 2, 8

    def __init__(self, weight, rows, kind):
        outputs, length = weight.shape
        tensor = ggml_function("base", "new_tensor_2d", "p", "pill")
        data_of = ggml_function("base", "get_data", "p", "p")
        self.room = torch.empty(4 * (weight.numel() + 2 * rows.numel() + outputs * len(rows)) + (1 << 22),
                                dtype=torch.uint8)
        context = ggml_function("base", "init", "p", [GgmlParameters])(
            GgmlParameters(self.room.numel(), self.room.data_ptr(), False))
        blocks, given = tensor(context, kind, length, outputs), tensor(context, self.FLOAT, length, len(rows))
        ggml_function("base", "quantize_chunk", "z", "ipplllp")(kind, weight.data_ptr(), data_of(blocks), 0, outputs,
                                                               length, None)
        ctypes.memmove(data_of(given), rows.data_ptr(), rows.numel() * 4)
        out = ggml_function("base", "mul_mat", "p", "ppp")(context, blocks, given)
        self.graph = ggml_function("base", "new_graph", "p", "p")(context)
        ggml_function("base", "build_forward_expand", None, "pp")(self.graph, out)
        self.plan = ggml_function("cpu", "graph_plan", GgmlPlan, "pip")(self.graph, 1, None)
        self.work = torch.empty(self.plan.work_size, dtype=torch.uint8)
        self.plan.work = self.work.data_ptr()
        self.compute = ggml_function("cpu", "graph_compute", "i", "pp")
        values = (ctypes.c_float * (len(rows) * outputs)).from_address(data_of(out))
        self.out = torch.frombuffer(values, dtype=torch.float32).view(len(rows), outputs)

    def __call__(self):
        if self.compute(self.graph, ctypes.byref(self.plan)) != 0:
            raise RuntimeError("ggml_graph_compute fails")
        return self.out


def ggml_function(part, name, result, arguments):
    """ggml_NAME of one of its libraries; p: a pointer, i: int, l: int64, z: size_t."""
    kinds = {"p": ctypes.c_void_p, "i": ctypes.c_int, "l": ctypes.c_int64, "z": ctypes.c_size_t}
    folder = pathlib.Path(importlib.util.find_spec("libggml").origin).parent / "lib64"
    ctypes.CDLL(str(folder / "libggml-base.so.0"), ctypes.RTLD_GLOBAL)
    function = getattr(ctypes.CDLL(str(folder / f"libggml-{part}.so.0")), "ggml_" + name)
    function.restype = kinds.get(result, result) if isinstance(result, str) else result
    function.argtypes = [kinds[kind] if isinstance(kind, str) else kind for kind in arguments]
    return function


def peers_of(weight, rows, bits, group):
    """(package, peers): each of a package that is there."""
    yield "torch", dynamic_peers(weight, rows) if bits == 8 else int4_peers(weight, rows, group)
    if importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("onnx"):
        yield "onnxruntime", onnx_peers(weight, rows, bits, group)
    if importlib.util.find_spec("libggml") and group != 128:
        kind = Ggml.Q8_0 if bits == 8 else Ggml.Q4_0
        yield "ggml", [("Q8_0" if bits == 8 else "Q4_0", Ggml(weight, rows, kind))]


def works_of(library, case):
    bits, group, row_count, outputs, length = case
    torch.manual_seed(1)
    weight, rows = torch.randn(outputs, length) * 0.02, torch.randn(row_count, length)
    narrow_weight, narrow = weight.bfloat16(), rows.bfloat16()
    works = [("ours", Ours(library, weight, bits, group).run(rows)),
             ("torch float32", lambda: torch.nn.functional.linear(rows, weight)),
             ("torch bfloat16", lambda: torch.nn.functional.linear(narrow, narrow_weight))]
    for package, peers in peers_of(weight, rows, bits, group):
        works += [(f"{package} {name}", work) for name, work in peers]
    return works, rows.double() @ weight.double().T


def measure(library, case, rounds):
    works, wanted = works_of(library, case)
    errors = {name: ((work().double() - wanted).abs().max() / wanted.abs().max()).item() for name, work in works}
    best = dict.fromkeys(errors, math.inf)
    operations = 2 * math.prod(case[2:])
    repeats = max(1, int(2e8 / operations))
    for _ in range(rounds):
        for name, work in works:
            start = time.thread_time()
            for _ in range(repeats):
                work()
            best[name] = min(best[name], (time.thread_time() - start) / repeats)
    return [{"name": name, "ms": best[name] * 1e3, "gops": operations / best[name] / 1e9,
             "of_ours": best[name] / best["ours"], "error": errors[name]} for name in errors]


def show(case, results):
    bits, group, *shape = case
    print(f"int{bits} {f'g{group}' if group else 'channel'}, {' x '.join(map(str, shape))}")
    for one in results:
        print(f"  {one['name']:32} {one['ms']:9.4f} ms {one['gops']:8.1f} GOP/s {one['of_ours']:6.2f} of ours"
              f"  error {one['error']:.1e}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="three rounds of the shapes that tell most")
    parser.add_argument("--json", help="where the figures go, too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    library, all_results = ctypes.CDLL(arguments.library), []
    for case in QUICK if arguments.quick else CASES:
        results = measure(library, case, 3 if arguments.quick else arguments.rounds)
        show(case, results)
        all_results.append(dict(zip(("bits", "group_size", "rows", "outputs", "inputs"), case), results=results))
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(all_results, indent=1) + "\n")


if __name__ == "__main__":
    with torch.no_grad():
        main()
