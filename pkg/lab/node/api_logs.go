//go:build linux

package node

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/vipctl/vipctl/pkg/lab/talosapi"
)

// The IDs of logs that belong to no process.
const (
	machinedLog   = "machined"
	controllerLog = "controller-runtime"
)

// journal is what the machine's parts write to its logs, in Talos's words and
// form (v1.13.9 pkg/logging, internal/app/machined/pkg/runtime/v1alpha2).
type journal struct {
	logs    *talosapi.Logs
	console io.Writer // shows what the kernel's log gets, as a machine's does
	runtime *zap.Logger
}

func newJournal(console io.Writer) *journal {
	j := &journal{logs: talosapi.NewLogs(), console: console}
	long := zap.NewDevelopmentEncoderConfig()
	long.ConsoleSeparator = " "
	short := long
	long.EncodeLevel = zapcore.CapitalColorLevelEncoder
	short.EncodeTime, short.EncodeLevel = nil, nil
	j.runtime = zap.New(zapcore.NewTee(
		zapcore.NewCore(zapcore.NewConsoleEncoder(long), zapcore.AddSync(j.logs.Service(controllerLog)), zap.DebugLevel),
		zapcore.NewCore(zapcore.NewConsoleEncoder(short), zapcore.AddSync(kernelWriter{j}), zap.InfoLevel),
	)).With(zap.String("component", "controller-runtime"))
	return j
}

// printf is machined's own logger: each line goes to the kernel's log too, and
// so to the console.
func (j *journal) printf(format string, args ...any) {
	line := "[talos] " + strings.TrimSpace(fmt.Sprintf(format, args...))
	j.logs.Kernel(line)
	_, _ = fmt.Fprintln(j.logs.Service(machinedLog), line)
	_, _ = fmt.Fprintln(j.console, line)
}

// kernelWriter is the controllers' way to machined's logger.
type kernelWriter struct{ j *journal }

func (w kernelWriter) Write(p []byte) (int, error) {
	w.j.printf("%s", p)
	return len(p), nil
}

// controller returns the logger of a Talos controller.
func (j *journal) controller(name string) *zap.Logger {
	return j.runtime.With(zap.String("controller", name))
}

// operator returns the logger of a VIP operator. What Talos's address
// controller says of the operator's doings is left to that controller.
func (j *journal) operator() *slog.Logger {
	return slog.New(zapHandler{j.controller(operatorSpecOwner).With(zap.String("operator", "vip"))})
}

// zapHandler writes what is logged through slog to zap.
type zapHandler struct{ log *zap.Logger }

func (h zapHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h zapHandler) Handle(_ context.Context, r slog.Record) error {
	if strings.HasSuffix(r.Message, "gratuitous ARP") {
		return nil
	}
	level := zapcore.Level(r.Level / 4) // both have debug, info, warn, error at even steps from info's 0
	if entry := h.log.Check(level, r.Message); entry != nil {
		var fields []zap.Field
		r.Attrs(func(a slog.Attr) bool { fields = append(fields, zapField(a)); return true })
		entry.Write(fields...)
	}
	return nil
}

func (h zapHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		h.log = h.log.With(zapField(a))
	}
	return h
}

func (h zapHandler) WithGroup(string) slog.Handler { return h }

func zapField(a slog.Attr) zap.Field { return zap.String(a.Key, a.Value.String()) }

// process returns a file for a process to write its log to, which the caller
// closes when it has started the process. Each line shows on the console too.
func (j *journal) process(id string) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	log := io.MultiWriter(j.logs.Service(id), j.console)
	go func() {
		defer func() { _ = r.Close() }()
		lines := bufio.NewReader(r)
		for {
			line, err := lines.ReadString('\n')
			if line != "" {
				_, _ = io.WriteString(log, line)
			}
			if err != nil {
				return
			}
		}
	}()
	return w, nil
}
