// Command vipctl shows who owns a Talos control plane's virtual IP, whether
// the set-up is sound, and how long a failover takes.
package main

import (
	"os"

	"github.com/vipctl/vipctl/pkg/commands"
)

func main() {
	os.Exit(commands.Main())
}
