# 700 threads over queues, locks, conditions, pipes and sockets.
# Prints what must come out whatever the order in which the threads ran.

require "digest/sha2"
require "monitor"
require "socket"
require "timeout"

WORKERS = 600
ITEMS = 6000
PAIRS = 15
MESSAGES = 40
TURNS = 40

Thread.abort_on_exception = true

todo = Queue.new
done = SizedQueue.new(100)
ready = Queue.new
workers = Array.new(WORKERS) do
	Thread.new do
		ready << true
		seen = 0
		while (item = todo.pop)
			seen += 1
			done << Digest::SHA256.digest(item.to_s).unpack1("Q>")
		end
		Thread.current[:seen] = seen
		seen
	end
end
WORKERS.times { ready.pop }
puts "alive #{Thread.list.size - 1}"
feeder = Thread.new do
	ITEMS.times { |i| todo << i }
	todo.close
end
sum = 0
ITEMS.times { sum ^= done.pop }
feeder.join
puts "items #{workers.sum(&:value)} #{sum}"
puts "locals #{workers.sum { |t| t[:seen] }}"

mutex = Mutex.new
monitor = Monitor.new
turn = ConditionVariable.new
order = []
count = [0, 0]
threads = Array.new(TURNS) do |n|
	Thread.new do
		50.times do
			mutex.synchronize { count[0] += 1 }
			monitor.synchronize { monitor.synchronize { count[1] += 1 } }
			Thread.pass
		end
		sleep 0.001
		mutex.synchronize do
			turn.wait(mutex) until order.size == n
			order << n
			turn.broadcast
		end
	end
end
threads.each(&:join)
puts "locks #{count} #{order == (0...TURNS).to_a}"

def answer(io, reply)
	while (line = io.gets)
		reply.puts(line.to_i * 3)
	end
	reply.close
end

def ask(io, reply, n)
	total = 0
	MESSAGES.times do |i|
		io.puts(n * i)
		total += reply.gets.to_i
	end
	io.is_a?(Socket) ? io.close_write : io.close
	total
end

threads = []
sums = PAIRS.times.map do |n|
	a, b = Socket.pair(:UNIX, :STREAM)
	to_read, to_write = IO.pipe
	from_read, from_write = IO.pipe
	threads << Thread.new { answer(a, a) }
	threads << Thread.new { answer(to_read, from_write) }
	[Thread.new { ask(b, b, n) }, Thread.new { ask(to_write, from_read, n) }]
end
server = TCPServer.new("127.0.0.1", 0)
threads << Thread.new do
	PAIRS.times.map do
		c = server.accept
		Thread.new { answer(c, c) }
	end.each(&:join)
end
clients = PAIRS.times.map do |n|
	Thread.new do
		s = Socket.tcp("127.0.0.1", server.addr[1])
		ask(s, s, n)
	end
end
want = (0...PAIRS).map { |n| 3 * n * MESSAGES * (MESSAGES - 1) / 2 }
puts "pairs #{sums.map { |a, b| [a.value, b.value] } == want.zip(want)}"
puts "clients #{clients.map(&:value) == want}"
threads.each(&:join)

late = begin
	Timeout.timeout(0.05) { Queue.new.pop }
rescue Timeout::Error
	"late"
end
puts "timeout #{late} #{mutex.synchronize { turn.wait(mutex, 0.01); 1 }}"
victim = Thread.new { sleep }
Thread.pass until victim.stop?
victim.kill
puts "killed #{victim.join(5).equal?(victim)}"
puts "child #{IO.popen(["/bin/echo", "from a child"], &:read)}"
