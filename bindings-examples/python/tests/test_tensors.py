"""Tensors in and out: NumPy, PyTorch, and what is left without them."""

import ctypes
import gc
import importlib.util
import unittest
import weakref

import mono_quant
from mono_quant import DType, Model, Tensor, _memory
from support import TestCase

HAS_NUMPY = importlib.util.find_spec("numpy") is not None
HAS_TORCH = importlib.util.find_spec("torch") is not None
if HAS_NUMPY:
    import numpy
if HAS_TORCH:
    import torch


def address(view):
    return ctypes.addressof(ctypes.c_char.from_buffer(view))


class Plain(TestCase):
    def test_shares_bytes(self):
        data = bytearray(b"\0\1\2\3" * 6)
        tensor = Tensor.from_bytes(DType.F32, (2, 3), data)
        self.assertEqual((tensor.dtype, tensor.shape, tensor.size_bytes), (DType.F32, (2, 3), 24))
        self.assertEqual(tensor._address, address(data))
        with self.assertRaises(BufferError):
            data.clear()  # the tensor uses it
        with self.assertRaises(TypeError):
            tensor.data[0] = 1
        del tensor
        data.clear()

    def test_refuses_what_does_not_fit(self):
        with self.assertRaises(mono_quant.Error) as caught:
            Tensor.from_bytes(DType.F32, (2, 3), bytes(23))
        self.assertEqual(caught.exception.code, mono_quant.Status.SHAPE)
        with self.assertRaises(TypeError):
            Tensor([1.0, 2.0])

    def test_without_elements_or_dimensions(self):
        self.assertEqual(bytes(Tensor.from_bytes(DType.F32, (0, 3), b"").data), b"")
        self.assertEqual(Tensor.from_bytes(DType.F32, (), bytes(4)).shape, ())

    def test_data_keeps_the_tensor(self):
        data = Tensor.from_bytes(DType.U8, (3,), b"abc").data
        gc.collect()
        self.assertEqual(bytes(data), b"abc")
        del data

    def test_one_tensor_there_and_back(self):
        tensor = self.digits()["fc1.weight"]
        parts, report = mono_quant.quantize_tensor(tensor, "fc1.weight", "Linear", bits=4, group_size=32)
        self.assertEqual(list(parts), ["fc1.weight_packed", "fc1.weight_scale", "fc1.weight_shape", "mono_quant"])
        restored = mono_quant.dequantize_tensor(dict(reversed(list(parts.items()))))
        self.assertEqual((restored.dtype, restored.shape), (DType.F32, (64, 128)))
        quantized, _ = self.digits().quantize(bits=4, group_size=32)
        self.assertEqual(restored.data, quantized.get_float("fc1.weight").data)
        self.assertEqual(parts["fc1.weight_packed"].data, quantized["fc1.weight_packed"].data)
        with self.assertRaises(mono_quant.ConfigError):
            mono_quant.quantize_tensor(tensor, only="fc2")

    def test_a_capsule_that_nobody_takes_frees_what_it_holds(self):
        for version in (None, (1, 0)):
            tensor = Tensor.from_bytes(DType.F32, (2,), bytes(8))
            capsule = tensor.__dlpack__(max_version=version)
            del tensor, capsule


@unittest.skipUnless(HAS_NUMPY, "NumPy is not there")
class NumPy(TestCase):
    def test_goes_in_and_comes_out_without_a_copy(self):
        array = numpy.arange(6, dtype=numpy.float32).reshape(2, 3)
        tensor = Tensor(array)
        self.assertEqual(tensor._address, array.__array_interface__["data"][0])
        back = numpy.asarray(tensor)
        self.assertEqual(back.__array_interface__["data"][0], tensor._address)
        self.assertFalse(back.flags.writeable)
        numpy.testing.assert_array_equal(back, array)
        del tensor
        gc.collect()
        numpy.testing.assert_array_equal(back, array)

    def test_is_let_go_once(self):
        class Array(numpy.ndarray):
            pass

        array = numpy.zeros((8, 8), numpy.float32).view(Array)
        gone = weakref.ref(array)
        model = Model.from_tensors({"weight": array})
        del array
        gc.collect()
        self.assertIsNotNone(gone())
        del model
        gc.collect()
        self.assertIsNone(gone())

    def test_other_orders_are_copied(self):
        array = numpy.arange(6, dtype=numpy.float32).reshape(2, 3)
        for other in (array.T, array[:, ::2], array.astype(">f4"), numpy.asfortranarray(array)):
            numpy.testing.assert_array_equal(numpy.asarray(Tensor(other)), other)

    def test_all_types(self):
        for name in ("bool", "int8", "uint16", "float16", "float64", "complex64", "int64"):
            array = numpy.ones(3, name)
            self.assertEqual(numpy.asarray(Tensor(array)).dtype, array.dtype)
        for name in ("<U3", "complex128", "datetime64[s]"):
            with self.assertRaises(TypeError):
                Tensor(numpy.zeros(3, name))

    def test_read_only_arrays(self):
        array = numpy.frombuffer(bytes(16), numpy.float32)
        self.assertEqual(Tensor(array).shape, (4,))

    def test_dlpack(self):
        tensor = Tensor(numpy.arange(3, dtype=numpy.float32))
        numpy.testing.assert_array_equal(numpy.from_dlpack(tensor), [0, 1, 2])


@unittest.skipUnless(HAS_TORCH, "PyTorch is not there")
class PyTorch(TestCase):
    def test_goes_in_and_comes_out_without_a_copy(self):
        for dtype in (torch.float32, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2, torch.bool, torch.int64):
            given = torch.arange(6).reshape(2, 3).to(dtype)
            tensor = Tensor(given)
            self.assertEqual(tensor._address, given.data_ptr())
            back = torch.from_dlpack(tensor)
            self.assertEqual((back.data_ptr(), back.dtype), (given.data_ptr(), dtype))
            del tensor
            self.assertTrue(torch.equal(back.view(torch.uint8), given.view(torch.uint8)))

    def test_packages_of_before_dlpack_1(self):
        class Old:
            """It knows no versions."""

            def __init__(self, tensor):
                self.tensor = tensor

            def __dlpack__(self, stream=None):
                return self.tensor.__dlpack__()

            def __dlpack_device__(self):
                return self.tensor.__dlpack_device__()

        given = torch.tensor([[1.0, 2.0]])
        self.assertEqual(Tensor(Old(given))._address, given.data_ptr())
        copy = torch.from_dlpack(Old(Tensor(given)))
        copy += 1
        self.assertEqual((copy.tolist(), given.tolist()), ([[2.0, 3.0]], [[1.0, 2.0]]))
        del copy

    def test_a_state_dict(self):
        module = torch.nn.Sequential(
            torch.nn.Linear(64, 32), torch.nn.BatchNorm1d(32), torch.nn.Linear(32, 64)
        ).bfloat16()
        quantized, report = Model.from_tensors(module.state_dict()).quantize(bits=8)
        self.assertEqual(report.number("layers_quantized"), 2)
        floats, _ = quantized.dequantize()
        other = torch.nn.Sequential(
            torch.nn.Linear(64, 32), torch.nn.BatchNorm1d(32), torch.nn.Linear(32, 64)
        ).bfloat16()
        other.load_state_dict({name: torch.from_dlpack(tensor) for name, tensor in floats.items()})
        before, after = module[0].weight.detach().float(), other[0].weight.detach().float()
        self.assertLess(float((after - before).norm() / before.norm()), 0.01)
        self.assertTrue(torch.equal(other[0].bias, module[0].bias))

    def test_parameters_and_weights_in_other_orders(self):
        weight = torch.nn.Parameter(torch.rand(4, 3, 2, 2).to(memory_format=torch.channels_last))
        back = torch.from_dlpack(Tensor(weight))
        self.assertTrue(torch.equal(back, weight))

    def test_tied_weights_are_one(self):
        weight = torch.rand(64, 32)
        tensors = {"embed.weight": weight, "head.weight": weight, "other.weight": weight.clone()}
        layers = Model.from_tensors(tensors, kinds={"embed.weight": "Embedding"}).layers(
            layer_types=["Embedding", "Linear"]
        )
        self.assertEqual([(layer.tensor, layer.ties) for layer in layers],
                         [("embed.weight", ("head.weight",)), ("other.weight", ())])  # fmt: skip

    def test_kinds_and_ties_are_told(self):
        tensors = {"a.kernel": torch.rand(64, 32), "b.kernel": torch.rand(64, 32)}
        model = Model.from_tensors(
            tensors, kinds={"a.kernel": "Linear"}, channel_axes={"a.kernel": 1}, ties={"c": "a.kernel"}
        )
        layers = {layer.tensor: layer for layer in model.layers()}
        self.assertEqual((layers["a.kernel"].kind, layers["a.kernel"].ties), ("Linear", ("c",)))

    def test_what_is_no_tensor_is_refused(self):
        with self.assertRaisesRegex(TypeError, "^step: int is no tensor"):
            Model.from_tensors({"weight": torch.zeros(2, 2), "step": 3})
        with self.assertRaises(Exception):
            Tensor(torch.zeros(2, 2, device="meta"))
