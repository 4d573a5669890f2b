// What the JVM asks of its threads: 500 of them at a time, handshakes by
// signals and faults while others compute, stacks that overflow, collections
// under load, interrupts, pools, and a server.  Prints what must come out
// whatever the order in which the threads ran.

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.Future;
import java.util.concurrent.RecursiveTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import java.util.stream.LongStream;

public class Threads {
	static final int THREADS = 500;
	// Written by all, so that no loop is optimised away.
	static volatile long sink;

	interface Body {
		void run(int n) throws Exception;
	}

	static Thread[] start(int count, String name, Body body) {
		Thread[] all = new Thread[count];
		for (int i = 0; i < count; i++) {
			final int n = i;
			all[i] = new Thread(() -> {
				try {
					body.run(n);
				} catch (Exception e) {
					throw new RuntimeException(e);
				}
			}, name + "-" + i);
			all[i].start();
		}
		return all;
	}

	static void join(Thread[] all) throws Exception {
		for (Thread t : all)
			t.join();
	}

	static void each(int count, Body body) throws Exception {
		join(start(count, "each", body));
	}

	// Everybody is alive at once, then monitors, locks and queues.
	static void alive() throws Exception {
		CyclicBarrier gate = new CyclicBarrier(THREADS);
		ReentrantLock lock = new ReentrantLock();
		ArrayBlockingQueue<Integer> queue =
				new ArrayBlockingQueue<>(16);
		AtomicInteger atomic = new AtomicInteger();
		AtomicLong got = new AtomicLong();
		int[] plain = new int[2];
		each(THREADS, n -> {
			gate.await();
			for (int i = 0; i < 20; i++) {
				synchronized (plain) {
					plain[0]++;
				}
				lock.lock();
				try {
					plain[1]++;
				} finally {
					lock.unlock();
				}
				atomic.incrementAndGet();
				if (n % 2 == 0)
					queue.put(n * 20 + i);
				else
					got.addAndGet(queue.take());
			}
		});
		System.out.println("alive " + plain[0] + " " + plain[1] + " "
				+ atomic + " " + got);
	}

	// A token goes round by wait and notifyAll, park and conditions.
	static void rounds() throws Exception {
		Object monitor = new Object();
		int[] at = new int[1];
		each(30, n -> {
			for (int round = 0; round < 5; round++)
				synchronized (monitor) {
					while (at[0] % 30 != n)
						monitor.wait();
					at[0]++;
					monitor.notifyAll();
				}
		});
		ReentrantLock lock = new ReentrantLock();
		Condition[] turn = new Condition[30];
		Arrays.setAll(turn, i -> lock.newCondition());
		int[] next = new int[1];
		each(30, n -> {
			for (int round = 0; round < 20; round++) {
				lock.lock();
				try {
					while (next[0] % 30 != n)
						turn[n].await();
					next[0]++;
					turn[(n + 1) % 30].signal();
				} finally {
					lock.unlock();
				}
			}
		});
		System.out.println("rounds " + at[0] + " " + next[0]);
	}

	static int depth(int n) {
		return n < 0 ? n : 1 + depth(n + 1);
	}

	// The guard pages of a thread's stack are the JVM's own; what touches
	// them comes as a signal to that thread, on its alternate stack.
	static void overflows() throws Exception {
		AtomicInteger caught = new AtomicInteger();
		for (int round = 0; round < 3; round++)
			each(8, n -> {
				for (int i = 0; i < 3; i++)
					try {
						sink = depth(0);
					} catch (StackOverflowError e) {
						caught.incrementAndGet();
					}
			});
		System.out.println("overflows " + caught);
	}

	// Faults that compiled code expects.
	static void nulls() throws Exception {
		AtomicInteger caught = new AtomicInteger();
		each(20, n -> {
			int[] none = n < 0 ? new int[1] : null;
			for (int i = 0; i < 2000; i++)
				try {
					sink = none[0];
				} catch (NullPointerException e) {
					caught.incrementAndGet();
				}
			try {
				sink = 1 / (n / 100);
			} catch (ArithmeticException e) {
				caught.incrementAndGet();
			}
		});
		System.out.println("nulls " + caught);
	}

	// A collection stops threads that compute, wait, and allocate.
	static void collections() throws Exception {
		CountDownLatch done = new CountDownLatch(1);
		AtomicInteger bad = new AtomicInteger();
		Thread[] idle = start(100, "idle", n -> done.await());
		Thread[] busy = start(4, "busy", n -> {
			long x = n;
			while (done.getCount() > 0)
				for (int i = 0; i < 10000; i++)
					x = x * 31 + i;
			sink = x;
		});
		each(10, n -> {
			for (int i = 0; i < 50; i++) {
				List<long[]> kept = new ArrayList<>();
				for (int k = 0; k < 50; k++) {
					long[] a = new long[100];
					Arrays.fill(a, n * 1000 + k);
					kept.add(a);
				}
				for (int k = 0; k < 50; k++)
					if (kept.get(k)[99] != n * 1000 + k)
						bad.incrementAndGet();
				if (i % 25 == 0)
					System.gc();
			}
		});
		done.countDown();
		join(idle);
		join(busy);
		System.out.println("collections " + bad);
	}

	static void interrupts() throws Exception {
		AtomicInteger stopped = new AtomicInteger();
		CountDownLatch up = new CountDownLatch(40);
		Object monitor = new Object();
		Thread[] all = start(40, "wait", n -> {
			up.countDown();
			try {
				switch (n % 4) {
				case 0:
					Thread.sleep(1000000);
					break;
				case 1:
					synchronized (monitor) {
						monitor.wait();
					}
					break;
				case 2:
					new CountDownLatch(1).await();
					break;
				default:
					while (!Thread.interrupted())
						LockSupport.park();
					throw new InterruptedException();
				}
			} catch (InterruptedException e) {
				stopped.incrementAndGet();
			}
		});
		up.await();
		for (Thread t : all)
			t.interrupt();
		join(all);
		long began = System.nanoTime();
		Thread.sleep(20);
		System.out.println("interrupts " + stopped + " "
				+ (System.nanoTime() - began >= 20000000));
	}

	static class Fibonacci extends RecursiveTask<Integer> {
		final int n;

		Fibonacci(int n) {
			this.n = n;
		}

		@Override
		protected Integer compute() {
			if (n < 2)
				return n;
			Fibonacci left = new Fibonacci(n - 1);
			left.fork();
			return new Fibonacci(n - 2).compute() + left.join();
		}
	}

	static void pools() throws Exception {
		long sum = LongStream.range(0, 200000).parallel()
				.map(x -> x * x % 1000).sum();
		int fib = new ForkJoinPool(8).invoke(new Fibonacci(17));
		ExecutorService pool = Executors.newFixedThreadPool(50);
		List<Future<Integer>> all = new ArrayList<>();
		for (int i = 0; i < 1000; i++) {
			final int n = i;
			all.add(pool.submit(() -> n * 2));
		}
		int total = 0;
		for (Future<Integer> f : all)
			total += f.get();
		pool.shutdown();
		System.out.println("pools " + sum + " " + fib + " " + total
				+ " " + pool.awaitTermination(60,
					TimeUnit.SECONDS));
	}

	static void echo(SelectionKey key) throws IOException {
		SocketChannel peer = (SocketChannel)key.channel();
		ByteBuffer data = ByteBuffer.allocate(4096);
		if (peer.read(data) < 0) {
			peer.close();
			return;
		}
		data.flip();
		while (data.hasRemaining())
			peer.write(data);
	}

	static void serve(ServerSocketChannel server, int clients)
			throws IOException {
		Selector selector = Selector.open();
		server.configureBlocking(false);
		server.register(selector, SelectionKey.OP_ACCEPT);
		int gone = 0;
		while (gone < clients) {
			selector.select();
			for (SelectionKey key : selector.selectedKeys()) {
				if (key.isAcceptable()) {
					SocketChannel peer = server.accept();
					if (peer == null)
						continue;
					peer.configureBlocking(false);
					peer.register(selector,
						SelectionKey.OP_READ);
				} else {
					echo(key);
					if (!key.channel().isOpen())
						gone++;
				}
			}
			selector.selectedKeys().clear();
		}
		selector.close();
	}

	static void server() throws Exception {
		ServerSocketChannel server = ServerSocketChannel.open();
		server.bind(new InetSocketAddress("127.0.0.1", 0), 100);
		Thread[] one = start(1, "server", n -> serve(server, 50));
		AtomicInteger right = new AtomicInteger();
		each(50, n -> {
			SocketChannel c = SocketChannel.open(
					server.getLocalAddress());
			for (int i = 0; i < 40; i++) {
				String text = n + "." + i + ";";
				byte[] out = text.getBytes();
				c.write(ByteBuffer.wrap(out));
				ByteBuffer in = ByteBuffer.allocate(out.length);
				while (in.hasRemaining() && c.read(in) >= 0)
					;
				if (Arrays.equals(in.array(), out))
					right.incrementAndGet();
			}
			c.close();
		});
		join(one);
		server.close();
		System.out.println("server " + right);
	}

	static void processes() throws Exception {
		AtomicInteger sum = new AtomicInteger();
		each(10, n -> {
			Process p = new ProcessBuilder("/bin/sh", "-c",
				"read x; exit $x").start();
			p.getOutputStream().write((n + "\n").getBytes());
			p.getOutputStream().close();
			sum.addAndGet(p.waitFor());
		});
		System.out.println("processes " + sum);
	}

	// Waits for a thread dump from outside, and for SIGTERM.
	static void dumped() throws Exception {
		Runtime.getRuntime().addShutdownHook(new Thread(
			() -> System.out.println("hook")));
		CyclicBarrier gate = new CyclicBarrier(THREADS + 1);
		start(THREADS, "worker", n -> {
			gate.await();
			if (n < 3)
				for (long x = n;; x = x * 31 + 7)
					sink = x;
			new CountDownLatch(1).await();
		});
		gate.await();
		System.out.println("ready");
		Thread.sleep(1000000);
	}

	public static void main(String[] words) throws Exception {
		String what = words.length > 0 ? words[0] : "all";
		switch (what) {
		case "dump":
			dumped();
			break;
		case "uncaught":
			// Of the main thread: the others go on to their end.
			start(5, "late", n -> {
				Thread.sleep(50);
				if (n == 4)
					System.out.println("late");
			});
			throw new IllegalStateException("uncaught");
		case "exit":
			start(100, "sleeper", n -> Thread.sleep(1000000));
			start(1, "leaver", n -> System.exit(7));
			Thread.sleep(1000000);
			break;
		default:
			alive();
			rounds();
			overflows();
			nulls();
			collections();
			interrupts();
			pools();
			server();
			processes();
		}
	}
}
