package l2

import (
	"container/heap"
	"sync"
	"time"
)

// late keeps what is to be done later, and does it in the order of the
// instants, equal ones in the order in which they came. Its goroutine lives
// only while there is something to do. The zero value is ready for use.
type late struct {
	mu    sync.Mutex // guards following
	queue lateQueue
	count uint64
	wake  chan struct{} // nil unless the goroutine lives
}

type lateItem struct {
	due time.Time
	n   uint64
	do  func()
}

// add has do called at due.
func (l *late) add(due time.Time, do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	heap.Push(&l.queue, lateItem{due, l.count, do})
	switch {
	case l.wake == nil:
		l.wake = make(chan struct{}, 1)
		go l.run(l.wake)
	case l.queue[0].n == l.count: // earlier than what is waited for
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

func (l *late) run(wake <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		item, wait, more := l.next()
		switch {
		case !more:
			return
		case wait <= 0:
			item.do()
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-wake:
		}
	}
}

// next takes the first item where it is due, and says how long it takes until
// then otherwise. Without items it ends the goroutine.
func (l *late) next() (item lateItem, wait time.Duration, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		l.wake = nil
		return item, 0, false
	}
	if wait = time.Until(l.queue[0].due); wait > 0 {
		return item, wait, true
	}
	return heap.Pop(&l.queue).(lateItem), 0, true
}

// lateQueue is a heap, the earliest first.
type lateQueue []lateItem

func (q lateQueue) Len() int { return len(q) }
func (q lateQueue) Less(i, j int) bool {
	if q[i].due.Equal(q[j].due) {
		return q[i].n < q[j].n
	}
	return q[i].due.Before(q[j].due)
}
func (q lateQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *lateQueue) Push(x any)   { *q = append(*q, x.(lateItem)) }
func (q *lateQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = lateItem{} // lets go of the frame
	*q = old[:len(old)-1]
	return last
}
