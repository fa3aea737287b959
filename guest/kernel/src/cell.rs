//! Statics of a kernel on one CPU.

use core::cell::UnsafeCell;

/// A `Cell` that may be a static, because only one CPU runs this code. Like a `Cell` it never lends its value: `get`
/// copies it out, `set` and `replace` move one in. So two accesses cannot overlap, and a trap cannot come between:
/// interrupts are off in the kernel, except in the idle wait, which accesses nothing.
#[repr(transparent)]
pub struct Local<T>(UnsafeCell<T>);

// SAFETY: there is one CPU, and no access is interrupted by another: see the type.
unsafe impl<T> Sync for Local<T> {}

impl<T> Local<T> {
    /// A new one.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The address of the value, for assembly and for large values. While code writes through it, no other code
    /// may access the value.
    #[inline(always)]
    pub const fn pointer(&self) -> *mut T {
        self.0.get()
    }

    /// Stores a value and returns the one before.
    #[inline(always)]
    pub fn replace(&self, value: T) -> T {
        // SAFETY: no other access overlaps: see the type.
        unsafe { core::ptr::replace(self.0.get(), value) }
    }

    /// Stores a value.
    #[inline(always)]
    pub fn set(&self, value: T) {
        self.replace(value);
    }
}

impl<T: Copy> Local<T> {
    /// A copy of the value.
    #[inline(always)]
    pub fn get(&self) -> T {
        // SAFETY: no other access overlaps: see the type.
        unsafe { *self.0.get() }
    }
}
