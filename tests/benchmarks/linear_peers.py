#!/usr/bin/env python3
"""Packed Linear layers against LibTorch's own, in one process and in turns, one thread, timed by what each had of the CPU.

    linear_peers.py libmono_quant.so [ROUNDS]

Needs torch 2.13 for CPUs. Rows are float32, weights normally distributed; "error" is the largest difference from float64
against the largest output. Peers: float32 and bfloat16; linear_dynamic with each engine, its weights packed before; for 4
bits _weight_int4pack_mm_for_cpu, whose rows are bfloat16.
"""
import ctypes
import math
import sys
import time

import torch

CASES = [(bits, group, rows, outputs, length)
         for bits, group in [(8, 0), (4, 128), (4, 32)]
         for rows, outputs, length in [(1, 768, 768), (1, 4096, 4096), (8, 4096, 4096), (32, 768, 768),
                                       (128, 3072, 768), (32, 4096, 4096)]]
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


def measure(library, case, rounds):
    bits, group, row_count, outputs, length = case
    torch.manual_seed(1)
    weight, rows = torch.randn(outputs, length) * 0.02, torch.randn(row_count, length)
    narrow_weight, narrow = weight.bfloat16(), rows.bfloat16()
    works = [("ours", Ours(library, weight, bits, group).run(rows)),
             ("float32", lambda: torch.nn.functional.linear(rows, weight)),
             ("bfloat16", lambda: torch.nn.functional.linear(narrow, narrow_weight))]
    works += dynamic_peers(weight, rows) if bits == 8 else int4_peers(weight, rows, group)
    wanted = rows.double() @ weight.double().T
    best, errors = {}, {}
    for name, work in works:
        errors[name] = ((work().double() - wanted).abs().max() / wanted.abs().max()).item()
        best[name] = math.inf
    operations = 2 * row_count * outputs * length
    repeats = max(1, int(2e8 / operations))
    for _ in range(rounds):
        for name, work in works:
            start = time.thread_time()
            for _ in range(repeats):
                work()
            best[name] = min(best[name], (time.thread_time() - start) / repeats)
    print(f"int{bits} {f'g{group}' if group else 'channel'}, {row_count} x {outputs} x {length}")
    for name, _ in works:
        print(f"  {name:24} {best[name] * 1e3:9.4f} ms {operations / best[name] / 1e9:8.1f} GOP/s"
              f"  {best[name] / best['ours']:6.2f} of ours  error {errors[name]:.1e}", flush=True)


def main():
    library = ctypes.CDLL(sys.argv[1])
    torch.set_num_threads(1)
    for case in CASES:
        measure(library, case, int(sys.argv[2]) if len(sys.argv) > 2 else 9)


if __name__ == "__main__":
    with torch.no_grad():
        main()
