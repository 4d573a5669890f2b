// Threads of Rust's: one waits for a lock, the other for a channel.
use std::sync::{mpsc, Arc, Mutex};

#[inline(never)]
fn waits_for_lock(m: &Mutex<u32>) -> u32 {
    let n = *m.lock().unwrap();
    std::hint::black_box(n)
}

#[inline(never)]
fn waits_for_word(r: mpsc::Receiver<u32>) -> u32 {
    let n = r.recv().unwrap();
    std::hint::black_box(n)
}

fn main() {
    let m = Arc::new(Mutex::new(1));
    let held = m.lock().unwrap();
    let m2 = m.clone();
    let (s, r) = mpsc::channel();
    std::thread::Builder::new().name("lock".into()).spawn(move || waits_for_lock(&m2)).unwrap();
    let t = std::thread::Builder::new().name("word".into()).spawn(move || waits_for_word(r)).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(200));
    println!("ready");
    t.join().unwrap();
    drop(held);
    drop(s);
}
