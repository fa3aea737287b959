//! Threads with channels, scoped threads and locks. The calls depend on how the threads are scheduled.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, Mutex, RwLock, mpsc};
use std::thread;
use std::time::Duration;

fn main() {
    let (sender, receiver) = mpsc::channel();
    let workers: Vec<_> = (1..=4_u64)
        .map(|worker| {
            let sender = sender.clone();
            thread::spawn(move || (0..100).for_each(|item| sender.send(worker * item).unwrap()))
        })
        .collect();
    drop(sender);
    println!("sum {}", receiver.iter().sum::<u64>());
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    let total = Mutex::new(0);
    thread::scope(|scope| {
        for part in [1..500, 500..1001] {
            let total = &total;
            scope.spawn(move || *total.lock().unwrap() += part.sum::<i32>());
        }
    });
    println!("total {}", total.into_inner().unwrap());
    let (bounded, items) = mpsc::sync_channel(2);
    let producer = thread::spawn(move || (0..10).for_each(|item| bounded.send(item).unwrap()));
    println!("{:?}", items.into_iter().collect::<Vec<i32>>());
    producer.join().unwrap();
    let state = Arc::new((Mutex::new(false), Condvar::new(), Barrier::new(2), RwLock::new(7), AtomicUsize::new(0)));
    let other = Arc::clone(&state);
    let waiter = thread::spawn(move || {
        other.2.wait();
        let mut ready = other.0.lock().unwrap();
        while !*ready {
            ready = other.1.wait(ready).unwrap();
        }
        other.4.fetch_add(*other.3.read().unwrap(), Ordering::SeqCst);
    });
    state.2.wait();
    thread::sleep(Duration::from_millis(5));
    *state.0.lock().unwrap() = true;
    state.1.notify_all();
    waiter.join().unwrap();
    println!("{}", state.4.load(Ordering::SeqCst));
}
