//! Vec, String, HashMap, BTreeMap, iterators, sorting.

use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque};

fn main() {
    let mut words: HashMap<&str, usize> = HashMap::new();
    for word in "the quick fox and the lazy dog and the cat".split(' ') {
        *words.entry(word).or_default() += 1;
    }
    let mut counts: Vec<_> = words.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    println!("{counts:?}");
    let squares: BTreeMap<u32, u64> = (0..1000).map(|n| (n, u64::from(n).pow(2))).collect();
    println!("{:?} {}", squares.range(10..13).collect::<Vec<_>>(), squares.values().sum::<u64>());
    let mut heap: BinaryHeap<i32> = [5, 1, 8, 3].into();
    let mut queue: VecDeque<i32> = std::iter::from_fn(|| heap.pop()).collect();
    queue.rotate_left(1);
    println!("{queue:?} {}", (0..100_000).collect::<HashSet<u32>>().len());
    let text: String = "reverse me".chars().rev().collect();
    println!("{text} {:>8} {:<8}| {:08.3} {:#x}", "right", "left", 3.14159, 255);
}
