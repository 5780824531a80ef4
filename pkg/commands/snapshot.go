package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/renameio/v2/maybe"
	"github.com/spf13/cobra"

	"github.com/vipctl/vipctl/internal/cli"
	"github.com/vipctl/vipctl/pkg/cluster"
)

// snapshotFlags are --save and --from, of every command that looks at a cluster.
type snapshotFlags struct {
	Save string // file to write the snapshot to
	From string // file to read it from, and ask nobody; "-" is stdin
}

func (s *snapshotFlags) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.Save, "save", "", "write the snapshot to this file; it holds no secret")
	cmd.Flags().StringVar(&s.From, "from", "", "judge the snapshot in this file, or - for stdin, and ask nobody")
}

// asking are the flags that say whom to ask, or how.
var asking = []string{
	"talosconfig", "context", "all-contexts", "endpoints", "cluster", "siderov1-keys-dir",
	"kubeconfig", "timeout", "vip", "election", "watch", "wait",
}

// check refuses flags that exclude each other.
func (s *snapshotFlags) check(cmd *cobra.Command) error {
	for _, name := range []string{"save", "from"} {
		if flag := cmd.Flags().Lookup(name); flag != nil && flag.Changed && flag.Value.String() == "" {
			// As with a variable that is not set: the cluster would be asked, or nothing kept.
			return cli.WithHint(cli.Usagef("--%s names no file", name), "name one, such as --%s snapshot.json", name)
		}
	}
	if s.Save == "-" {
		return cli.WithHint(cli.Usagef("--save: stdout has the document"), "name a file, such as --save snapshot.json")
	}
	if s.From == "" {
		return nil
	}
	if s.Save != "" {
		return cli.WithHint(cli.Usagef("--save and --from exclude each other"), "copy the file instead")
	}
	for _, name := range asking {
		if name == "vip" && cmd.Name() == "owner" {
			continue // it chooses what is shown, too
		}
		if cmd.Flags().Changed(name) {
			return cli.WithHint(cli.Usagef("--%s and --from exclude each other: a snapshot is judged, and nobody asked", name),
				"leave out --%s, or leave out --from to look at the cluster itself", name)
		}
	}
	return nil
}

// source is the survey that was kept, or else the one that collect makes, which
// is kept where that was asked for. It is nil where there is none to print, and
// whole also where the error is a lateError.
func (s *snapshotFlags) source(ctx context.Context, f *Factory, collect func(context.Context) (*survey, error)) (*survey, error) {
	if s.From != "" {
		snap, err := f.readSnapshot(ctx, s.From)
		if err != nil {
			return nil, err
		}
		return &survey{snap: snap, judged: judgeAll(snap), rows: f.flags.Nodes}, nil
	}
	seen, err := collect(ctx)
	if err != nil {
		return nil, err
	}
	cfg, err := f.Config()
	if err != nil {
		return nil, err
	}
	seen.snap.LeaseTTL = time.Duration(cfg.LeaseTTL).Seconds() // whoever judges it elsewhere must predict the same
	if s.Save == "" {
		return seen, nil
	}
	if err := saveSnapshot(s.Save, seen.snap); err != nil {
		return seen, &lateError{cli.WithHint(fmt.Errorf("--save: %w", err), "name a file in a directory that you may write to")}
	}
	return seen, nil
}

// lateError is what failed after there was a document to print. The document is
// printed nevertheless, and the exit code that of the error.
type lateError struct{ error }

func (e *lateError) Unwrap() error { return e.error }

// saveSnapshot replaces the file as a whole. What is no regular file, such as
// /dev/null, is written to.
func saveSnapshot(path string, snap *cluster.Snapshot) error {
	data, err := json.MarshalIndent(snap, "", "  ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	info, err := os.Stat(path)
	if err != nil || info.Mode().IsRegular() {
		return naming(path, maybe.WriteFile(path, data, 0o600))
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}

// naming makes the error name the file that was asked for, not the one beside
// it that is written first.
func naming(path string, err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return &os.PathError{Op: e.Op, Path: path, Err: e.Err}
	}
	return err
}

// maxSnapshot is far more than a snapshot of any control plane takes, which is
// some ten KiB a node.
const maxSnapshot = 64 << 20

func (f *Factory) readSnapshot(ctx context.Context, path string) (*cluster.Snapshot, error) {
	data, err := f.readSource(ctx, path)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if path == "-" {
		path = "stdin"
	}
	if err == nil && len(data) > maxSnapshot {
		err = fmt.Errorf("%s is larger than any snapshot", path)
	}
	if err != nil {
		return nil, notSnapshot(fmt.Errorf("--from: %w", err))
	}
	snap, err := cluster.Parse(data)
	if err != nil {
		return nil, notSnapshot(fmt.Errorf("--from: %s: %w", path, err))
	}
	return snap, nil
}

// readSource reads the file, or stdin, until it ends, is too large, or ctx is
// cancelled: nobody may ever write to a pipe or a terminal, and neither opening
// nor reading one can be called off. Then a goroutine is left behind, which
// ends with the process.
func (f *Factory) readSource(ctx context.Context, path string) ([]byte, error) {
	type contents struct {
		data []byte
		err  error
	}
	read := make(chan contents, 1)
	go func() {
		in := f.Streams.In
		if path != "-" {
			file, err := os.Open(path)
			if err != nil {
				read <- contents{err: err}
				return
			}
			defer func() { _ = file.Close() }()
			in = file
		}
		data, err := io.ReadAll(io.LimitReader(in, maxSnapshot+1))
		read <- contents{data, err}
	}()
	select {
	case c := <-read:
		return c.data, c.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func notSnapshot(err error) error {
	if cli.HintOf(err) != "" {
		return &cli.UsageError{Err: err}
	}
	return cli.WithHint(&cli.UsageError{Err: err}, "a snapshot is written by vipctl owner, etcd or doctor with --save FILE")
}
