package main

import (
	"context"
	"encoding/json"
	"flag"
	"net"
	"net/http"
	"path/filepath"
	"sync"

	"google.golang.org/grpc"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	critest "k8s.io/cri-api/pkg/apis/testing"
	"k8s.io/cri-client/pkg/fake"
)

// The labels by which a kubelet finds its pods again (pkg/kubelet/types/labels.go).
const (
	podNameLabel   = "io.kubernetes.pod.name"
	podUIDLabel    = "io.kubernetes.pod.uid"
	podNSLabel     = "io.kubernetes.pod.namespace"
	containerLabel = "io.kubernetes.container.name"
)

// container is what a test sees of one.
type container struct {
	ID        string            `json:"id"`
	Namespace string            `json:"namespace"`
	Pod       string            `json:"pod"`
	UID       string            `json:"uid"`
	Name      string            `json:"name"`
	State     string            `json:"state"`
	Mounts    map[string]string `json:"mounts"` // path in the container: path on the node
	Env       map[string]string `json:"env"`
}

// call is one that changes what runs, in the order in which they came.
type call struct {
	What string `json:"what"`
	Pod  string `json:"pod"`
	UID  string `json:"uid"`
}

// runtime is the CRI's own fake with a memory of what was asked of it.
type runtime struct {
	*fake.RemoteRuntime
	mu     sync.Mutex
	config map[string]*cri.ContainerConfig
	calls  []call
}

// runCRI serves the CRI on one unix socket and, on another, what it holds, as JSON over HTTP.
func runCRI(arguments []string) error {
	flags := flag.NewFlagSet("cri", flag.ExitOnError)
	socket := flags.String("socket", "", "unix socket of the CRI")
	state := flags.String("state", "", "unix socket that tells the tests what runs")
	flags.Parse(arguments)

	critest.FakePodSandboxIPs = []string{"198.19.250.1"} // no address that leads anywhere
	r := &runtime{RemoteRuntime: fake.NewFakeRemoteRuntime(), config: map[string]*cri.ContainerConfig{}}
	r.RuntimeService.FakeStatus = &cri.RuntimeStatus{Conditions: []*cri.RuntimeCondition{
		{Type: cri.RuntimeReady, Status: true}, {Type: cri.NetworkReady, Status: true}}}

	r.ImageService.SetFakeImageSize(1) // an image without a size is taken for none

	told, err := net.Listen("unix", *state)
	if err != nil {
		return err
	}
	go http.Serve(told, http.HandlerFunc(r.tell))
	listener, err := net.Listen("unix", *socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	cri.RegisterRuntimeServiceServer(server, r)
	cri.RegisterImageServiceServer(server, r)
	return server.Serve(listener)
}

func (r *runtime) tell(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.RuntimeService.Lock()
	defer r.RuntimeService.Unlock()
	out := struct {
		Containers []container `json:"containers"`
		Calls      []call      `json:"calls"`
	}{[]container{}, append([]call{}, r.calls...)}
	for id, c := range r.RuntimeService.Containers {
		one := container{ID: id, Namespace: c.Labels[podNSLabel], Pod: c.Labels[podNameLabel], UID: c.Labels[podUIDLabel],
			Name: c.Labels[containerLabel], State: c.State.String(), Mounts: map[string]string{}, Env: map[string]string{}}
		if config := r.config[id]; config != nil {
			for _, m := range config.Mounts {
				one.Mounts[m.ContainerPath] = m.HostPath
			}
			for _, e := range config.Envs {
				one.Env[e.Key] = string(e.Value)
			}
		}
		out.Containers = append(out.Containers, one)
	}
	json.NewEncoder(w).Encode(out)
}

// note writes a call down. A sandbox that is stopped names its pod by the labels that it was made with.
func (r *runtime) note(what string, labels map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, call{what, labels[podNameLabel], labels[podUIDLabel]})
}

func (r *runtime) containerLabels(id string) map[string]string {
	r.RuntimeService.Lock()
	defer r.RuntimeService.Unlock()
	if c := r.RuntimeService.Containers[id]; c != nil {
		return c.Labels
	}
	return nil
}

func (r *runtime) sandboxLabels(id string) map[string]string {
	r.RuntimeService.Lock()
	defer r.RuntimeService.Unlock()
	if s := r.RuntimeService.Sandboxes[id]; s != nil {
		return s.Labels
	}
	return nil
}

func (r *runtime) RunPodSandbox(ctx context.Context, request *cri.RunPodSandboxRequest) (*cri.RunPodSandboxResponse, error) {
	r.note("run sandbox", request.GetConfig().GetLabels())
	return r.RemoteRuntime.RunPodSandbox(ctx, request)
}

func (r *runtime) StopPodSandbox(ctx context.Context, request *cri.StopPodSandboxRequest) (*cri.StopPodSandboxResponse, error) {
	r.note("stop sandbox", r.sandboxLabels(request.PodSandboxId))
	return r.RemoteRuntime.StopPodSandbox(ctx, request)
}

func (r *runtime) CreateContainer(ctx context.Context, request *cri.CreateContainerRequest) (*cri.CreateContainerResponse, error) {
	response, err := r.RemoteRuntime.CreateContainer(ctx, request)
	if err == nil {
		r.mu.Lock()
		r.config[response.ContainerId] = request.Config
		r.mu.Unlock()
		// The fake leaves it empty, and a kubelet removes whatever LogPath + "*" matches
		// (pkg/kubelet/logs/container_log_manager.go): in its working directory, everything.
		r.RuntimeService.Lock()
		if c := r.RuntimeService.Containers[response.ContainerId]; c != nil {
			c.LogPath = filepath.Join(request.GetSandboxConfig().GetLogDirectory(), request.GetConfig().GetLogPath())
		}
		r.RuntimeService.Unlock()
	}
	return response, err
}

func (r *runtime) StartContainer(ctx context.Context, request *cri.StartContainerRequest) (*cri.StartContainerResponse, error) {
	r.note("start", r.containerLabels(request.ContainerId))
	return r.RemoteRuntime.StartContainer(ctx, request)
}

func (r *runtime) StopContainer(ctx context.Context, request *cri.StopContainerRequest) (*cri.StopContainerResponse, error) {
	r.note("stop", r.containerLabels(request.ContainerId))
	return r.RemoteRuntime.StopContainer(ctx, request)
}
