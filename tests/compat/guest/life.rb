# Ruby's signals, time-outs, forks and children, beside 100 threads that wait in
# as many ways as there are.  Prints what must come out whatever the order in
# which the threads ran.

require "open3"
require "timeout"

STDOUT.sync = true

stop = false
mutex = Mutex.new
turn = ConditionVariable.new
others = Array.new(100) do |n|
	Thread.new do
		r, w = IO.pipe
		until stop
			case n % 4
			when 0 then sleep 0.002
			when 1 then mutex.synchronize { turn.wait(mutex, 0.003) }
			when 2 then IO.select([r], nil, nil, 0.002)
			else
				w.write("x")
				r.read(1)
				Thread.pass
				sleep 0.002
			end
		end
		r.close
		w.close
		1
	end
end

# Each is sent when the one before has arrived: equal signals are merged.
seen = Hash.new(0)
%w[USR1 USR2 HUP TERM].each { |s| trap(s) { seen[s] += 1 } }
25.times do |i|
	%w[USR1 USR2 HUP TERM].each do |s|
		Process.kill(s, $$)
		sleep 0.001 until seen[s] == i + 1
	end
end
puts "signals #{seen}"

# The interpreter sends a signal to a native thread that it wants back.
stuck = Array.new(8) { |n| Thread.new do
	r, w = IO.pipe
	begin
		Timeout.timeout(0.02) { n.even? ? r.read(1) : sleep }
	rescue Timeout::Error
		:late
	ensure
		r.close
		w.close
	end
end }
puts "timeouts #{stuck.map(&:value).tally}"
begin
	Timeout.timeout(0.05) { loop { } }
rescue Timeout::Error
	puts "computing ended"
end
Thread.report_on_exception = false
asleep = Array.new(10) { Thread.new { sleep } }
asleep.each { |t| Thread.pass until t.status == "sleep" }
asleep.each(&:raise)
puts "raised #{asleep.count { |t|
	begin
		t.join
		false
	rescue RuntimeError
		true
	end
}}"
asleep = Array.new(10) { Thread.new { sleep } }
asleep.each(&:kill).each(&:join)
puts "killed #{asleep.count { |t| t.status == false }}"

forks = Array.new(10) do |n|
	Thread.new do
		pid = fork do
			q = Queue.new
			threads = Array.new(5) { |i| Thread.new { q << i } }
			threads.each(&:join)
			exit!(q.size == 5 ? n : 99)
		end
		Process.wait2(pid)[1].exitstatus
	end
end
puts "forks #{forks.map(&:value)}"
spawns = Array.new(20) do |n|
	Thread.new do
		out, status = Open3.capture2("read x; echo $x; exit #{n}",
			stdin_data: "line #{n}\n")
		[out.chomp, status.exitstatus]
	end
end
puts "spawns #{spawns.map(&:value).each_with_index.count { |(out, code), n|
	out == "line #{n}" && code == n
}}"
puts "backquotes #{Array.new(10) { |n| Thread.new { `echo #{n}`.to_i } }.sum(&:value)}"
pid = Process.spawn("kill -TERM $$; sleep 10", [:out, :err] => "/dev/null")
puts "signaled #{Process.wait2(pid)[1].termsig}"
begin
	deeper = lambda { |n| deeper.call(n + 1) + 1 }
	Thread.new { deeper.call(0) }.join
rescue SystemStackError
	puts "stack level too deep"
end
stop = true
puts "others #{others.sum(&:value)}"
at_exit { puts "at exit" }
Thread.new { sleep }
Process.kill(:INT, $$)
sleep
