"""The program's own input and output: the same bytes as files, within the memory that was asked for."""

import io
import json
import os
import resource
import struct
import subprocess
import sys
import threading
import time
import zipfile

import mono_quant
from mono_quant import Model, Reader, Writer
from support import DIGITS, TestCase


class Slow:
    """Input that comes in small pieces and takes its time, and output that does."""

    def __init__(self, data=b""):
        self.data = bytearray(data)
        self.lock = threading.Lock()
        self.committed = None
        self.is_aborted = False

    def read_into(self, offset, view):
        for start in range(0, len(view), 1000):
            time.sleep(0.0002)
            piece = self.data[offset + start : offset + min(start + 1000, len(view))]
            view[start : start + len(piece)] = piece

    def write(self, offset, data):
        time.sleep(0.001)
        with self.lock:
            self.data.extend(bytes(max(0, offset + len(data) - len(self.data))))
            self.data[offset : offset + len(data)] = data

    def commit(self, size):
        self.committed = bytes(self.data.ljust(size, b"\0"))

    def abort(self):
        self.is_aborted = True


class Streams(TestCase):
    def setUp(self):
        super().setUp()
        mono_quant.quantize_file(DIGITS, self.folder / "expected.safetensors", bits=4)
        self.expected = (self.folder / "expected.safetensors").read_bytes()

    def check(self, model):
        for threads in (1, 2):
            target = io.BytesIO()
            model.quantize_to(target, bits=4, threads=threads)
            self.assertEqual(target.getvalue(), self.expected)

    def test_memory(self):
        self.check(Model.open(io.BytesIO(DIGITS.read_bytes())))

    def test_a_member_of_an_archive(self):
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            path = self.folder / "bundle.zip"
            with zipfile.ZipFile(path, "w", method) as archive:
                archive.write(DIGITS, "model.safetensors")
            with zipfile.ZipFile(path) as archive, archive.open("model.safetensors") as member:
                self.check(Model.open(member))

    def test_a_slow_source(self):
        slow = Slow(DIGITS.read_bytes())
        self.check(Model.open(Reader(len(slow.data), slow.read_into)))

    def test_a_slow_output(self):
        slow = Slow()
        self.digits().quantize_to(slow, bits=4)
        self.assertEqual((slow.committed, slow.is_aborted), (self.expected, False))

    def test_a_file_from_where_it_stands(self):
        path = self.folder / "out"
        with open(path, "w+b") as file:
            file.write(b"before")
            self.digits().quantize_to(file, bits=4)
        self.assertEqual(path.read_bytes(), b"before" + self.expected)

    def test_raw_files(self):
        with open(DIGITS, "rb", buffering=0) as source, open(self.folder / "out", "wb", buffering=0) as target:
            Model.open(source).quantize_to(target, bits=4)
        self.assertEqual((self.folder / "out").read_bytes(), self.expected)

    def test_dequantizes_to_a_stream(self):
        target = io.BytesIO()
        Model.open(self.expected).dequantize_to(target)
        self.assertEqual(target.getvalue(), Model.open(self.expected).dequantize()[0].to_bytes())

    def test_a_writer_takes_one_output_after_the_other(self):
        slow = Slow()
        writer = Writer(slow)
        for _ in range(2):
            self.digits().quantize_to(writer, bits=4)
            self.assertEqual(slow.committed, self.expected)

    def test_what_is_made_of_a_model_keeps_its_source(self):
        model = Model.open(io.BytesIO(DIGITS.read_bytes()))
        floats, _ = model.dequantize()
        model.close()
        self.assertEqual(floats.to_bytes(), self.digits().to_bytes())


class Failing(TestCase):
    def test_what_a_reader_raises_comes_out(self):
        data, is_broken = DIGITS.read_bytes(), []

        def read_into(offset, view):
            if is_broken:
                raise ConnectionError("gone")
            view[:] = data[offset : offset + len(view)]

        model = Model.open(Reader(len(data), read_into))
        is_broken.append(True)
        for use in (lambda: model["fc1.weight"], model.quantize, model.to_bytes, lambda: self.digits().compare(model)):
            with self.assertRaises(ConnectionError):
                use()
        is_broken.clear()
        self.assertEqual(model.to_bytes(), self.digits().to_bytes())

    def test_a_source_that_ends_early(self):
        class Short(io.BytesIO):
            def seek(self, offset, whence=0):
                return super().seek(offset, whence) + (100 if whence == 2 else 0)

        model = Model.open(Short(DIGITS.read_bytes()[:-100]))
        with self.assertRaises(EOFError):
            model.to_bytes()

    def test_what_a_writer_raises_comes_out(self):
        for name in ("write", "commit"):
            slow = Slow()
            setattr(slow, name, gone)
            with self.subTest(name), self.assertRaises(ConnectionError):
                self.digits().quantize_to(slow, bits=4)
            self.assertEqual((slow.committed, slow.is_aborted), (None, True))

    def test_a_job_that_fails_leaves_a_file_as_it_was(self):
        target = io.BytesIO(b"before")
        target.seek(0, 2)
        with self.assertRaises(mono_quant.CancelledError):
            self.digits().quantize_to(target, observer=lambda *_: False)
        self.assertEqual(target.getvalue(), b"before")

    def test_a_view_is_of_no_use_after_the_call(self):
        views = []

        class Keeps(Slow):
            def write(self, offset, data):
                views.append(data)
                super().write(offset, data)

        self.digits().quantize_to(Keeps(), bits=4)
        with self.assertRaises(ValueError):
            views[0][0]

    def test_a_pipe_has_no_places(self):
        read, write = os.pipe()
        with os.fdopen(read, "rb") as source, os.fdopen(write, "wb") as target:
            with self.assertRaises(OSError):
                Model.open(source)
            with self.assertRaises(OSError):
                self.digits().save(target)


def gone(*_):
    raise ConnectionError("gone")


BUDGET = 16 << 20
ROWS = COLUMNS = 2048  # 16 MiB


class Budget(TestCase):
    def test_a_large_model_takes_no_more_memory_than_a_small_one(self):
        """What 128 MiB take besides what 16 MiB do is less than what may be worked on at once."""
        small, large = (self.peak_of(tensors) for tensors in (1, 8))
        self.assertLess(large - small, BUDGET)

    def peak_of(self, tensors):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, __file__, str(tensors)]
        return int(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout)


def large_header(tensors):
    """Of a checkpoint of safetensors whose data follows."""
    size = 4 * ROWS * COLUMNS
    entry = lambda i: {"dtype": "F32", "shape": [ROWS, COLUMNS], "data_offsets": [i * size, (i + 1) * size]}
    text = json.dumps({f"layers.{i}.weight": entry(i) for i in range(tensors)}).encode()
    return struct.pack("<Q", len(text)) + text


class Forgets:
    """Output that goes nowhere."""

    def write(self, offset, data):
        pass

    def commit(self, size):
        assert size > ROWS * COLUMNS

    def abort(self):
        raise AssertionError


def quantize_large(tensors):
    """Prints the most memory that this process had, in bytes."""
    header, row = (
        large_header(tensors),
        struct.pack(f"{COLUMNS}f", *((i * 7919 % 2003 - 1001) / 4000 for i in range(COLUMNS))),
    )

    def read_into(offset, view):
        while len(view) > 0:
            source = header[offset:] if offset < len(header) else row[(offset - len(header)) % len(row) :]
            piece = source[: len(view)]
            view[: len(piece)] = piece
            view, offset = view[len(piece) :], offset + len(piece)

    source = Reader(len(header) + tensors * ROWS * len(row), read_into)
    Model.open(source).quantize_to(Forgets(), bits=8, memory_budget=BUDGET)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


if __name__ == "__main__":
    quantize_large(int(sys.argv[1]))
