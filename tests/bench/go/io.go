// The echo server, the pipes and the blocks of the C programs.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

func echo() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			defer conn.Close()
			buf := make([]byte, 4096)
			for {
				n, err := conn.Read(buf)
				if err != nil {
					return
				}
				if _, err = conn.Write(buf[:n]); err != nil {
					return
				}
			}
		}()
	}
}

func pipes() {
	const size = 8
	answers, answer, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	writers := make([]*os.File, *count)
	turns := make([]uint32, *count)
	for i := range writers {
		r, w, err := os.Pipe()
		if err != nil {
			panic(err)
		}
		writers[i] = w
		go func(me uint32) {
			var t [size]byte
			for {
				if _, err := io.ReadFull(r, t[:]); err != nil {
					return
				}
				if binary.LittleEndian.Uint32(t[:]) != me {
					panic("a token went astray")
				}
				if _, err := answer.Write(t[:]); err != nil {
					panic(err)
				}
			}
		}(uint32(i))
	}
	round := func() {
		var t [size]byte
		var got [64 * size]byte

		for i, w := range writers {
			binary.LittleEndian.PutUint32(t[:], uint32(i))
			binary.LittleEndian.PutUint32(t[4:], turns[i]+1)
			if _, err := w.Write(t[:]); err != nil {
				panic(err)
			}
		}
		for left := *count; left > 0; {
			n, err := answers.Read(got[:])
			if err != nil || n%size != 0 {
				panic("a torn answer")
			}
			for at := 0; at < n; at += size {
				i := binary.LittleEndian.Uint32(got[at:])
				turns[i]++
				if binary.LittleEndian.Uint32(got[at+4:]) !=
					turns[i] {
					panic("a wrong answer")
				}
			}
			left -= n / size
		}
	}
	n := measure(func(n int) {
		start()
		for ; n > 0; n-- {
			round()
		}
		stop()
	}, 10)
	reportkilo("pipes", n**count)
}

const (
	block  = 4096
	blocks = 8192
)

// A page of its own, as O_DIRECT wants it.
func aligned() []byte {
	buf := make([]byte, 2*block)
	skip := block - int(uintptr(unsafe.Pointer(&buf[0]))%block)
	return buf[skip : skip+block]
}

func makefile(dir string) int {
	f, err := os.CreateTemp(dir, "direct.")
	if err != nil {
		panic(err)
	}
	var buf [block]byte
	for i := uint64(0); i < blocks; i++ {
		binary.LittleEndian.PutUint64(buf[:], i)
		binary.LittleEndian.PutUint64(buf[block-8:], ^i)
		if _, err := f.Write(buf[:]); err != nil {
			panic(err)
		}
	}
	if err := f.Sync(); err != nil {
		panic(err)
	}
	fd, err := syscall.Open(f.Name(), syscall.O_RDONLY|syscall.O_DIRECT, 0)
	os.Remove(f.Name())
	if err != nil {
		panic(err)
	}
	f.Close()
	return fd
}

func direct(dir string) {
	fd := makefile(dir)
	n := measure(func(each int) {
		var wg sync.WaitGroup
		var number uint64
		var lock sync.Mutex

		wg.Add(*count)
		start()
		for i := 0; i < *count; i++ {
			go func() {
				buf := aligned()
				lock.Lock()
				number++
				x := number * 0x9e3779b97f4a7c15
				lock.Unlock()
				for i := 0; i < each; i++ {
					x = x*6364136223846793005 +
						1442695040888963407
					b := (x >> 33) % blocks
					n, err := syscall.Pread(fd, buf,
						int64(b*block))
					if err != nil || n != block {
						panic("pread")
					}
					head := binary.LittleEndian.Uint64(buf)
					tail := binary.LittleEndian.Uint64(
						buf[block-8:])
					if head != b || tail != ^b {
						panic("another block")
					}
				}
				wg.Done()
			}()
		}
		wg.Wait()
		stop()
	}, 10)
	reportkilo("direct", n**count)
}
