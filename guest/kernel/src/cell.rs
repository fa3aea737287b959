//! Statics of a kernel on one CPU.

use core::cell::UnsafeCell;

/// A static that only this CPU touches. There is one vCPU, and interrupts are off in the kernel but for the
/// idle wait, where nothing is half done: so no two accesses overlap.
#[repr(transparent)]
pub struct Local<T>(UnsafeCell<T>);

// SAFETY: one CPU, no nesting: see the type.
unsafe impl<T> Sync for Local<T> {}

impl<T> Local<T> {
    /// A new one.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Where it is.
    #[inline(always)]
    pub const fn pointer(&self) -> *mut T {
        self.0.get()
    }
}

impl<T: Copy> Local<T> {
    /// Its value.
    #[inline(always)]
    pub fn get(&self) -> T {
        // SAFETY: no other access overlaps: see the type.
        unsafe { *self.0.get() }
    }

    /// Another value.
    #[inline(always)]
    pub fn set(&self, value: T) {
        // SAFETY: no other access overlaps: see the type.
        unsafe { *self.0.get() = value }
    }
}
