using System;
using System.Threading;

namespace MonoQuant
{
/// A Linear layer by itself, packed once and multiplied in integers; it is independent of what it was made from. Any
/// number of threads may run it at once.
public sealed class Linear : IDisposable
{
    private readonly LinearHandle handle;

    internal Linear(LinearHandle handle) { this.handle = handle; }

    /// Quantizes floats: weight [out, in] and bias [out], which may be null.
    public Linear(Tensor weight, Tensor bias = null, Config config = null, Run run = null)
    {
        using (var job = new Job(run, CancellationToken.None))
        {
            var given = bias == null ? TensorHandle.Null : bias.Handle;
            job.Check(Native.mnq_linear_from_floats(weight.Handle, given, Config.HandleOf(config), job.Handle,
                                                    out handle, out var error), error);
        }
    }

    /// rows [.., in] of F32 or BF16 to [.., out], of the same type.
    public Tensor Run(Tensor rows) { return Run(rows, rows.DType); }

    public Tensor Run(Tensor rows, DType dtype)
    {
        Errors.Check(Native.mnq_linear_run_tensor(handle, rows.Handle, dtype, out var tensor, out var error), error);
        return new Tensor(tensor);
    }

    /// What it is, as JSON: "name", "scheme", "output_count", "row_length", "size_bytes"...
    public string Describe()
    {
        Errors.Check(Native.mnq_linear_describe(handle, out var json, out var error), error);
        return Utf8.Take(json);
    }

    public void Dispose() { handle.Dispose(); }
}

/// The table of a layer; Model.Embedding gives it.
public sealed class Embedding : IDisposable
{
    private readonly EmbeddingHandle handle;
    private readonly Failures[] watched;

    internal Embedding(EmbeddingHandle handle, Failures[] watched)
    {
        this.handle = handle;
        this.watched = watched;
    }

    /// Rows as floats: indices of any shape, I64 or I32, to [.., row length].
    public Tensor Run(Tensor indices, DType dtype = DType.F32)
    {
        var status = Native.mnq_embedding_run_tensor(handle, indices.Handle, dtype, out var tensor, out var error);
        Errors.Check(status, error, watched);
        return new Tensor(tensor);
    }

    /// What it is, as JSON: "name", "scheme", "row_count", "row_length".
    public string Describe()
    {
        Errors.Check(Native.mnq_embedding_describe(handle, out var json, out var error), error);
        return Utf8.Take(json);
    }

    public void Dispose() { handle.Dispose(); }
}
}
