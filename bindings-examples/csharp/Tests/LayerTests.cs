using System;
using System.Linq;
using MonoQuant;

internal static class LayerTests
{
    private static float[] Numbers(int count)
    {
        return Enumerable.Range(0, count).Select(i => (i * 7 % 11 - 5) / 5f).ToArray();
    }

    /// The plain product: rows [3, 64] times weight [count, 64], transposed, and the bias.
    private static float[] Times(float[] rows, float[] weight, float[] bias)
    {
        return Enumerable.Range(0, 3 * bias.Length).Select(place => {
            int row = place / bias.Length, line = place % bias.Length;
            return Enumerable.Range(0, 64).Sum(i => rows[64 * row + i] * weight[64 * line + i]) + bias[line];
        }).ToArray();
    }

    private static void IsNear(float[] found, float[] expected)
    {
        Check.Equal(found.Length, expected.Length);
        Check.True(found.Zip(expected, (a, b) => Math.Abs(a - b)).Max() < 0.1, "another product");
    }

    private static void TestALayerOfAModelDoesWhatItsFloatsDo()
    {
        using (var model = Model.Open(ModelTests.Digits))
        using (var quantized = model.Quantize())
        using (var weight = model["fc2.weight"])
        using (var bias = model["fc2.bias"])
        using (var rows = Tensor.Wrap(Numbers(3 * 64), 3, 64))
        {
            var expected = Times(Numbers(3 * 64), weight.ToArray<float>(), bias.ToArray<float>());
            foreach (var source in new[] { model, quantized })
                using (var layer = source.Linear("fc2"))
                using (var found = layer.Run(rows)) IsNear(found.ToArray<float>(), expected);
            using (var layer = new Linear(weight, bias))
            using (var found = layer.Run(rows)) IsNear(found.ToArray<float>(), expected);
            using (var layer = model.Linear("fc1")) Check.Fails(Status.Shape, () => layer.Run(rows));
            Check.Fails(Status.NotFound, () => model.Linear("fc9"));
            Check.Fails(Status.InvalidArg, () => model.Linear(null));
        }
    }

    private static void TestAnEmbeddingGathersRows()
    {
        var data = Numbers(32 * 64);
        using (var table = Tensor.Wrap(data, 32, 64))
        using (var model = Model.FromTensors(new[] { new NamedTensor("embed.weight", table) }))
        using (var embedding = model.Embedding("embed"))
        using (var indices = Tensor.Wrap(new[] { 5L, 31L }, 2, 1))
        using (var wrong = Tensor.Wrap(new[] { 32L }, 1))
        using (var found = embedding.Run(indices))
        {
            Check.Same(found.Shape, new long[] { 2, 1, 64 });
            Check.Same(found.ToArray<float>(), data.Skip(5 * 64).Take(64).Concat(data.Skip(31 * 64)).ToArray());
            Check.Fails(Status.InvalidArg, () => embedding.Run(wrong));
            Check.True(embedding.Describe().Contains("row_length"), embedding.Describe());
        }
    }
}
