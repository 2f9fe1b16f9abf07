using System;
using System.Runtime.CompilerServices;
using System.Threading;

[assembly: InternalsVisibleTo("Tests")]

namespace MonoQuant
{
/// What can be asked of the library itself.
public static class Library
{
    /// Of the library that is loaded.
    public static string Version { get { return Utf8.Text(Native.mnq_version()); } }

    /// As major and minor.
    public static Version AbiVersion
    {
        get
        {
            var version = Native.mnq_abi_version();
            return new Version((int)(version >> 16), (int)(version & 0xffff));
        }
    }

    /// "OK", "CONFIG", "NOT_FOUND"...
    public static string StatusName(Status status) { return Utf8.Text(Native.mnq_status_name(status)); }

    /// "F32", "BF16", "F8_E4M3"...
    public static string DTypeName(DType dtype) { return Utf8.Text(Native.mnq_dtype_name(dtype)); }

    /// Throws where the library that was found is older than this package, or of another major version.
    public static void Check()
    {
        var found = Native.mnq_abi_version();
        if (found >> 16 == Native.AbiVersion >> 16 && found >= Native.AbiVersion) return;
        throw new DllNotFoundException("libmono_quant.so.1 has ABI " + AbiVersion + ", and this package needs " +
                                       (Native.AbiVersion >> 16) + "." + (Native.AbiVersion & 0xffff));
    }

    /// How the library was built and what it uses here, as JSON.
    public static string BuildInfo()
    {
        Errors.Check(Native.mnq_build_info(out var json, out var error), error);
        return Utf8.Take(json);
    }

    /// What can be asked for, as JSON: schemes, methods, kinds of layers, layouts, formats.
    public static string Capabilities()
    {
        Errors.Check(Native.mnq_list_capabilities(out var json, out var error), error);
        return Utf8.Take(json);
    }

    /// How many threads jobs use where the key `threads` is not set. 0 sets the number of CPUs again.
    public static int Threads
    {
        get { return (int)Native.mnq_threads(); }
        set { Errors.Check(Native.mnq_set_threads((uint)value, out var error), error); }
    }

    /// Who receives the messages of the process, from any thread; null for none. It must not call the library. A call
    /// that is under way may still use the one before, which therefore stays.
    public static void SetLog(Action<LogLevel, string> log)
    {
        var user = log == null ? IntPtr.Zero : Callbacks.Keep(log);
        var callback = log == null ? null : Callbacks.ProcessLog;
        Errors.Check(Native.mnq_set_log_callback(callback, user, out var error), error);
    }

    /// The format of a file or a folder, from its content.
    public static string DetectFormat(string path)
    {
        Errors.Check(Native.mnq_detect_format(Utf8.Bytes(path), out var format, out var error), error);
        return Utf8.Text(format);
    }
}

/// Jobs from files or folders to files or folders, within memory_budget bytes whatever their size.
public static class Files
{
    public static Report Quantize(string input, string output, Config config = null, Run run = null,
                                  CancellationToken token = default(CancellationToken))
    {
        using (var job = new Job(run, token))
        {
            job.Check(Native.mnq_quantize_file(Utf8.Bytes(input), Utf8.Bytes(output), Config.HandleOf(config),
                                               job.Handle, out var report, out var error), error);
            return new Report(report);
        }
    }

    public static Report Dequantize(string input, string output, Run run = null,
                                    CancellationToken token = default(CancellationToken))
    {
        using (var job = new Job(run, token))
        {
            job.Check(Native.mnq_dequantize_file(Utf8.Bytes(input), Utf8.Bytes(output), job.Handle, out var report,
                                                 out var error), error);
            return new Report(report);
        }
    }

    /// Writes a checkpoint in another format; codes and scales are kept where that can hold them.
    public static Report Convert(string input, string output, Run run = null,
                                 CancellationToken token = default(CancellationToken))
    {
        using (var job = new Job(run, token))
        {
            job.Check(Native.mnq_convert_file(Utf8.Bytes(input), Utf8.Bytes(output), job.Handle, out var report,
                                              out var error), error);
            return new Report(report);
        }
    }

    public static Report Compare(string reference, string other, Run run = null,
                                 CancellationToken token = default(CancellationToken))
    {
        using (var job = new Job(run, token))
        {
            job.Check(Native.mnq_compare_file(Utf8.Bytes(reference), Utf8.Bytes(other), job.Handle, out var report,
                                              out var error), error);
            return new Report(report);
        }
    }

    /// Checks a file, against its original where one is named. Report.Problems: what it finds.
    public static Report Validate(string path, string original = null, Run run = null,
                                  CancellationToken token = default(CancellationToken))
    {
        using (var job = new Job(run, token))
        {
            job.Check(Native.mnq_validate_file(Utf8.Bytes(path), Utf8.Bytes(original), job.Handle, out var report,
                                               out var error), error);
            return new Report(report);
        }
    }

    /// Puts together a folder whose parts were made with the key `shard`.
    public static void MergeFolder(string output, Run run = null, CancellationToken token = default(CancellationToken))
    {
        using (var job = new Job(run, token))
            job.Check(Native.mnq_merge_folder(Utf8.Bytes(output), job.Handle, out var error), error);
    }
}
}
