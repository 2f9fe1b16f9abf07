using System;
using System.Threading;

namespace MonoQuant
{
/// The value that holds for a key, and who set it: "default", "config", "config layers", "call" or "call layers".
public sealed class Resolved
{
    internal Resolved(string value, string source)
    {
        Value = value;
        Source = source;
    }

    public string Value { get; private set; }
    public string Source { get; private set; }
}

/// Settings of several jobs: new Config { ["bits"] = "4", ["group_size"] = "128" }.
public sealed class Config : IDisposable
{
    internal readonly ConfigHandle Handle;

    /// json: null, or an object of keys and values, in which "layers" is a list of objects
    /// {"name": GLOB, key: value...}.
    public Config(string json = null)
    {
        Errors.Check(Native.mnq_config_create(Utf8.Bytes(json), out Handle, out var error), error);
    }

    /// Sets a key for all layers; reads the value that holds for no layer in particular.
    public string this[string key]
    {
        get { return Resolve(key).Value; }
        set { Errors.Check(Native.mnq_config_set(Handle, Utf8.Bytes(key), Utf8.Bytes(value), out var error), error); }
    }

    /// Sets a key for the layers whose name, or whose weight's name, matches a glob.
    public void SetForLayers(string glob, string key, string value)
    {
        Errors.Check(Native.mnq_config_set_for_layers(Handle, Utf8.Bytes(glob), Utf8.Bytes(key), Utf8.Bytes(value),
                                                      out var error), error);
    }

    public Resolved Resolve(string key, Run run = null, string layer = null)
    {
        Errors.Check(Native.mnq_config_resolve(Handle, run == null ? RunHandle.Null : run.Handle, Utf8.Bytes(layer),
                                               Utf8.Bytes(key), out var value, out var source, out var error), error);
        return new Resolved(Utf8.Take(value), Utf8.Text(source));
    }

    /// Throws for a combination that cannot be.
    public void Validate() { Errors.Check(Native.mnq_config_validate(Handle, out var error), error); }

    /// What was set, as JSON that the constructor takes.
    public string ToJson()
    {
        Errors.Check(Native.mnq_config_to_json(Handle, out var json, out var error), error);
        return Utf8.Take(json);
    }

    /// Every key as JSON: "key", "type", "default", "per_layer", "help"...
    public static string ListKeys()
    {
        Errors.Check(Native.mnq_config_list_keys(out var json, out var error), error);
        return Utf8.Take(json);
    }

    public void Dispose() { Handle.Dispose(); }

    internal static ConfigHandle HandleOf(Config config) { return config == null ? ConfigHandle.Null : config.Handle; }
}

/// Bytes of input done and in all.
public struct JobProgress
{
    internal JobProgress(long doneBytes, long totalBytes)
    {
        DoneBytes = doneBytes;
        TotalBytes = totalBytes;
    }

    public readonly long DoneBytes, TotalBytes;
}

/// A tensor of a job is done.
public struct TensorDone
{
    internal TensorDone(int index, int count, string layer, string action, double sqnrDb)
    {
        Index = index;
        Count = count;
        Layer = layer;
        Action = action;
        SqnrDb = sqnrDb;
    }

    public readonly int Index, Count;
    public readonly string Layer;

    /// "quantize", "cast", "copy" or "dequantize".
    public readonly string Action;

    /// NaN where none is measured, +infinity for an exact one.
    public readonly double SqnrDb;
}

internal sealed class RunState
{
    internal readonly Failures Failures = new Failures();
    internal IProgress<JobProgress> Progress;
    internal Action<TensorDone> Observer;
    internal Action<LogLevel, string> Log;
}

/// What belongs to one job: its settings, which win over those of a config, its callbacks, its cancel. It can serve
/// several jobs, one after the other. What callbacks throw stops the job and comes out of the call.
public sealed class Run : IDisposable
{
    internal readonly RunHandle Handle;
    internal readonly RunState State = new RunState();
    private IntPtr user;
    private int users = 1; // jobs, and who may still begin one
    private int isDisposed;

    public Run()
    {
        Errors.Check(Native.mnq_run_create(out Handle, out var error), error);
        user = Callbacks.Keep(State);
    }

    ~Run() { LetGo(); }

    public string this[string key]
    {
        set { Errors.Check(Native.mnq_run_set(Handle, Utf8.Bytes(key), Utf8.Bytes(value), out var error), error); }
    }

    public void SetForLayers(string glob, string key, string value)
    {
        Errors.Check(Native.mnq_run_set_for_layers(Handle, Utf8.Bytes(glob), Utf8.Bytes(key), Utf8.Bytes(value),
                                                   out var error), error);
    }

    /// On the thread that called, at the start, about ten times a second and at the end. (The framework's Progress
    /// passes it on to another.)
    public IProgress<JobProgress> Progress
    {
        set
        {
            State.Progress = value;
            var callback = value == null ? null : Callbacks.Progress;
            Errors.Check(Native.mnq_run_set_progress(Handle, callback, user, out var error), error);
        }
    }

    /// Each tensor that is done, in order, on the thread that called.
    public Action<TensorDone> Observer
    {
        set
        {
            State.Observer = value;
            var callback = value == null ? null : Callbacks.Observer;
            Errors.Check(Native.mnq_run_set_observer(Handle, callback, user, out var error), error);
        }
    }

    /// The messages of this run's jobs.
    public Action<LogLevel, string> Log
    {
        set
        {
            State.Log = value;
            var callback = value == null ? null : Callbacks.Log;
            Errors.Check(Native.mnq_run_set_log_callback(Handle, callback, user, out var error), error);
        }
    }

    /// Stops the job, or the next one; from any thread. The run stays cancelled until it is reset.
    public void Cancel() { Native.mnq_run_cancel(Handle); }

    public bool IsCancelled { get { return Native.mnq_run_is_cancelled(Handle) != 0; } }

    public void Reset() { Native.mnq_run_reset(Handle); }

    /// A job that is under way goes on.
    public void Dispose()
    {
        Handle.Dispose();
        if (Interlocked.Exchange(ref isDisposed, 1) == 0) Leave();
        GC.SuppressFinalize(this);
    }

    internal void Enter() { Interlocked.Increment(ref users); }

    internal void Leave()
    {
        if (Interlocked.Decrement(ref users) == 0) LetGo();
    }

    private void LetGo()
    {
        var kept = Interlocked.Exchange(ref user, IntPtr.Zero);
        if (kept != IntPtr.Zero) Callbacks.Drop(kept);
    }

    internal static RunHandle HandleOf(Run run) { return run == null ? RunHandle.Null : run.Handle; }
}

/// One call that may take long: a run, the caller's or its own, that a token cancels, and what callbacks threw.
internal sealed class Job : IDisposable
{
    private readonly Run run;
    private readonly bool isOwn;
    private readonly CancellationToken token;
    private readonly CancellationTokenRegistration registration;
    private readonly Failures[] watched;

    internal Job(Run run, CancellationToken token, params Failures[][] watched)
    {
        token.ThrowIfCancellationRequested();
        isOwn = run == null;
        this.run = run ?? new Run();
        this.run.Enter();
        this.token = token;
        var all = new System.Collections.Generic.List<Failures> { this.run.State.Failures };
        foreach (var some in watched) all.AddRange(some);
        this.watched = all.ToArray();
        registration = token.Register(this.run.Cancel);
    }

    internal RunHandle Handle { get { return run.Handle; } }

    internal void Check(Status status, IntPtr error)
    {
        if (status == Status.Cancelled && token.IsCancellationRequested)
        {
            Native.mnq_error_free(error);
            throw new OperationCanceledException(token);
        }
        Errors.Check(status, error, watched);
    }

    /// What a token stopped may be used again: the token says whether.
    public void Dispose()
    {
        registration.Dispose();
        if (isOwn) run.Dispose();
        else if (token.IsCancellationRequested) run.Reset();
        run.Leave();
        GC.KeepAlive(run);
    }
}
}
