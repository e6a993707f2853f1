package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

type options struct {
	host, tokenFile, caFile, kubeconfig, clientCert, clientKey, userAgent, encoding string
	http1                                                                           bool
	identities                                                                      identityFlags
}

// identityFlags are further credentials of the same process, by name: client certificates (cert,key), as K3s'
// process has them, or token files (token:FILE), each with connections of its own.
type identityFlags map[string][2]string

func (f identityFlags) String() string { return "" }

func (f identityFlags) Set(text string) error {
	name, files, _ := strings.Cut(text, "=")
	if token, is := strings.CutPrefix(files, "token:"); is {
		f[name] = [2]string{token, ""}
		return nil
	}
	cert, key, found := strings.Cut(files, ",")
	if !found {
		return fmt.Errorf("%q is neither name=cert,key nor name=token:FILE", text)
	}
	f[name] = [2]string{cert, key}
	return nil
}

// newClients makes a client for each identity, and the one of the plain flags under the name "".
func newClients(o options) (map[string]*client, error) {
	clients := map[string]*client{}
	for name, pair := range o.identities {
		own := o
		own.tokenFile, own.clientCert, own.clientKey = "", pair[0], pair[1]
		if pair[1] == "" {
			own.tokenFile, own.clientCert = pair[0], ""
		}
		c, err := newClient(own)
		if err != nil {
			return nil, err
		}
		clients[name] = c
	}
	c, err := newClient(o)
	clients[""] = c
	return clients, err
}

// client holds what a program built on client-go holds, all over one transport.
type client struct {
	options options
	config  *rest.Config
	http    *http.Client
	typed   *kubernetes.Clientset
	dynamic *dynamic.DynamicClient
	partial metadata.Interface
	dialer  dialer
	codes   codes
	sent    sent
}

func newClient(o options) (*client, error) {
	c := &client{options: o, dialer: dialer{open: map[net.Conn]bool{}}, codes: codes{count: map[int]int{}},
		sent: sent{count: map[[3]string]int{}}}
	config := &rest.Config{
		Host:            o.host,
		BearerTokenFile: o.tokenFile,
		TLSClientConfig: rest.TLSClientConfig{CAFile: o.caFile, CertFile: o.clientCert, KeyFile: o.clientKey},
	}
	if o.kubeconfig != "" {
		var err error
		if config, err = clientcmd.BuildConfigFromFlags("", o.kubeconfig); err != nil {
			return nil, err
		}
	}
	config.QPS = -1 // tests pace themselves
	config.UserAgent = o.userAgent
	if config.UserAgent == "" {
		config.UserAgent = rest.DefaultKubernetesUserAgent()
	}
	config.Dial = c.dialer.dial
	config.Wrap(c.codes.wrap)
	config.Wrap(c.sent.wrap)
	if o.http1 {
		config.NextProtos = []string{"http/1.1"}
	}
	if o.encoding == "protobuf" {
		config.ContentType = "application/vnd.kubernetes.protobuf"
		config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	}
	c.config = config

	var err error
	if c.http, err = rest.HTTPClientFor(config); err != nil {
		return nil, err
	}
	if c.typed, err = kubernetes.NewForConfigAndClient(config, c.http); err != nil {
		return nil, err
	}
	if c.dynamic, err = dynamic.NewForConfigAndClient(rest.CopyConfig(config), c.http); err != nil {
		return nil, err
	}
	c.partial, err = metadata.NewForConfigAndClient(metadata.ConfigFor(config), c.http)
	return c, err
}

// restClient is the typed client of a group and version.
func (c *client) restClient(version schema.GroupVersion) rest.Interface {
	switch version.Group {
	case "apps":
		return c.typed.AppsV1().RESTClient()
	case "coordination.k8s.io":
		return c.typed.CoordinationV1().RESTClient()
	case "discovery.k8s.io":
		return c.typed.DiscoveryV1().RESTClient()
	case "rbac.authorization.k8s.io":
		return c.typed.RbacV1().RESTClient()
	default:
		return c.typed.CoreV1().RESTClient()
	}
}

// dialer remembers the live connections, so that a test can ask what the kernel says about them.
type dialer struct {
	net.Dialer
	mutex  sync.Mutex
	open   map[net.Conn]bool
	dialed int
}

type trackedConn struct {
	net.Conn
	dialer *dialer
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	tracked := &trackedConn{Conn: conn, dialer: d}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.open[tracked] = true
	d.dialed++
	return tracked, nil
}

func (t *trackedConn) Close() error {
	t.dialer.mutex.Lock()
	delete(t.dialer.open, t)
	t.dialer.mutex.Unlock()
	return t.Conn.Close()
}

// peers reports each live connection: Go's idea of the peer, and the kernel's at this moment.
func (d *dialer) peers() reply {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	peers := []reply{}
	for conn := range d.open {
		raw := conn.(*trackedConn).Conn.(syscall.Conn)
		peers = append(peers, reply{
			"remote": conn.RemoteAddr().String(), "local": conn.LocalAddr().String(), "getpeername": kernelPeer(raw),
		})
	}
	return reply{"peers": peers, "dialed": d.dialed}
}

// reconnect closes every connection; the next request dials anew.
func (d *dialer) reconnect() reply {
	d.mutex.Lock()
	var closing []net.Conn
	for conn := range d.open {
		closing = append(closing, conn)
	}
	d.mutex.Unlock()
	for _, conn := range closing {
		conn.Close()
	}
	return reply{"closed": len(closing)}
}

func kernelPeer(conn syscall.Conn) string {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err.Error()
	}
	answer := ""
	err = raw.Control(func(fd uintptr) {
		peer, failure := unix.Getpeername(int(fd))
		switch p := peer.(type) {
		case *unix.SockaddrInet4:
			answer = netip.AddrPortFrom(netip.AddrFrom4(p.Addr), uint16(p.Port)).String()
		case *unix.SockaddrInet6:
			answer = netip.AddrPortFrom(netip.AddrFrom16(p.Addr), uint16(p.Port)).String()
		default:
			answer = failure.Error()
		}
	})
	if err != nil {
		return err.Error()
	}
	return answer
}
