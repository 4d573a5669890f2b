// The shapes of the C programs beside this directory, with goroutines: the same
// options, the same names in what is printed.  See tests/bench/run --go.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	mode   = flag.String("m", "", "benchmark, or benchmark:variant")
	count  = flag.Int("n", 0, "goroutines, or the argument of fib")
	times  = flag.Int("k", 10, "operations of each")
	target = flag.Float64("d", 200, "milliseconds per measurement")

	began, cpuBegan time.Duration
	wall, cpu       time.Duration
	epoch           = time.Now()
	sink            atomic.Uint64
)

func cpuclock() time.Duration {
	var ru syscall.Rusage

	syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

func start() {
	cpuBegan = cpuclock()
	began = time.Since(epoch)
}

func stop() {
	wall = time.Since(epoch) - began
	cpu = cpuclock() - cpuBegan
}

func report(name string, value float64, unit string) {
	fmt.Printf("%s %.6g %s\n", name, value, unit)
}

func reporttime(name string, n int) {
	report(name+".wall", float64(wall)/float64(n), "ns")
	report(name+".cpu", float64(cpu)/float64(n), "ns")
}

func reportrate(name string, n int) {
	report(name+".wall", float64(n)/float64(wall)*1e3, "Mops/s")
	report(name+".cpu", float64(n)/float64(cpu)*1e3, "Mops/s")
}

func reportkilo(name string, n int) {
	report(name+".wall", float64(n)/float64(wall)*1e6, "kops/s")
	report(name+".cpu", float64(n)/float64(cpu)*1e6, "kops/s")
}

func measure(run func(n int), n int) int {
	for {
		run(n)
		if float64(wall) >= *target*1e6 {
			return n
		}
		grow := 100.0
		if wall > 0 {
			grow = *target * 1e6 / float64(wall) * 1.1
		}
		if grow > 100 {
			grow = 100
		}
		n = int(float64(n)*grow) + 1
	}
}

// A gate as in bench.h: goroutines wait until all are there and it opens.
type gate struct {
	lock     sync.Mutex
	opened   *sync.Cond
	arrived  *sync.Cond
	waiting  int
	expected int
	open     bool
}

func newgate() *gate {
	g := &gate{}
	g.opened = sync.NewCond(&g.lock)
	g.arrived = sync.NewCond(&g.lock)
	return g
}

func (g *gate) pass() {
	g.lock.Lock()
	g.waiting++
	if g.waiting == g.expected {
		g.arrived.Signal()
	}
	for !g.open {
		g.opened.Wait()
	}
	g.lock.Unlock()
}

func (g *gate) awaitall(n int) {
	g.lock.Lock()
	g.expected = n
	for g.waiting < n {
		g.arrived.Wait()
	}
	g.lock.Unlock()
}

func (g *gate) release() {
	g.lock.Lock()
	g.open = true
	g.opened.Broadcast()
	g.lock.Unlock()
}

// Starts n goroutines that run fn past the gate; times from its opening on.
func together(n int, fn func()) {
	var wg sync.WaitGroup
	g := newgate()

	wg.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			g.pass()
			fn()
			wg.Done()
		}()
	}
	g.awaitall(n)
	start()
	g.release()
	wg.Wait()
	stop()
}

func create(n int) {
	var wg sync.WaitGroup

	start()
	for i := 0; i < n; i++ {
		wg.Add(1)
		go wg.Done()
		wg.Wait()
	}
	stop()
}

func alive(name string) {
	var wg sync.WaitGroup
	g := newgate()

	start()
	wg.Add(*count)
	for i := 0; i < *count; i++ {
		go func() {
			g.pass()
			wg.Done()
		}()
	}
	g.awaitall(*count)
	g.release()
	wg.Wait()
	stop()
	reporttime(name, *count)
}

func reuse(rounds int) {
	var wg sync.WaitGroup

	start()
	for ; rounds > 0; rounds-- {
		wg.Add(*count)
		for i := 0; i < *count; i++ {
			go wg.Done()
		}
		wg.Wait()
	}
	stop()
}

func yield(n int) {
	together(*count, func() {
		for i := 0; i < n; i++ {
			runtime.Gosched()
		}
	})
}

func pingpong(n int) {
	var lock sync.Mutex
	var wg sync.WaitGroup
	changed := [2]*sync.Cond{sync.NewCond(&lock), sync.NewCond(&lock)}
	turn := 0

	play := func(me int) {
		lock.Lock()
		for i := 0; i < n; i++ {
			for turn != me {
				changed[me].Wait()
			}
			turn = 1 - me
			changed[1-me].Signal()
		}
		lock.Unlock()
	}
	start()
	wg.Add(1)
	go func() {
		play(1)
		wg.Done()
	}()
	play(0)
	wg.Wait()
	stop()
}

var shared struct {
	sync.Mutex
	_     [64]byte
	count int
}

func pairs(n int) {
	for i := 0; i < n; i++ {
		shared.Lock()
		shared.count++
		shared.Unlock()
	}
}

func alone(n int) {
	start()
	pairs(n)
	stop()
}

func contended(each int) {
	together(*count, func() { pairs(each) })
}

type member struct {
	lock    sync.Mutex
	arrived *sync.Cond
	full    bool
	token   int
	sem     chan int
}

func (to *member) give(token int) {
	if to.sem != nil {
		to.sem <- token
		return
	}
	to.lock.Lock()
	to.token = token
	to.full = true
	to.arrived.Signal()
	to.lock.Unlock()
}

func (me *member) take() int {
	if me.sem != nil {
		return <-me.sem
	}
	me.lock.Lock()
	for !me.full {
		me.arrived.Wait()
	}
	me.full = false
	token := me.token
	me.lock.Unlock()
	return token
}

func ring(withsem bool) {
	members := make([]member, *count)
	done := make(chan bool)

	for i := range members {
		members[i].arrived = sync.NewCond(&members[i].lock)
		if withsem {
			members[i].sem = make(chan int, 1)
		}
	}
	for i := range members {
		go func(me, next *member) {
			for {
				if token := me.take(); token > 0 {
					next.give(token - 1)
				} else {
					done <- true
				}
			}
		}(&members[i], &members[(i+1)%*count])
	}
	n := measure(func(passes int) {
		start()
		members[0].give(passes)
		<-done
		stop()
	}, 5**count)
	reporttime("ring", n)
}

func fib(n int, result *int, wg *sync.WaitGroup) {
	var children sync.WaitGroup
	var a, b int

	*result = n
	if n >= 2 {
		children.Add(2)
		go fib(n-1, &a, &children)
		go fib(n-2, &b, &children)
		children.Wait()
		*result = a + b
	}
	wg.Done()
}

func fibonacci() {
	var wg sync.WaitGroup
	var result int

	calls, before := 1, 1
	for i := 2; i <= *count; i++ {
		calls, before = calls+before+1, calls
	}
	start()
	wg.Add(1)
	go fib(*count, &result, &wg)
	wg.Wait()
	stop()
	reporttime("fib", calls)
}

func kibibytes(path string, names ...string) float64 {
	sum := 0.0
	f, err := os.Open(path)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		for _, name := range names {
			if strings.HasPrefix(lines.Text(), name+":") {
				v, _ := strconv.ParseFloat(
					strings.Fields(lines.Text())[1], 64)
				sum += v
			}
		}
	}
	return sum
}

func resident() float64 {
	return kibibytes("/proc/self/status", "VmRSS")
}

func kernel() float64 {
	return kibibytes("/proc/meminfo", "KernelStack", "PageTables", "Slab")
}

func blocked() {
	var wg sync.WaitGroup
	g := newgate()
	n := float64(*count)

	rss, kmem := resident(), kernel()
	start()
	wg.Add(*count)
	for i := 0; i < *count; i++ {
		go func() {
			g.pass()
			wg.Done()
		}()
	}
	g.awaitall(*count)
	stop()
	reporttime("create", *count)
	report("rss", (resident()-rss)/n, "KiB")
	report("kernel", (kernel()-kmem)/n, "KiB")
	report("threads", n, "threads")
	report("tasks", kibibytes("/proc/self/status", "Threads"), "tasks")
	start()
	g.release()
	wg.Wait()
	stop()
	reporttime("wake", *count)
}

func latespin() {
	var over atomic.Bool
	var wg sync.WaitGroup

	late := make([]time.Duration, *times)
	wg.Add(*count)
	for i := 0; i < *count; i++ {
		go func() {
			for !over.Load() {
			}
			wg.Done()
		}()
	}
	for i := range late {
		begun := time.Now()
		time.Sleep(time.Millisecond)
		late[i] = time.Since(begun) - time.Millisecond
	}
	over.Store(true)
	wg.Wait()
	sort.Slice(late, func(i, j int) bool { return late[i] < late[j] })
	report("p50", float64(late[len(late)/2])/1e3, "us")
	report("p99", float64(late[len(late)*99/100])/1e3, "us")
}

func steps(n int, x uint64) uint64 {
	var v [4096]uint64

	for i := range v {
		x += 0x9e3779b97f4a7c15
		v[i] = x
	}
	for i := 0; i < n; i++ {
		x = x*6364136223846793005 + 1442695040888963407
		v[x>>52] += x ^ v[i%len(v)]
	}
	for _, w := range v {
		x ^= w
	}
	return x
}

func computes() {
	n := int(*target * 4e5)
	together(*count, func() {
		sink.Add(steps(n, 1))
	})
	reporttime("compute", *count*n)
}

func readzero() {
	var buf [1]byte

	fd, err := syscall.Open("/dev/zero", syscall.O_RDONLY, 0)
	if err != nil {
		panic(err)
	}
	n := measure(func(n int) {
		start()
		for i := 0; i < n; i++ {
			syscall.Read(fd, buf[:])
		}
		stop()
	}, 10000)
	reporttime("read", n)
}

func main() {
	flag.Parse()
	name, variant, _ := strings.Cut(*mode, ":")
	switch name {
	case "create":
		reporttime("create", measure(create, 1000))
	case "alive":
		if variant == "reuse" {
			reporttime("reuse", measure(reuse, 1)**count)
			return
		}
		alive("alive")
		alive("again")
	case "yield":
		reporttime("yield", measure(yield, 20000 / *count)**count)
	case "pingpong":
		reporttime("pingpong", measure(pingpong, 2000))
	case "lock":
		if *count > 1 {
			n := measure(contended, 100000 / *count)
			reportrate("contended", n**count)
			return
		}
		reporttime("lock", measure(alone, 100000))
	case "ring":
		ring(variant == "sem")
	case "fib":
		fibonacci()
	case "blocked":
		blocked()
	case "sleepers":
		together(*count, func() {
			for i := 0; i < *times; i++ {
				time.Sleep(time.Millisecond)
			}
		})
		reporttime("sleep", *count**times)
	case "latespin":
		latespin()
	case "compute":
		computes()
	case "wrapper":
		readzero()
	case "echo":
		echo()
	case "pipes":
		pipes()
	case "direct":
		direct(variant)
	default:
		fmt.Fprintln(os.Stderr, "unknown benchmark", name)
		os.Exit(2)
	}
}
