using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Threading;

namespace MonoQuant
{
/// One tensor: element type, shape, data. It never changes once it is made.
public sealed class Tensor : IDisposable
{
    internal readonly TensorHandle Handle;

    internal Tensor(TensorHandle handle) { Handle = handle; }

    private static readonly Dictionary<Type, DType> Types = new Dictionary<Type, DType> {
        { typeof(float), DType.F32 }, { typeof(double), DType.F64 }, { typeof(byte), DType.U8 },
        { typeof(sbyte), DType.I8 }, { typeof(short), DType.I16 }, { typeof(ushort), DType.U16 },
        { typeof(int), DType.I32 }, { typeof(uint), DType.U32 }, { typeof(long), DType.I64 },
        { typeof(ulong), DType.U64 },
    };

    /// A tensor of an array, which is not copied: it is pinned, and must stay as it is, until nothing uses it any more.
    public static Tensor Wrap<T>(T[] data, params long[] shape) where T : struct
    {
        DType dtype;
        if (!Types.TryGetValue(typeof(T), out dtype))
            throw new ArgumentException("no tensor has elements of " + typeof(T));
        return Wrap(dtype, data, shape);
    }

    /// The same for types that C# lacks (bfloat16, floats of 8 bits), of their bytes.
    public static Tensor Wrap<T>(DType dtype, T[] data, params long[] shape) where T : struct
    {
        var pinned = new Pinned(data);
        TensorHandle made = null;
        Callbacks.Hand(pinned, user => Errors.Check(
            Native.mnq_tensor_wrap(dtype, shape, (UIntPtr)shape.Length, pinned.Address, (UIntPtr)pinned.Size,
                                   Callbacks.Release, user, out made, out var error), error));
        return new Tensor(made);
    }

    public DType DType { get { return Native.mnq_tensor_dtype(Handle); } }

    public long[] Shape
    {
        get
        {
            var shape = new long[(int)Native.mnq_tensor_rank(Handle)];
            if (shape.Length > 0) Marshal.Copy(Native.mnq_tensor_shape(Handle), shape, 0, shape.Length);
            return shape;
        }
    }

    public long SizeBytes { get { return (long)Native.mnq_tensor_size_bytes(Handle); } }

    /// Where the data lies. It is there until the tensor is disposed of or collected: keep it alive meanwhile.
    public IntPtr Data { get { return Native.mnq_tensor_data(Handle); } }

    /// A copy of the data as elements of any plain type.
    public T[] ToArray<T>() where T : struct
    {
        var size = checked((int)SizeBytes);
        var bytes = new byte[size];
        if (size > 0) Marshal.Copy(Data, bytes, 0, size);
        GC.KeepAlive(this);
        var array = new T[size / Marshal.SizeOf(typeof(T))];
        Buffer.BlockCopy(bytes, 0, array, 0, array.Length * Marshal.SizeOf(typeof(T)));
        return array;
    }

    /// Quantizes this tensor by itself, as a layer of a model would be: the tensors that a file would have, and a text
    /// that says what they are. kind: of its layer; null: Linear, or what its rank says.
    public Values Quantize(out Report report, string name = null, string kind = null, Config config = null,
                           Run run = null, CancellationToken token = default(CancellationToken))
    {
        using (var job = new Job(run, token))
        {
            job.Check(Native.mnq_tensor_quantize(Handle, Utf8.Bytes(name), Utf8.Bytes(kind), Config.HandleOf(config),
                                                 job.Handle, out var parts, out var made, out var error), error);
            report = new Report(made);
            return new Values(parts);
        }
    }

    /// The tensor that such parts hold, in the dtype it came from.
    public static Tensor Dequantize(Values parts, Run run = null, CancellationToken token = default(CancellationToken))
    {
        using (var job = new Job(run, token))
        {
            job.Check(Native.mnq_tensor_dequantize(parts.Handle, job.Handle, out var tensor, out var error), error);
            return new Tensor(tensor);
        }
    }

    public void Dispose() { Handle.Dispose(); }

    /// An array that stays where it is.
    internal sealed class Pinned : IDisposable
    {
        private GCHandle pin;
        internal readonly long Size;

        internal Pinned(Array data)
        {
            pin = GCHandle.Alloc(data, GCHandleType.Pinned);
            Size = Buffer.ByteLength(data);
        }

        internal IntPtr Address { get { return pin.AddrOfPinnedObject(); } }

        public void Dispose() { pin.Free(); }
    }
}

/// What goes into a method of a module, or comes out of it, and the parts of a quantized tensor: values with names.
public sealed class Values : IDisposable
{
    internal readonly ValuesHandle Handle;

    internal Values(ValuesHandle handle) { Handle = handle; }

    public Values() { Errors.Check(Native.mnq_values_create(out Handle, out var error), error); }

    /// Adds a tensor, a whole number, a float, a bool, a text or null. name: of the argument it is for, or a part of it
    /// ("x.0"); null for the next one.
    public Values Add(object value, string name = null)
    {
        IntPtr error;
        Errors.Check(Add(value, Utf8.Bytes(name), out error), error);
        return this;
    }

    private Status Add(object value, byte[] name, out IntPtr error)
    {
        if (value == null) return Native.mnq_values_add_none(Handle, name, out error);
        if (value is Tensor) return Native.mnq_values_add_tensor(Handle, name, ((Tensor)value).Handle, out error);
        if (value is bool) return Native.mnq_values_add_bool(Handle, name, (bool)value ? 1 : 0, out error);
        if (value is string) return Native.mnq_values_add_text(Handle, name, Utf8.Bytes((string)value), out error);
        if (value is float || value is double)
            return Native.mnq_values_add_float(Handle, name, Convert.ToDouble(value), out error);
        return Native.mnq_values_add_int(Handle, name, Convert.ToInt64(value), out error);
    }

    public int Count { get { return (int)Native.mnq_values_count(Handle); } }

    public string Name(int index) { return Utf8.Text(Native.mnq_values_name(Handle, (UIntPtr)index)); }

    public ValueKind Kind(int index) { return Native.mnq_values_kind(Handle, (UIntPtr)index); }

    /// A tensor, a long, a double, a bool, a text or null.
    public object this[int index]
    {
        get
        {
            switch (Kind(index))
            {
                case ValueKind.Tensor: return GetTensor(index);
                case ValueKind.Int: return Whole(index);
                case ValueKind.Bool: return Whole(index) != 0;
                case ValueKind.Float:
                    var status = Native.mnq_values_get_float(Handle, (UIntPtr)index, out var value, out var error);
                    Errors.Check(status, error);
                    return value;
                case ValueKind.Text: return Utf8.Text(Native.mnq_values_get_text(Handle, (UIntPtr)index));
                default: return null;
            }
        }
    }

    public Tensor GetTensor(int index)
    {
        Errors.Check(Native.mnq_values_get_tensor(Handle, (UIntPtr)index, out var tensor, out var error), error);
        return new Tensor(tensor);
    }

    private long Whole(int index)
    {
        Errors.Check(Native.mnq_values_get_int(Handle, (UIntPtr)index, out var value, out var error), error);
        return value;
    }

    public void Dispose() { Handle.Dispose(); }
}
}
