"""What the tests share."""

import gc
import pathlib
import tempfile
import unittest

from mono_quant import Model, _callbacks

DATA = pathlib.Path(__file__).resolve().parents[3] / "tests" / "data"
DIGITS = DATA / "digits.safetensors"


class TestCase(unittest.TestCase):
    """The library holds on to nothing once a test is over."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        gc.collect()
        self._kept = _callbacks.kept_count()

    def tearDown(self):
        gc.collect()
        self.assertEqual(_callbacks.kept_count(), self._kept)

    def digits(self):
        return Model.open(DIGITS)
