using System;
using System.Runtime.InteropServices;

namespace MonoQuant
{
/// What the library calls. Each delegate is made once and lives as long as the process, so that none is collected while
/// native code has it; `user` is a GCHandle of the object that a call is for.
internal static class Callbacks
{
    internal static readonly ReleaseFn Release = OnRelease;
    internal static readonly ProgressFn Progress = OnProgress;
    internal static readonly ObserverFn Observer = OnObserver;
    internal static readonly LogFn Log = OnLog;
    internal static readonly LogFn ProcessLog = OnProcessLog;
    internal static readonly ReadFn Read = OnRead;
    internal static readonly WriteFn Write = OnWrite;
    internal static readonly CommitFn Commit = OnCommit;
    internal static readonly AbortFn Abort = OnAbort;

    private static int keptCount;

    /// How many objects the library holds on to; for tests.
    internal static int KeptCount { get { return System.Threading.Volatile.Read(ref keptCount); } }

    internal static IntPtr Keep(object thing)
    {
        System.Threading.Interlocked.Increment(ref keptCount);
        return GCHandle.ToIntPtr(GCHandle.Alloc(thing));
    }

    internal static void Drop(IntPtr user)
    {
        var kept = GCHandle.FromIntPtr(user);
        var thing = kept.Target as IDisposable;
        kept.Free();
        System.Threading.Interlocked.Decrement(ref keptCount);
        if (thing != null) thing.Dispose();
    }

    /// Keeps a thing for a call that hands it to the library; where the call fails, the library never lets go of it.
    internal static void Hand(object thing, Action<IntPtr> call)
    {
        var user = Keep(thing);
        try
        {
            call(user);
        }
        catch
        {
            Drop(user);
            throw;
        }
    }

    private static T Of<T>(IntPtr user) { return (T)GCHandle.FromIntPtr(user).Target; }

    private static void OnRelease(IntPtr user)
    {
        try
        {
            Drop(user);
        }
        catch (Exception)
        {
            // A stream that cannot be closed: no call is there to tell.
        }
    }

    private static int OnProgress(IntPtr user, ulong doneBytes, ulong totalBytes)
    {
        var run = Of<RunState>(user);
        return run.Failures.Guard(() => run.Progress.Report(new JobProgress((long)doneBytes, (long)totalBytes)));
    }

    private static int OnObserver(IntPtr user, UIntPtr index, UIntPtr count, IntPtr layer, IntPtr action, double sqnrDb)
    {
        var run = Of<RunState>(user);
        return run.Failures.Guard(() => run.Observer(new TensorDone(
            (int)index, (int)count, Utf8.Text(layer), Utf8.Text(action), sqnrDb)));
    }

    private static void OnLog(IntPtr user, LogLevel level, IntPtr message)
    {
        var run = Of<RunState>(user);
        run.Failures.Guard(() => run.Log(level, Utf8.Text(message)));
    }

    /// No call is there for what it throws to come out of.
    private static void OnProcessLog(IntPtr user, LogLevel level, IntPtr message)
    {
        new Failures().Guard(() => Of<Action<LogLevel, string>>(user)(level, Utf8.Text(message)));
    }

    private static int OnRead(IntPtr user, ulong offset, IntPtr into, UIntPtr size)
    {
        var stream = Of<StreamState>(user);
        return stream.Failures.Guard(() => stream.Read((long)offset, into, (long)size));
    }

    private static int OnWrite(IntPtr user, ulong offset, IntPtr data, UIntPtr size)
    {
        var stream = Of<StreamState>(user);
        return stream.Failures.Guard(() => stream.Write((long)offset, data, (long)size));
    }

    private static int OnCommit(IntPtr user, ulong sizeBytes)
    {
        var stream = Of<StreamState>(user);
        return stream.Failures.Guard(() => stream.Output.Commit((long)sizeBytes));
    }

    private static void OnAbort(IntPtr user)
    {
        var stream = Of<StreamState>(user);
        stream.Failures.Guard(() => stream.Output.Abort());
    }
}
}
