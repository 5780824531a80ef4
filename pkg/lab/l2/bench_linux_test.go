package l2

import (
	"io"
	"net"
	"testing"
	"time"
)

// BenchmarkConnect is how long a TCP connection takes from host to host, ARP
// being known: three frames, of which the client waits for two.
func BenchmarkConnect(b *testing.B) {
	s := newSegment(b)
	s.must(s.hosts["a"].Do(func() error {
		for b.Loop() {
			c, err := net.DialTimeout("tcp", "10.9.0.2:6443", 5*time.Second)
			if err != nil {
				return err
			}
			b.StopTimer()
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
			b.StartTimer()
		}
		return nil
	}))
}

// BenchmarkThroughput is how fast a host sends to another.
func BenchmarkThroughput(b *testing.B) {
	s := newSegment(b)
	s.must(s.hosts["c"].Do(func() error {
		l, err := net.Listen("tcp", ":7000")
		if err != nil {
			return err
		}
		b.Cleanup(func() { _ = l.Close() })
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			chunk := make([]byte, 1<<20)
			for err == nil {
				_, err = c.Write(chunk)
			}
		}()
		return nil
	}))
	s.must(s.hosts["a"].Do(func() error {
		c, err := net.DialTimeout("tcp", "10.9.0.3:7000", 5*time.Second)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		chunk := make([]byte, 1<<20)
		b.SetBytes(int64(len(chunk)))
		for b.Loop() {
			if _, err := io.ReadFull(c, chunk); err != nil {
				return err
			}
		}
		return nil
	}))
}
