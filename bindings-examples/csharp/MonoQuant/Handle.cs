using System;
using System.Runtime.InteropServices;

namespace MonoQuant
{
/// What every handle of the library is: freed once, and not while a call uses it. A NULL is an empty one.
internal abstract class Handle : SafeHandle
{
    protected Handle() : base(IntPtr.Zero, true) { }

    public override bool IsInvalid { get { return handle == IntPtr.Zero; } }

    protected sealed override bool ReleaseHandle()
    {
        Free(handle);
        return true;
    }

    protected abstract void Free(IntPtr pointer);
}
}
