using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;
using System.Threading;

namespace MonoQuant
{
/// A tensor of a model, and what settings would make of it.
public sealed class Layer
{
    public string Name { get; internal set; }
    public string TensorName { get; internal set; }

    /// "Linear", "Conv2d"...; "" where it is no layer's weight.
    public string Kind { get; internal set; }

    /// "quantize", "cast" or "copy".
    public string Action { get; internal set; }

    /// "" where it is copied.
    public string Scheme { get; internal set; }
    public string Reason { get; internal set; }
    public long[] Shape { get; internal set; }
    public DType DType { get; internal set; }

    /// Other names of the same weight.
    public IList<string> Ties { get; internal set; }
}

/// A tensor for Model.FromTensors, and what is known of its layer.
public sealed class NamedTensor
{
    public NamedTensor(string name, Tensor tensor)
    {
        Name = name;
        Tensor = tensor;
    }

    public string Name { get; private set; }
    public Tensor Tensor { get; private set; }

    /// "Linear"...; "" where it is no layer's weight; null: its name and shape tell.
    public string Kind { get; set; }

    /// Of the weight, counted from 0; -1: the kind's.
    public long ChannelAxis { get; set; } = -1;

    /// The name of another tensor, which this one is; its own tensor may then be null.
    public string TiedTo { get; set; }
}

/// A checkpoint held open, float or quantized. It never changes: jobs make new ones. Any number of threads may use it
/// at once; calls that are under way when it is disposed of go on.
public sealed class Model : IDisposable
{
    private static readonly Failures[] Nothing = new Failures[0];

    internal readonly ModelHandle Handle;
    internal readonly Failures[] Watched; // of the inputs that its data may come from

    private Model(ModelHandle handle, Failures[] watched)
    {
        Handle = handle;
        Watched = watched;
    }

    // ---- Where models come from

    /// Opens a checkpoint, a folder of one, or a TorchScript module. Of the run one key applies: tensors_key.
    public static Model Open(string path, Run run = null)
    {
        if (path == null) throw new ArgumentNullException("path");
        using (var job = new Job(run, CancellationToken.None))
        {
            job.Check(Native.mnq_model_open_with(Utf8.Bytes(path), job.Handle, out var model, out var error), error);
            return new Model(model, Nothing);
        }
    }

    /// The same from memory, which is not copied: it is pinned, and must stay as it is, until nothing uses it any more.
    public static Model Open(byte[] data, Run run = null)
    {
        if (data == null) throw new ArgumentNullException("data");
        ModelHandle model = null;
        var pinned = new Tensor.Pinned(data);
        using (var job = new Job(run, CancellationToken.None))
            Callbacks.Hand(pinned, user => job.Check(
                Native.mnq_model_wrap_memory(pinned.Address, (UIntPtr)data.Length, Callbacks.Release, user, job.Handle,
                                             out model, out var error), error));
        return new Model(model, Nothing);
    }

    /// The same from a stream that can seek; whoever made it closes it, after the last use of the model.
    public static Model Open(Stream stream, Run run = null) { return Open(Input.Of(stream), run); }

    /// The same from an input, which is disposed of once nothing uses it any more.
    public static Model Open(Input input, Run run = null)
    {
        var state = new StreamState(input, null);
        ReaderHandle reader = null;
        Callbacks.Hand(state, user => Errors.Check(
            Native.mnq_reader_create((ulong)input.Size, Callbacks.Read, Callbacks.Release, user, out reader,
                                     out var error), error));
        var watched = new[] { state.Failures };
        using (reader)
        using (var job = new Job(run, CancellationToken.None, watched))
        {
            job.Check(Native.mnq_model_open_reader(reader, job.Handle, out var model, out var error), error);
            return new Model(model, watched);
        }
    }

    /// A model of named tensors. It keeps what it needs: the tensors may be disposed of.
    public static Model FromTensors(IEnumerable<NamedTensor> tensors)
    {
        using (var entries = new Entries())
        {
            foreach (var tensor in tensors) entries.Add(tensor);
            var array = entries.ToArray();
            var status = Native.mnq_model_from_layers(array, (UIntPtr)array.Length, out var model, out var error);
            Errors.Check(status, error);
            return new Model(model, Nothing);
        }
    }

    /// A copy in memory, independent of what this one came from.
    public Model Clone()
    {
        Errors.Check(Native.mnq_model_clone(Handle, out var model, out var error), error, Watched);
        return new Model(model, Nothing);
    }

    // ---- What is in it

    public int Count { get { return (int)Native.mnq_model_tensor_count(Handle); } }

    public string Name(int index) { return Utf8.Text(Native.mnq_model_tensor_name(Handle, (UIntPtr)index)); }

    /// The tensor of that name as it is stored.
    public Tensor this[string name]
    {
        get
        {
            var status = Native.mnq_model_get_tensor(Handle, Utf8.Bytes(name), out var tensor, out var error);
            Errors.Check(status, error, Watched);
            return new Tensor(tensor);
        }
    }

    /// One weight as floats of the dtype it came from, however it is stored.
    public Tensor GetFloat(string name, Run run = null, CancellationToken token = default(CancellationToken))
    {
        using (var job = new Job(run, token, Watched))
        {
            job.Check(Native.mnq_model_get_float(Handle, Utf8.Bytes(name), job.Handle, out var tensor, out var error),
                      error);
            return new Tensor(tensor);
        }
    }

    /// What is in it, as JSON: "format", "size_bytes", "metadata", "tensors", "quantized"...
    public string Describe()
    {
        Errors.Check(Native.mnq_model_describe(Handle, out var json, out var error), error, Watched);
        return Utf8.Take(json);
    }

    /// Every tensor, and what the settings would make of it.
    public IList<Layer> Layers(Config config = null, Run run = null)
    {
        using (var job = new Job(run, CancellationToken.None, Watched))
        {
            job.Check(Native.mnq_model_list_layers(Handle, Config.HandleOf(config), job.Handle, out var layers,
                                                   out var error), error);
            var all = new List<Layer>();
            using (layers)
                for (uint i = 0; i < (uint)Native.mnq_layers_count(layers); ++i) all.Add(LayerOf(layers, (UIntPtr)i));
            return all;
        }
    }

    // ---- Jobs

    /// Makes a quantized model in memory.
    public Model Quantize(out Report report, Config config = null, Run run = null,
                          CancellationToken token = default(CancellationToken))
    {
        using (var job = new Job(run, token, Watched))
        {
            job.Check(Native.mnq_quantize(Handle, Config.HandleOf(config), job.Handle, out var model, out var made,
                                          out var error), error);
            report = new Report(made);
            return new Model(model, Watched);
        }
    }

    /// The same without the report.
    public Model Quantize(Config config = null, Run run = null, CancellationToken token = default(CancellationToken))
    {
        Report report;
        var model = Quantize(out report, config, run, token);
        report.Dispose();
        return model;
    }

    /// The same to a file or a folder, within memory_budget bytes.
    public Report QuantizeTo(string path, Config config = null, Run run = null,
                             CancellationToken token = default(CancellationToken))
    {
        using (var job = new Job(run, token, Watched))
        {
            job.Check(Native.mnq_quantize_to_file(Handle, Utf8.Bytes(path), Config.HandleOf(config), job.Handle,
                                                  out var report, out var error), error);
            return new Report(report);
        }
    }

    public Report QuantizeTo(Output output, Config config = null, Run run = null,
                             CancellationToken token = default(CancellationToken))
    {
        using (var writer = new Writer(output))
        using (var job = new Job(run, token, Watched, writer.Watched))
        {
            job.Check(Native.mnq_quantize_to_writer(Handle, writer.Handle, Config.HandleOf(config), job.Handle,
                                                    out var report, out var error), error);
            return new Report(report);
        }
    }

    public Report QuantizeTo(Stream stream, Config config = null, Run run = null,
                             CancellationToken token = default(CancellationToken))
    {
        return QuantizeTo(Output.Of(stream), config, run, token);
    }

    /// Makes a model of floats of the dtypes that the weights came from.
    public Model Dequantize(Run run = null, CancellationToken token = default(CancellationToken))
    {
        using (var job = new Job(run, token, Watched))
        {
            job.Check(Native.mnq_dequantize(Handle, job.Handle, out var model, out var report, out var error), error);
            report.Dispose();
            return new Model(model, Watched);
        }
    }

    public Report DequantizeTo(Stream stream, Run run = null, CancellationToken token = default(CancellationToken))
    {
        using (var writer = new Writer(Output.Of(stream)))
        using (var job = new Job(run, token, Watched, writer.Watched))
        {
            job.Check(Native.mnq_dequantize_to_writer(Handle, writer.Handle, job.Handle, out var report,
                                                      out var error), error);
            return new Report(report);
        }
    }

    /// What Quantize would do, without reading a weight; of a file, where the key `format` is set.
    public Report Plan(Config config = null, Run run = null)
    {
        using (var job = new Job(run, CancellationToken.None, Watched))
        {
            job.Check(Native.mnq_plan(Handle, Config.HandleOf(config), job.Handle, out var report, out var error),
                      error);
            return new Report(report);
        }
    }

    /// The accuracy of each tensor of another model against this one's.
    public Report Compare(Model other, Run run = null, CancellationToken token = default(CancellationToken))
    {
        using (var job = new Job(run, token, Watched, other.Watched))
        {
            job.Check(Native.mnq_compare(Handle, other.Handle, job.Handle, out var report, out var error), error);
            return new Report(report);
        }
    }

    /// Writes it to a file or a folder: as the key `format` says, else the extension.
    public void Save(string path, Run run = null, CancellationToken token = default(CancellationToken))
    {
        using (var job = new Job(run, token, Watched))
            job.Check(Native.mnq_model_save(Handle, Utf8.Bytes(path), job.Handle, out var error), error);
    }

    public void Save(Output output, Run run = null, CancellationToken token = default(CancellationToken))
    {
        using (var writer = new Writer(output))
        using (var job = new Job(run, token, Watched, writer.Watched))
            job.Check(Native.mnq_model_save_to_writer(Handle, writer.Handle, job.Handle, out var error), error);
    }

    public void Save(Stream stream, Run run = null, CancellationToken token = default(CancellationToken))
    {
        Save(Output.Of(stream), run, token);
    }

    public byte[] ToBytes(Run run = null, CancellationToken token = default(CancellationToken))
    {
        using (var job = new Job(run, token, Watched))
        {
            job.Check(Native.mnq_model_save_memory(Handle, job.Handle, out var buffer, out var error), error);
            using (buffer)
            {
                var bytes = new byte[checked((int)Native.mnq_buffer_size(buffer))];
                Marshal.Copy(Native.mnq_buffer_data(buffer), bytes, 0, bytes.Length);
                return bytes;
            }
        }
    }

    // ---- Layers by themselves

    /// The Linear layer of that name, independent of this model: with the codes it has, or quantized as the settings
    /// say.
    public Linear Linear(string layer, Config config = null, Run run = null)
    {
        using (var job = new Job(run, CancellationToken.None, Watched))
        {
            job.Check(Native.mnq_linear_create(Handle, Utf8.Bytes(layer), Config.HandleOf(config), job.Handle,
                                               out var linear, out var error), error);
            return new Linear(linear);
        }
    }

    /// The table of that layer, quantized or not; of a file, rows are read when they are asked for.
    public Embedding Embedding(string layer)
    {
        var status = Native.mnq_embedding_create(Handle, Utf8.Bytes(layer), out var embedding, out var error);
        Errors.Check(status, error, Watched);
        return new Embedding(embedding, Watched);
    }

    // ---- Modules

    /// Runs a method of a TorchScript module; null for "forward".
    public Values Forward(Values inputs, Run run = null, string method = null)
    {
        var status = Native.mnq_model_forward(Handle, Utf8.Bytes(method), inputs.Handle, Run.HandleOf(run),
                                              out var outputs, out var error);
        Errors.Check(status, error, Watched);
        return new Values(outputs);
    }

    /// Checks it, against an original where one is given; a module is run on inputs, where they are.
    public Report Validate(Model original = null, Values inputs = null, Run run = null)
    {
        using (var job = new Job(run, CancellationToken.None, Watched, original == null ? Nothing : original.Watched))
        {
            job.Check(Native.mnq_model_validate(Handle, original == null ? ModelHandle.Null : original.Handle,
                                                inputs == null ? ValuesHandle.Null : inputs.Handle, job.Handle,
                                                out var report, out var error), error);
            return new Report(report);
        }
    }

    public void Dispose() { Handle.Dispose(); }

    private static Layer LayerOf(LayersHandle layers, UIntPtr index)
    {
        var shape = new long[(int)Native.mnq_layers_rank(layers, index)];
        if (shape.Length > 0) Marshal.Copy(Native.mnq_layers_shape(layers, index), shape, 0, shape.Length);
        var ties = new List<string>();
        for (uint i = 0; i < (uint)Native.mnq_layers_tie_count(layers, index); ++i)
            ties.Add(Utf8.Text(Native.mnq_layers_tie(layers, index, (UIntPtr)i)));
        return new Layer {
            Name = Utf8.Text(Native.mnq_layers_name(layers, index)),
            TensorName = Utf8.Text(Native.mnq_layers_tensor(layers, index)),
            Kind = Utf8.Text(Native.mnq_layers_kind(layers, index)),
            Action = Utf8.Text(Native.mnq_layers_action(layers, index)),
            Scheme = Utf8.Text(Native.mnq_layers_scheme(layers, index)),
            Reason = Utf8.Text(Native.mnq_layers_reason(layers, index)),
            Shape = shape,
            DType = Native.mnq_layers_dtype(layers, index),
            Ties = ties,
        };
    }
}

/// Tensors of a call, and what their entries point to, which stays while the call needs it.
internal sealed class Entries : IDisposable
{
    private readonly List<LayerTensor> entries = new List<LayerTensor>();
    private readonly List<IDisposable> held = new List<IDisposable>();

    internal LayerTensor[] ToArray() { return entries.ToArray(); }

    internal void Add(NamedTensor tensor)
    {
        entries.Add(new LayerTensor {
            StructSize = (UIntPtr)Marshal.SizeOf(typeof(LayerTensor)),
            Name = Hold(new NativeText(tensor.Name)).Pointer,
            Tensor = tensor.Tensor == null ? IntPtr.Zero : Hold(new Borrowed(tensor.Tensor.Handle)).Pointer,
            Kind = Hold(new NativeText(tensor.Kind)).Pointer,
            ChannelAxis = tensor.ChannelAxis,
            TiedTo = Hold(new NativeText(tensor.TiedTo)).Pointer,
        });
    }

    private T Hold<T>(T thing) where T : IDisposable
    {
        held.Add(thing);
        return thing;
    }

    public void Dispose()
    {
        foreach (var thing in held) thing.Dispose();
    }

    /// A handle that is not freed meanwhile.
    private sealed class Borrowed : IDisposable
    {
        private readonly SafeHandle handle;

        internal Borrowed(SafeHandle handle)
        {
            var isHeld = false;
            handle.DangerousAddRef(ref isHeld);
            this.handle = handle;
        }

        internal IntPtr Pointer { get { return handle.DangerousGetHandle(); } }

        public void Dispose() { handle.DangerousRelease(); }
    }
}
}
