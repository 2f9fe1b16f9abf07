"""Models, settings, reports, errors."""

import math
import mmap
import struct
import threading

import mono_quant
from mono_quant import Config, Model, Run, Status
from support import DATA, DIGITS, TestCase


class Errors(TestCase):
    def test_say_why_and_what_to_do(self):
        with self.assertRaises(mono_quant.NotFoundError) as caught:
            Model.open("no such file")
        error = caught.exception
        self.assertEqual(
            (error.code, error.suggestion, error.subject), (Status.NOT_FOUND, "check the path", "no such file")
        )
        self.assertIn("no such file", error.message)
        self.assertEqual(str(error), f"{error.message}\ncheck the path")

    def test_are_also_what_python_calls_them(self):
        with self.assertRaises(ValueError):
            self.digits().quantize(bits=9)
        with self.assertRaises(KeyError):
            self.digits()["fc1.weigth"]
        with self.assertRaises(ValueError):
            Model.open(b"no checkpoint at all")

    def test_suggest_the_name_that_was_meant(self):
        with self.assertRaises(mono_quant.NotFoundError) as caught:
            self.digits()["fc1.weigth"]
        self.assertEqual(caught.exception.suggestion, "did you mean 'fc1.weight'?")

    def test_texts_with_a_zero_are_refused(self):
        with self.assertRaises(ValueError):
            Model.open("model\0.safetensors")
        with self.assertRaises(ValueError):
            self.digits().quantize(only="fc1\0")

    def test_paths_of_any_bytes(self):
        path = f"{self.folder}/caf\udce9.safetensors"
        self.digits().save(path)
        self.assertEqual(len(Model.open(path)), 13)


class Models(TestCase):
    def test_is_a_mapping_of_its_tensors(self):
        model = self.digits()
        self.assertEqual(len(model), len(dict(model)))
        self.assertIn("fc1.weight", model)
        self.assertNotIn("fc9.weight", model)
        self.assertIsNone(model.get("fc9.weight"))
        self.assertEqual(model["fc1.weight"].shape, (64, 128))

    def test_memory_is_read_where_it_is(self):
        expected = DIGITS.read_bytes()
        for source in (expected, bytearray(expected), memoryview(expected)):
            self.assertEqual(Model.open(source).to_bytes(), self.digits().to_bytes())
        with open(DIGITS, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            model = Model.open(mapped)
            with self.assertRaises(BufferError):
                mapped.close()  # the model uses it
            self.assertEqual(model.to_bytes(), self.digits().to_bytes())
            del model

    def test_a_closed_model_is_refused(self):
        with self.digits() as model:
            tensor = model["fc1.weight"]
        for use in (lambda: len(model), model.quantize, lambda: model["fc1.weight"], model.to_bytes):
            with self.assertRaises(ValueError):
                use()
        self.assertEqual(len(tensor.data), 4 * 64 * 128)  # what was made from it lives on
        model.close()

    def test_closing_does_not_disturb_a_job_on_another_thread(self):
        model, inside, closed, results = self.digits(), threading.Event(), threading.Event(), []

        def progress(done, total):
            inside.set()
            closed.wait()

        worker = threading.Thread(target=lambda: results.append(model.quantize(progress=progress)))
        worker.start()
        inside.wait()
        model.close()
        closed.set()
        worker.join()
        self.assertEqual(len(results[0][0]), 17)

    def test_quantizes_saves_and_comes_back(self):
        model, path = self.digits(), self.folder / "int4.safetensors"
        quantized, report = model.quantize(bits=4, group_size=32)
        quantized.save(path)
        saved = Model.open(path)
        self.assertEqual(mono_quant.detect_format(path), "safetensors")
        self.assertEqual(len(saved.describe()["quantized"]), 3)
        floats, _ = saved.dequantize()
        self.assertAlmostEqual(model.compare(floats).sqnr_db, report.sqnr_db, 6)
        self.assertEqual(saved.get_float("fc1.weight").data, floats["fc1.weight"].data)
        self.assertEqual(quantized.to_bytes(), path.read_bytes())
        with self.assertRaises(mono_quant.Error):
            quantized.save(path)
        quantized.save(path, overwrite=True)

    def test_layers_say_what_would_become_of_them(self):
        layers = {layer.name: layer for layer in self.digits().layers(bits=4)}
        fc1 = layers["fc1"]
        self.assertEqual((fc1.kind, fc1.action, fc1.scheme), ("Linear", "quantize", "int4 group 128"))
        self.assertEqual((layers["conv1"].action, layers["conv1"].shape), ("copy", (16, 1, 3, 3)))

    def test_plans_the_exact_size_of_a_file(self):
        planned = self.digits().plan(bits=4, format="safetensors").number("file_bytes")
        self.digits().quantize_to(self.folder / "out.safetensors", bits=4)
        self.assertEqual((self.folder / "out.safetensors").stat().st_size, planned)

    def test_files_to_files(self):
        quantized, back, other = (self.folder / name for name in ("q.safetensors", "f.safetensors", "g.pt"))
        report = mono_quant.quantize_file(DIGITS, quantized, bits=8)
        mono_quant.dequantize_file(quantized, back)
        mono_quant.convert_file(quantized, other)
        self.assertEqual(mono_quant.detect_format(other), "pytorch")
        self.assertAlmostEqual(mono_quant.compare_file(DIGITS, back).sqnr_db, report.sqnr_db, 6)
        self.assertEqual(mono_quant.validate_file(quantized, DIGITS).problems, [])


class Settings(TestCase):
    def test_the_call_wins_over_the_config(self):
        config = Config({"bits": 4, "layers": [{"name": "fc2", "bits": 8}]}, group_size=64)
        run = Run(group_size=32)
        self.assertEqual(config.resolve("bits"), ("4", "config"))
        self.assertEqual(config.resolve("bits", layer="fc2"), ("8", "config layers"))
        self.assertEqual(config.resolve("group_size", run=run), ("32", "call"))
        schemes = {layer["name"]: layer["scheme"] for layer in self.digits().quantize(config, run=run)[1].layers}
        self.assertEqual((schemes["fc1"], schemes["fc2"]), ("int4 group 32", "int8 group 32"))

    def test_values_of_python(self):
        config = Config(symmetric=False, bits=8, only=["fc1", "fc2"], group_size=None)
        self.assertEqual(config.resolve("symmetric").value, "false")
        self.assertEqual(config.resolve("only").value, "fc1,fc2")
        self.assertEqual(Config(config.to_dict()).to_dict(), config.to_dict())

    def test_what_cannot_be_together_is_told(self):
        with self.assertRaises(mono_quant.ConfigError):
            Config(dtype="quint8", bits=4).validate()

    def test_keys_are_listed(self):
        self.assertIn("group_size", [key["key"] for key in Config.keys()])

    def test_settings_go_on_the_run_that_is_given(self):
        with self.assertRaises(TypeError):
            self.digits().quantize(run=Run(), bits=4)


class Reports(TestCase):
    def test_has_numbers_layers_and_texts(self):
        _, report = self.digits().quantize(bits=4)
        self.assertEqual(report.number("bytes_before"), 55088)
        self.assertIsNone(report.number("no such number"))
        self.assertEqual(len(report.layers), 13)
        self.assertEqual(report.json["kind"], "quantize")
        self.assertTrue(20 < report.sqnr_db < 21)

    def test_an_exact_result_has_no_noise(self):
        self.assertEqual(self.digits().compare(self.digits()).sqnr_db, math.inf)

    def test_what_the_library_can_do(self):
        self.assertIn("qint4", [scheme["name"] for scheme in mono_quant.capabilities()["schemes"]])
        self.assertEqual(mono_quant.build_info()["version"], mono_quant.__version__)

    def test_threads(self):
        self.addCleanup(mono_quant.set_threads, 0)
        mono_quant.set_threads(1)
        self.assertEqual(mono_quant.threads(), 1)


class Modules(TestCase):
    def setUp(self):
        super().setUp()
        pixels = Model.open(DATA / "digits_test.safetensors")["images"].data[:64]
        data = struct.pack("64f", *(pixel / 16 for pixel in pixels))
        self.image = mono_quant.Tensor.from_bytes(mono_quant.DType.F32, (1, 1, 8, 8), data)
        self.module = Model.open(DATA / "digits_scripted.pt")
        try:
            self.scores = self.module.forward(self.image)["0"]
        except mono_quant.UnsupportedError as error:
            self.skipTest(error.message)

    def tearDown(self):
        del self.image
        super().tearDown()

    def test_runs(self):
        self.assertEqual(self.scores.shape, (1, 10))
        scores = list(self.scores.data.cast("f"))
        self.assertEqual(scores.index(max(scores)), 3)

    def test_runs_quantized(self):
        scores = list(self.module.quantize()[0].forward(self.image)["0"].data.cast("f"))
        self.assertEqual(scores.index(max(scores)), 3)

    def test_refuses_inputs_that_do_not_fit(self):
        with self.assertRaises(mono_quant.InvalidArgumentError):
            self.module.forward(self.image, 1, "text", None, True, 0.5)
        with self.assertRaises(mono_quant.InvalidArgumentError):
            self.module.forward(nonsense={"a": [self.image, (self.image,)], "b": ()})
        with self.assertRaises(mono_quant.NotFoundError):
            self.module.forward(self.image, method="backward")

    def test_is_validated_by_running_it(self):
        report = self.module.quantize()[0].validate(self.module, self.image)
        self.assertEqual((report.problems, report.json["model"]["ran"]), ([], True))
