using System;
using System.IO;
using System.Linq;
using System.Threading;
using MonoQuant;

internal static class ModelTests
{
    internal static string Digits { get { return Path.Combine(Program.Data, "digits.safetensors"); } }

    internal static string In(string name) { return Path.Combine(Program.Folder, name); }

    private static void TestErrorsSayWhyAndWhatToDo()
    {
        var error = Check.Fails(Status.NotFound, () => Model.Open("no such file"));
        Check.Equal(error.Subject, "no such file");
        Check.Equal(error.Suggestion, "check the path");
        Check.True(error.Message.Contains("no such file"), error.Message);
        using (var model = Model.Open(Digits))
            Check.Equal(Check.Fails(Status.NotFound, () => { var tensor = model["fc1.weigth"]; }).Suggestion,
                        "did you mean 'fc1.weight'?");
        Check.Fails(Status.Config, () => new Config { ["bits"] = "9" });
        Check.Fails(Status.Format, () => Model.Open(new byte[100]));
        Check.Throws<ArgumentException>(() => Model.Open("a\0b"));
        Check.Throws<ArgumentNullException>(() => Model.Open((string)null));
    }

    private static void TestTextsAreUtf8()
    {
        var path = In("caf\u00e9 \u6a21\u578b \ud83d\ude00.safetensors");
        using (var model = Model.Open(Digits)) model.Save(path);
        Check.True(File.Exists(path), path);
        var error = Check.Fails(Status.NotFound, () => Model.Open(path + "x"));
        Check.True(error.Message.Contains("\ud83d\ude00"), error.Message);
    }

    private static void TestWhatWasDisposedOfIsRefused()
    {
        var model = Model.Open(Digits);
        var tensor = model["fc1.weight"];
        model.Dispose();
        model.Dispose();
        Check.Throws<ObjectDisposedException>(() => { var count = model.Count; });
        Check.Throws<ObjectDisposedException>(() => model.Quantize());
        Check.Throws<ObjectDisposedException>(() => model.Save(In("out.safetensors")));
        Check.Equal(tensor.SizeBytes, 4L * 64 * 128); // what was made from it lives on
        tensor.Dispose();
        Check.Throws<ObjectDisposedException>(() => Model.FromTensors(new[] { new NamedTensor("weight", tensor) }));
        var run = new Run();
        run.Dispose();
        using (model = Model.Open(Digits))
        {
            Check.Throws<ObjectDisposedException>(() => model.Quantize(null, run));
            Check.Throws<ObjectDisposedException>(() => run.Cancel());
        }
    }

    private static void TestDisposingDoesNotDisturbAJobOnAnotherThread()
    {
        using (var inside = new ManualResetEventSlim())
        using (var disposed = new ManualResetEventSlim())
        {
            var model = Model.Open(Digits);
            var run = new Run { Progress = new CallbackTests.Does(() => { inside.Set(); disposed.Wait(); }) };
            Model quantized = null;
            var worker = new Thread(() => quantized = model.Quantize(null, run));
            worker.Start();
            inside.Wait();
            model.Dispose();
            run.Dispose();
            disposed.Set();
            worker.Join();
            using (quantized) Check.Equal(quantized.Count, 17);
        }
    }

    private static void TestQuantizesSavesAndComesBack()
    {
        Report report;
        using (var config = new Config { ["bits"] = "4", ["group_size"] = "32" })
        using (var model = Model.Open(Digits))
        using (var quantized = model.Quantize(out report, config))
        using (report)
        {
            quantized.Save(In("int4.safetensors"));
            Check.Equal(Library.DetectFormat(In("int4.safetensors")), "safetensors");
            Check.Same(quantized.ToBytes(), File.ReadAllBytes(In("int4.safetensors")));
            Check.Fails(Status.Io, () => quantized.Save(In("int4.safetensors")));
            using (var saved = Model.Open(In("int4.safetensors")))
            using (var floats = saved.Dequantize())
            using (var comparison = model.Compare(floats))
            using (var one = saved.GetFloat("fc1.weight"))
            using (var same = floats["fc1.weight"])
            {
                var difference = comparison.Number("sqnr_db") - report.Number("sqnr_db");
                Check.True(Math.Abs(difference.Value) < 1e-6, "SQNR");
                Check.Same(one.ToArray<float>(), same.ToArray<float>());
            }
        }
    }

    private static void TestTheCallWinsOverTheConfig()
    {
        using (var config = new Config("{\"bits\": 4, \"layers\": [{\"name\": \"fc2\", \"bits\": 8}]}"))
        using (var run = new Run { ["group_size"] = "32" })
        using (var model = Model.Open(Digits))
        {
            Check.Equal(config.Resolve("bits", run, "fc2").Source, "config layers");
            Check.Equal(config.Resolve("group_size", run).Source, "call");
            var layers = model.Layers(config, run).ToDictionary(layer => layer.Name);
            Check.Equal(layers["fc1"].Scheme, "int4 group 32");
            Check.Equal(layers["fc2"].Scheme, "int8 group 32");
            Check.Equal(layers["conv1"].Action, "copy");
            Check.Same(layers["conv1"].Shape, new long[] { 16, 1, 3, 3 });
            run.SetForLayers("fc1", "bits", "8");
            Check.Equal(config.Resolve("bits", run, "fc1").Source, "call layers");
            Check.True(config.ToJson().Contains("fc2"), config.ToJson());
        }
        using (var config = new Config { ["dtype"] = "quint8", ["bits"] = "4" })
            Check.Fails(Status.Config, config.Validate);
    }

    private static void TestFilesToFiles()
    {
        using (var run = new Run { ["bits"] = "8" }) Files.Quantize(Digits, In("q.safetensors"), null, run).Dispose();
        Files.Dequantize(In("q.safetensors"), In("f.safetensors")).Dispose();
        Files.Convert(In("q.safetensors"), In("g.pt")).Dispose();
        Check.Equal(Library.DetectFormat(In("g.pt")), "pytorch");
        using (var report = Files.Compare(Digits, In("f.safetensors")))
            Check.True(report.Number("sqnr_db") > 40 && report.Number("no such number") == null, "SQNR");
        using (var report = Files.Validate(In("q.safetensors"), Digits)) Check.Equal(report.Problems.Count, 0);
    }

    private static void TestPlansTheExactSize()
    {
        using (var run = new Run { ["bits"] = "4", ["format"] = "safetensors" })
        using (var model = Model.Open(Digits))
        using (var plan = model.Plan(null, run))
        {
            model.QuantizeTo(In("out.safetensors"), null, run).Dispose();
            Check.Equal((double)new FileInfo(In("out.safetensors")).Length, plan.Number("file_bytes").Value);
        }
    }

    private static void TestArraysAreNotCopied()
    {
        var data = Enumerable.Range(0, 64 * 32).Select(i => (i * 7919 % 2003 - 1001) / 4000f).ToArray();
        var tensor = Tensor.Wrap(data, 64, 32);
        data[0] = 0.25f;
        Check.Equal(tensor.ToArray<float>()[0], 0.25f);
        var model = Model.FromTensors(new[] {
            new NamedTensor("a.kernel", tensor) { Kind = "Linear", ChannelAxis = 1 },
            new NamedTensor("b.kernel", null) { TiedTo = "a.kernel" },
        });
        tensor.Dispose();
        Check.Equal(Callbacks.KeptCount, 1);
        Check.Equal(model.Layers().Single().Ties.Single(), "b.kernel");
        Report report;
        using (var quantized = model.Quantize(out report))
        using (report) Check.True(report.Number("sqnr_db") > 40, "SQNR");
        model.Dispose();
        Check.Equal(Callbacks.KeptCount, 0);
        Check.Fails(Status.Shape, () => Tensor.Wrap(data, 64, 33));
        Check.Throws<ArgumentException>(() => Tensor.Wrap(new bool[3], 3));
        using (var bfloat16 = Tensor.Wrap(DType.BF16, new ushort[] { 0x3f80, 0x4000 }, 2))
            Check.Equal(bfloat16.DType, DType.BF16);
    }

    private static void TestOneTensorThereAndBack()
    {
        Report report;
        using (var run = new Run { ["bits"] = "4", ["group_size"] = "32" })
        using (var model = Model.Open(Digits))
        using (var tensor = model["fc1.weight"])
        using (var parts = tensor.Quantize(out report, "fc1.weight", "Linear", null, run))
        using (report)
        using (var restored = Tensor.Dequantize(parts))
        using (var quantized = model.Quantize(null, run))
        using (var expected = quantized.GetFloat("fc1.weight"))
        {
            Check.Equal(parts.Name(0), "fc1.weight_packed");
            Check.True(parts[parts.Count - 1] is string, "what the parts are");
            Check.Same(restored.ToArray<float>(), expected.ToArray<float>());
        }
    }

    private static void TestModulesRun()
    {
        using (var module = Model.Open(Path.Combine(Program.Data, "digits_scripted.pt")))
        using (var image = Tensor.Wrap(new float[64], 1, 1, 8, 8))
        using (var inputs = new Values().Add(image))
        using (var wrong = new Values().Add(1).Add("text").Add(null).Add(true).Add(0.5))
        {
            Check.Equal(wrong.Count, 5);
            var values = Enumerable.Range(0, 5).Select(i => wrong[i]).ToArray();
            Check.Same(values, new object[] { 1L, "text", null, true, 0.5 });
            try
            {
                using (var outputs = module.Forward(inputs)) Check.Equal(outputs.Name(0), "0");
            }
            catch (MonoQuantException error) when (error.Code == Status.Unsupported)
            {
                Console.WriteLine("not run: " + error.Message);
                return;
            }
            Check.Fails(Status.InvalidArg, () => module.Forward(wrong));
            using (var quantized = module.Quantize()) quantized.Validate(module, inputs).Dispose();
        }
    }

    private static void TestTheLibrarySaysWhatItIs()
    {
        Library.Check();
        Check.True(Library.Capabilities().Contains("qint4"), "capabilities");
        Check.True(Library.BuildInfo().Contains(Library.Version), "the version");
        Check.True(Config.ListKeys().Contains("group_size"), "keys");
        Library.Threads = 1;
        Check.Equal(Library.Threads, 1);
        Library.Threads = 0;
    }

    private static void TestWhatIsNotDisposedOfIsCollected()
    {
        for (var i = 0; i < 20; ++i)
        {
            var run = new Run { Observer = done => { } };
            Model.Open(File.ReadAllBytes(Digits)).Quantize(null, run);
        }
    }
}
