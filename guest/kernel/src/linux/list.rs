//! A list of plain values in order of insertion, with room for `N`.

use super::first;
use crate::cell::Local;

/// A list. Zeroed memory is an empty one.
pub struct List<T, const N: usize> {
    items: [Local<T>; N],
    count: Local<usize>,
}

impl<T: Copy + PartialEq, const N: usize> List<T, N> {
    pub fn len(&self) -> usize {
        self.count.get()
    }

    pub fn is_full(&self) -> bool {
        self.count.get() == N
    }

    /// The item at an index below the length.
    pub fn at(&self, index: usize) -> T {
        self.items[index % N].get()
    }

    /// Replaces the item at an index below the length.
    pub fn replace(&self, index: usize, item: T) {
        self.items[index % N].set(item);
    }

    /// Appends an item. The list must not be full.
    pub fn push(&self, item: T) {
        self.items[self.count.get() % N].set(item);
        self.count.set(self.count.get() + 1);
    }

    /// Removes the first item for which `which` returns true, and returns it.
    pub fn take(&self, which: impl Fn(T) -> bool) -> Option<T> {
        let count = self.count.get();
        let index = first(&self.items, count).iter().position(|item| which(item.get()))?;
        let (item, items) = (self.at(index), self.items.as_ptr().cast_mut());
        // SAFETY: both ranges lie in the array, and a cell has the layout of its content.
        unsafe { items.add(index).copy_from(items.add(index + 1), count - index - 1) }
        self.count.set(count - 1);
        Some(item)
    }

    /// Removes an item, if it is in the list.
    pub fn remove(&self, item: T) {
        self.take(|other| other == item);
    }

    /// The items as they are now.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        first(&self.items, self.count.get()).iter().map(Local::get)
    }
}
