package lab

import (
	"fmt"
	"os"

	"github.com/vipctl/vipctl/pkg/lab/apiserver"
	"github.com/vipctl/vipctl/pkg/lab/etcd"
	"github.com/vipctl/vipctl/pkg/lab/node"
	"github.com/vipctl/vipctl/pkg/lab/process"
)

// RunProcess is this process's life in one of the lab's roles; it returns the
// exit code. The roles and their inherited files are those of package process.
func RunProcess(role string, args []string) int {
	roles := map[string]func(string) int{
		process.Supervisor: func(arg string) int {
			if err := supervise(arg); err != nil {
				fmt.Fprint(os.Stderr, crashLine(err))
				return 1
			}
			return 0
		},
		process.Machine:   node.Main,
		process.Etcd:      etcd.Main,
		process.APIServer: apiserver.Main,
	}
	run, ok := roles[role]
	if !ok || len(args) != 1 {
		fmt.Fprintf(os.Stderr, "error: %q with %d arguments is no process of the lab\n", role, len(args))
		return 2
	}
	return run(args[0])
}
