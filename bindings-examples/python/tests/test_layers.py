"""Linear layers and embeddings by themselves."""

import importlib.util
import struct
import unittest

import mono_quant
from mono_quant import DType, Linear, Model, Tensor
from support import TestCase


def floats(values):
    return struct.pack(f"{len(values)}f", *values)


def rows_of(tensor, length):
    values = list(tensor.data.cast("f"))
    return [values[start : start + length] for start in range(0, len(values), length)]


def times(rows, weight, bias):
    """The plain product: rows x weight, transposed, and the bias."""
    return [[sum(a * b for a, b in zip(row, line)) + add for line, add in zip(weight, bias)] for row in rows]


def is_near(found, expected, tolerance):
    return all(abs(a - b) <= tolerance for one, other in zip(found, expected) for a, b in zip(one, other))


class Layers(TestCase):
    def setUp(self):
        super().setUp()
        self.activations = [[((i * 7 + j * 3) % 11 - 5) / 5 for j in range(64)] for i in range(3)]
        self.rows = Tensor.from_bytes(DType.F32, (3, 64), floats(sum(self.activations, [])))

    def tearDown(self):
        del self.rows
        super().tearDown()

    def test_a_layer_of_a_model_does_what_its_floats_do(self):
        model = self.digits()
        weight, bias = rows_of(model["fc2.weight"], 64), rows_of(model["fc2.bias"], 1)
        expected = times(self.activations, weight, [one[0] for one in bias])
        for source in (model, model.quantize(bits=8)[0]):
            layer = source.linear("fc2", bits=8)
            found = layer(self.rows)
            self.assertEqual((found.dtype, found.shape), (DType.F32, (3, 10)))
            self.assertTrue(is_near(rows_of(found, 10), expected, 0.1))
        self.assertEqual(layer.describe()["output_count"], 10)

    def test_a_layer_of_floats(self):
        weight = [[(i * j % 13 - 6) / 20 for j in range(64)] for i in range(4)]
        tensor = Tensor.from_bytes(DType.F32, (4, 64), floats(sum(weight, [])))
        layer = Linear(tensor, Tensor.from_bytes(DType.F32, (4,), floats([1, 2, 3, 4])), bits=8)
        del tensor  # it was copied
        self.assertTrue(is_near(rows_of(layer(self.rows), 4), times(self.activations, weight, [1, 2, 3, 4]), 0.1))
        self.assertEqual(layer(self.rows, DType.BF16).dtype, DType.BF16)

    def test_what_does_not_fit_is_refused(self):
        model = self.digits()
        with self.assertRaises(mono_quant.NotFoundError):
            model.linear("fc9")
        with self.assertRaises(mono_quant.Error) as caught:
            model.linear("fc1")(self.rows)
        self.assertEqual(caught.exception.code, mono_quant.Status.SHAPE)
        with self.assertRaises(mono_quant.ConfigError):
            Linear(self.rows, bits=9)

    def test_an_embedding_gathers_rows(self):
        table = floats([i + j / 64 for i in range(32) for j in range(64)])
        model = Model.from_tensors({"embed.weight": Tensor.from_bytes(DType.F32, (32, 64), table)})
        embedding = model.embedding("embed")
        del model
        found = embedding(Tensor.from_bytes(DType.I64, (2, 1), struct.pack("2q", 5, 31)))
        self.assertEqual((found.shape, bytes(found.data)), ((2, 1, 64), table[5 * 256 : 6 * 256] + table[31 * 256 :]))
        self.assertEqual(embedding.describe()["row_count"], 32)
        with self.assertRaises(mono_quant.InvalidArgumentError):
            embedding(Tensor.from_bytes(DType.I64, (1,), struct.pack("q", 32)))
        del embedding

    @unittest.skipUnless(importlib.util.find_spec("torch"), "PyTorch is not there")
    def test_tensors_of_pytorch_go_through(self):
        import torch

        module = torch.nn.Linear(64, 32).bfloat16()
        activations = torch.rand(2, 5, 64, dtype=torch.bfloat16)
        found = torch.from_dlpack(Linear(module.weight, module.bias)(activations))
        self.assertEqual((found.dtype, tuple(found.shape)), (torch.bfloat16, (2, 5, 32)))
        self.assertLess(float((found - module(activations)).detach().abs().max()), 0.05)
        del found
