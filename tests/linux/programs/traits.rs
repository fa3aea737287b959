//! Trait objects, closures, generics, boxes and reference counts; overflow and slices.

use std::cell::RefCell;
use std::fmt::Display;
use std::rc::Rc;

trait Shape {
    fn area(&self) -> f64;
}

struct Circle(f64);
struct Square(f64);

impl Shape for Circle {
    fn area(&self) -> f64 {
        std::f64::consts::PI * self.0 * self.0
    }
}

impl Shape for Square {
    fn area(&self) -> f64 {
        self.0 * self.0
    }
}

fn join<T: Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join("+")
}

#[derive(Debug)]
enum Tree {
    Leaf,
    Node(Box<Tree>, i32, Box<Tree>),
}

impl Tree {
    fn insert(self, value: i32) -> Tree {
        match self {
            Tree::Leaf => Tree::Node(Box::new(Tree::Leaf), value, Box::new(Tree::Leaf)),
            Tree::Node(left, own, right) if value < own => Tree::Node(Box::new(left.insert(value)), own, right),
            Tree::Node(left, own, right) => Tree::Node(left, own, Box::new(right.insert(value))),
        }
    }

    fn depth(&self) -> usize {
        match self {
            Tree::Leaf => 0,
            Tree::Node(left, _, right) => 1 + left.depth().max(right.depth()),
        }
    }
}

fn main() {
    let shapes: Vec<Box<dyn Shape>> = vec![Box::new(Circle(1.5)), Box::new(Square(2.0))];
    println!("{:.4}", shapes.iter().map(|shape| shape.area()).sum::<f64>());
    println!("{} {}", join(&[1, 2, 3]), join(&["a", "b"]));
    let shared = Rc::new(RefCell::new(Vec::new()));
    let push = |value| shared.borrow_mut().push(value);
    (0..5).for_each(push);
    println!("{:?} {}", shared.borrow(), Rc::strong_count(&shared));
    let tree = [5, 2, 8, 1, 9, 3].into_iter().fold(Tree::Leaf, Tree::insert);
    println!("{}", tree.depth());
    println!("{:?} {:?} {}", 250_u8.checked_add(10), 250_u8.saturating_add(10), 250_u8.wrapping_add(10));
    println!("{:?}", [1, 2, 3, 4, 5].chunks(2).map(<[i32]>::len).collect::<Vec<_>>());
}
