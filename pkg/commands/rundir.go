package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/adrg/xdg"
	"github.com/gofrs/flock"
	"github.com/google/renameio/v2/maybe"
	"github.com/oklog/ulid/v2"

	"github.com/vipctl/vipctl/internal/cli"
)

// runDir is where one run of failover-test keeps its journal, its samples and
// its report: $XDG_STATE_HOME/vipctl/runs/<ULID>. It holds the machine's drill
// lock as long as it is open.
type runDir struct {
	ID   string
	Path string

	lock *flock.Flock
	mu   sync.Mutex // guards the order of lines in the files
	open map[string]*os.File
}

// openRunDir takes the lock and makes the directory. A lock that another run
// holds is refused: one drill at a time.
func openRunDir() (*runDir, error) {
	state := filepath.Join(xdg.StateHome, "vipctl")
	id := ulid.Make().String()
	path := filepath.Join(state, "runs", id)
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, stateError(err)
	}
	lock := flock.New(filepath.Join(state, "drill.lock"), flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	if err != nil {
		return nil, stateError(err)
	}
	if !held {
		return nil, cli.WithHint(
			&cli.CodeError{Code: cli.ExitRefused, Err: errors.New("another drill is running on this machine")},
			"one drill at a time: wait until it ends (lock: %s)", lock.Path())
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, errors.Join(stateError(err), lock.Close())
	}
	return &runDir{ID: id, Path: path, lock: lock, open: map[string]*os.File{}}, nil
}

func stateError(err error) error {
	return cli.WithHint(fmt.Errorf("the run's state cannot be kept: %w", err),
		"set XDG_STATE_HOME to a directory that you can write to")
}

// Close lets the lock go and closes the files. The directory stays.
func (d *runDir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	errs := []error{d.lock.Close()}
	for _, f := range d.open {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// append writes v as a line of the named file and waits until it is on the disk.
func (d *runDir) append(name string, lines ...any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.open[name]
	if f == nil {
		var err error
		f, err = os.OpenFile(filepath.Join(d.Path, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		d.open[name] = f
	}
	var data []byte
	for _, v := range lines {
		line, err := json.Marshal(v)
		if err != nil {
			return err
		}
		data = append(append(data, line...), '\n')
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// writeReport writes report.json, whole or not at all.
func (d *runDir) writeReport(doc any) error {
	data, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	return maybe.WriteFile(filepath.Join(d.Path, "report.json"), append(data, '\n'), 0o600)
}
