using System;
using System.Runtime.ExceptionServices;

namespace MonoQuant
{
/// What the library says of a failure.
public sealed class MonoQuantException : Exception
{
    internal MonoQuantException(Status code, string message, string suggestion, string subject) : base(message)
    {
        Code = code;
        Suggestion = suggestion;
        Subject = subject;
    }

    public Status Code { get; private set; }

    /// What to do about it; may be "".
    public string Suggestion { get; private set; }

    /// The file, tensor, layer or key at fault; may be "".
    public string Subject { get; private set; }
}

/// What callbacks threw, on whatever thread: the first comes out of the call that it made fail.
internal sealed class Failures
{
    private ExceptionDispatchInfo first;

    /// What the library's callbacks return: 0, or 1 where the work threw.
    internal int Guard(Action work)
    {
        try
        {
            work();
            return 0;
        }
        catch (Exception failure)
        {
            lock (this) first = first ?? ExceptionDispatchInfo.Capture(failure);
            return 1;
        }
    }

    internal ExceptionDispatchInfo Take()
    {
        lock (this)
        {
            var taken = first;
            first = null;
            return taken;
        }
    }
}

internal static class Errors
{
    internal static void Check(Status status, IntPtr error, params Failures[] watched)
    {
        ExceptionDispatchInfo thrown = null;
        foreach (var failures in watched) thrown = thrown ?? failures.Take();
        if (status == Status.Ok && thrown == null) return;
        var problem = Take(status, error);
        if (thrown != null) thrown.Throw();
        throw problem;
    }

    /// Makes an exception of an error, and frees it.
    private static MonoQuantException Take(Status status, IntPtr error)
    {
        var taken = new MonoQuantException(status, Utf8.Text(Native.mnq_error_message(error)),
                                           Utf8.Text(Native.mnq_error_suggestion(error)),
                                           Utf8.Text(Native.mnq_error_subject(error)));
        Native.mnq_error_free(error);
        return taken;
    }
}
}
