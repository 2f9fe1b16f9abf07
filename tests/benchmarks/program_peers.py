#!/usr/bin/env python3
"""Whole programs of others beside ours: 1 GiB of bfloat16, a folder or a GGUF file, is read, quantized and written.

    program_peers.py BUILD [--rounds N] [--only PATTERN] [--json FILE]

Each job is a process of its own with two threads, whose output is on disk when it ends: ours syncs what it writes, and
this script does so for the others, in their process. Rounds are interleaved; the figures are medians:
  wall     seconds of the whole process; "work" those after its imports
  CPU      its user and system time, likewise
  peak     the most memory it had, pages of a mapped input among it
Peers, those whose packages are in BUILD/cache, as lists of tests/packages name them:
  llm-compressor  model_free_ptq                                              llm_compressor, transformers
  torchao         quantize_ of a module of Linear layers, torch.save          torchao
  quanto          quantize and freeze of such a module, as safetensors        quanto
  llama.cpp       llama_model_quantize, as cyllama has it                     cyllama; gguf, transformers for its input
The model is made of a seed in BUILD/bench, where it stays: 4 GB of disk. FILE is written anew after each round.
"""
import argparse
import ctypes
import fnmatch
import importlib
import importlib.metadata
import json
import os
import pathlib
import shutil
import statistics
import struct
import subprocess
import sys
import time

THREADS = 2
HIDDEN, INTERMEDIATE, HEADS, KEY_HEADS, LAYERS, VOCABULARY = 2048, 5632, 32, 4, 12, 2048
CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN, "rms_norm_eps": 1e-5,
          "intermediate_size": INTERMEDIATE, "num_attention_heads": HEADS, "num_key_value_heads": KEY_HEADS,
          "num_hidden_layers": LAYERS, "vocab_size": VOCABULARY, "max_position_embeddings": 2048,
          "tie_word_embeddings": True, "hidden_act": "silu", "torch_dtype": "bfloat16"}
MODEL, GGUF_MODEL = "peers-model", "peers-model.gguf"
EMBEDDING = "model.embed_tokens"
GGUF_NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
              "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
              "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
LLAMA_KINDS = {"Q8_0": 7, "Q4_0": 2}  # of llama_ftype
SHOWN = ["torch", "llmcompressor", "compressed-tensors", "transformers", "torchao", "optimum-quanto", "cyllama"]
PACKAGES = {"llm-compressor": ["llm_compressor", "transformers"], "torchao": ["torchao"], "quanto": ["quanto"],
            "llama.cpp": ["cyllama"], "gguf": ["gguf", "transformers"], "torch": []}

# (kind, least and most of the input's size, jobs); a job: (tool, what it is told). Others are compared with ours, the
# first one where there are several.
GROUPS = [
    ("int8", 0.50, 0.54, [
        ("monoquant", []), ("llm-compressor", "W8A16"), ("torchao", "Int8WeightOnlyConfig"), ("quanto", "qint8")]),
    ("int4 g128", 0.25, 0.29, [
        ("monoquant", ["--bits", "4", "--group-size", "128"]),
        ("monoquant", ["--bits", "4", "--group-size", "128", "--method", "minmax"]),
        ("llm-compressor", "W4A16"), ("torchao", "PrototypeInt4WeightOnlyConfig"), ("quanto", "qint4")]),
    ("FP8", 0.50, 0.54, [
        ("monoquant", ["--dtype", "float8_e4m3"]), ("llm-compressor", "FP8_DYNAMIC"),
        ("torchao", "Float8WeightOnlyConfig"), ("quanto", "qfloat8_e4m3fn")]),
    ("GGUF Q8_0", 0.53, 0.56, [("monoquant", ["--bits", "8"]), ("llama.cpp", "Q8_0")]),
    ("GGUF Q4_0", 0.28, 0.31, [
        ("monoquant", ["--bits", "4"]), ("monoquant", ["--bits", "4", "--method", "minmax"]), ("llama.cpp", "Q4_0")]),
    ("copy and sync", 1.0, 1.01, [("cp", "")]),
]


def shapes():
    """(name, shape) of all tensors, in the order of the file."""
    keys = HIDDEN // HEADS * KEY_HEADS
    yield EMBEDDING + ".weight", [VOCABULARY, HIDDEN]
    for layer in range(LAYERS):
        for name, shape in [("input_layernorm", [HIDDEN]), ("self_attn.q_proj", [HIDDEN, HIDDEN]),
                            ("self_attn.k_proj", [keys, HIDDEN]), ("self_attn.v_proj", [keys, HIDDEN]),
                            ("self_attn.o_proj", [HIDDEN, HIDDEN]), ("post_attention_layernorm", [HIDDEN]),
                            ("mlp.gate_proj", [INTERMEDIATE, HIDDEN]), ("mlp.up_proj", [INTERMEDIATE, HIDDEN]),
                            ("mlp.down_proj", [HIDDEN, INTERMEDIATE])]:
            yield f"model.layers.{layer}.{name}.weight", shape
    yield "model.norm.weight", [HIDDEN]


def make_folder(_, __, folder):
    import torch

    def work():
        torch.manual_seed(1)
        header, end = {}, 0
        for name, shape in shapes():
            start, end = end, end + 2 * torch.Size(shape).numel()
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(CONFIG, indent=1) + "\n")
        with open(folder / "model.safetensors", "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for _, shape in shapes():
                weight = (torch.randn(shape) * 0.02 if len(shape) == 2 else torch.ones(shape)).bfloat16()
                file.write((ctypes.c_char * weight.nbytes).from_address(weight.data_ptr()))
    return work


def make_gguf(_, folder, path):
    import gguf
    from safetensors.torch import load_file
    import torch

    def name_of(name):
        if name.startswith("model.layers."):
            _, _, layer, rest = name.removesuffix(".weight").split(".", 3)
            return f"blk.{layer}.{GGUF_NAMES[rest]}.weight"
        return {EMBEDDING + ".weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}[name]

    def work():
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_block_count(LAYERS)
        writer.add_context_length(2048)
        writer.add_embedding_length(HIDDEN)
        writer.add_feed_forward_length(INTERMEDIATE)
        writer.add_head_count(HEADS)
        writer.add_head_count_kv(KEY_HEADS)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_dimension_count(HIDDEN // HEADS)
        writer.add_vocab_size(VOCABULARY)
        writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
        for name, tensor in load_file(folder / "model.safetensors").items():
            if tensor.dim() == 1:
                writer.add_tensor(name_of(name), tensor.float().numpy())
            else:
                writer.add_tensor(name_of(name), tensor.view(torch.uint8).numpy(),
                                  raw_dtype=gguf.GGMLQuantizationType.BF16)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    return work


def module_of(torch, tensors):
    """A module with a Linear layer for each weight of two axes but the embedding; the names are the checkpoint's."""
    root = torch.nn.Module()
    for name, tensor in tensors.items():
        *path, last = name.removesuffix(".weight").split(".")
        at = root
        for part in path:
            if not hasattr(at, part):
                at.add_module(part, torch.nn.Module())
            at = getattr(at, part)
        linear = tensor.dim() == 2 and not name.startswith(EMBEDDING)
        layer = torch.nn.Linear(*reversed(tensor.shape), bias=False, device="meta") if linear else torch.nn.Module()
        layer.weight = torch.nn.Parameter(tensor, requires_grad=False)
        at.add_module(last, layer)
    return root


def torchao_job(config, folder, out):
    from safetensors.torch import load_file
    import torch
    from torchao import quantization
    prototype = config.startswith("Prototype")
    source = importlib.import_module("torchao.prototype.quantization.int4") if prototype else quantization

    def work():
        module = module_of(torch, load_file(folder / "model.safetensors"))
        quantization.quantize_(module, getattr(source, config)(**({"group_size": 128} if prototype else {})))
        torch.save(module.state_dict(), out)
    return work


def quanto_job(kind, folder, out):
    from optimum import quanto
    from safetensors.torch import load_file, save_file
    import torch

    def work():
        module = module_of(torch, load_file(folder / "model.safetensors"))
        quanto.quantize(module, weights=getattr(quanto, kind))
        quanto.freeze(module)
        out.mkdir()
        save_file(module.state_dict(), out / "model.safetensors")
        (out / "quantization_map.json").write_text(json.dumps(quanto.quantization_map(module)))
    return work


def llm_compressor_job(scheme, folder, out):
    from llmcompressor import model_free_ptq

    return lambda: model_free_ptq(folder, out, scheme=scheme, ignore=[EMBEDDING], max_workers=THREADS, device="cpu")


def llama_cpp_job(kind, path, out):
    from cyllama.llama import llama_cpp

    def work():
        settings = llama_cpp.LlamaModelQuantizeParams()
        settings.ftype, settings.nthread = LLAMA_KINDS[kind], THREADS
        llama_cpp.model_quantize(str(path), str(out), settings)
    return work


JOBS = {"torchao": torchao_job, "quanto": quanto_job, "llm-compressor": llm_compressor_job, "llama.cpp": llama_cpp_job,
        "torch": make_folder, "gguf": make_gguf}


def files_of(path):
    return [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]


def sync(path):
    for file in files_of(path):
        handle = os.open(file, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


def run_job(tool, told, given, out, figures):
    """The process of a job of others: its imports, then its work, of which figures gets the seconds."""
    if tool != "llama.cpp":
        import torch
        torch.set_num_threads(THREADS)
        torch.set_grad_enabled(False)
    out = pathlib.Path(out)
    work = JOBS[tool](told, pathlib.Path(given), out)
    start, cpu = time.monotonic(), time.process_time()
    work()
    sync(out)
    taken = {"work": time.monotonic() - start, "work_cpu": time.process_time() - cpu}
    pathlib.Path(figures).write_text(json.dumps(taken))


class Runner:
    """Runs jobs, each in a process of its own that writes in BUILD/bench."""

    def __init__(self, build):
        self.build, self.bench = build, build / "bench"
        self.out, self.figures, self.log = (self.bench / name for name in ("peers-out", "peers-work", "peers.log"))
        self.bench.mkdir(exist_ok=True)

    def has(self, tool):
        return all((self.build / "cache" / each).is_dir() for each in PACKAGES.get(tool, []))

    def versions(self):
        """Those of the packages that lists name, and of torch."""
        folders = sorted({str(self.build / "cache" / each) for lists in PACKAGES.values() for each in lists})
        found = [*importlib.metadata.distributions(path=folders), importlib.metadata.distribution("torch")]
        return {each.metadata["Name"].lower(): each.version for each in found}

    def words_of(self, tool, told, given, out):
        if tool == "monoquant":
            return [self.build / "bin/monoquant", "quantize", given, "-o", out, "--threads", THREADS, "--quiet", *told]
        if tool == "cp":
            return ["sh", "-c", 'cp -r "$1" "$2" && sync "$2"/*', "sh", given, out]
        return [sys.executable, "-W", "ignore", __file__, "--job", tool, told, given, out, self.figures]

    def environment_of(self, tool):
        paths = [str(self.build / "cache" / each) for each in PACKAGES.get(tool, [])] + [os.environ.get("PYTHONPATH")]
        return dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, paths)), HF_HUB_OFFLINE="1",
                    OMP_NUM_THREADS=str(THREADS))

    def run(self, tool, told, given, out):
        self.figures.unlink(missing_ok=True)
        words = [self.build / "bin/measure", *self.words_of(tool, told, given, out)]
        with open(self.log, "w") as log:
            done = subprocess.run([str(word) for word in words], env=self.environment_of(tool), stdout=subprocess.PIPE,
                                  stderr=log, text=True)
        if done.returncode:
            tail = self.log.read_text()[-2000:]
            raise RuntimeError(f"{tool} {told}: exit code {done.returncode}\n{tail}")
        wall, peak, cpu = map(float, done.stdout.split())
        figures = {"wall": wall, "cpu": cpu, "peak_mib": peak / 1024, "work": wall, "work_cpu": cpu}
        return figures | (json.loads(self.figures.read_text()) if self.figures.exists() else {})

    def make(self, tool, name, given=""):
        path, part = self.bench / name, self.bench / (name + ".part")
        if not path.exists():
            remove(part)
            self.run(tool, "", given, part)
            part.rename(path)
        return path

    def measure(self, job, given):
        """One run of a job, which must have written as much as its kind does."""
        kind, least, most, tool, told = job
        remove(self.out)
        os.sync()
        out = self.out.with_suffix(".gguf") if kind.startswith("GGUF") else self.out
        remove(out)
        figures = self.run(tool, told, given, out)
        figures["output_mb"] = size_of(out) / 1e6
        part = size_of(out) / size_of(given)
        if not least <= part <= most:
            raise RuntimeError(f"{kind} {tool}: wrote {part:.3f} of its input, which is not {least} to {most}")
        remove(out)
        return figures


def remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def size_of(path):
    return sum(file.stat().st_size for file in files_of(path))


def label_of(tool, told):
    return " ".join([tool, *told] if isinstance(told, list) else [tool, told]).strip()


def read_once(path):
    for file in files_of(path):
        with open(file, "rb") as data:
            while data.read(1 << 22):
                pass


def measure_all(runner, rounds, only):
    """After each round, in which the jobs take turns, the figures of each; one that fails is not tried again."""
    inputs = {"folder": runner.make("torch", MODEL)}
    if runner.has("llama.cpp") and runner.has("gguf"):
        inputs["GGUF"] = runner.make("gguf", GGUF_MODEL, inputs["folder"])
    jobs = [(kind, least, most, tool, told) for kind, least, most, group in GROUPS for tool, told in group
            if fnmatch.fnmatch(f"{kind}: {label_of(tool, told)}", only)]
    results = [{"kind": job[0], "name": label_of(*job[3:]), "tool": job[3], "failure": None, "runs": []}
               for job in jobs]
    for _ in range(rounds):
        for path in inputs.values():
            read_once(path)
        for job, result in zip(jobs, results):
            given = inputs.get("GGUF" if job[0].startswith("GGUF") else "folder")
            if not runner.has(job[3]) or given is None or result["failure"]:
                continue
            try:
                result["runs"].append(runner.measure(job, given))
            except RuntimeError as error:
                result["failure"] = str(error)
                print(error, file=sys.stderr)
        yield results


def summarize(results):
    """Medians of each job, and what they are of ours of its kind, or of the first one of all."""
    for one in results:
        if not one["runs"] or one["failure"]:
            continue
        one["median"] = {key: statistics.median(run[key] for run in one["runs"]) for key in one["runs"][0]}
        ours = (each for each in results if each["kind"] == one["kind"] and each["tool"] == "monoquant")
        first = next(ours, results[0])
        if "median" in first:
            one["of_ours"] = {key: value / first["median"][key] for key, value in one["median"].items()}


def show(results, versions):
    columns = [("wall", "wall s", 2), ("work", "work s", 2), ("cpu", "CPU s", 2), ("work_cpu", "work CPU", 2),
               ("peak_mib", "peak MiB", 0), ("output_mb", "output MB", 1)]
    print(f"{'':52}" + "".join(f"{title:>18}" for _, title, _ in columns) + "    (of ours)")
    kind = None
    for one in results:
        if one["kind"] != kind:
            kind = one["kind"]
            print(kind)
        line = f"  {one['name']:50}"
        if "median" in one:
            for key, _, digits in columns:
                times = f" ({one['of_ours'][key]:.2f})" if "of_ours" in one else ""
                line += f"{one['median'][key]:9.{digits}f}{times:>9}"
        else:
            line += "  fails" if one["failure"] else "  its packages are missing"
        print(line)
    print(", ".join(f"{name} {versions[name]}" for name in SHOWN if name in versions))


def main():
    if sys.argv[1:2] == ["--job"]:
        return run_job(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="*", metavar="PATTERN", help="jobs whose line matches, as 'int8: *'")
    parser.add_argument("--json", help="where the figures go, too")
    arguments = parser.parse_args()
    runner = Runner(pathlib.Path(arguments.build).resolve())
    versions = runner.versions()
    for results in measure_all(runner, arguments.rounds, arguments.only):
        summarize(results)
        if arguments.json:
            text = json.dumps({"versions": versions, "jobs": results}, indent=1)
            pathlib.Path(arguments.json).write_text(text + "\n")
    show(results, versions)


if __name__ == "__main__":
    main()
