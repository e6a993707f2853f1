// Command hf-node is a node of the tests: `kubelet` is the real one, `cri` the container runtime under it, which
// runs nothing but remembers what it was told. They are two processes, since a runtime outlives its kubelet.
package main

import (
	"context"
	"fmt"
	"os"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

const usage = "usage: hf-node kubelet|cri [arguments]"

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	name := os.Args[1]
	// The kubelet reads os.Args for itself, so it must not see the sub-command.
	os.Args = append([]string{os.Args[0]}, os.Args[2:]...)
	switch name {
	case "kubelet":
		os.Exit(cli.Run(kubelet.NewKubeletCommand(context.Background())))
	case "cri":
		if err := runCRI(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "hf-node:", err)
			os.Exit(1)
		}
	default:
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
}
