using System;
using System.Linq;
using System.Reflection;
using MonoQuant;

internal static class FunctionTests
{
    private static object NothingOf(ParameterInfo parameter)
    {
        var type = parameter.ParameterType;
        if (type.IsByRef) return null;
        if (!typeof(Handle).IsAssignableFrom(type)) return type.IsValueType ? Activator.CreateInstance(type) : null;
        return type.GetField("Null", BindingFlags.Static | BindingFlags.NonPublic).GetValue(null);
    }

    /// None ends the process, with nothing for each argument that goes in.
    private static void TestEveryFunctionTakesNothing()
    {
        const BindingFlags own = BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
        var functions = typeof(Native).GetMethods(own)
            .Where(method => method.Name.StartsWith("mnq_")).ToList();
        Check.True(functions.Count > 130, functions.Count + " functions");
        foreach (var function in functions)
        {
            var parameters = function.GetParameters();
            var arguments = parameters.Select(NothingOf).ToArray();
            function.Invoke(null, arguments);
            for (var i = 0; i < arguments.Length; ++i)
                if (parameters[i].ParameterType.IsByRef && arguments[i] is Handle) ((Handle)arguments[i]).Dispose();
            var last = parameters.LastOrDefault();
            if (last != null && last.Name == "error" && last.ParameterType.IsByRef)
                Native.mnq_error_free((IntPtr)arguments.Last());
        }
    }
}
