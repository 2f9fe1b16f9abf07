"""What README.md shows works."""

import contextlib
import importlib.util
import io
import os
import pathlib
import re
import shutil

from support import DIGITS, TestCase

README = pathlib.Path(__file__).resolve().parents[1] / "README.md"


class Readme(TestCase):
    def test_programs_run(self):
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.folder)
        shutil.copy(DIGITS, "model.safetensors")
        programs = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
        self.assertEqual(len(programs), 2)
        for program in programs:
            if "torch" not in program or importlib.util.find_spec("torch") is not None:
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(compile(program, str(README), "exec"), {})
        self.assertTrue({"model-int8.safetensors", "model-int4.gguf"} <= set(os.listdir()))
