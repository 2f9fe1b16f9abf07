using System;
using System.IO;
using System.Runtime.InteropServices;

namespace MonoQuant
{
/// The program's own input: an object in a store, a member of an archive, something encrypted. Its bytes do not change.
public abstract class Input : IDisposable
{
    public abstract long Size { get; }

    /// Puts bytes from offset on into the buffer, at most count, and says how many; from several threads at once,
    /// unless the key `threads` is 1.
    public abstract int Read(long offset, byte[] buffer, int count);

    /// Called once nothing uses the input any more.
    public virtual void Dispose() { }

    /// A stream that can seek, one reading at a time; whoever made it closes it.
    public static Input Of(Stream stream) { return new StreamInput(stream); }

    private sealed class StreamInput : Input
    {
        private readonly Stream stream;
        private readonly long size;

        internal StreamInput(Stream stream)
        {
            this.stream = stream;
            size = stream.Length;
        }

        public override long Size { get { return size; } }

        public override int Read(long offset, byte[] buffer, int count)
        {
            lock (stream)
            {
                stream.Seek(offset, SeekOrigin.Begin);
                return stream.Read(buffer, 0, count);
            }
        }
    }
}

/// The program's own output.
public abstract class Output
{
    /// Takes bytes for offset on: each once, in any order, from several threads at once; some never: those are 0.
    public abstract void Write(long offset, byte[] buffer, int count);

    /// The output is whole and has this size: make it real.
    public virtual void Commit(long size) { }

    /// The job failed: forget what was written.
    public virtual void Abort() { }

    /// A stream that can seek, from where it stands, one writing at a time.
    public static Output Of(Stream stream) { return new StreamOutput(stream); }

    private sealed class StreamOutput : Output
    {
        private readonly Stream stream;
        private readonly long start;

        internal StreamOutput(Stream stream)
        {
            this.stream = stream;
            start = stream.Position;
        }

        public override void Write(long offset, byte[] buffer, int count)
        {
            lock (stream)
            {
                stream.Seek(start + offset, SeekOrigin.Begin);
                stream.Write(buffer, 0, count);
            }
        }

        public override void Commit(long size)
        {
            if (stream.Length < start + size) stream.SetLength(start + size);
            stream.Seek(start + size, SeekOrigin.Begin);
            stream.Flush();
        }

        public override void Abort()
        {
            stream.SetLength(start);
            stream.Seek(start, SeekOrigin.Begin);
        }
    }
}

/// What the library holds on to of an input or an output.
internal sealed class StreamState : IDisposable
{
    private const int PieceSize = 1 << 16;
    [ThreadStatic] private static byte[] piece;

    internal readonly Failures Failures = new Failures();
    internal readonly Input Input;
    internal readonly Output Output;

    internal StreamState(Input input, Output output)
    {
        Input = input;
        Output = output;
    }

    internal void Read(long offset, IntPtr into, long size)
    {
        var buffer = piece = piece ?? new byte[PieceSize];
        while (size > 0)
        {
            var got = Input.Read(offset, buffer, (int)Math.Min(size, PieceSize));
            if (got <= 0) throw new EndOfStreamException("the input ends " + size + " bytes too early");
            Marshal.Copy(buffer, 0, into, got);
            into = new IntPtr(into.ToInt64() + got);
            offset += got;
            size -= got;
        }
    }

    internal void Write(long offset, IntPtr data, long size)
    {
        var buffer = piece = piece ?? new byte[PieceSize];
        while (size > 0)
        {
            var count = (int)Math.Min(size, PieceSize);
            Marshal.Copy(data, buffer, 0, count);
            Output.Write(offset, buffer, count);
            data = new IntPtr(data.ToInt64() + count);
            offset += count;
            size -= count;
        }
    }

    public void Dispose()
    {
        if (Input != null) Input.Dispose();
    }
}

/// An output while a job writes to it.
internal sealed class Writer : IDisposable
{
    internal readonly WriterHandle Handle;
    internal readonly Failures[] Watched;

    internal Writer(Output output)
    {
        var state = new StreamState(null, output);
        WriterHandle made = null;
        Callbacks.Hand(state, user => Errors.Check(
            Native.mnq_writer_create(Callbacks.Write, Callbacks.Commit, Callbacks.Abort, Callbacks.Release, user,
                                     out made, out var error), error));
        Handle = made;
        Watched = new[] { state.Failures };
    }

    public void Dispose() { Handle.Dispose(); }
}
}
