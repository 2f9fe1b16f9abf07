// Everything that mono_quant.h declares, which says what each does; made from capi/abi.json by make_declarations.py.
using System;
using System.Runtime.InteropServices;

namespace MonoQuant
{
public enum Status
{
    Ok = 0,
    InvalidArg = 1,
    Config = 2,
    NotFound = 3,
    Io = 4,
    Format = 5,
    Unsupported = 6,
    Shape = 7,
    Dtype = 8,
    Calibration = 9,
    Validation = 10,
    Cancelled = 11,
    BufferTooSmall = 12,
    State = 13,
    OutOfMemory = 14,
    Torch = 15,
    Abi = 16,
    Internal = 99,
}

public enum DType
{
    Bool = 1,
    U8 = 2,
    I8 = 3,
    U16 = 4,
    I16 = 5,
    U32 = 6,
    I32 = 7,
    U64 = 8,
    I64 = 9,
    F16 = 10,
    BF16 = 11,
    F32 = 12,
    F64 = 13,
    C64 = 14,
    F8E4M3 = 15,
    F8E5M2 = 16,
    F8E8M0 = 17,
    F6E2M3 = 18,
    F6E3M2 = 19,
    F4 = 20,
    F8E4M3FNUZ = 21,
    F8E5M2FNUZ = 22,
}

public enum LogLevel
{
    Warning = 1,
    Info = 2,
}

public enum ValueKind
{
    None = 0,
    Tensor = 1,
    Int = 2,
    Float = 3,
    Bool = 4,
    Text = 5,
}

[UnmanagedFunctionPointer(CallingConvention.Cdecl)]
internal delegate void LogFn(IntPtr user, LogLevel level, IntPtr message);

[UnmanagedFunctionPointer(CallingConvention.Cdecl)]
internal delegate int ProgressFn(IntPtr user, ulong doneBytes, ulong totalBytes);

[UnmanagedFunctionPointer(CallingConvention.Cdecl)]
internal delegate int ObserverFn(IntPtr user, UIntPtr index, UIntPtr count, IntPtr layer, IntPtr action, double sqnrDb);

[UnmanagedFunctionPointer(CallingConvention.Cdecl)]
internal delegate void ReleaseFn(IntPtr user);

[UnmanagedFunctionPointer(CallingConvention.Cdecl)]
internal delegate int ReadFn(IntPtr user, ulong offset, IntPtr into, UIntPtr size);

[UnmanagedFunctionPointer(CallingConvention.Cdecl)]
internal delegate int WriteFn(IntPtr user, ulong offset, IntPtr data, UIntPtr size);

[UnmanagedFunctionPointer(CallingConvention.Cdecl)]
internal delegate int CommitFn(IntPtr user, ulong sizeBytes);

[UnmanagedFunctionPointer(CallingConvention.Cdecl)]
internal delegate void AbortFn(IntPtr user);

[StructLayout(LayoutKind.Sequential)]
internal struct LayerTensor
{
    internal UIntPtr StructSize;
    internal IntPtr Name;
    internal IntPtr Tensor;
    internal IntPtr Kind;
    internal long ChannelAxis;
    internal IntPtr TiedTo;
}

internal sealed class BufferHandle : Handle
{
    internal static readonly BufferHandle Null = new BufferHandle();

    protected override void Free(IntPtr pointer) { Native.mnq_buffer_free(pointer); }
}

internal sealed class ConfigHandle : Handle
{
    internal static readonly ConfigHandle Null = new ConfigHandle();

    protected override void Free(IntPtr pointer) { Native.mnq_config_free(pointer); }
}

internal sealed class RunHandle : Handle
{
    internal static readonly RunHandle Null = new RunHandle();

    protected override void Free(IntPtr pointer) { Native.mnq_run_free(pointer); }
}

internal sealed class TensorHandle : Handle
{
    internal static readonly TensorHandle Null = new TensorHandle();

    protected override void Free(IntPtr pointer) { Native.mnq_tensor_free(pointer); }
}

internal sealed class LayersHandle : Handle
{
    internal static readonly LayersHandle Null = new LayersHandle();

    protected override void Free(IntPtr pointer) { Native.mnq_layers_free(pointer); }
}

internal sealed class ModelHandle : Handle
{
    internal static readonly ModelHandle Null = new ModelHandle();

    protected override void Free(IntPtr pointer) { Native.mnq_model_free(pointer); }
}

internal sealed class ReportHandle : Handle
{
    internal static readonly ReportHandle Null = new ReportHandle();

    protected override void Free(IntPtr pointer) { Native.mnq_report_free(pointer); }
}

internal sealed class ValuesHandle : Handle
{
    internal static readonly ValuesHandle Null = new ValuesHandle();

    protected override void Free(IntPtr pointer) { Native.mnq_values_free(pointer); }
}

internal sealed class ReaderHandle : Handle
{
    internal static readonly ReaderHandle Null = new ReaderHandle();

    protected override void Free(IntPtr pointer) { Native.mnq_reader_free(pointer); }
}

internal sealed class WriterHandle : Handle
{
    internal static readonly WriterHandle Null = new WriterHandle();

    protected override void Free(IntPtr pointer) { Native.mnq_writer_free(pointer); }
}

internal sealed class LinearHandle : Handle
{
    internal static readonly LinearHandle Null = new LinearHandle();

    protected override void Free(IntPtr pointer) { Native.mnq_linear_free(pointer); }
}

internal sealed class EmbeddingHandle : Handle
{
    internal static readonly EmbeddingHandle Null = new EmbeddingHandle();

    protected override void Free(IntPtr pointer) { Native.mnq_embedding_free(pointer); }
}

internal static class Native
{
    private const string Library = "libmono_quant.so.1";
    internal const uint AbiVersion = (1U << 16) | 2U;

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern uint mnq_abi_version();

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_version();

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_build_info(out BufferHandle @out, out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_status_name(Status status);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_dtype_name(DType dtype);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_set_log_callback(LogFn callback, IntPtr user, out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern uint mnq_threads();

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_set_threads(uint count, out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_get_api(uint version);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_error_code(IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_error_message(IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_error_suggestion(IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_error_subject(IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern void mnq_error_free(IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_buffer_data(BufferHandle buffer);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern UIntPtr mnq_buffer_size(BufferHandle buffer);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern void mnq_buffer_free(IntPtr buffer);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_config_create([In] byte[] json, out ConfigHandle @out, out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_config_set(
        ConfigHandle config,
        [In] byte[] key,
        [In] byte[] value,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_config_set_for_layers(
        ConfigHandle config,
        [In] byte[] glob,
        [In] byte[] key,
        [In] byte[] value,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_config_resolve(
        ConfigHandle config,
        RunHandle run,
        [In] byte[] layer,
        [In] byte[] key,
        out BufferHandle value,
        out IntPtr source,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_config_list_keys(out BufferHandle @out, out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_config_to_json(ConfigHandle config, out BufferHandle @out, out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_config_validate(ConfigHandle config, out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern void mnq_config_free(IntPtr config);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_run_create(out RunHandle @out, out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_run_set(RunHandle run, [In] byte[] key, [In] byte[] value, out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_run_set_for_layers(
        RunHandle run,
        [In] byte[] glob,
        [In] byte[] key,
        [In] byte[] value,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_run_set_progress(
        RunHandle run,
        ProgressFn callback,
        IntPtr user,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern void mnq_run_cancel(RunHandle run);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern int mnq_run_is_cancelled(RunHandle run);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern void mnq_run_free(IntPtr run);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_tensor_create(
        DType dtype,
        [In] long[] shape,
        UIntPtr rank,
        IntPtr data,
        UIntPtr sizeBytes,
        out TensorHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_tensor_wrap(
        DType dtype,
        [In] long[] shape,
        UIntPtr rank,
        IntPtr data,
        UIntPtr sizeBytes,
        ReleaseFn release,
        IntPtr user,
        out TensorHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_tensor_from_dlpack(IntPtr managed, out TensorHandle @out, out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_tensor_to_dlpack(TensorHandle tensor, out IntPtr @out, out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern DType mnq_tensor_dtype(TensorHandle tensor);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern UIntPtr mnq_tensor_rank(TensorHandle tensor);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_tensor_shape(TensorHandle tensor);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_tensor_data(TensorHandle tensor);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern UIntPtr mnq_tensor_size_bytes(TensorHandle tensor);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern void mnq_tensor_free(IntPtr tensor);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_detect_format([In] byte[] path, out IntPtr format, out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_model_open([In] byte[] path, out ModelHandle @out, out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_model_open_memory(
        IntPtr data,
        UIntPtr sizeBytes,
        out ModelHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_model_from_tensors(
        IntPtr[] names,
        IntPtr[] tensors,
        UIntPtr count,
        out ModelHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_model_clone(ModelHandle model, out ModelHandle @out, out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_model_save(ModelHandle model, [In] byte[] path, RunHandle run, out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_model_save_memory(
        ModelHandle model,
        RunHandle run,
        out BufferHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern UIntPtr mnq_model_tensor_count(ModelHandle model);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_model_tensor_name(ModelHandle model, UIntPtr index);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_model_get_tensor(
        ModelHandle model,
        [In] byte[] name,
        out TensorHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_model_describe(ModelHandle model, out BufferHandle @out, out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_model_list_layers(
        ModelHandle model,
        ConfigHandle config,
        RunHandle run,
        out LayersHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern UIntPtr mnq_layers_count(LayersHandle layers);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_layers_name(LayersHandle layers, UIntPtr index);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_layers_tensor(LayersHandle layers, UIntPtr index);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_layers_kind(LayersHandle layers, UIntPtr index);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_layers_action(LayersHandle layers, UIntPtr index);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_layers_scheme(LayersHandle layers, UIntPtr index);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_layers_reason(LayersHandle layers, UIntPtr index);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern UIntPtr mnq_layers_rank(LayersHandle layers, UIntPtr index);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_layers_shape(LayersHandle layers, UIntPtr index);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern void mnq_layers_free(IntPtr layers);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern void mnq_model_free(IntPtr model);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_quantize(
        ModelHandle model,
        ConfigHandle config,
        RunHandle run,
        out ModelHandle @out,
        out ReportHandle report,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_quantize_file(
        [In] byte[] inputPath,
        [In] byte[] outputPath,
        ConfigHandle config,
        RunHandle run,
        out ReportHandle report,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_quantize_to_file(
        ModelHandle model,
        [In] byte[] outputPath,
        ConfigHandle config,
        RunHandle run,
        out ReportHandle report,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_plan(
        ModelHandle model,
        ConfigHandle config,
        RunHandle run,
        out ReportHandle report,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_dequantize(
        ModelHandle model,
        RunHandle run,
        out ModelHandle @out,
        out ReportHandle report,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_dequantize_file(
        [In] byte[] inputPath,
        [In] byte[] outputPath,
        RunHandle run,
        out ReportHandle report,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_compare(
        ModelHandle reference,
        ModelHandle other,
        RunHandle run,
        out ReportHandle report,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_validate_file(
        [In] byte[] path,
        [In] byte[] originalPath,
        RunHandle run,
        out ReportHandle report,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_report_json(ReportHandle report);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_report_number(
        ReportHandle report,
        [In] byte[] name,
        out double value,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern UIntPtr mnq_report_layer_count(ReportHandle report);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_report_layer_text(ReportHandle report, UIntPtr index, [In] byte[] name);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_report_layer_number(
        ReportHandle report,
        UIntPtr index,
        [In] byte[] name,
        out double value,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern UIntPtr mnq_report_warning_count(ReportHandle report);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_report_warning(ReportHandle report, UIntPtr index);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern UIntPtr mnq_report_problem_count(ReportHandle report);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_report_problem(ReportHandle report, UIntPtr index);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern void mnq_report_free(IntPtr report);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_kernel_ranges(
        [In] float[] weights,
        UIntPtr rowCount,
        UIntPtr rowLength,
        [In, Out] float[] minimum,
        [In, Out] float[] maximum,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_kernel_quantize(
        [In] float[] weights,
        UIntPtr rowCount,
        UIntPtr rowLength,
        int bits,
        int symmetric,
        UIntPtr groupSize,
        [In, Out] float[] scales,
        [In, Out] sbyte[] zeroPoints,
        [In, Out] sbyte[] codes,
        out double sqnrDb,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_kernel_dequantize(
        [In] sbyte[] codes,
        UIntPtr rowCount,
        UIntPtr rowLength,
        UIntPtr groupSize,
        [In] float[] scales,
        [In] sbyte[] zeroPoints,
        [In, Out] float[] weights,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_kernel_pack_int4(
        [In] sbyte[] codes,
        UIntPtr count,
        [In, Out] byte[] packed,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_kernel_unpack_int4(
        [In] byte[] packed,
        UIntPtr count,
        [In, Out] sbyte[] codes,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_kernel_sqnr(
        [In] float[] reference,
        [In] float[] other,
        UIntPtr count,
        out double sqnrDb,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_values_create(out ValuesHandle @out, out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_values_add_tensor(
        ValuesHandle values,
        [In] byte[] name,
        TensorHandle tensor,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_values_add_int(
        ValuesHandle values,
        [In] byte[] name,
        long value,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_values_add_float(
        ValuesHandle values,
        [In] byte[] name,
        double value,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_values_add_bool(
        ValuesHandle values,
        [In] byte[] name,
        int value,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_values_add_text(
        ValuesHandle values,
        [In] byte[] name,
        [In] byte[] text,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_values_add_none(ValuesHandle values, [In] byte[] name, out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern UIntPtr mnq_values_count(ValuesHandle values);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_values_name(ValuesHandle values, UIntPtr index);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern ValueKind mnq_values_kind(ValuesHandle values, UIntPtr index);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_values_get_tensor(
        ValuesHandle values,
        UIntPtr index,
        out TensorHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_values_get_int(
        ValuesHandle values,
        UIntPtr index,
        out long value,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_values_get_float(
        ValuesHandle values,
        UIntPtr index,
        out double value,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_values_get_text(ValuesHandle values, UIntPtr index);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern void mnq_values_free(IntPtr values);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_model_forward(
        ModelHandle model,
        [In] byte[] method,
        ValuesHandle inputs,
        RunHandle run,
        out ValuesHandle outputs,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_model_validate(
        ModelHandle model,
        ModelHandle original,
        ValuesHandle inputs,
        RunHandle run,
        out ReportHandle report,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern DType mnq_layers_dtype(LayersHandle layers, UIntPtr index);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern UIntPtr mnq_layers_tie_count(LayersHandle layers, UIntPtr index);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern IntPtr mnq_layers_tie(LayersHandle layers, UIntPtr index, UIntPtr tie);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_model_open_with(
        [In] byte[] path,
        RunHandle run,
        out ModelHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_convert_file(
        [In] byte[] inputPath,
        [In] byte[] outputPath,
        RunHandle run,
        out ReportHandle report,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_merge_folder([In] byte[] outputPath, RunHandle run, out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_model_from_layers(
        [In] LayerTensor[] tensors,
        UIntPtr count,
        out ModelHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_list_capabilities(out BufferHandle @out, out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_run_set_observer(
        RunHandle run,
        ObserverFn callback,
        IntPtr user,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_run_set_log_callback(
        RunHandle run,
        LogFn callback,
        IntPtr user,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern void mnq_run_reset(RunHandle run);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_tensor_from_dlpack_unversioned(
        IntPtr managed,
        out TensorHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_model_wrap_memory(
        IntPtr data,
        UIntPtr sizeBytes,
        ReleaseFn release,
        IntPtr user,
        RunHandle run,
        out ModelHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_reader_create(
        ulong sizeBytes,
        ReadFn read,
        ReleaseFn release,
        IntPtr user,
        out ReaderHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern void mnq_reader_free(IntPtr reader);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_model_open_reader(
        ReaderHandle reader,
        RunHandle run,
        out ModelHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_writer_create(
        WriteFn write,
        CommitFn commit,
        AbortFn abort,
        ReleaseFn release,
        IntPtr user,
        out WriterHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern void mnq_writer_free(IntPtr writer);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_model_save_to_writer(
        ModelHandle model,
        WriterHandle writer,
        RunHandle run,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_model_get_float(
        ModelHandle model,
        [In] byte[] name,
        RunHandle run,
        out TensorHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_quantize_to_writer(
        ModelHandle model,
        WriterHandle writer,
        ConfigHandle config,
        RunHandle run,
        out ReportHandle report,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_dequantize_to_writer(
        ModelHandle model,
        WriterHandle writer,
        RunHandle run,
        out ReportHandle report,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_tensor_quantize(
        TensorHandle tensor,
        [In] byte[] name,
        [In] byte[] kind,
        ConfigHandle config,
        RunHandle run,
        out ValuesHandle parts,
        out ReportHandle report,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_tensor_dequantize(
        ValuesHandle parts,
        RunHandle run,
        out TensorHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_compare_file(
        [In] byte[] referencePath,
        [In] byte[] otherPath,
        RunHandle run,
        out ReportHandle report,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_linear_create(
        ModelHandle model,
        [In] byte[] layer,
        ConfigHandle config,
        RunHandle run,
        out LinearHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_linear_from_floats(
        TensorHandle weight,
        TensorHandle bias,
        ConfigHandle config,
        RunHandle run,
        out LinearHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_linear_from_codes(
        [In] sbyte[] codes,
        UIntPtr outputCount,
        UIntPtr rowLength,
        int bits,
        UIntPtr groupSize,
        [In] float[] scales,
        [In] sbyte[] zeroPoints,
        [In] float[] bias,
        ConfigHandle config,
        RunHandle run,
        out LinearHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_linear_scratch_size(
        LinearHandle linear,
        UIntPtr rowCount,
        out UIntPtr sizeBytes,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_linear_run(
        LinearHandle linear,
        IntPtr rows,
        UIntPtr rowCount,
        DType dtype,
        IntPtr @out,
        DType outDtype,
        IntPtr scratch,
        UIntPtr scratchBytes,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_linear_run_tensor(
        LinearHandle linear,
        TensorHandle rows,
        DType outDtype,
        out TensorHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_linear_describe(LinearHandle linear, out BufferHandle @out, out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern void mnq_linear_free(IntPtr linear);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_embedding_create(
        ModelHandle model,
        [In] byte[] layer,
        out EmbeddingHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_embedding_run(
        EmbeddingHandle embedding,
        [In] long[] indices,
        UIntPtr count,
        IntPtr @out,
        DType outDtype,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_embedding_run_tensor(
        EmbeddingHandle embedding,
        TensorHandle indices,
        DType outDtype,
        out TensorHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern Status mnq_embedding_describe(
        EmbeddingHandle embedding,
        out BufferHandle @out,
        out IntPtr error);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]
    internal static extern void mnq_embedding_free(IntPtr embedding);
}
}
