// A Go program with cgo: a runtime of its own, with kernel threads by
// pthread_create of its C half, beside threads that the C half makes and that
// call back into Go.  Prints what must come out whatever the order in which the
// threads ran.

package main

/*
#cgo LDFLAGS: -pthread
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

extern long callback(long);

static void *
body(void *arg)
{
	return (void *)callback((long)arg);
}

static long
threads(long count)
{
	pthread_t all[count];
	void *got;
	long i, sum = 0;

	for (i = 0; i < count; i++)
		pthread_create(&all[i], NULL, body, (void *)i);
	for (i = 0; i < count; i++) {
		pthread_join(all[i], &got);
		sum += (long)got;
	}
	return sum;
}

static int
nap(int us)
{
	usleep(us);
	return us;
}
*/
import "C"

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

//export callback
func callback(n C.long) C.long {
	c := make(chan C.long)
	go func() { c <- n * n }()
	return <-c
}

func each(count int, body func(int)) {
	var wg sync.WaitGroup
	for i := 0; i < count; i++ {
		wg.Add(1)
		go func(n int) {
			defer wg.Done()
			body(n)
		}(i)
	}
	wg.Wait()
}

func main() {
	var lock sync.Mutex
	total := 0
	add := func(n int) {
		lock.Lock()
		total += n
		lock.Unlock()
	}
	each(5000, func(n int) { runtime.Gosched(); add(n) })
	fmt.Println("goroutines", total)

	total = 0
	each(100, func(n int) { add(int(C.nap(C.int(1000 + n)))) })
	fmt.Println("calls", total)

	total = 0
	each(8, func(n int) { add(int(C.threads(C.long(20)))) })
	fmt.Println("callbacks", total)

	total = 0
	each(20, func(n int) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		id := syscall.Gettid()
		C.nap(500)
		if id == syscall.Gettid() {
			add(1)
		}
	})
	fmt.Println("locked", total)

	// Loops that only a signal can preempt, and collections beside them.
	var stop sync.WaitGroup
	done := make(chan bool)
	for i := 0; i < 4; i++ {
		stop.Add(1)
		go func() {
			defer stop.Done()
			for {
				select {
				case <-done:
					return
				default:
				}
				x := 1
				for k := 0; k < 1000000; k++ {
					x = x*31 + k
				}
				runtime.KeepAlive(x)
			}
		}()
	}
	for i := 0; i < 3; i++ {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	close(done)
	stop.Wait()

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	total = 0
	each(50, func(n int) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			panic(err)
		}
		text := fmt.Sprint(n, " and so on")
		got := make([]byte, len(text))
		fmt.Fprint(c, text)
		io.ReadFull(c, got)
		if string(got) == text {
			add(1)
		}
		c.Close()
	})
	fmt.Println("echoes", total)

	total = 0
	each(10, func(n int) {
		err := exec.Command("/bin/sh", "-c", fmt.Sprint("exit ", n)).Run()
		if e, ok := err.(*exec.ExitError); ok {
			add(e.ExitCode())
		}
	})
	fmt.Println("children", total)

	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	for i := 0; i < 20; i++ {
		syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		<-c
	}
	func() {
		defer func() { fmt.Println("recovered", recover()) }()
		var none *int
		fmt.Println(*none)
	}()
	os.Exit(4)
}
