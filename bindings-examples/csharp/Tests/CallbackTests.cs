using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using MonoQuant;

internal static class CallbackTests
{
    private sealed class Thrown : Exception { }

    internal sealed class Does : IProgress<JobProgress>
    {
        private readonly Action work;

        internal Does(Action work) { this.work = work; }

        public void Report(JobProgress value) { work(); }
    }

    private static void Throw() { throw new Thrown(); }

    private static void TestWhatACallbackThrowsComesOut()
    {
        using (var model = Model.Open(ModelTests.Digits))
        {
            foreach (var isObserver in new[] { false, true })
                using (var run = new Run())
                {
                    if (isObserver) run.Observer = done => Throw();
                    else run.Progress = new Does(Throw);
                    var thrown = Check.Throws<Thrown>(() => model.Quantize(null, run));
                    Check.True(thrown.StackTrace.Contains("CallbackTests.Throw"), thrown.StackTrace);
                    run.Reset();
                    Check.Throws<Thrown>(() => model.QuantizeTo(ModelTests.In("out.safetensors"), null, run));
                }
            // A key that saving has no use for is warned of.
            using (var run = new Run { ["bits"] = "4", Log = (level, message) => Throw() })
                Check.Throws<Thrown>(() => model.Save(ModelTests.In("saved.safetensors"), run));
        }
        Check.True(!File.Exists(ModelTests.In("out.safetensors")), "a file was left");
    }

    private static void TestATokenCancels()
    {
        using (var model = Model.Open(ModelTests.Digits))
        using (var source = new CancellationTokenSource())
        using (var run = new Run { Progress = new Does(source.Cancel) })
        {
            var cancelled = Check.Throws<OperationCanceledException>(() => model.Quantize(null, run, source.Token));
            Check.Equal(cancelled.CancellationToken, source.Token);
            Check.Throws<OperationCanceledException>(() => model.Quantize(null, null, source.Token));
            run.Progress = null;
            // The run may be used again.
            using (var quantized = model.Quantize(null, run)) Check.Equal(quantized.Count, 17);
        }
    }

    private static void TestATokenCancelsFromAnotherThread()
    {
        using (var model = Model.Open(ModelTests.Digits))
        using (var source = new CancellationTokenSource())
        using (var inside = new ManualResetEventSlim())
        using (var run = new Run { Progress = new Does(() => { inside.Set(); source.Token.WaitHandle.WaitOne(); }) })
        {
            var other = new Thread(() => { inside.Wait(); source.Cancel(); });
            other.Start();
            Check.Throws<OperationCanceledException>(() => model.Quantize(null, run, source.Token));
            other.Join();
        }
    }

    private static void TestARunIsCancelledUntilItIsReset()
    {
        using (var model = Model.Open(ModelTests.Digits))
        using (var run = new Run())
        {
            run.Cancel();
            Check.True(run.IsCancelled, "it is not cancelled");
            Check.Fails(Status.Cancelled, () => model.Quantize(null, run));
            run.Reset();
            using (var quantized = model.Quantize(null, run)) Check.Equal(quantized.Count, 17);
        }
    }

    private static void TestAJobMayRunInACallback()
    {
        using (var model = Model.Open(ModelTests.Digits))
        using (var run = new Run { Progress = new Does(() => model.Quantize().Dispose()) })
        using (var quantized = model.Quantize(null, run)) Check.Equal(quantized.Count, 17);
    }

    private static void TestSeesEveryTensor()
    {
        var seen = new List<TensorDone>();
        using (var model = Model.Open(ModelTests.Digits))
        using (var run = new Run { ["bits"] = "4", Observer = seen.Add })
        using (model.Quantize(null, run))
        {
            Check.Same(seen.Select(done => done.Index).ToArray(), Enumerable.Range(0, 13).ToArray());
            Check.Same(seen.Where(done => done.Action == "quantize").Select(done => done.Layer).ToArray(),
                       new[] { "conv2", "fc1", "fc2" });
        }
    }

    /// Each thread gets its own back, while the collector moves and frees what it can.
    private static void TestManyJobsAtOnce()
    {
        var failures = 0;
        using (var model = Model.Open(ModelTests.Digits))
        {
            var threads = Enumerable.Range(0, 8).Select(number => new Thread(() => {
                for (var i = 0; i < 5; ++i)
                {
                    var own = new Thrown();
                    using (var run = new Run { Progress = new Does(() => { GC.Collect(0); throw own; }) })
                        if (!ReferenceEquals(Check.Throws<Thrown>(() => model.Quantize(null, run)), own))
                            Interlocked.Increment(ref failures);
                }
            })).ToList();
            threads.ForEach(thread => thread.Start());
            threads.ForEach(thread => thread.Join());
        }
        Check.Equal(failures, 0);
    }
}
