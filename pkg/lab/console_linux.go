package lab

import (
	"errors"
	"io"
	"os"
	"sync"
)

// maxConsole bounds each of the two files of a console.
const maxConsole = 1 << 20

// console keeps the last megabyte or two of what a node wrote, in a file and
// its predecessor, over all its boots.
type console struct {
	path string

	mu   sync.Mutex // guards following
	file *os.File
	size int
}

func newConsole(path string) (*console, error) {
	c := &console{path: path}
	return c, c.open()
}

func (c *console) open() (err error) {
	c.size = 0
	c.file, err = os.OpenFile(c.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	return err
}

// Write appends to the console. It never fails, for the node is not to notice.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size+len(p) > maxConsole {
		_ = c.file.Close()
		_ = os.Rename(c.path, c.path+".old")
		if c.open() != nil {
			return len(p), nil
		}
	}
	n, _ := c.file.Write(p)
	c.size += n
	return len(p), nil
}

// copyTo writes what the console remembers.
func (c *console) copyTo(w io.Writer) error {
	for _, path := range []string{c.path + ".old", c.path} {
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		_, err = io.Copy(w, f)
		_ = f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
