using System;
using System.Diagnostics;
using System.IO;
using System.IO.Compression;
using System.Linq;
using System.Text;
using System.Threading;
using MonoQuant;

internal static class StreamTests
{
    private static byte[] Expected()
    {
        using (var run = new Run { ["bits"] = "4", ["overwrite"] = "true" })
            Files.Quantize(ModelTests.Digits, ModelTests.In("expected.safetensors"), null, run).Dispose();
        return File.ReadAllBytes(ModelTests.In("expected.safetensors"));
    }

    private static void CheckBytes(Func<Model> open)
    {
        var expected = Expected();
        foreach (var threads in new[] { "1", "2" })
            using (var model = open())
            using (var run = new Run { ["bits"] = "4", ["threads"] = threads })
            using (var target = new MemoryStream())
            {
                model.QuantizeTo(target, null, run).Dispose();
                Check.Same(target.ToArray(), expected);
            }
    }

    private static void TestMemory()
    {
        CheckBytes(() => Model.Open(File.ReadAllBytes(ModelTests.Digits)));
        CheckBytes(() => Model.Open(new MemoryStream(File.ReadAllBytes(ModelTests.Digits))));
    }

    private static void TestAFile()
    {
        using (var file = File.OpenRead(ModelTests.Digits)) CheckBytes(() => Model.Open(file));
    }

    /// A member of an archive is read from its start to its end: to go back it is opened again.
    private sealed class Member : Input
    {
        private readonly ZipArchiveEntry entry;
        private readonly long size;
        private Stream stream;
        private long position;

        internal Member(ZipArchiveEntry entry)
        {
            this.entry = entry;
            size = entry.Length;
        }

        public override long Size { get { return size; } }

        public override int Read(long offset, byte[] buffer, int count)
        {
            lock (entry)
            {
                if (stream == null || offset < position)
                {
                    Dispose();
                    stream = entry.Open();
                    position = 0;
                }
                var skipped = new byte[4096];
                while (position < offset) position += stream.Read(skipped, 0, (int)Math.Min(4096, offset - position));
                var got = stream.Read(buffer, 0, count);
                position += got;
                return got;
            }
        }

        public override void Dispose()
        {
            if (stream != null) stream.Dispose();
        }
    }

    private static void TestAMemberOfAnArchive()
    {
        using (var file = File.Create(ModelTests.In("bundle.zip")))
        using (var archive = new ZipArchive(file, ZipArchiveMode.Create))
        using (var member = archive.CreateEntry("model.safetensors").Open())
        {
            var data = File.ReadAllBytes(ModelTests.Digits);
            member.Write(data, 0, data.Length);
        }
        using (var file = File.OpenRead(ModelTests.In("bundle.zip")))
        using (var archive = new ZipArchive(file))
            CheckBytes(() => Model.Open(new Member(archive.GetEntry("model.safetensors"))));
    }

    /// It comes in small pieces, takes its time, and fails where it is told to.
    private sealed class Slow : Input
    {
        internal readonly byte[] Data = File.ReadAllBytes(ModelTests.Digits);
        internal volatile bool IsBroken, IsDisposed;

        public override long Size { get { return Data.Length; } }

        public override int Read(long offset, byte[] buffer, int count)
        {
            if (IsBroken) throw new IOException("gone");
            Thread.Sleep(1);
            count = Math.Min(count, 5000);
            Buffer.BlockCopy(Data, (int)offset, buffer, 0, count);
            return count;
        }

        public override void Dispose() { IsDisposed = true; }
    }

    private static void TestASlowSource() { CheckBytes(() => Model.Open(new Slow())); }

    private static void TestWhatAnInputThrowsComesOut()
    {
        var slow = new Slow();
        var model = Model.Open(slow);
        slow.IsBroken = true;
        Check.Equal(Check.Throws<IOException>(() => { var tensor = model["fc1.weight"]; }).Message, "gone");
        Check.Throws<IOException>(() => model.Quantize());
        Check.Throws<IOException>(() => model.ToBytes());
        slow.IsBroken = false;
        using (var tensor = model["fc1.weight"]) Check.Equal(tensor.SizeBytes, 4L * 64 * 128);
        Check.True(!slow.IsDisposed, "the model still needs it");
        model.Dispose();
        Check.True(slow.IsDisposed, "nobody needs it");
        slow = new Slow { IsBroken = true };
        Check.Throws<IOException>(() => Model.Open(slow));
        Check.True(slow.IsDisposed, "nobody needs it");
    }

    private static void TestAnInputThatEndsEarly()
    {
        var stream = new MemoryStream(File.ReadAllBytes(ModelTests.Digits));
        using (var model = Model.Open(stream))
        {
            stream.SetLength(stream.Length - 100);
            Check.Throws<EndOfStreamException>(() => model.ToBytes());
        }
    }

    private sealed class Failing : Output
    {
        internal bool IsInCommit;
        internal int Aborted;

        public override void Write(long offset, byte[] buffer, int count)
        {
            if (!IsInCommit) throw new IOException("full");
        }

        public override void Commit(long size) { throw new IOException("late"); }

        public override void Abort() { ++Aborted; }
    }

    private static void TestWhatAnOutputThrowsComesOut()
    {
        using (var model = Model.Open(ModelTests.Digits))
            foreach (var failing in new[] { new Failing(), new Failing { IsInCommit = true } })
            {
                var thrown = Check.Throws<IOException>(() => model.Save(failing));
                Check.Equal(thrown.Message, failing.IsInCommit ? "late" : "full");
                Check.Equal(failing.Aborted, 1);
            }
    }

    private static void TestAStreamFromWhereItStands()
    {
        using (var target = new MemoryStream())
        using (var model = Model.Open(ModelTests.Digits))
        using (var run = new Run { ["bits"] = "4" })
        {
            target.Write(Encoding.ASCII.GetBytes("before"), 0, 6);
            model.QuantizeTo(target, null, run).Dispose();
            Check.Same(target.ToArray().Skip(6).ToArray(), Expected());
            using (var stops = new Run { Observer = done => { throw new OperationCanceledException(); } })
                Check.Throws<OperationCanceledException>(() => model.QuantizeTo(target, null, stops));
            Check.Same(target.ToArray().Skip(6).ToArray(), Expected());
        }
    }

    private static void TestALargeModelTakesNoMoreMemoryThanASmallOne()
    {
        var peaks = new[] { 1, 8 }.Select(Budget.PeakOf).ToArray();
        Check.True(peaks[1] - peaks[0] < Budget.Bytes, string.Join(", ", peaks));
    }
}

/// A model of 16 MiB a tensor that is made while it is read, and forgotten while it is written.
internal static class Budget
{
    internal const long Bytes = 16 << 20;
    private const int Side = 2048;

    private sealed class Made : Input
    {
        private readonly byte[] header, row = new byte[4 * Side];
        private readonly int tensors;

        internal Made(int tensors)
        {
            this.tensors = tensors;
            var size = 4L * Side * Side;
            var entries = Enumerable.Range(0, tensors).Select(i => string.Format(
                "\"layers.{0}.weight\":{{\"dtype\":\"F32\",\"shape\":[{1},{1}],\"data_offsets\":[{2},{3}]}}",
                i, Side, i * size, (i + 1) * size));
            var text = Encoding.ASCII.GetBytes("{" + string.Join(",", entries) + "}");
            header = BitConverter.GetBytes((long)text.Length).Concat(text).ToArray();
            var values = Enumerable.Range(0, Side).Select(i => (i * 7919 % 2003 - 1001) / 4000f).ToArray();
            Buffer.BlockCopy(values, 0, row, 0, row.Length);
        }

        public override long Size { get { return header.Length + 4L * Side * Side * tensors; } }

        public override int Read(long offset, byte[] buffer, int count)
        {
            var isHeader = offset < header.Length;
            var source = isHeader ? header : row;
            var start = (int)(isHeader ? offset : (offset - header.Length) % row.Length);
            count = Math.Min(count, source.Length - start);
            Buffer.BlockCopy(source, start, buffer, 0, count);
            return count;
        }
    }

    private sealed class Forgets : Output
    {
        public override void Write(long offset, byte[] buffer, int count) { }
    }

    /// Prints the most memory that this process had, in bytes.
    internal static int Run(int tensors)
    {
        using (var model = Model.Open(new Made(tensors)))
        using (var run = new Run { ["bits"] = "8", ["memory_budget"] = Bytes.ToString() })
            model.QuantizeTo(new Forgets(), null, run).Dispose();
        var peak = File.ReadAllLines("/proc/self/status").First(line => line.StartsWith("VmHWM:"));
        Console.WriteLine(long.Parse(new string(peak.Where(char.IsDigit).ToArray())) * 1024);
        return 0;
    }

    internal static long PeakOf(int tensors)
    {
        var program = Path.Combine(AppDomain.CurrentDomain.BaseDirectory, "tests");
        var start = new ProcessStartInfo(program, "budget " + tensors);
        start.UseShellExecute = false;
        start.RedirectStandardOutput = true;
        using (var process = Process.Start(start)) return long.Parse(process.StandardOutput.ReadToEnd());
    }
}
