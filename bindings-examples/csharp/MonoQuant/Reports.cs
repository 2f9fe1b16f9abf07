using System;
using System.Collections.Generic;

namespace MonoQuant
{
/// What a job did, and what it cost. report.md, installed with the library, lists names and fields.
public sealed class Report : IDisposable
{
    internal readonly ReportHandle Handle;

    internal Report(ReportHandle handle) { Handle = handle; }

    public string Json { get { return Utf8.Text(Native.mnq_report_json(Handle)); } }

    /// One number of the whole model: "sqnr_db", "bytes_after", "seconds"... An exact result has an infinite sqnr_db;
    /// null where there is none.
    public double? Number(string name)
    {
        var status = Native.mnq_report_number(Handle, Utf8.Bytes(name), out var value, out var error);
        return Found(status, error) ? value : (double?)null;
    }

    /// The tensors of the report: every tensor of the input is one of them.
    public int LayerCount { get { return (int)Native.mnq_report_layer_count(Handle); } }

    /// "name", "tensor", "kind", "dtype", "scheme", "action" or "reason"; null where there is none.
    public string LayerText(int index, string name)
    {
        return Utf8.Text(Native.mnq_report_layer_text(Handle, (UIntPtr)index, Utf8.Bytes(name)));
    }

    public double? LayerNumber(int index, string name)
    {
        var status = Native.mnq_report_layer_number(Handle, (UIntPtr)index, Utf8.Bytes(name), out var value,
                                                    out var error);
        return Found(status, error) ? value : (double?)null;
    }

    /// What may be wrong.
    public IList<string> Warnings
    {
        get { return Texts(Native.mnq_report_warning_count(Handle), i => Native.mnq_report_warning(Handle, i)); }
    }

    /// What validating found.
    public IList<string> Problems
    {
        get { return Texts(Native.mnq_report_problem_count(Handle), i => Native.mnq_report_problem(Handle, i)); }
    }

    public void Dispose() { Handle.Dispose(); }

    private static IList<string> Texts(UIntPtr count, Func<UIntPtr, IntPtr> text)
    {
        var texts = new List<string>();
        for (uint i = 0; i < (uint)count; ++i) texts.Add(Utf8.Text(text((UIntPtr)i)));
        return texts;
    }

    private static bool Found(Status status, IntPtr error)
    {
        if (status != Status.NotFound) Errors.Check(status, error);
        Native.mnq_error_free(error);
        return status == Status.Ok;
    }
}
}
