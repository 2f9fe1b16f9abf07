using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Reflection;
using MonoQuant;

/// Runs every method of the tests that begins with "Test", and says how many failed. With "budget N" it is what one of
/// them starts.
internal static class Program
{
    internal static string Data, Folder;

    private static int Main(string[] arguments)
    {
        if (arguments.Length == 2 && arguments[0] == "budget") return Budget.Run(int.Parse(arguments[1]));
        Data = arguments[0];
        Folder = Path.Combine(Path.GetTempPath(), "mono_quant_tests_" + Process.GetCurrentProcess().Id);
        Directory.CreateDirectory(Folder);
        try
        {
            return RunAll(arguments.Skip(1).ToArray());
        }
        finally
        {
            Directory.Delete(Folder, true);
        }
    }

    private static int RunAll(string[] names)
    {
        int passed = 0, failed = 0;
        const BindingFlags own = BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
        foreach (var type in typeof(Program).Assembly.GetTypes().OrderBy(type => type.Name))
        foreach (var method in type.GetMethods(own))
        {
            if (!method.Name.StartsWith("Test") || names.Length > 0 && !names.Contains(method.Name)) continue;
            if (Passes(type.Name + "." + method.Name, method)) ++passed;
            else ++failed;
        }
        Console.WriteLine("{0} passed, {1} failed", passed, failed);
        return failed == 0 && passed > 0 ? 0 : 1;
    }

    /// The library holds on to nothing once a test is over.
    private static bool Passes(string name, MethodInfo method)
    {
        foreach (var file in Directory.GetFileSystemEntries(Folder)) File.Delete(file);
        try
        {
            method.Invoke(null, null);
            Check.WaitUntil(() => Callbacks.KeptCount == 0, "the library holds on to something");
            return true;
        }
        catch (TargetInvocationException failure)
        {
            Console.WriteLine("FAILED {0}: {1}", name, failure.InnerException);
        }
        catch (CheckFailed failure)
        {
            Console.WriteLine("FAILED {0}: {1}", name, failure.Message);
        }
        return false;
    }
}

internal sealed class CheckFailed : Exception
{
    internal CheckFailed(string message) : base(message) { }
}

internal static class Check
{
    internal static void True(bool holds, string what)
    {
        if (!holds) throw new CheckFailed(what);
    }

    internal static void Equal<T>(T found, T expected)
    {
        if (!Equals(found, expected)) throw new CheckFailed(found + " instead of " + expected);
    }

    internal static void Same<T>(T[] found, T[] expected)
    {
        True(found.SequenceEqual(expected), "other elements: " + found.Length + " instead of " + expected.Length);
    }

    internal static T Throws<T>(Action work) where T : Exception
    {
        try
        {
            work();
        }
        catch (T expected)
        {
            return expected;
        }
        throw new CheckFailed("it threw no " + typeof(T).Name);
    }

    internal static MonoQuantException Fails(Status code, Action work)
    {
        var error = Throws<MonoQuantException>(work);
        Equal(error.Code, code);
        return error;
    }

    /// What the collector does, it does when it likes.
    internal static void WaitUntil(Func<bool> holds, string what)
    {
        for (var i = 0; i < 100 && !holds(); ++i)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            System.Threading.Thread.Sleep(2);
        }
        True(holds(), what);
    }
}
