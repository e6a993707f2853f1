// Command hf-kubelet serves the part of a kubelet's API that kube-apiserver tunnels to: exec, attach,
// port-forward and logs, for every pod and with the kubelet's own streaming code. No container runs: `cat`
// echoes stdin, `exit` ends with code 3, any other command prints its arguments; a forwarded port echoes.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

const streamIdleTimeout = 10 * time.Minute

func main() {
	listen := flag.String("listen", ":10250", "address")
	cert := flag.String("cert", "", "serving certificate")
	key := flag.String("key", "", "its key")
	flag.Parse()
	mux := http.NewServeMux()
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", func(w http.ResponseWriter, r *http.Request) {
		if options := streamOptions(w, r); options != nil {
			remotecommand.ServeExec(w, r, echo{}, r.PathValue("pod"), "", r.PathValue("container"), r.Form["command"],
				options, streamIdleTimeout, remotecommand.DefaultStreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
		}
	})
	mux.HandleFunc("/attach/{namespace}/{pod}/{container}", func(w http.ResponseWriter, r *http.Request) {
		if options := streamOptions(w, r); options != nil {
			remotecommand.ServeAttach(w, r, echo{}, r.PathValue("pod"), "", r.PathValue("container"),
				options, streamIdleTimeout, remotecommand.DefaultStreamCreationTimeout, remotecommand.SupportedStreamingProtocols)
		}
	})
	mux.HandleFunc("/portForward/{namespace}/{pod}", func(w http.ResponseWriter, r *http.Request) {
		options, err := portforward.NewV4Options(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		portforward.ServePortForward(w, r, echo{}, r.PathValue("pod"), "", options, streamIdleTimeout,
			remotecommand.DefaultStreamCreationTimeout, portforward.SupportedProtocols)
	})
	mux.HandleFunc("/containerLogs/{namespace}/{pod}/{container}", logs)
	// The streaming protocols upgrade HTTP/1.1 connections.
	server := &http.Server{Addr: *listen, Handler: mux, TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	fmt.Fprintln(os.Stderr, "hf-kubelet:", server.ListenAndServeTLS(*cert, *key))
	os.Exit(1)
}

func streamOptions(w http.ResponseWriter, r *http.Request) *remotecommand.Options {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil
	}
	return options
}

// logs prints a line at once and, when followed, one per 100 ms until the client leaves.
func logs(w http.ResponseWriter, r *http.Request) {
	flusher := w.(http.Flusher)
	for line := 1; ; line++ {
		fmt.Fprintf(w, "line %d of %s\n", line, r.PathValue("pod"))
		flusher.Flush()
		if r.FormValue("follow") != "true" {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// echo stands in for every container.
type echo struct{}

func (echo) ExecInContainer(_ context.Context, pod, _, _ string, command []string, in io.Reader,
	out, _ io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize, _ time.Duration) error {
	switch command[0] {
	case "cat":
		_, err := io.Copy(out, in)
		return err
	case "exit":
		return utilexec.CodeExitError{Err: fmt.Errorf("as asked for"), Code: 3}
	default:
		_, err := fmt.Fprintf(out, "%s: %s\n", pod, strings.Join(command, " "))
		return err
	}
}

func (echo) AttachContainer(_ context.Context, pod, _, _ string, in io.Reader, out, _ io.WriteCloser,
	_ bool, _ <-chan remotecommand.TerminalSize) error {
	fmt.Fprintf(out, "attached to %s\n", pod)
	if in == nil {
		return nil
	}
	_, err := io.Copy(out, in)
	return err
}

func (echo) PortForward(_ context.Context, _, _ string, _ int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	_, err := io.Copy(stream, stream)
	return err
}
