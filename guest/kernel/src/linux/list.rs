//! A list of process numbers in order of insertion, with room for each process once.

use super::first;
use crate::cell::Local;
use crate::process::TABLE;

/// A list; it cannot overflow, because each process, or thread group, is in it once.
pub struct List {
    items: [Local<u16>; TABLE],
    count: Local<usize>,
}

impl List {
    pub const fn new() -> Self {
        Self { items: [const { Local::new(0) }; TABLE], count: Local::new(0) }
    }

    pub fn len(&self) -> usize {
        self.count.get()
    }

    /// The item at an index below the length.
    pub fn at(&self, index: usize) -> u16 {
        self.items[index % TABLE].get()
    }

    pub fn push(&self, item: u16) {
        self.items[self.count.get() % TABLE].set(item);
        self.count.set(self.count.get() + 1);
    }

    /// Removes an item, if it is in the list.
    pub fn remove(&self, item: u16) {
        let count = self.count.get();
        let Some(index) = first(&self.items, count).iter().position(|other| other.get() == item) else {
            return;
        };
        let items = self.items.as_ptr().cast_mut();
        // SAFETY: both ranges lie in the array, and a cell has the layout of its content.
        unsafe { items.add(index).copy_from(items.add(index + 1), count - index - 1) }
        self.count.set(count - 1);
    }

    /// The items as they are now.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        first(&self.items, self.count.get()).iter().map(Local::get)
    }
}
