// 300 threads that wait for each other, allocate so much that the collector stops
// them all again and again, and fault.  Prints what must come out whatever the order
// in which they ran.

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;

static class Threads
{
	class Node { public Node Next; public int[] Data; }

	static readonly object Gate = new object();
	static int inside, faults, passed;
	[ThreadStatic] static int mine;

	static Node Build(int n)
	{
		Node first = null;
		for (int i = 0; i < n; i++)
			first = new Node { Next = first, Data = new int[i % 50] };
		return first;
	}

	static int Length(Node n)
	{
		int k = 0;
		for (; n != null; n = n.Next)
			k += 1 + n.Data.Length;
		return k;
	}

	// Signals of the processor's, as exceptions.
	static void Fault(Node n)
	{
		try {
			n.Next.Data[0]++;
		} catch (NullReferenceException) {
			Interlocked.Increment(ref faults);
		}
		try {
			inside = passed / mine;
		} catch (DivideByZeroException) {
			Interlocked.Increment(ref faults);
		}
	}

	static void Work(int id, int all)
	{
		mine = 0;
		Fault(new Node());
		mine = id;
		for (int round = 0; round < 5; round++) {
			lock (Gate) {
				// A barrier by hand.
				int turn = passed / all;
				if (++passed % all == 0)
					Monitor.PulseAll(Gate);
				while (passed / all == turn)
					Monitor.Wait(Gate);
			}
			if (Length(Build(400)) != Length(Build(400)) || mine != id)
				throw new Exception("broken");
			Thread.Sleep(id % 3);
		}
	}

	static int Echo()
	{
		var listener = new TcpListener(IPAddress.Loopback, 0);
		listener.Start(100);
		int port = ((IPEndPoint)listener.LocalEndpoint).Port, sum = 0;
		var server = new Thread(() => {
			for (int i = 0; i < 40; i++) {
				var c = listener.AcceptTcpClient();
				new Thread(() => {
					using (c) {
						int b = c.GetStream().ReadByte();
						c.GetStream().WriteByte((byte)(b + 1));
					}
				}).Start();
			}
		});
		server.Start();
		var clients = new List<Thread>();
		for (int i = 0; i < 40; i++) {
			int n = i;
			var t = new Thread(() => {
				using (var c = new TcpClient("127.0.0.1", port)) {
					c.GetStream().WriteByte((byte)n);
					Interlocked.Add(ref sum, c.GetStream().ReadByte());
				}
			});
			t.Start();
			clients.Add(t);
		}
		clients.ForEach(t => t.Join());
		server.Join();
		listener.Stop();
		return sum;
	}

	static int Main()
	{
		const int N = 300;
		var threads = new List<Thread>();
		for (int i = 1; i <= N; i++) {
			int id = i;
			var t = new Thread(() => Work(id, N), 256 << 10);
			t.Start();
			threads.Add(t);
		}
		threads.ForEach(t => t.Join());
		Console.WriteLine("{0} passed, {1} faults", passed, faults);

		var tasks = new List<Task<int>>();
		for (int i = 0; i < 200; i++) {
			int n = i;
			tasks.Add(Task.Run(() => Length(Build(n))));
		}
		int total = 0;
		foreach (var t in tasks)
			total += t.Result;
		Console.WriteLine("tasks: {0}", total);

		Console.WriteLine("echo: {0}", Echo());

		var asleep = new Thread(() => {
			try {
				Thread.Sleep(Timeout.Infinite);
			} catch (ThreadInterruptedException) {
				Console.WriteLine("interrupted");
			}
		});
		asleep.Start();
		asleep.Interrupt();
		asleep.Join();

		var busy = new Thread(() => {
			try {
				for (;;)
					inside++;
			} catch (ThreadAbortException) {
				Console.WriteLine("aborted");
			}
		});
		busy.Start();
		Thread.Sleep(20);
		busy.Abort();
		busy.Join();

		for (int i = 0; i < 5; i++) {
			var p = Process.Start(new ProcessStartInfo("/bin/echo", "child") {
				UseShellExecute = false, RedirectStandardOutput = true });
			Console.Write(p.StandardOutput.ReadToEnd());
			p.WaitForExit();
			Console.WriteLine(p.ExitCode);
		}
		Console.WriteLine("collected: {0}", GC.CollectionCount(0) > 0);
		// It ends while another computes.
		var last = new Thread(() => { for (;;) Build(100); });
		last.IsBackground = true;
		last.Start();
		return 7;
	}
}
