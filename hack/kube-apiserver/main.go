// Command kube-apiserver is Kubernetes' own API server, unchanged, for labs
// that are started with --kube-apiserver.
package main

import (
	"os"
	_ "time/tzdata" // a node of the lab may have no time zones

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() { os.Exit(cli.Run(app.NewAPIServerCommand())) }
