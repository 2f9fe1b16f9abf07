"""The wheel: what is in it, and that it works by itself."""

import base64
import csv
import hashlib
import io
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import zipfile

import mono_quant
from support import DIGITS, TestCase

HERE = pathlib.Path(__file__).resolve().parents[1]
TREE = os.environ.get("MONO_QUANT_DIR")


@unittest.skipUnless(TREE, "MONO_QUANT_DIR names no library to make a wheel of")
class Wheel(TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.made = pathlib.Path(folder.name)
        make = [sys.executable, HERE / "make_wheel.py", TREE, cls.made]
        cls.path = cls.made / subprocess.run(make, check=True, capture_output=True, text=True).stdout.strip()

    def test_lists_all_that_is_in_it(self):
        with zipfile.ZipFile(self.path) as wheel:
            names = wheel.namelist()
            record = next(name for name in names if name.endswith("/RECORD"))
            rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(wheel.read(record).decode()))}
            self.assertEqual(sorted(rows), sorted(names))
            for name in set(names) - {record}:
                data = wheel.read(name)
                digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                self.assertEqual(rows[name], [f"sha256={digest}", str(len(data))], name)
        self.assertTrue({"mono_quant/py.typed", "mono_quant/lib/libmono_quant.so.1"} <= set(names))

    def test_its_name_says_what_it_runs_on(self):
        tag = re.fullmatch(r"mono_quant-[0-9.]+-(py3-none-\w+)\.whl", self.path.name)[1]
        with zipfile.ZipFile(self.path) as wheel:
            text = wheel.read(next(name for name in wheel.namelist() if name.endswith("/WHEEL"))).decode()
        self.assertIn(f"Tag: {tag}\n", text)
        needs_tbb = (
            b"libtbb.so"
            in subprocess.run(["readelf", "-d", f"{TREE}/lib/libmono_quant.so.1"], capture_output=True).stdout
        )
        self.assertEqual(tag.startswith("py3-none-manylinux_2_"), not needs_tbb)

    def test_works_where_it_was_installed(self):
        """Nothing is taken from this folder: neither the package nor the library."""
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-index",
            "--no-deps",
        ]
        if subprocess.run([*pip[:3], "--version"], capture_output=True).returncode != 0:
            self.skipTest("pip is not there")
        subprocess.run([*pip, "--target", self.folder / "site", self.path], check=True)
        environment = {
            name: value for name, value in os.environ.items() if name not in ("MONO_QUANT_DIR", "PYTHONPATH")
        }
        environment["PYTHONPATH"] = str(self.folder / "site")
        options = {"check": True, "capture_output": True, "text": True, "env": environment, "cwd": self.folder}
        code = "import mono_quant; print(mono_quant.__file__); print(mono_quant.version())"
        file, version = subprocess.run([sys.executable, "-c", code], **options).stdout.split()
        self.assertTrue(file.startswith(str(self.folder)))
        command = [sys.executable, "-m", "mono_quant"]
        self.assertEqual(subprocess.run([*command, "--version"], **options).stdout, f"monoquant {version}\n")
        subprocess.run([*command, "quantize", DIGITS, "--bits", "4", "-o", "out.safetensors"], **options)
        tour = [sys.executable, HERE / "example" / "tour.py", DIGITS, "tour.safetensors", "bits=4"]
        self.assertIn("cancelled CANCELLED\n", subprocess.run(tour, **options).stdout)
        mono_quant.quantize_file(DIGITS, self.folder / "expected.safetensors", bits=4)
        self.assertEqual(
            (self.folder / "out.safetensors").read_bytes(), (self.folder / "expected.safetensors").read_bytes()
        )

    def test_is_the_same_when_it_is_made_again(self):
        before = self.path.read_bytes()
        subprocess.run([sys.executable, HERE / "make_wheel.py", TREE, self.made], check=True, capture_output=True)
        self.assertEqual(self.path.read_bytes(), before)
