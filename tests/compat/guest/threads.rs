// 1,000 threads at once over channels, locks, conditions, scopes and parking.
// Prints what must come out whatever the order in which the threads ran.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Barrier, Condvar, Mutex, Once, RwLock};
use std::thread;
use std::time::{Duration, Instant};

const THREADS: usize = 1000;
const MESSAGES: u64 = 50;

thread_local! {
	static SEEN: Cell<u64> = Cell::new(0);
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
	fn drop(&mut self) {
		self.0.fetch_add(1, Ordering::SeqCst);
	}
}

// Each thread has a channel of its own; all answer over one.
fn channels() {
	let (up, results) = channel::<(usize, u64)>();
	let gate = Arc::new(Barrier::new(THREADS + 1));
	let mut down = Vec::new();
	let mut threads = Vec::new();
	for n in 0..THREADS {
		let (tx, rx) = channel::<u64>();
		let (up, gate) = (up.clone(), gate.clone());
		down.push(tx);
		let t = thread::Builder::new().name(format!("w{}", n));
		threads.push(
			t.spawn(move || {
				gate.wait();
				for x in rx {
					SEEN.with(|s| s.set(s.get() + 1));
					up.send((n, x * x)).unwrap();
				}
				SEEN.with(|s| s.get())
			})
			.unwrap(),
		);
	}
	drop(up);
	gate.wait();
	println!("alive {}", threads.len());
	for m in 0..MESSAGES {
		for tx in &down {
			tx.send(m).unwrap();
		}
	}
	drop(down);
	let mut sums = vec![0u64; THREADS];
	for (n, x) in results {
		sums[n] += x;
	}
	let seen: u64 = threads.into_iter().map(|t| t.join().unwrap()).sum();
	let want: u64 = (0..MESSAGES).map(|m| m * m).sum();
	println!("channels {} {}", sums.iter().all(|&s| s == want), seen);
}

// A ring of rendezvous channels: every hop is a switch.
fn ring() {
	let (first, mut rx) = sync_channel::<u64>(0);
	let mut threads = Vec::new();
	for _ in 0..200 {
		let (tx, next) = sync_channel::<u64>(0);
		let from = rx;
		threads.push(thread::spawn(move || {
			for x in from {
				tx.send(x + 1).unwrap();
			}
		}));
		rx = next;
	}
	let feeder = thread::spawn(move || {
		for x in 0..20 {
			first.send(x).unwrap();
		}
	});
	println!("ring {}", rx.iter().sum::<u64>());
	feeder.join().unwrap();
	for t in threads {
		t.join().unwrap();
	}
}

fn locks() {
	let counts = Mutex::new((0u64, 0u64));
	let shared = RwLock::new(0u64);
	let once = Once::new();
	let started = AtomicUsize::new(0);
	let turn = (Mutex::new(0usize), Condvar::new());
	thread::scope(|s| {
		for n in 0..100 {
			let (counts, shared, once) = (&counts, &shared, &once);
			let (started, turn) = (&started, &turn);
			s.spawn(move || {
				once.call_once(|| {
					started.fetch_add(1, Ordering::SeqCst);
				});
				for i in 0..100 {
					counts.lock().unwrap().0 += 1;
					if i % 10 == 0 {
						*shared.write().unwrap() += 1;
					}
					let x = *shared.read().unwrap();
					counts.lock().unwrap().1 += (x > 0) as u64;
				}
				let guard = turn.0.lock().unwrap();
				let mut at =
					turn.1.wait_while(guard, |at| *at != n).unwrap();
				*at += 1;
				turn.1.notify_all();
			});
		}
	});
	println!(
		"locks {:?} {} {} {}",
		counts.lock().unwrap(),
		shared.read().unwrap(),
		started.load(Ordering::SeqCst),
		turn.0.lock().unwrap()
	);
}

fn parking() {
	let flag = Arc::new(AtomicBool::new(false));
	let threads: Vec<_> = (0..50)
		.map(|_| {
			let flag = flag.clone();
			thread::spawn(move || {
				while !flag.load(Ordering::Acquire) {
					thread::park();
				}
			})
		})
		.collect();
	thread::sleep(Duration::from_millis(5));
	flag.store(true, Ordering::Release);
	for t in &threads {
		t.thread().unpark();
	}
	for t in threads {
		t.join().unwrap();
	}
	let began = Instant::now();
	thread::park_timeout(Duration::from_millis(20));
	let (lock, cond) = (Mutex::new(()), Condvar::new());
	let wait = cond
		.wait_timeout(lock.lock().unwrap(), Duration::from_millis(20))
		.unwrap();
	println!(
		"parking {} {}",
		wait.1.timed_out(),
		began.elapsed() >= Duration::from_millis(20)
	);
}

// Unwinding through a thread runs its destructors and reaches join().
fn panics() {
	let drops = Arc::new(AtomicUsize::new(0));
	std::panic::set_hook(Box::new(|_| ()));
	let failed = (0..20)
		.map(|n| {
			let counted = Counted(drops.clone());
			thread::spawn(move || {
				let _counted = counted;
				if n % 2 == 0 {
					panic!("thread {}", n);
				}
			})
		})
		.collect::<Vec<_>>()
		.into_iter()
		.filter_map(|t| t.join().err())
		.count();
	println!("panics {} {}", failed, drops.load(Ordering::SeqCst));
}

fn main() {
	channels();
	ring();
	locks();
	parking();
	panics();
}
