// Package process starts the lab's processes, which are all this very binary
// in another role, and names the files that they inherit.
package process

import (
	"os"
	"os/exec"
)

// Command is the hidden command under which the binary starts itself:
// "vipctl lab-process ROLE [ARG...]".
const Command = "lab-process"

// The roles.
const (
	Supervisor = "supervisor" // PID 1 of the lab
	Machine    = "machine"    // PID 1 of a node
	Etcd       = "etcd"       // a node's etcd server
	APIServer  = "apiserver"  // a node's kube-apiserver stand-in
)

// Files that a process of the lab inherits.
const (
	TruthFD   = 3 // write end of the log of true instants; every process below the supervisor
	ControlFD = 4 // socket to the supervisor; machines only
)

// Self returns a command that runs this very binary in the role. The caller
// sets ExtraFiles and namespaces.
func Self(role string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", append([]string{Command, role}, args...)...)
	cmd.Args[0] = "vipctl"
	return cmd
}

// Truth returns the inherited log of true instants.
func Truth() *os.File { return os.NewFile(TruthFD, "truth") }
