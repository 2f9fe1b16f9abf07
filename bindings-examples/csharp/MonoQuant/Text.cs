using System;
using System.Runtime.InteropServices;
using System.Text;

namespace MonoQuant
{
/// Texts of the library: UTF-8 with a zero behind them.
internal static class Utf8
{
    private static readonly UTF8Encoding Encoding = new UTF8Encoding(false, true);

    /// Null for null. A text with a zero in it would end there.
    internal static byte[] Bytes(string text)
    {
        if (text == null) return null;
        if (text.IndexOf('\0') >= 0) throw new ArgumentException("a text has a zero in it");
        var bytes = new byte[Encoding.GetByteCount(text) + 1];
        Encoding.GetBytes(text, 0, text.Length, bytes, 0);
        return bytes;
    }

    internal static string Text(IntPtr text)
    {
        if (text == IntPtr.Zero) return null;
        var length = 0;
        while (Marshal.ReadByte(text, length) != 0) ++length;
        return Text(text, length);
    }

    internal static string Text(IntPtr text, int length)
    {
        var bytes = new byte[length];
        Marshal.Copy(text, bytes, 0, length);
        return Encoding.GetString(bytes);
    }

    /// The text of a buffer, which is freed.
    internal static string Take(BufferHandle buffer)
    {
        using (buffer) return Text(Native.mnq_buffer_data(buffer), checked((int)Native.mnq_buffer_size(buffer)));
    }
}

/// Texts in the library's memory while a structure points to them.
internal sealed class NativeText : IDisposable
{
    internal readonly IntPtr Pointer;

    internal NativeText(string text)
    {
        var bytes = Utf8.Bytes(text);
        if (bytes == null) return;
        Pointer = Marshal.AllocHGlobal(bytes.Length);
        Marshal.Copy(bytes, 0, Pointer, bytes.Length);
    }

    public void Dispose() { Marshal.FreeHGlobal(Pointer); }
}
}
