// Command hf-kube is a whole Kubernetes control plane in one file, for tests: each sub-command is
// the real program. Only the chosen one is constructed, since flags and feature gates are global.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

const usage = "usage: hf-kube etcd|history|compact|apiserver|controller-manager|kubectl [arguments]"

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	name := os.Args[1]
	// Each program reads os.Args for itself, so it must not see the sub-command.
	os.Args = append([]string{os.Args[0]}, os.Args[2:]...)
	switch name {
	case "etcd":
		exitOnError(runEtcd(os.Args[1:]))
	case "history":
		exitOnError(runHistory(os.Args[1:]))
	case "compact":
		exitOnError(runCompact(os.Args[1:]))
	case "apiserver":
		run(apiserver.NewAPIServerCommand())
	case "controller-manager":
		run(controllermanager.NewControllerManagerCommand())
	case "kubectl":
		run(kubectl.NewDefaultKubectlCommand())
	default:
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
}

func run(command *cobra.Command) { os.Exit(cli.Run(command)) }

func exitOnError(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "hf-kube:", err)
		os.Exit(1)
	}
}
