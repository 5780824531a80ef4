// Package labcmd is `vipctl lab`: the embedded lab's commands, and the hidden
// command under which the lab starts its own processes.
package labcmd
