// Ends as the first word says: a thread that overflows its stack, beside 100
// others; the main thread that does; a panic of the main thread; an abort.

use std::ptr::read_volatile;
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread;
use std::time::Duration;

fn deep(n: u64) -> u64 {
	let frame = [n; 64];
	if n == u64::MAX {
		return 0;
	}
	deep(n + 1) + unsafe { read_volatile(&frame[(n % 64) as usize]) }
}

// They wait in as many ways as there are, so that kernel threads come and go.
fn others(gate: &Arc<Barrier>) {
	for n in 0..100 {
		let gate = gate.clone();
		thread::spawn(move || {
			let pair = (Mutex::new(false), Condvar::new());
			gate.wait();
			loop {
				if n % 2 == 0 {
					thread::sleep(Duration::from_millis(1));
				} else {
					let held = pair.0.lock().unwrap();
					let wait = Duration::from_millis(2);
					drop(pair.1.wait_timeout(held, wait));
				}
			}
		});
	}
}

fn main() {
	let what = std::env::args().nth(1).unwrap();
	let gate = Arc::new(Barrier::new(101));
	others(&gate);
	gate.wait();
	println!("up");
	match what.as_str() {
		"thread" => {
			let t = thread::Builder::new().name("diver".to_string());
			let t = t.spawn(move || {
				thread::sleep(Duration::from_millis(20));
				println!("{}", deep(0));
			});
			t.unwrap().join().unwrap();
		}
		"main" => println!("{}", deep(0)),
		"panic" => panic!("on purpose"),
		_ => std::process::abort(),
	}
}
