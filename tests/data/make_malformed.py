"""Writes tests/data/malformed: one small file for each way in which a PyTorch, GGUF or index file can be wrong, and good
ones beside them, built byte by byte. cases.tsv says of each file which status it gives and what the message must name.

    python3 make_malformed.py
"""
import io
import json
import pathlib
import struct
import zipfile

FOLDER = pathlib.Path(__file__).parent / "malformed"
CASES = []


def case(name, data, status, says=""):
    path = FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    CASES.append((name, status, says))


# ---- Pickles, protocol 2

def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def integer(value):
    return b"K" + bytes([value]) if 0 <= value < 256 else b"\x8a\x08" + struct.pack("<q", value)


def glob(module, name):
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def tuple_of(*items):
    return b"(" + b"".join(items) + b"t"


def storage(kind="FloatStorage", key="0", count=6, module_of_storage="torch", view=b""):
    return tuple_of(text("storage"), glob(module_of_storage, kind), text(key), text("cpu"), integer(count), *([view] if view else [])) + b"Q"


def tensor(size=(2, 3), stride=(3, 1), offset=0, function="_rebuild_tensor_v2", module="torch._utils", more=(), **of):
    return (glob(module, function) + tuple_of(storage(**of), integer(offset), tuple_of(*map(integer, size)),
            tuple_of(*map(integer, stride)), b"\x89", glob("collections", "OrderedDict") + b")R", *more) + b"R")


def tensor_v3(dtype="float32", more=(), **of):
    return tensor(function="_rebuild_tensor_v3", more=(glob("torch", dtype), *more), kind="UntypedStorage", count=24,
                  **{"module_of_storage": "torch.storage", **of})


SCALAR = tensor(size=(), stride=())
MODULE = glob("torch.nn.modules.linear", "Linear")
NONE, FALSE, TRUE = b"N", b"\x89", b"\x88"


def list_of(*items):
    return b"](" + b"".join(items) + b"e"


def dict_at(*entries):
    """Of (key, value), both pickled."""
    return b"}(" + b"".join(key + value for key, value in entries) + b"u"


def array_of_numpy():
    return glob("numpy._core.multiarray", "_reconstruct") + tuple_of(glob("numpy", "ndarray"), tuple_of(integer(0)), b"C\x01b") + b"R"


def dict_of(**entries):
    return b"}(" + b"".join(text(key) + value for key, value in entries.items()) + b"u"


def pickle(value):
    return b"\x80\x02" + value + b"."


FLOATS = struct.pack("<6f", 1, 2, 3, 4, 5, 6)


def archive(value, records=None, root="archive", **more):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        def add(name, data):
            file.writestr(zipfile.ZipInfo(f"{root}/{name}", (1980, 1, 1, 0, 0, 0)), data)
        add("data.pkl", pickle(value))
        for name, data in {"data/0": FLOATS, "version": b"3\n", **(records or {}), **more}.items():
            if data is not None:
                add(name, data)
    return out.getvalue()


MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."


def row(value, keys=("0",), data=None, protocol=1001, info=None, magic=MAGIC):
    info = info or dict_of(protocol_version=integer(1001), little_endian=b"\x88")
    names = b"](" + b"".join(text(key) for key in keys) + b"e"
    data = struct.pack("<q", 6) + FLOATS if data is None else data
    return magic + pickle(integer(protocol)) + pickle(info) + pickle(value) + pickle(names) + data


GOOD = dict_of(w=tensor())
case("good.pt", archive(GOOD), "OK")
case("good_old.pt", row(dict_of(w=tensor(view=NONE))), "OK")
case("good_big_endian.pt", archive(GOOD, {"data/0": struct.pack(">6f", 1, 2, 3, 4, 5, 6), "byteorder": b"big"}), "OK")
case("good_v3.pt", archive(dict_of(w=tensor_v3())), "OK")
case("good_nested.pt", archive(dict_of(step=integer(3), optimizer=dict_of(state=dict_of(m=tensor())), model=GOOD)), "OK")
case("good_foreign_beside.pt", archive(dict_of(config=glob("os", "system") + tuple_of(text("touch executed")) + b"R",
                                               state_dict=GOOD)), "OK")
case("good_transposed.pt", archive(dict_of(w=tensor(size=(2, 3), stride=(1, 2)))), "OK")
case("good_parameter.pt", archive(dict_of(w=glob("torch._utils", "_rebuild_parameter") + tuple_of(
    tensor(), b"\x88", glob("collections", "OrderedDict") + b")R") + b"R")), "OK")

case("good_unset_flags.pt", archive(dict_of(w=tensor(more=(dict_of(conj=FALSE, neg=FALSE),)))), "OK")
case("good_scalar_beside.pt", archive(dict_of(epoch=integer(3), state_dict=GOOD, best_acc1=SCALAR,
     optimizer_states=list_of(SCALAR))), "OK")
case("good_ema_beside.pt", archive(dict_of(model_ema=GOOD, model=GOOD, step=SCALAR)), "OK")
case("good_weights_beside.pt", archive(dict_of(net=GOOD, bias=tensor(size=(6,), stride=(1,)))), "OK")
case("good_random_state_beside.pt", archive(dict_of(model=GOOD, rng_state=tensor(kind="ByteStorage", key="1", count=9, size=(9,), stride=(1,))),
     {"data/1": bytes(9)}), "OK")
case("good_odd_keys.pt", archive(dict_at((tuple_of(text("a"), integer(1)), SCALAR), (NONE, SCALAR), (text(""), SCALAR),
     (b"\x8a\x09" + bytes(8) + b"\x01", SCALAR), (text("w"), tensor()), (text("extra"), list_of(SCALAR)),
     (text("array"), array_of_numpy()), (text("lr"), integer(1)))), "OK")
case("good_trailing_bytes.pt", archive(GOOD) + b"\n\n", "OK")

case("conjugate_view.pt", archive(dict_of(w=tensor(more=(dict_of(conj=TRUE),)))), "UNSUPPORTED", "w, which is a conjugate view")
case("negative_view.pt", archive(dict_of(w=tensor(more=(dict_of(neg=TRUE),)))), "UNSUPPORTED", "w, which is a negative view")
case("conjugate_view_v3.pt", archive(dict_of(w=tensor_v3(more=(dict_of(conj=TRUE),)))), "UNSUPPORTED", "w, which is a conjugate view")
case("too_many_axes.pt", archive(dict_of(w=tensor(size=(1,) * 65, stride=(1,) * 65))), "UNSUPPORTED", "w, which has 65 axes")
case("name_too_long.pt", archive(dict_of(w=tensor(), **{"k" * 9000: dict_of(**{"l" * 9000: SCALAR})})), "UNSUPPORTED", "more than 16384 bytes")
case("good_tuple.pt", archive(tuple_of(integer(3), GOOD)), "OK")
case("module_in_a_dict.pt", archive(dict_of(model=MODULE + b")\x81" + dict_of(w=tensor()) + b"b", epoch=integer(1))), "UNSUPPORTED",
     "model (an object of torch.nn.modules.linear.Linear, which was not executed)")
case("good_list_in_a_dict.pt", archive(dict_of(layers=list_of(integer(7), tensor()))), "OK")
case("numpy_arrays.pt", archive(dict_of(model=dict_of(w=array_of_numpy()))), "UNSUPPORTED", "NumPy arrays: model")
case("keys_that_are_no_names.pt", archive(dict_at((tuple_of(text("a"), integer(1)), tensor()))), "UNSUPPORTED", "the key ('a', 1)")
case("number_and_text_as_key.pt", archive(dict_at((integer(1), tensor()), (text("1"), SCALAR))), "UNSUPPORTED", "two tensors would be called 1")
case("call_at_the_root.pt", archive(glob("os", "system") + tuple_of(text("touch executed")) + b"R"), "UNSUPPORTED", "os.system")
case("call_in_place_of_a_dict.pt", archive(glob("builtins", "eval") + tuple_of(text("1")) + b"R"), "UNSUPPORTED", "builtins.eval")
case("whole_model.pt", archive(glob("torch.nn.modules.linear", "Linear") + b")\x81" + dict_of(training=b"\x88") + b"b"),
     "UNSUPPORTED", "torch.nn.modules.linear.Linear")
case("single_tensor.pt", archive(tensor()), "UNSUPPORTED", "a single tensor")
case("good_list.pt", archive(b"](" + tensor() + b"e"), "OK")
case("list_of_numbers.pt", archive(list_of(integer(1))), "UNSUPPORTED", "is a list, no dict of tensors")
case("no_tensors.pt", archive(dict_of(a=integer(1))), "UNSUPPORTED", "holds no tensors")
case("only_optimizer.pt", archive(dict_of(optimizer=dict_of(w=tensor()))), "UNSUPPORTED", "holds no tensors")
case("sparse.pt", archive(dict_of(w=glob("torch._utils", "_rebuild_sparse_tensor") + tuple_of(integer(1)) + b"R")),
     "UNSUPPORTED", "_rebuild_sparse_tensor")
case("made_by_another_function.pt", archive(dict_of(w=tensor(function="_rebuild_nested_tensor"))), "UNSUPPORTED", "_rebuild_nested_tensor")
case("unknown_storage.pt", archive(dict_of(w=tensor(kind="QInt8Storage"))), "UNSUPPORTED", "w, which is of torch.qint8")
case("storage_of_another_module.pt", archive(dict_of(w=tensor()).replace(b"ctorch\n", b"cevil\n")), "UNSUPPORTED",
     "evil.FloatStorage")


def real(value):
    return b"G" + struct.pack(">d", value)


def quantized(quantizer, size=(2, 3), stride=(3, 1), kind="QInt8Storage", count=6, **of):
    return (glob("torch._utils", "_rebuild_qtensor") + tuple_of(storage(kind, count=count, **of), integer(0), tuple_of(*map(integer, size)),
            tuple_of(*map(integer, stride)), quantizer, FALSE, glob("collections", "OrderedDict") + b")R") + b"R")


def by_tensor(scale=real(.5), zero_point=integer(1)):
    return tuple_of(glob("torch", "per_tensor_affine"), scale, zero_point)


def row_of(count, kind, key):
    return tensor(size=(count,), stride=(1,), kind=kind, key=key, count=count)


def by_channel(scales=2, zero_points=2, axis=integer(0), kinds=("DoubleStorage", "LongStorage"), scheme="per_channel_affine"):
    return tuple_of(glob("torch", scheme), row_of(scales, kinds[0], "1"), row_of(zero_points, kinds[1], "2"), axis)


def quantized_archive(value, scales=(.5, .25), zero_points=(1, -2), codes=bytes(range(250, 256)), floats="d", integers="q"):
    return archive(value, {"data/0": codes, "data/1": struct.pack(f"<{len(scales)}{floats}", *scales),
                           "data/2": struct.pack(f"<{len(zero_points)}{integers}", *zero_points)})


CODES = {"data/0": bytes(range(250, 256))}
case("good_quantized.pt", archive(dict_of(w=quantized(by_tensor())), CODES), "OK")
case("good_quantized_channels.pt", quantized_archive(dict_of(w=quantized(by_channel()))), "OK")
case("good_quantized_columns.pt", quantized_archive(dict_of(w=quantized(by_channel(3, 3, integer(1)))), (1, 2, 3), (0, 0, 0)), "OK")
case("good_quantized_small_integers.pt", quantized_archive(dict_of(w=quantized(by_channel(kinds=("FloatStorage", "IntStorage")))),
     floats="f", integers="i"), "OK")
case("good_packed.pt", archive(dict_of(**{"fc._packed_params.dtype": glob("torch", "qint8"), "fc.scale": SCALAR.replace(text("0"), text("1")),
     "fc._packed_params._packed_params": tuple_of(quantized(by_tensor()), NONE)}), {**CODES, "data/1": FLOATS}), "OK")
case("good_old_quantized.pt", row(dict_of(v=quantized(by_tensor(), key="3"), w=quantized(by_channel()),
     **{"fc._packed_params": tuple_of(quantized(by_tensor(), key="3"), row_of(2, "DoubleStorage", "1"))}), ("0", "1", "2", "3"),
     struct.pack("<q6sq2dq2qq6s", 6, CODES["data/0"], 2, .5, .25, 2, 1, -2, 6, bytes(6))), "OK")
case("quantizer_of_nothing.pt", archive(dict_of(w=quantized(tuple_of())), CODES), "FORMAT", "w that does not say its scales")
case("quantizer_is_text.pt", archive(dict_of(w=quantized(text("qint8"))), CODES), "FORMAT", "w that does not say its scales")
case("quantizer_is_cut.pt", archive(dict_of(w=quantized(tuple_of(glob("torch", "per_tensor_affine"), real(1)))), CODES), "FORMAT",
     "w that does not say its scales")
case("quantizer_of_another_scheme.pt", archive(dict_of(w=quantized(tuple_of(glob("torch", "per_tensor_symmetric"), real(1)))), CODES), "UNSUPPORTED",
     "w: is quantized by torch.per_tensor_symmetric")
case("quantized_floats.pt", archive(dict_of(w=quantized(by_tensor(), kind="FloatStorage"))), "FORMAT", "in a storage of no codes")
case("quantized_by_torchao.pt", archive(dict_of(v=tensor(), w=glob("torch._tensor", "_rebuild_from_type_v2") + tuple_of(
     glob("torch._utils", "_rebuild_wrapper_subclass"), glob("torchao.quantization", "Int8Tensor"),
     tuple_of(glob("torchao.quantization", "Int8Tensor"), glob("torch", "bfloat16")), dict_of(qdata=tensor())) + b"R")), "UNSUPPORTED",
     "w: is quantized as torchao.quantization.Int8Tensor")
case("quantized_beyond_the_storage.pt", archive(dict_of(w=quantized(by_tensor(), size=(3, 3))), CODES), "FORMAT", "beyond its storage")
case("quantized_with_fewer_strides.pt", archive(dict_of(w=quantized(by_tensor(), stride=(1,))), CODES), "FORMAT", "number of strides")
case("scale_is_text.pt", archive(dict_of(w=quantized(by_tensor(text("1")))), CODES), "FORMAT", "whose scale or zero point is no number")
case("scale_is_nan.pt", archive(dict_of(w=quantized(by_tensor(real(float("nan"))))), CODES), "FORMAT", "with a scale of nan")
case("scale_beyond_floats.pt", archive(dict_of(w=quantized(by_tensor(real(1e39)))), CODES), "FORMAT", "with a scale of 1e+39")
case("zero_point_is_no_code.pt", archive(dict_of(w=quantized(by_tensor(zero_point=integer(128)))), CODES), "FORMAT",
     "zero point 128, which is no qint8")
case("axis_beyond_the_shape.pt", quantized_archive(dict_of(w=quantized(by_channel(axis=integer(2))))), "FORMAT", "on none of its 2 axes")
case("axis_is_negative.pt", quantized_archive(dict_of(w=quantized(by_channel(axis=integer(-1))))), "FORMAT", "on none of its 2 axes")
case("fewer_scales.pt", quantized_archive(dict_of(w=quantized(by_channel(scales=1))), (1,)), "FORMAT", "w of 2 channels with [1] scales")
case("more_zero_points.pt", quantized_archive(dict_of(w=quantized(by_channel(zero_points=3))), zero_points=(0, 0, 0)), "FORMAT",
     "w of 2 channels with [3] zero points")
case("scales_of_integers.pt", quantized_archive(dict_of(w=quantized(by_channel(kinds=("LongStorage", "LongStorage")))), floats="q", scales=(1, 2)),
     "FORMAT", "whose scales are I64")
case("zero_points_of_floats.pt", quantized_archive(dict_of(w=quantized(by_channel(kinds=("DoubleStorage", "DoubleStorage")))), integers="d"),
     "FORMAT", "whose zero points are F64")
case("scales_are_quantized.pt", archive(dict_of(w=quantized(tuple_of(glob("torch", "per_channel_affine"), quantized(by_tensor()),
     quantized(by_tensor()), integer(0)))), CODES), "FORMAT", "w without scales")
case("a_scale_is_nan.pt", quantized_archive(dict_of(w=quantized(by_channel())), scales=(1, float("nan"))), "FORMAT", "w: its scale 1 is nan")
case("a_zero_point_is_no_code.pt", quantized_archive(dict_of(w=quantized(by_channel())), zero_points=(0, -129)), "FORMAT",
     "w: its zero point 1 is -129, which is no qint8")
case("nibbles_in_no_order.pt", archive(dict_of(w=quantized(by_tensor(), size=(4, 3), stride=(1, 4), kind="QUInt4x2Storage")), CODES), "FORMAT",
     "whose codes lie in no order")
case("scale_of_one_name.pt", archive(dict_of(w=quantized(by_tensor()), w_scale=tensor(key="1")), {**CODES, "data/1": FLOATS}), "UNSUPPORTED",
     "two tensors would be called w_scale")


def module_archive(value, constants=tuple_of(), **more):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in {"data.pkl": pickle(value), "code/__torch__.py": b"", "constants.pkl": pickle(constants), "version": b"3\n",
                           "byteorder": b"little", **more}.items():
            file.writestr(zipfile.ZipInfo(f"archive/{name}", (1980, 1, 1, 0, 0, 0)), data)
    return out.getvalue()


def object_of(name, state, module="__torch__"):
    return glob(module, name) + b")\x81" + state + b"b"


def packed(*state, name="LinearPackedParamsBase", module="__torch__.torch.classes.quantized"):
    return object_of(name, tuple_of(*state), module)


LAYER = object_of("Net", dict_of(fc=object_of("Linear", dict_of(_packed_params=packed(quantized(by_tensor()), NONE)))))
case("good_quantized_module.pt", module_archive(LAYER, **CODES), "OK")
case("good_frozen_module.pt", module_archive(object_of("Net", dict_of()), tuple_of(packed(quantized(by_tensor()), NONE)),
     **{"constants/0": bytes(6)}), "OK")
case("quantized_module_without_codes.pt", module_archive(LAYER), "FORMAT", "archive/data/0")
case("quantized_module_beyond_the_storage.pt", module_archive(LAYER.replace(tuple_of(integer(2), integer(3)), tuple_of(integer(3), integer(3))), **CODES),
     "FORMAT", "beyond its storage")
case("module_of_another_class.pt", module_archive(object_of("Net", dict_of(a=packed(quantized(by_tensor()), NONE),
     b=packed(quantized(by_tensor()), name="Engine", module="__torch__.torch.classes.tensorrt"))), **CODES), "UNSUPPORTED",
     "__torch__.torch.classes.tensorrt.Engine")
case("quantized_module_holds_itself.pt", module_archive(b"]q\x00(" + packed(quantized(by_tensor()), NONE) + b"h\x00e", **CODES), "FORMAT", "holds itself")
case("complex_double.pt", archive(dict_of(w=tensor(kind="ComplexDoubleStorage", count=1, size=(1,), stride=(1,))), {"data/0": bytes(16)}),
     "UNSUPPORTED", "w, which is of torch.complex128")
case("beyond_the_storage.pt", archive(dict_of(w=tensor(size=(2, 4), stride=(4, 1)))), "FORMAT", "beyond its storage")
case("offset_beyond_the_storage.pt", archive(dict_of(w=tensor(offset=1))), "FORMAT", "beyond its storage")
case("size_overflows.pt", archive(dict_of(w=tensor(size=(2**62, 2**62), stride=(0, 0)))), "FORMAT", "beyond its storage")
case("negative_size.pt", archive(dict_of(w=tensor(size=(-1, 3)))), "FORMAT", "a tensor's size of -1")
case("negative_stride.pt", archive(dict_of(w=tensor(stride=(-3, 1)))), "FORMAT", "a tensor's stride of -3")
case("fewer_strides.pt", archive(dict_of(w=tensor(stride=(1,)))), "FORMAT", "number of strides")
case("repeated_without_end.pt", archive(dict_of(w=tensor(size=(2**40, 3), stride=(0, 1)))), "UNSUPPORTED", "repeats")
case("size_is_text.pt", archive(dict_of(w=tensor()).replace(tuple_of(integer(2), integer(3)), text("23"))), "FORMAT", "that is no tuple")
case("storage_id_is_text.pt", archive(dict_of(w=tensor()).replace(storage(), text("storage") + b"Q")), "FORMAT", "without a sound id")
case("storage_is_no_id.pt", archive(dict_of(w=tensor()).replace(storage(), integer(7))), "FORMAT", "without a sound storage")
case("storage_in_two_sizes.pt", archive(dict_of(w=tensor(), v=tensor(count=7))), "FORMAT", "in two sizes")
case("tensor_twice_by_dots.pt", archive(dict_of(**{"a.b": tensor(), "a": dict_of(b=tensor(offset=0))})), "UNSUPPORTED", "two tensors would be called a.b")
case("record_missing.pt", archive(GOOD, {"data/0": None}), "FORMAT", "archive/data/0")
case("record_too_small.pt", archive(GOOD, {"data/0": FLOATS[:-4]}), "FORMAT", "archive/data/0")
case("record_too_large.pt", archive(GOOD, {"data/0": FLOATS + b"1234"}), "FORMAT", "archive/data/0")
case("byteorder_of_neither.pt", archive(GOOD, byteorder=b"middle"), "FORMAT", "archive/byteorder")
case("unknown_opcode.pt", archive(b"\x07"), "UNSUPPORTED", "0x07")
case("extension_opcode.pt", archive(b"\x82\x01"), "UNSUPPORTED", "EXT1")
case("holds_itself.pt", archive(b"}q\x00(" + text("a") + b"h\x00u"), "UNSUPPORTED", "holds no tensors")


def shared_dicts(leaf):
    """30 dicts, each of which holds the one before twice."""
    return (b"}q\x00(" + text("x") + leaf + b"u" + b"".join(
        b"0}q" + bytes([i]) + b"(" + text("a") + b"h" + bytes([i - 1]) + text("b") + b"h" + bytes([i - 1]) + b"u" for i in range(1, 30)))


case("shared_without_end.pt", archive(shared_dicts(integer(1))), "UNSUPPORTED", "holds no tensors")
case("shared_tensors_without_end.pt", archive(shared_dicts(tensor())), "UNSUPPORTED", "again and again")
case("cut_pickle.pt", archive(GOOD[:-1]), "FORMAT", "data.pkl")


def compressed(name, before=b""):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for record, data in {"archive/data.pkl": pickle(before + dict_of(w=tensor(count=600, size=(600,), stride=(1,)))), "archive/data/0": bytes(2400)}.items():
            info = zipfile.ZipInfo(record, (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED if record == name else zipfile.ZIP_STORED
            file.writestr(info, data)
    return out.getvalue()


def zip_of(*names):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name in names:
            file.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), pickle(GOOD))
    return out.getvalue()


case("good_compressed.pt", compressed("archive/data/0"), "OK")
case("good_compressed_pickle.pt", compressed("archive/data.pkl"), "OK")
case("pickle_inflates_too_far.pt", compressed("archive/data.pkl", b"]0" * 100000), "UNSUPPORTED", "archive/data.pkl: inflates")
case("exported_program.pt", zip_of("m/archive_format", "m/models/model.json"), "UNSUPPORTED", "a program of torch.export")
case("other_zip.pt", zip_of("hello.txt"), "UNSUPPORTED", "without a data.pkl")
case("two_roots.pt", zip_of("a/data.pkl", "b/data.pkl"), "FORMAT", "b/data.pkl")

OLD = dict_of(w=tensor(view=NONE))
MODULE_ID = tuple_of(text("module"), MODULE, NONE, NONE) + b"Q"  # as the old form names classes of modules


def framed(pickles):
    """Of protocol 4: each pickle in a frame."""
    return b"".join(b"\x80\x04\x95" + struct.pack("<Q", len(each) + 1) + each + b"." for each in pickles)


case("good_old_protocol_4.pt", framed([MAGIC[2:-1], integer(1001), dict_of(little_endian=TRUE), OLD, list_of(text("0"))])
     + struct.pack("<q", 6) + FLOATS, "OK")
case("good_old_of_big_endian.pt", row(OLD, info=dict_of(little_endian=FALSE)), "OK")
case("good_old_module_beside.pt", row(dict_of(state_dict=OLD, model=MODULE_ID + b")\x81" + dict_of(w=tensor(view=NONE)) + b"b")), "OK")
case("old_whole_model.pt", row(MODULE_ID + b")\x81" + dict_of(w=tensor(view=NONE)) + b"b"), "UNSUPPORTED",
     "torch.nn.modules.linear.Linear")
case("old_other_pickle.pt", pickle(OLD) + bytes(40), "UNSUPPORTED", "nothing that torch.save wrote")
case("old_other_protocol.pt", row(OLD, protocol=7), "UNSUPPORTED", "unknown version")
case("old_key_missing.pt", row(OLD, keys=()), "FORMAT", "storage 0")
case("old_key_unknown.pt", row(OLD, keys=("0", "1")), "FORMAT", "storage 1")
case("old_key_twice.pt", row(OLD, keys=("0", "0"), data=(struct.pack("<q", 6) + FLOATS) * 2), "FORMAT", "storage 0")
case("old_other_count.pt", row(OLD, data=struct.pack("<q", 5) + FLOATS), "FORMAT", "storage 0")
case("old_cut_data.pt", row(OLD)[:-5], "FORMAT", "storage 0")
case("old_cut_count.pt", row(OLD)[:-26], "FORMAT", "storage 0")
case("old_keys_are_no_list.pt", row(OLD).replace(b"](" + text("0") + b"e", text("00")), "FORMAT", "list of storages")
case("old_view.pt", row(dict_of(w=tensor(size=(2,), stride=(1,), view=tuple_of(text("v"), integer(2), integer(3))))), "OK")
case("old_view_beyond.pt", row(dict_of(w=tensor(view=tuple_of(text("v"), integer(2), integer(5))))), "FORMAT", "view beyond")

# ---- GGUF


def gguf_text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_tensor(name="w", dims=(32, 2), kind=0, offset=0):
    return gguf_text(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims) + struct.pack("<IQ", kind, offset)


def gguf(values=(), tensors=(gguf_tensor(),), data=bytes(256), version=3, tensor_count=None, value_count=None, pad=True):
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors) if tensor_count is None else tensor_count,
                                 len(values) if value_count is None else value_count)
    head += b"".join(values) + b"".join(tensors)
    return head + (bytes(-len(head) % 32) if pad else b"") + data


def value(key, kind, data):
    return gguf_text(key) + struct.pack("<I", kind) + data


Q8 = struct.pack("<e", 0.5) + bytes(range(32))
case("good.gguf", gguf([value("general.name", 8, gguf_text("x")), value("a", 9, struct.pack("<IQ", 8, 2) + gguf_text("b") * 2)]), "OK")
case("good_q8_0.gguf", gguf(tensors=(gguf_tensor(kind=8),), data=Q8 * 2), "OK")
case("part_of_a_model.gguf", gguf([value("split.no", 2, struct.pack("<H", 1)), value("split.count", 2, struct.pack("<H", 3))]),
     "UNSUPPORTED", "one of the 3 parts of a model (split.no = 1)")
case("part_beyond_the_last.gguf", gguf([value("split.no", 2, struct.pack("<H", 3)), value("split.count", 2, struct.pack("<H", 3))]),
     "FORMAT", "part 3 of 3 cannot be")
case("part_count_is_text.gguf", gguf([value("split.count", 8, gguf_text("many"))]), "FORMAT", "the key split.count says many")
case("version_1.gguf", gguf(version=1), "UNSUPPORTED", "version 1")
case("big_endian.gguf", gguf(version=0x03000000), "UNSUPPORTED", "version 50331648")
case("only_magic.gguf", b"GGUF", "FORMAT", "cut off")
case("too_many_tensors.gguf", gguf(tensor_count=2**60), "FORMAT", "tensors cannot be")
case("too_many_values.gguf", gguf(value_count=2**60), "FORMAT", "values cannot be")
case("key_twice.gguf", gguf([value("a", 0, b"1")] * 2), "FORMAT", "the key a twice")
case("key_beyond_the_end.gguf", gguf([struct.pack("<Q", 2**40) + b"a"]), "FORMAT", "beyond the end")
case("value_of_unknown_type.gguf", gguf([value("a", 13, b"1")]), "FORMAT", "unknown type 13")
case("array_too_long.gguf", gguf([value("a", 9, struct.pack("<IQ", 4, 2**61))]), "FORMAT", "cut off")
case("array_overflows.gguf", gguf([value("a", 9, struct.pack("<IQ", 10, 2**62))]), "FORMAT", "too long")
case("array_of_unknown_type.gguf", gguf([value("a", 9, struct.pack("<IQ", 99, 1))]), "FORMAT", "unknown type 99")
case("arrays_too_deep.gguf", gguf([value("a", 9, struct.pack("<IQ", 9, 1) * 20)]), "FORMAT", "too deep")
case("alignment_0.gguf", gguf([value("general.alignment", 4, struct.pack("<I", 0))]), "FORMAT", "alignment of 0")
case("alignment_3.gguf", gguf([value("general.alignment", 4, struct.pack("<I", 3))]), "FORMAT", "alignment of 3")
case("alignment_is_text.gguf", gguf([value("general.alignment", 8, gguf_text("32"))]), "FORMAT", "alignment of 32")
case("tensor_without_a_name.gguf", gguf(tensors=(gguf_tensor(""),)), "FORMAT", "sound name")
case("tensor_twice.gguf", gguf(tensors=(gguf_tensor(), gguf_tensor(offset=256)), data=bytes(512)), "FORMAT", "two tensors called w")
case("five_dimensions.gguf", gguf(tensors=(gguf_tensor(dims=(2, 2, 2, 2, 2)),)), "FORMAT", "5 dimensions")
case("size_overflows.gguf", gguf(tensors=(gguf_tensor(dims=(2**40, 2**40)),)), "FORMAT", "overflows")
case("size_is_negative.gguf", gguf(tensors=(gguf_tensor(dims=(2**63, 1)),)), "FORMAT", "impossible size")
case("type_unknown.gguf", gguf(tensors=(gguf_tensor(kind=9),)), "UNSUPPORTED", "the type Q8_1")
case("not_made_of_blocks.gguf", gguf(tensors=(gguf_tensor(dims=(33, 2), kind=8),)), "FORMAT", "blocks of 32")
case("not_made_of_super_blocks.gguf", gguf(tensors=(gguf_tensor(dims=(128, 2), kind=12),)), "FORMAT", "blocks of 256")
case("good_blocks.gguf", gguf(tensors=(gguf_tensor("a", (256, 1), 29), gguf_tensor("b", (64, 1), 6, 64), gguf_tensor("c", (64, 1), 40, 128)),
                              data=bytes(192)), "OK")
case("good_q4_k.gguf", gguf(tensors=(gguf_tensor(dims=(256, 1), kind=12),), data=bytes(160)), "OK")
case("offset_not_consecutive.gguf", gguf(tensors=(gguf_tensor(offset=32),)), "FORMAT", "must be at 0")
case("data_cut_off.gguf", gguf(data=bytes(255)), "FORMAT", "cut off")
case("cut_in_the_header.gguf", gguf()[:40], "FORMAT", "cut off")
case("good_substitutes.gguf", gguf([value("mono_quant.dtype.w", 8, gguf_text("C64")), value("mono_quant.name.w", 8, gguf_text("x" * 70)),
                                   value("comfy.gguf.orig_shape.w", 9, struct.pack("<IQ5i", 5, 5, 1, 4, 2, 4, 2))]), "OK")
case("substitute_of_unknown_dtype.gguf", gguf([value("mono_quant.dtype.w", 8, gguf_text("U9"))]), "FORMAT", "says U9, which does not fit")
case("substitute_of_other_type.gguf", gguf([value("mono_quant.dtype.w", 8, gguf_text("U8"))]), "FORMAT", "says U8, which does not fit F32")
case("substitute_without_pairs.gguf", gguf([value("mono_quant.dtype.w", 8, gguf_text("C64"))], tensors=(gguf_tensor(dims=(3, 2)),)), "FORMAT",
     "says C64, which does not fit")
case("substitute_without_shape.gguf", gguf([value("mono_quant.dtype.w", 8, gguf_text("F4"))], tensors=(gguf_tensor(dims=(3,), kind=24),)),
     "FORMAT", "says F4, which does not fit")
case("folded_to_other_size.gguf", gguf([value("comfy.gguf.orig_shape.w", 9, struct.pack("<IQ2i", 5, 2, 4, 15))]), "FORMAT",
     "says [4, 15], which does not fit")
case("folded_to_negative_size.gguf", gguf([value("comfy.gguf.orig_shape.w", 9, struct.pack("<IQ2i", 5, 2, -8, -8))]), "FORMAT",
     "says [-8, -8], which does not fit")
case("long_names_are_one.gguf", gguf([value(f"mono_quant.name.{name}", 8, gguf_text("x" * 70)) for name in "ab"],
                                     tensors=(gguf_tensor("a"), gguf_tensor("b", offset=256)), data=bytes(512)), "FORMAT", "two tensors called x")
case("substitute_that_is_a_number.gguf", gguf([value("mono_quant.dtype.w", 4, bytes(4))]), "FORMAT", "has no text")
case("folded_to_text.gguf", gguf([value("comfy.gguf.orig_shape.w", 8, gguf_text("[8, 8]"))]), "FORMAT", "has no list of sizes")
case("good_name_of_another_weights_parts.gguf", gguf(tensors=(gguf_tensor(kind=8), gguf_tensor("w_scale", offset=96)),
     data=Q8 * 2 + bytes(28) + bytes(256)), "OK", "")

# ---- Indexes and folders


def shard(**tensors):
    header, data = {}, b""
    for name, values in tensors.items():
        header[name.replace("__", ".")] = {"dtype": "F32", "shape": [len(values)], "data_offsets": [len(data), len(data) + 4 * len(values)]}
        data += struct.pack(f"<{len(values)}f", *values)
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + data


def index(name, weight_map, status, says="", shards=None, **more):
    for file, data in (shards or {"a.safetensors": shard(a=[1]), "b.safetensors": shard(b=[2])}).items():
        path = FOLDER / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    text_of = weight_map if isinstance(weight_map, bytes) else json.dumps({"metadata": {}, "weight_map": weight_map}).encode()
    case(f"{name}/model.safetensors.index.json", text_of, status, says)


BOTH = {"a": "a.safetensors", "b": "b.safetensors"}
index("good_index", BOTH, "OK")
index("shard_missing", {**BOTH, "c": "c.safetensors"}, "NOT_FOUND", "c.safetensors")
index("shard_is_damaged", BOTH, "FORMAT", "b.safetensors", {"a.safetensors": shard(a=[1]), "b.safetensors": shard(b=[2])[:-1]})
index("shard_outside", {"a": "../good_index/a.safetensors"}, "FORMAT", "outside the folder")
index("shard_absolute", {"a": "/etc/passwd"}, "FORMAT", "outside the folder")
index("shard_is_the_folder", {"a": ".."}, "FORMAT", "outside the folder")
index("shard_is_the_index", {"a": "model.safetensors.index.json"}, "FORMAT", "is JSON, but no index")
index("shard_is_a_number", b'{"weight_map": {"a": 1}}', "FORMAT", "no text")
index("tensor_missing", {**BOTH, "c": "b.safetensors"}, "FORMAT", "tensor c is not in b.safetensors")
index("tensor_twice", BOTH, "FORMAT", "a is in another shard too", {"a.safetensors": shard(a=[1]), "b.safetensors": shard(a=[1], b=[2])})
index("map_is_empty", {}, "FORMAT", "names no tensor")
index("map_is_a_list", b'{"weight_map": []}', "FORMAT", "no weight_map")
index("map_is_cut_off", b'{"weight_map": {"a": "a.sa', "FORMAT", "model.safetensors.index.json")

(FOLDER / "cases.tsv").write_text("".join("\t".join(c) + "\n" for c in CASES))
