using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using MonoQuant;

/// The whole library in one program: the same in every language of bindings-examples, whose README says what each line
/// is.
internal sealed class Tour
{
    private const string Usage =
        "usage: tour INPUT OUTPUT [KEY=VALUE ...] [call:KEY=VALUE ...] [--digits MODULE IMAGES]";

    private readonly List<string> options = new List<string>();
    private string input, output, module, images;
    private readonly Config config = new Config();
    private readonly Run run = new Run();
    private Model model;

    private static int Main(string[] arguments)
    {
        CultureInfo.DefaultThreadCurrentCulture = CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        try
        {
            var tour = new Tour();
            if (tour.ReadArguments(arguments))
            {
                tour.SetOptions();
                tour.Go();
                return 0;
            }
            Console.Error.WriteLine(Usage);
            return 2;
        }
        catch (MonoQuantException error)
        {
            Console.Error.WriteLine("tour: " + error.Message);
            if (error.Suggestion != "") Console.Error.WriteLine(error.Suggestion);
            return 1;
        }
    }

    private bool ReadArguments(string[] arguments)
    {
        if (arguments.Length < 2) return false;
        input = arguments[0];
        output = arguments[1];
        for (var i = 2; i < arguments.Length; ++i)
        {
            if (arguments[i] == "--digits" && i + 2 < arguments.Length)
            {
                module = arguments[++i];
                images = arguments[++i];
            }
            else if (arguments[i].Contains("=")) options.Add(arguments[i]);
            else return false;
        }
        return true;
    }

    private void SetOptions()
    {
        foreach (var option in options)
        {
            var isCall = option.StartsWith("call:", StringComparison.Ordinal);
            var parts = (isCall ? option.Substring(5) : option).Split(new[] { '=' }, 2);
            if (isCall) run[parts[0]] = parts[1];
            else config[parts[0]] = parts[1];
        }
    }

    private void Go()
    {
        Console.WriteLine("mono_quant {0}, ABI {1}", Library.Version, Library.AbiVersion);
        var format = Library.DetectFormat(input);
        using (model = Model.Open(input, run))
        {
            Console.WriteLine("input {0}, {1} tensors", format, model.Count);
            var layer = PrintLayers();
            PrintSettings();
            using (var quantized = Quantize()) Save(quantized);
            Reopen(layer);
            Cancel();
        }
        OpenMissing();
        if (module != null) Digits();
    }

    private static string ShapeText(long[] shape) { return "[" + string.Join(", ", shape) + "]"; }

    private static string TensorText(Tensor tensor)
    {
        return Library.DTypeName(tensor.DType) + " " + ShapeText(tensor.Shape);
    }

    /// A result that is exact has an infinite SQNR, and what has no floats has none.
    private static string SqnrText(Report report)
    {
        var sqnr = report.Number("sqnr_db");
        if (sqnr == null) return "none";
        return double.IsInfinity(sqnr.Value) ? "exact" : sqnr.Value.ToString("F2") + " dB";
    }

    /// Gives the first that will be quantized.
    private Layer PrintLayers()
    {
        var layers = model.Layers(config, run).Where(layer => layer.Kind != "").ToList();
        foreach (var layer in layers)
            Console.WriteLine("layer {0} {1} {2} {3}", layer.Name, layer.Kind, ShapeText(layer.Shape),
                              layer.Action == "copy" ? "as it is: " + layer.Reason : layer.Scheme);
        return layers.FirstOrDefault(layer => layer.Action == "quantize");
    }

    private void PrintSettings()
    {
        foreach (var key in new[] { "dtype", "bits", "group_size", "symmetric", "threads" })
        {
            var found = config.Resolve(key, run);
            // The default of threads is a matter of the machine.
            if (key == "threads" && found.Source == "default") continue;
            Console.WriteLine("setting {0} = {1} ({2})", key, found.Value, found.Source);
        }
    }

    /// Keeps what it is told, on the thread that tells it; Progress of the framework would pass it on to another.
    private sealed class Told : IProgress<JobProgress>
    {
        internal readonly List<JobProgress> All = new List<JobProgress>();

        public void Report(JobProgress value) { All.Add(value); }
    }

    private Model Quantize()
    {
        var told = new Told();
        var actions = new List<string>();
        run.Progress = told;
        run.Observer = done => actions.Add(done.Action);
        Report report;
        var quantized = model.Quantize(out report, config, run);
        run.Progress = null;
        run.Observer = null;
        var copied = actions.Count(action => action == "copy");
        Console.WriteLine("events {0} quantized, {1} copied", actions.Count - copied, copied);
        Console.WriteLine("progress {0} to {1}", told.All.First().DoneBytes, told.All.Last().DoneBytes);
        using (report)
            Console.WriteLine("report {0} to {1} bytes, SQNR {2}, {3} warnings", report.Number("bytes_before"),
                              report.Number("bytes_after"), SqnrText(report), report.Warnings.Count);
        return quantized;
    }

    private void Save(Model quantized)
    {
        quantized.Save(output, run);
        var format = Library.DetectFormat(output);
        if (Directory.Exists(output))
        {
            Console.WriteLine("saved a folder, format " + format);
            return;
        }
        var saved = File.ReadAllBytes(output);
        Console.WriteLine("saved {0} bytes, format {1}", saved.Length, format);
        using (var memory = new MemoryStream())
        using (var ownRun = new Run { ["threads"] = "1", ["format"] = format })
        {
            quantized.Save(memory, ownRun);
            Console.WriteLine(memory.ToArray().SequenceEqual(saved) ? "writer the same bytes" : "writer other bytes");
        }
        using (var file = File.OpenRead(output))
        using (var read = Model.Open(file)) Console.WriteLine("reader {0} tensors", read.Count);
    }

    private void Reopen(Layer layer)
    {
        using (var saved = Model.Open(output))
        {
            using (var floats = saved.Dequantize())
            using (var report = model.Compare(floats))
                Console.WriteLine("back SQNR {0}, {1} tensors differ", SqnrText(report), CountDifferent(report));
            if (layer == null) return;
            QuantizeAlone(layer);
            using (var tensor = saved.GetFloat(layer.TensorName)) Console.WriteLine("one " + TensorText(tensor));
            RunLinear(saved, layer);
        }
    }

    private static int CountDifferent(Report report)
    {
        return Enumerable.Range(0, report.LayerCount).Count(i => {
            var sqnr = report.LayerNumber(i, "sqnr_db");
            return sqnr != null && !double.IsInfinity(sqnr.Value);
        });
    }

    private void QuantizeAlone(Layer layer)
    {
        Report report;
        using (var tensor = model[layer.TensorName])
        using (var parts = tensor.Quantize(out report, layer.TensorName, layer.Kind, config, run))
        using (report)
        using (var restored = Tensor.Dequantize(parts))
        {
            var count = Enumerable.Range(0, parts.Count).Count(i => parts.Kind(i) == ValueKind.Tensor);
            Console.WriteLine("alone {0} {1} parts, SQNR {2}, restored {3}", layer.Name, count, SqnrText(report),
                              TensorText(restored));
        }
    }

    /// A row of activations, made up, through the layer in integers. Not every layer can be run so: the status says it.
    private static void RunLinear(Model saved, Layer layer)
    {
        try
        {
            Console.WriteLine("linear " + LinearText(saved, layer));
        }
        catch (MonoQuantException error)
        {
            Console.WriteLine("linear " + Library.StatusName(error.Code));
        }
    }

    private static string LinearText(Model saved, Layer layer)
    {
        using (var linear = saved.Linear(layer.Name))
        {
            var row = Enumerable.Range(0, (int)layer.Shape[1]).Select(i => (i % 7 - 3) / 4f).ToArray();
            using (var rows = Tensor.Wrap(row, 1, row.Length))
            using (var outputs = linear.Run(rows))
            {
                var first = BitConverter.ToUInt32(BitConverter.GetBytes(outputs.ToArray<float>()[0]), 0);
                return string.Format("{0} outputs, first 0x{1:x8}", outputs.Shape[1], first);
            }
        }
    }

    private sealed class Thrown : Exception { }

    private sealed class Throws : IProgress<JobProgress>
    {
        public void Report(JobProgress value) { throw new Thrown(); }
    }

    private sealed class Stops : IProgress<JobProgress>
    {
        internal Run Run;

        public void Report(JobProgress value) { Run.Cancel(); }
    }

    private void Cancel()
    {
        try
        {
            using (var throwing = new Run { Progress = new Throws() }) model.Quantize(config, throwing).Dispose();
            throw new InvalidOperationException("what was thrown did not come out");
        }
        catch (Thrown)
        {
        }
        var stops = new Stops();
        using (var stopped = stops.Run = new Run { Progress = stops })
            Expect("cancelled", () => model.Quantize(config, stopped).Dispose());
    }

    private void OpenMissing() { Expect("missing", () => Model.Open(input + ".missing").Dispose()); }

    private static void Expect(string what, Action work)
    {
        var code = Status.Ok;
        try
        {
            work();
        }
        catch (MonoQuantException error)
        {
            code = error.Code;
        }
        Console.WriteLine(what + " " + Library.StatusName(code));
    }

    private void Digits()
    {
        float[] pixels;
        using (var all = Model.Open(images))
        using (var tensor = all["images"])
            pixels = tensor.ToArray<byte>().Take(64).Select(pixel => pixel / 16f).ToArray();
        using (var image = Tensor.Wrap(pixels, 1, 1, 8, 8))
        using (var inputs = new Values().Add(image))
        using (var digits = Model.Open(module))
        {
            try
            {
                var ofFloats = Classify(digits, inputs);
                using (var quantized = digits.Quantize())
                    Console.WriteLine("digits float {0}, int8 {1}", ofFloats, Classify(quantized, inputs));
            }
            catch (MonoQuantException error) when (error.Code == Status.Unsupported)
            {
                Console.WriteLine("digits " + Library.StatusName(error.Code));
            }
        }
    }

    /// The place of the largest output.
    private static int Classify(Model digits, Values inputs)
    {
        using (var outputs = digits.Forward(inputs))
        using (var tensor = outputs.GetTensor(0))
        {
            var scores = tensor.ToArray<float>();
            return Array.IndexOf(scores, scores.Max());
        }
    }
}
